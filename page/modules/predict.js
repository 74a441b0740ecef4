/** From a picture of any size to maps of its own size, block after block. */

import { cutBlocks } from "./blocks.js";
import { resize } from "./resize.js";
import { predictMaps, sizeAtScale, tilePlaces } from "./tiles.js";

/**
 * @typedef {object} Maps what the network tells of every pixel of a picture
 * @property {number} height pixels
 * @property {number} width
 * @property {Float32Array} nuclei (height, width), logits of nucleus
 * @property {Float32Array} interior (height, width), logits of the interior of a nucleus
 * @property {Uint16Array[]} kinds (height, width) for each kind, its probability times 65,535
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
 * @param {{rgba: Uint8ClampedArray, height: number, width: number}} picture laid on white
 * @param {number} umPerPx its scale, micrometres a pixel
 * @param {object} model of `model.json`
 * @param {(done: number, of: number) => Promise<void>} [onTile] called after every tile
 * @returns {Promise<Maps>}
 */
export async function predictPicture(run, picture, umPerPx, model, onTile = async () => {}) {
  const { height, width } = picture, pixels = height * width;
  const blocks = cutBlocks(height, width, umPerPx / model.um_per_px, model);
  const shape = ({ seen: [top, left, bottom, right] }) => [bottom - top, right - left];
  const of = blocks.reduce((sum, block) =>
    sum + tilePlaces(...sizeAtScale(shape(block), umPerPx, model.um_per_px), model).length, 0);
  const whole = {
    height, width,
    nuclei: new Float32Array(pixels),
    interior: new Float32Array(pixels),
    kinds: model.kinds.map(() => new Uint16Array(pixels)),
  };
  let done = 0;
  for (const block of blocks) {
    const size = shape(block);
    const found = await predictMaps(run, cutPicture(picture, block.seen), size, umPerPx, model, () => onTile(++done, of));
    const area = found.height * found.width;
    softmax(found.maps.kinds, model.kinds.length);
    const place = (logits, out, scale) => putCore(resize(logits, [found.height, found.width, 1], ...size), block, out, width, scale);
    place(found.maps.nuclei, whole.nuclei);
    place(found.maps.interior, whole.interior);
    whole.kinds.forEach((out, kind) => place(found.maps.kinds.subarray(kind * area, (kind + 1) * area), out, 65535));
  }
  return whole;
}

/** Cut a rectangle out of a picture, without alpha. */
function cutPicture({ rgba, width }, [top, left, bottom, right]) {
  const cut = new Uint8Array((bottom - top) * (right - left) * 3);
  let to = 0;
  for (let row = top; row < bottom; row++) {
    for (let from = 4 * (row * width + left), end = 4 * (row * width + right); from < end; from += 4) {
      cut[to++] = rgba[from];
      cut[to++] = rgba[from + 1];
      cut[to++] = rgba[from + 2];
    }
  }
  return cut;
}

/** Put what was predicted of a block's core into the map of the whole picture. */
function putCore(values, { core, seen }, out, width, scale = 0) {
  for (let row = core[0]; row < core[2]; row++) {
    const from = (row - seen[0]) * (seen[3] - seen[1]) - seen[1];
    for (let column = core[1]; column < core[3]; column++) {
      const value = values[from + column];
      out[row * width + column] = scale ? Math.round(scale * value) : value;
    }
  }
}
