/** What is said of a picture that is odd: `helpers/pictures/checks.py`. */

import { findOutside } from "./outside.js";
import { countPixels } from "./regions.js";
import { doubtStain } from "./stain.js";

/**
 * Say what is doubtful about a picture: no tissue, other colours than those of H&E, or ink; a sentence each.
 * @param {{rgba: Uint8ClampedArray, height: number, width: number}} picture as of `readPicture`
 * @param {import("./tissue.js").Tissue} tissue as of `survey`
 * @param {object} model of `model.json`
 * @returns {string[]}
 */
export function doubtPicture(picture, tissue, model) {
  const { rgba, height, width } = picture;
  if (!tissue.somewhere.includes(1)) return ["No tissue was found: it looks like empty glass."];
  const doubts = [];
  let stain;
  if (height * width <= model.checks.whole) {
    const outside = findOutside(picture, model);
    if (outside) {
      const [, none] = countPixels(outside, 1);
      doubts.push(`${none.toLocaleString("en")} of ${outside.length.toLocaleString("en")} pixels are black or transparent to the border: taken for no tissue, and never for nuclei.`);
    }
    stain = doubtStain(rgba, height, width, outside, model);
  } else { // of a larger one, windows over the tissue are looked at
    const { windows, window } = model.checks;
    stain = doubtStain(cutWindows(picture, tissue, windows, window), windows * window, window, null, model);
  }
  return [...doubts, stain || doubtInk(tissue, model)].filter(Boolean);
}

/** Cut windows evenly over where there is tissue, (count * side, side, 4); a picture's border is repeated. */
function cutWindows({ rgba, height, width }, { somewhere, factor, width: columns }, count, side) {
  const pixels = new Uint32Array(rgba.buffer), cut = new Uint32Array(count * side * side), cells = [];
  somewhere.forEach((inside, cell) => { if (inside) cells.push(cell); });
  for (let number = 0, to = 0; number < count; number++) {
    const cell = cells[Math.floor((number * (cells.length - 1)) / (count - 1))];
    const top = Math.max(0, Math.min(Math.floor(cell / columns) * factor, height - side));
    const left = Math.max(0, Math.min((cell % columns) * factor, width - side));
    for (let row = 0; row < side; row++) {
      const from = Math.min(top + row, height - 1) * width;
      for (let column = 0; column < side; column++) cut[to++] = pixels[from + Math.min(left + column, width - 1)];
    }
  }
  return new Uint8ClampedArray(cut.buffer);
}

/** Say that there are pen marks, or nothing where there are none. */
function doubtInk({ small, marks, height, width }, model) {
  const rgba = new Uint8ClampedArray(4 * height * width).fill(255);
  small.forEach((value, i) => { rgba[4 * Math.floor(i / 3) + (i % 3)] = value; });
  const outside = findOutside({ rgba, height, width }, model);
  const share = marks.filter((marked, i) => marked && !outside?.[i]).length / marks.length;
  return share < model.checks.marked
    ? ""
    : `${(100 * share).toFixed(1)}% of the picture look like pen marks (or pigment): no tissue is counted there, and what is found there is not to be trusted.`;
}
