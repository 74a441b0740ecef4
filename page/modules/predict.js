/** From a picture of any size to maps of its own size, block after block. */

import { cutBlocks } from "./blocks.js";
import { resize } from "./resize.js";
import { predictMaps, sizeAtScale, tilePlaces } from "./tiles.js";
import { survey } from "./tissue.js";

/**
 * @typedef {object} Maps what the network tells of every pixel of a picture
 * @property {number} height pixels
 * @property {number} width
 * @property {number} mm2 area of the tissue, square millimetres
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
 * @param {{rgba: Uint8ClampedArray, height: number, width: number, outside: Uint8Array|null}} picture laid on white,
 *   and where it holds no tissue, as of `findOutside`
 * @param {number} umPerPx its scale, micrometres a pixel
 * @param {object} model of `model.json`
 * @param {(done: number, of: number) => Promise<void>} [onTile] called after every tile
 * @returns {Promise<Maps>}
 */
export async function predictPicture(run, picture, umPerPx, model, onTile = async () => {}) {
  const { height, width, outside } = picture, pixels = height * width, { mm2, reaches } = survey(picture, umPerPx, model);
  const blocks = cutBlocks(height, width, umPerPx / model.um_per_px, model).map((block) => {
    const { seen } = block, size = [seen[2] - seen[0], seen[3] - seen[1]];
    return { ...block, size, places: placesIn(seen, size, umPerPx, model, reaches) };
  });
  const of = blocks.reduce((sum, { places }) => sum + places.length, 0);
  const whole = {
    height, width, mm2,
    nuclei: new Float32Array(pixels).fill(model.nothing),
    interior: new Float32Array(pixels).fill(model.nothing),
    kinds: model.kinds.map(() => new Uint16Array(pixels)),
  };
  let done = 0;
  for (const block of blocks) {
    const { seen, size, places } = block;
    if (places.length === 0) continue;
    const image = cutPicture(picture, seen);
    const found = await predictMaps(run, image, size, umPerPx, model, places, () => onTile(++done, of));
    const area = found.height * found.width;
    softmax(found.maps.kinds, model.kinds.length);
    const put = (map, out, scale) => putCore(resize(map, [found.height, found.width, 1], ...size), block, out, width, scale);
    put(found.maps.nuclei, whole.nuclei);
    put(found.maps.interior, whole.interior);
    whole.kinds.forEach((out, kind) => put(found.maps.kinds.subarray(kind * area, (kind + 1) * area), out, 65535));
  }
  outside?.forEach((none, i) => { if (none) whole.nuclei[i] = -Infinity; });
  return whole;
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
