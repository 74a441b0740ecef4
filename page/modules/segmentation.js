/** The nuclei of a picture, out of what the network tells of its blocks: `helpers/inference/segmentation.py`. */

import { settle } from "./blocks.js";
import { listNuclei, partNuclei } from "./instances.js";
import { maskWhere } from "./regions.js";

/**
 * Find the nuclei of a picture.
 * @param {import("./predict.js").Maps} maps
 * @param {number} threshold logit from which a pixel is nucleus
 * @param {number} umPerPx the picture's scale, micrometres a pixel
 * @param {object} model of `model.json`
 * @returns {{labels: Int32Array, nuclei: import("./instances.js").Nucleus[]}} (height, width), 0 where no nucleus is;
 *   and their table, in the order of the numbers
 */
export function findNuclei({ height, width, blocks }, threshold, umPerPx, model) {
  const labels = new Int32Array(height * width);
  let nuclei = [];
  for (const block of blocks) {
    const [top, left, bottom, right] = block.seen, size = [bottom - top, right - left];
    const mask = maskWhere(block.nuclei.length, (i) => block.nuclei[i] >= threshold);
    const { labels: found, count } = partNuclei(mask, block.interior, ...size, umPerPx, model);
    const listed = listNuclei(found, count, size[1], block.kinds, model.kinds, umPerPx);
    nuclei = nuclei.concat(settle(block, found, listed, { labels, width, before: nuclei.length }, umPerPx, model));
  }
  return { labels, nuclei };
}
