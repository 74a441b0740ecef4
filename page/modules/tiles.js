/** From a picture to maps of logits, tile by tile at the network's own scale: the road of `helpers/inference/tiles.py`. */

import { resize } from "./resize.js";
import { round } from "./rounding.js";

/**
 * Where tiles begin along a side: evenly, from end to end, overlapping by `1 / overlap` of their side at least.
 * @param {number} length pixels along the side
 * @param {number} size pixels of a tile
 * @param {number} overlap
 * @returns {number[]}
 */
export function tileStarts(length, size, overlap) {
  const steps = Math.ceil((length - size) / (size - Math.floor(size / overlap)));
  return steps > 0 ? Array.from({ length: steps + 1 }, (_, step) => round((step * (length - size)) / steps)) : [0];
}

/** Height and width that a picture of `umPerPx` has at the model's scale. */
export const sizeAtScale = (size, umPerPx, modelUmPerPx) =>
  size.map((length) => Math.max(1, round((length * umPerPx) / modelUmPerPx)));

/** Top left corners of the tiles that cover a picture at the model's scale, `[row, column]` each. */
export function tilePlaces(height, width, { img_size: size, overlap }) {
  const columns = tileStarts(Math.max(width, size), size, overlap);
  return tileStarts(Math.max(height, size), size, overlap).flatMap((row) => columns.map((column) => [row, column]));
}

/** What each pixel of a tile counts where tiles overlap, (size, size): more the further inside. */
export function tileWindow(size) {
  const ramp = (place) => Math.min(place + 1, size - place);
  return Float32Array.from({ length: size * size }, (_, i) =>
    Math.min(ramp(Math.floor(i / size)), ramp(i % size)));
}

/** Cut a tile out of a picture, its border repeated where it ends. */
function cutTile(image, [height, width], [top, left], size, tile) {
  for (let row = 0; row < size; row++) {
    const from = Math.min(top + row, height - 1) * width;
    for (let column = 0; column < size; column++) {
      const pixel = 3 * (from + Math.min(left + column, width - 1)), to = 3 * (row * size + column);
      tile[to] = image[pixel];
      tile[to + 1] = image[pixel + 1];
      tile[to + 2] = image[pixel + 2];
    }
  }
}

/**
 * Predict all that the network tells of every pixel of a picture, at the model's scale.
 * @param {(tile: Uint8Array) => Promise<Object<string, Float32Array>>} run takes a tile (size, size, 3) to logits by
 *   name, (C, size, size)
 * @param {Uint8Array} image (height, width, 3), RGB, at the picture's scale
 * @param {[number, number]} size its height and width
 * @param {number} umPerPx its scale, micrometres a pixel
 * @param {object} model of `model.json`
 * @param {[number, number][]} places of `tilePlaces`, those that are worth looking at
 * @param {() => Promise<void>} [onTile] called after every tile; what it throws ends the work
 * @returns {Promise<{maps: Object<string, Float32Array>, height: number, width: number}>} logits by name,
 *   (C, height, width), without any where there are no places
 */
export async function predictMaps(run, image, size, umPerPx, model, places, onTile = async () => {}) {
  const [height, width] = sizeAtScale(size, umPerPx, model.um_per_px), side = model.img_size;
  const atScale = resize(image, [...size, 3], height, width);
  const window = tileWindow(side), weight = new Float32Array(height * width), maps = {};
  const tile = new Uint8Array(side * side * 3);
  for (const [top, left] of places) {
    cutTile(atScale, [height, width], [top, left], side, tile);
    const outputs = await run(tile);
    const rows = Math.min(side, height - top), columns = Math.min(side, width - left);
    for (let row = 0; row < rows; row++) {
      const to = (top + row) * width + left, from = row * side;
      for (let column = 0; column < columns; column++) weight[to + column] += window[from + column];
    }
    for (const [name, logits] of Object.entries(outputs)) {
      const channels = logits.length / (side * side);
      const total = (maps[name] ??= new Float32Array(channels * height * width));
      for (let channel = 0; channel < channels; channel++) {
        for (let row = 0; row < rows; row++) {
          const to = (channel * height + top + row) * width + left, from = row * side;
          const values = (channel * side + row) * side;
          for (let column = 0; column < columns; column++) {
            total[to + column] += window[from + column] * logits[values + column];
          }
        }
      }
    }
    await onTile();
  }
  for (const [name, total] of Object.entries(maps)) {
    const unseen = name === "kinds" ? 0 : model.nothing; // where no tile was looked at
    for (let i = 0; i < total.length; i++) {
      const of = weight[i % weight.length];
      total[i] = of > 0 ? total[i] / of : unseen;
    }
  }
  return { maps, height, width };
}
