/** A picture in blocks, so that what is computed at the model's scale fits the memory: `helpers/inference/blocks.py`. */

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
