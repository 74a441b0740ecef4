/** From what the network says of each pixel to single nuclei: `helpers/inference/instances.py`. */

import { countPixels, dropSmall, maskWhere, numberRegions } from "./regions.js";
import { watershed } from "./watershed.js";

/** Fill what of the background is shut in, over sides of pixels, and no larger than `hole_um2`; in place. */
function fillHoles(mask, height, width, umPerPx, model) {
  const background = maskWhere(mask.length, (i) => !mask[i]);
  const { labels, count } = numberRegions(background, width);
  const pixels = countPixels(labels, count);
  const isHole = Uint8Array.from(pixels, (area) => area * umPerPx ** 2 <= model.hole_um2);
  isHole[0] = 0; // the mask itself
  for (let column = 0; column < width; column++) isHole[labels[column]] = isHole[labels[(height - 1) * width + column]] = 0;
  for (let row = 0; row < height; row++) isHole[labels[row * width]] = isHole[labels[(row + 1) * width - 1]] = 0;
  for (let i = 0; i < mask.length; i++) if (isHole[labels[i]]) mask[i] = 1;
}

/** Number a label map from 1 in reading order of the first pixels, in place; give how many there are. */
function numberInOrder(labels, highest) {
  const numbers = new Int32Array(highest + 1);
  let count = 0;
  for (let i = 0; i < labels.length; i++) if (labels[i]) labels[i] = numbers[labels[i]] ||= ++count;
  return count;
}

/**
 * Part nuclei that touch, by marker-controlled watershed.
 * @param {Uint8Array} mask (height, width), 1 where nuclei are; its holes are filled in place
 * @param {Float32Array} interior (height, width), logits of the interior of a nucleus
 * @param {number} height
 * @param {number} width
 * @param {number} umPerPx scale of both, micrometres a pixel
 * @param {object} model of `model.json`
 * @returns {{labels: Int32Array, count: number}} (height, width), 0 where no nucleus is, nuclei numbered from 1 in
 *   reading order of their topmost pixel
 */
export function partNuclei(mask, interior, height, width, umPerPx, model) {
  fillHoles(mask, height, width, umPerPx, model);
  const sure = maskWhere(mask.length, (i) => mask[i] && interior[i] >= model.core_logit);
  const { labels: markers, count: cores } = numberRegions(sure, width);
  dropSmall(markers, cores, model.core_um2 / umPerPx ** 2);
  // A piece of the mask without a core is one nucleus.
  const { labels: pieces, count } = numberRegions(mask, width);
  const withCore = new Uint8Array(count + 1);
  for (let i = 0; i < markers.length; i++) if (markers[i]) withCore[pieces[i]] = 1;
  for (let i = 0; i < markers.length; i++) if (pieces[i] && !withCore[pieces[i]]) markers[i] = cores + pieces[i];
  const labels = watershed(interior, markers, pieces, count, height, width);
  dropSmall(labels, cores + count, model.smallest_um2 / umPerPx ** 2);
  return { labels, count: numberInOrder(labels, cores + count) };
}

/**
 * @typedef {object} Nucleus a row of the table, with the fields that Python's has
 * @property {number} id its number in the label map
 * @property {number} x column of its centroid in pixels, of the centre of the first pixel (0, 0)
 * @property {number} y row of it
 * @property {number} area_um2 square micrometres
 * @property {string} kind
 * @property {number} confidence mean probability of that kind over its pixels, 0 to 1
 * @property {number} left its bounding box, in pixels: columns from `left` up to before `right`
 * @property {number} top
 * @property {number} right
 * @property {number} bottom
 */

/**
 * Tell of each nucleus where it lies and how large it is.
 * @param {Int32Array} labels (height, width)
 * @param {number} count nuclei in it
 * @param {number} width
 * @param {number} umPerPx scale of `labels`
 * @returns {Partial<Nucleus>[]} in the order of the numbers, without kinds
 */
export function measure(labels, count, width, umPerPx) {
  const pixels = new Int32Array(count + 1), x = new Float64Array(count + 1), y = new Float64Array(count + 1);
  const left = new Int32Array(count + 1).fill(width), right = new Int32Array(count + 1);
  const top = new Int32Array(count + 1), bottom = new Int32Array(count + 1);
  for (let i = 0; i < labels.length; i++) {
    const id = labels[i];
    if (!id) continue;
    const column = i % width, row = (i - column) / width;
    if (!pixels[id]++) top[id] = row;
    bottom[id] = row + 1;
    left[id] = Math.min(left[id], column);
    right[id] = Math.max(right[id], column + 1);
    x[id] += column;
    y[id] += row;
  }
  return Array.from({ length: count }, (_, index) => {
    const id = index + 1;
    return {
      id, x: x[id] / pixels[id], y: y[id] / pixels[id], area_um2: pixels[id] * umPerPx ** 2,
      left: left[id], top: top[id], right: right[id], bottom: bottom[id],
    };
  });
}

/**
 * Tell of each nucleus where it lies, how large it is and of which kind: the one with the highest mean probability.
 * @param {Int32Array} labels (height, width)
 * @param {number} count nuclei in it
 * @param {number} width
 * @param {Uint16Array[]} shares (height, width) for each kind, its probability times 65,535
 * @param {string[]} kinds their names
 * @param {number} umPerPx scale of `labels`
 * @returns {Nucleus[]} in the order of the numbers
 */
export function listNuclei(labels, count, width, shares, kinds, umPerPx) {
  const votes = shares.map(() => new Float64Array(count + 1)), pixels = countPixels(labels, count);
  for (let i = 0; i < labels.length; i++) {
    if (labels[i]) for (let kind = 0; kind < votes.length; kind++) votes[kind][labels[i]] += shares[kind][i];
  }
  return measure(labels, count, width, umPerPx).map((nucleus) => {
    const of = votes.map((vote) => vote[nucleus.id] / pixels[nucleus.id] / 65535), best = of.indexOf(Math.max(...of));
    return { ...nucleus, kind: kinds[best], confidence: of[best] };
  });
}
