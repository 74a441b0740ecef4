/** What of a picture is no tissue: transparent, or black beyond a slide's edge: `helpers/pictures/outside.py`. */

import { dilate, disc } from "./morphology.js";
import { countPixels, maskWhere, numberRegions } from "./regions.js";

/** Whether a pixel, by the place of its red, is black or transparent. */
export const isEmpty = (rgba, at, black) =>
  rgba[at + 3] === 0 || (rgba[at] <= black && rgba[at + 1] <= black && rgba[at + 2] <= black);

/**
 * Find black or transparent areas that touch the border, and a fringe around them.
 * @param {{rgba: Uint8ClampedArray, height: number, width: number}} picture with its transparency
 * @param {{black: number, fewest_black: number, fringe: number}} model of `model.json`
 * @returns {Uint8Array|null} (height, width), 1 where no tissue is; null where all may be tissue
 */
export function findOutside({ rgba, height, width }, { black, fewest_black: fewest, fringe }) {
  const empty = maskWhere(height * width, (i) => isEmpty(rgba, 4 * i, black));
  const border = [];
  for (let column = 0; column < width; column++) border.push(column, (height - 1) * width + column);
  for (let row = 0; row < height; row++) border.push(row * width, (row + 1) * width - 1);
  if (!border.some((at) => empty[at])) return null;
  const { labels, count } = numberRegions(empty, width, true), pixels = countPixels(labels, count);
  const isOutside = new Uint8Array(count + 1);
  for (const at of border) isOutside[labels[at]] = pixels[labels[at]] >= fewest ? 1 : 0;
  isOutside[0] = 0; // all that is not empty
  const outside = maskWhere(labels.length, (i) => isOutside[labels[i]]);
  return outside.includes(1) ? dilate(outside, height, width, disc(fringe, true)) : null;
}

/**
 * Mirror the tissue over what is no tissue, so that the tissue beside it is not disturbed.
 * @param {Uint8ClampedArray} rgba (height, width, 4); changed in place
 * @param {Uint8Array} outside (height, width), as `findOutside` gives it
 * @param {number} height
 * @param {number} width
 */
export function fillOutside(rgba, outside, height, width) {
  const nearest = findNearest(outside, height, width), pixels = new Uint32Array(rgba.buffer);
  const clip = (place, length) => Math.min(Math.max(place, 0), length - 1);
  const before = pixels.slice();
  for (let i = 0; i < outside.length; i++) {
    if (!outside[i] || nearest[i] < 0) continue;
    const column = i % width, row = (i - column) / width;
    const nearColumn = nearest[i] % width, nearRow = (nearest[i] - nearColumn) / width;
    const mirrored = clip(2 * nearRow - row, height) * width + clip(2 * nearColumn - column, width);
    pixels[i] = before[outside[mirrored] ? nearest[i] : mirrored];
  }
}

/** Give for every pixel the nearest one of tissue, itself where it is one, by two sweeps over its neighbours. */
function findNearest(outside, height, width) {
  const nearest = Int32Array.from(outside, (none, i) => (none ? -1 : i));
  const squared = (from, column, row) => {
    const other = from % width;
    return (other - column) ** 2 + ((from - other) / width - row) ** 2;
  };
  const learn = (i, column, row, x, y) => {
    if (x < 0 || y < 0 || x >= width || y >= height) return;
    const from = nearest[y * width + x];
    if (from >= 0 && (nearest[i] < 0 || squared(from, column, row) < squared(nearest[i], column, row))) nearest[i] = from;
  };
  for (const way of [1, -1]) {
    for (let line = 0; line < height; line++) {
      const row = way > 0 ? line : height - 1 - line;
      for (const along of [way, -way]) {
        for (let place = 0; place < width; place++) {
          const column = along > 0 ? place : width - 1 - place, i = row * width + column;
          if (!outside[i]) continue;
          learn(i, column, row, column - along, row);
          if (along === way) for (const side of [-1, 0, 1]) learn(i, column, row, column + side, row - way);
        }
      }
    }
  }
  return nearest;
}
