/** A picture in blocks, so that what is worked on fits the memory, and their seams: `helpers/inference/blocks.py`. */

import { measure } from "./instances.js";
import { countPixels } from "./regions.js";
import { round } from "./rounding.js";

/** Where cores begin and end along one side: evenly, so that no block sees more than `side`. */
function cut(length, side, reach) {
  const count = length <= side ? 1 : Math.ceil(length / (side - 2 * reach)), core = Math.ceil(length / count);
  const starts = [];
  for (let start = 0; start < length; start += core) starts.push([start, Math.min(start + core, length)]);
  return starts;
}

/**
 * Cut a picture into blocks whose cores cover it once.
 * @param {number} height pixels
 * @param {number} width
 * @param {number} zoom pixels at the model's scale for one of the picture
 * @param {{block_side: number, block_reach: number}} model what a block sees at most, and how far beyond its core, in
 *   pixels at the model's scale
 * @returns {{core: number[], seen: number[]}[]} top, left, bottom, right of each
 */
export function cutBlocks(height, width, zoom, model) {
  const side = round(model.block_side / Math.max(1, zoom)), reach = Math.ceil(model.block_reach / zoom);
  return cut(height, side, reach).flatMap(([top, bottom]) =>
    cut(width, side, reach).map(([left, right]) => ({
      core: [top, left, bottom, right],
      seen: [
        Math.max(0, top - reach), Math.max(0, left - reach),
        Math.min(height, bottom + reach), Math.min(width, right + reach),
      ],
    })));
}

/** Whether a nucleus is one of a block's core: its box's centre lies there, or near if all of it is seen. */
function isOwn({ left, top, right, bottom }, { core, seen }, near) {
  const row = seen[0] + Math.floor((top + bottom) / 2), column = seen[1] + Math.floor((left + right) / 2);
  const isWhole = top > 0 && left > 0 && bottom < seen[2] - seen[0] && right < seen[3] - seen[1];
  return Math.max(core[0] - row, row - core[2] + 1, core[1] - column, column - core[3] + 1) <= (isWhole ? near : 0);
}

/**
 * Put the nuclei of a block into the picture's label map: those of its core, for each pixel that none of an earlier
 * block has; what has lost more than half is left out. Blocks must come in reading order.
 * @param {{core: number[], seen: number[]}} block as of `cutBlocks`
 * @param {Int32Array} labels of what the block sees; numbered anew in place
 * @param {import("./instances.js").Nucleus[]} nuclei of `labels`, counted from the corner of what is seen
 * @param {{labels: Int32Array, width: number, before: number}} whole the picture's label map, which is filled, and how
 *   many nuclei are in it
 * @param {number} umPerPx the picture's scale, micrometres a pixel
 * @param {{near_um: number}} model how far beyond a core nuclei are kept too, lest each block leave one to the other
 * @returns {import("./instances.js").Nucleus[]} what was put in, counted from the picture's corner
 */
export function settle(block, labels, nuclei, whole, umPerPx, { near_um: nearUm }) {
  const [seenTop, seenLeft, , seenRight] = block.seen, width = seenRight - seenLeft;
  const inWhole = (i) => (seenTop + Math.floor(i / width)) * whole.width + seenLeft + (i % width);
  const pixels = countPixels(labels, nuclei.length), free = new Int32Array(pixels.length);
  for (let i = 0; i < labels.length; i++) if (labels[i] && !whole.labels[inWhole(i)]) free[labels[i]]++;
  const kept = nuclei.filter((nucleus) =>
    2 * free[nucleus.id] >= pixels[nucleus.id] && isOwn(nucleus, block, nearUm / umPerPx));
  const numbers = new Int32Array(pixels.length);
  kept.forEach(({ id }, index) => { numbers[id] = index + 1; });
  for (let i = 0; i < labels.length; i++) {
    if (!labels[i]) continue;
    const at = inWhole(i);
    labels[i] = whole.labels[at] ? 0 : numbers[labels[i]];
    if (labels[i]) whole.labels[at] = whole.before + labels[i];
  }
  const isCut = kept.some(({ id }) => free[id] < pixels[id]);
  const measured = isCut ? measure(labels, kept.length, width, umPerPx) : kept;
  return kept.map((nucleus, index) => {
    const { x, y, area_um2, left, top, right, bottom } = measured[index];
    return {
      ...nucleus, area_um2, id: whole.before + index + 1,
      x: x + seenLeft, left: left + seenLeft, right: right + seenLeft, y: y + seenTop, top: top + seenTop, bottom: bottom + seenTop,
    };
  });
}
