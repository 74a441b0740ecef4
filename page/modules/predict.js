/** From a picture of any size to what the network tells of it, block after block. */

import { cutBlocks } from "./blocks.js";
import { fillOutside, findOutside } from "./outside.js";
import { resize } from "./resize.js";
import { predictMaps, sizeAtScale, tilePlaces } from "./tiles.js";
import { survey } from "./tissue.js";

/**
 * @typedef {object} Maps what the network tells of a picture
 * @property {number} height pixels
 * @property {number} width
 * @property {Seen[]} blocks those with tissue, in reading order
 *
 * @typedef {object} Seen what it tells of every pixel that a block sees, (h, w)
 * @property {number[]} core top, left, bottom, right, as of `cutBlocks`
 * @property {number[]} seen
 * @property {Float32Array} nuclei logits of nucleus, minus infinity where there is no tissue
 * @property {Float32Array} interior logits of the interior of a nucleus
 * @property {Uint16Array[]} kinds for each kind its probability times 65,535
 */

/** Turn logits (K, n) into probabilities in place. */
function softmax(logits, count) {
  const size = logits.length / count;
  for (let i = 0; i < size; i++) {
    let highest = -Infinity, sum = 0;
    for (let kind = 0; kind < count; kind++) highest = Math.max(highest, logits[kind * size + i]);
    for (let kind = 0; kind < count; kind++) sum += logits[kind * size + i] = Math.exp(logits[kind * size + i] - highest);
    for (let kind = 0; kind < count; kind++) logits[kind * size + i] /= sum;
  }
}

/**
 * Predict a whole picture.
 * @param {(tile: Uint8Array) => Promise<Object<string, Float32Array>>} run as of `predictMaps`
 * @param {{rgba: Uint8ClampedArray, height: number, width: number}} picture as of `readPicture`
 * @param {number} umPerPx its scale, micrometres a pixel
 * @param {object} model of `model.json`
 * @param {(done: number, of: number) => Promise<void>} [onTile] called after every tile
 * @param {import("./tissue.js").Tissue} [tissue] as of `survey`
 * @returns {Promise<Maps>}
 */
export async function predictPicture(run, picture, umPerPx, model, onTile = async () => {}, tissue = survey(picture, umPerPx, model)) {
  const { height, width } = picture, found = [];
  const blocks = cutBlocks(height, width, umPerPx / model.um_per_px, model).map((block) => {
    const { seen } = block, size = [seen[2] - seen[0], seen[3] - seen[1]];
    return { ...block, size, places: placesIn(seen, size, umPerPx, model, tissue.reaches) };
  });
  const of = blocks.reduce((sum, { places }) => sum + places.length, 0);
  let done = 0;
  for (const { core, seen, size, places } of blocks) {
    if (places.length === 0) continue;
    const rgba = cutPicture(picture, seen), outside = findOutside({ rgba, height: size[0], width: size[1] }, model);
    if (outside && !outside.includes(0)) {
      done += places.length;
      continue;
    }
    if (outside) fillOutside(rgba, outside, ...size);
    const { maps, ...small } = await predictMaps(run, dropAlpha(rgba), size, umPerPx, model, places, () => onTile(++done, of));
    const shape = [small.height, small.width, 1], area = small.height * small.width;
    softmax(maps.kinds, model.kinds.length);
    const nuclei = resize(maps.nuclei, shape, ...size);
    outside?.forEach((none, i) => { if (none) nuclei[i] = -Infinity; });
    found.push({
      core, seen, nuclei,
      interior: resize(maps.interior, shape, ...size),
      kinds: model.kinds.map((_, kind) =>
        Uint16Array.from(resize(maps.kinds.subarray(kind * area, (kind + 1) * area), shape, ...size, false), (share) => Math.round(65535 * share))),
    });
  }
  return { height, width, blocks: found };
}

/** Give the tiles of a block where there may be tissue, `[row, column]` at the model's scale each. */
function placesIn(seen, size, umPerPx, model, reaches) {
  const [height, width] = sizeAtScale(size, umPerPx, model.um_per_px), side = model.img_size;
  const [down, across] = [size[0] / height, size[1] / width]; // pixels of the picture for one at the model's scale
  return tilePlaces(height, width, model).filter(([top, left]) => reaches(
    seen[0] + Math.floor(top * down), seen[1] + Math.floor(left * across),
    Math.min(seen[2], seen[0] + Math.ceil((top + side) * down)), Math.min(seen[3], seen[1] + Math.ceil((left + side) * across)),
  ));
}

/** Cut a rectangle out of a picture. */
function cutPicture({ rgba, width }, [top, left, bottom, right]) {
  const cut = new Uint8ClampedArray((bottom - top) * (right - left) * 4);
  for (let row = top, to = 0; row < bottom; row++, to += 4 * (right - left)) {
    cut.set(rgba.subarray(4 * (row * width + left), 4 * (row * width + right)), to);
  }
  return cut;
}

/** Give RGBA as RGB. */
function dropAlpha(rgba) {
  const rgb = new Uint8Array((rgba.length / 4) * 3);
  for (let from = 0, to = 0; from < rgba.length; from += 4, to += 3) {
    rgb[to] = rgba[from];
    rgb[to + 1] = rgba[from + 1];
    rgb[to + 2] = rgba[from + 2];
  }
  return rgb;
}
