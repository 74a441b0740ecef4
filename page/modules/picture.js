/** From a file to pixels: what the browser decodes, and plain TIFF; upright as EXIF tells, laid on white, with its scale. */

import { isEmpty } from "./outside.js";
import { openTiff } from "./tiff.js";

// 27 bytes each are needed while a picture is worked on: its colours, what the network tells, labels and outlines. With
// the browser, the network and a block in work, so many take 1.7 GB.
export const MOST_PIXELS = 36e6;
const MICROMETRES_PER_METRE = 1e6, PER_INCH = 25400, PER_CM = 10000;

/** What is wrong with a picture or a number, in one sentence for the reader. */
export class InputError extends Error {}

/**
 * Give a scale as a number, checked as `helpers.preprocessing.check_scale` does.
 * @param {string|number} text
 * @param {{scales: [number, number]}} model of `model.json`
 * @returns {number} micrometres a pixel
 */
export function checkScale(text, { scales: [lowest, highest] }) {
  const number = String(text).trim() === "" ? NaN : Number(text);
  if (!(lowest <= number && number <= highest)) {
    throw new InputError(`Expected ${lowest} to ${highest} micrometres a pixel (0.25 at 40x, 0.5 at 20x), found "${text}".`);
  }
  return number;
}

/**
 * Decode a picture.
 * @param {Blob} file
 * @param {string} name its file name
 * @param {object} model of `model.json`
 * @returns {Promise<{name: string, rgba: Uint8ClampedArray, height: number, width: number, umPerPx: number|null,
 *   bitmap: ImageBitmap}>} pixels (height, width, 4) laid on white, with an alpha of 0 where they were
 *   transparent, else of 255; the scale that the file tells, if it can be a microscope's; and what to show
 */
export async function readPicture(file, name, model) {
  const head = new Uint8Array(await file.slice(0, 65536).arrayBuffer());
  const isTiff = (head[0] === 0x49 && head[1] === 0x49) || (head[0] === 0x4d && head[1] === 0x4d);
  const command = `python -m helpers predict "${name}" --out found`;
  const refuse = () => {
    throw new InputError(isTiff
      ? `${name}: expected a TIFF of one picture, grey or RGB of 8 bits, packed by LZW or Deflate or not at all, found a slide, another kind or a damaged file; run ${command} with the Python package, or save the part you want as PNG or JPEG.`
      : `${name}: this is no picture that the browser can read, or a damaged one; give PNG, JPEG, WebP or TIFF, or if it is a slide or JPEG 2000, run ${command} with the Python package.`);
  };
  const opened = await (isTiff ? openTiff(file, model) : openByBrowser(file)).catch(refuse) ?? refuse();
  const { width, height } = opened;
  if (width * height > MOST_PIXELS) {
    throw new InputError(`${name}: expected up to ${MOST_PIXELS / 1e6} million pixels, found ${width} x ${height}; run ${command} with the Python package, which takes whole slides, or cut the picture.`);
  }
  const pixels = await opened.read().catch(refuse), rgba = pixels.data, canvas = new OffscreenCanvas(width, height);
  layOnWhite(rgba, model.black);
  canvas.getContext("2d").putImageData(pixels, 0, 0);
  const umPerPx = isTiff ? chooseScale(opened.scales, model) : tellScale(head, model);
  return { name, rgba, height, width, umPerPx, bitmap: canvas.transferToImageBitmap() };
}

/** Have the browser decode a picture; colour profiles are passed over, as Python does. */
async function openByBrowser(file) {
  const decoded = await createImageBitmap(file, { colorSpaceConversion: "none", premultiplyAlpha: "default" });
  const { width, height } = decoded;
  return {
    width, height,
    async read() {
      const context = new OffscreenCanvas(width, height).getContext("2d", { willReadFrequently: true });
      context.drawImage(decoded, 0, 0);
      decoded.close();
      return context.getImageData(0, 0, width, height);
    },
  };
}

/** Lay pixels on white, as glass is, in place; what was transparent, or black and partly so, has an alpha of 0 then. */
function layOnWhite(rgba, black) {
  for (let at = 0; at < rgba.length; at += 4) {
    const alpha = rgba[at + 3];
    if (alpha === 255) continue;
    rgba[at + 3] = isEmpty(rgba, at, black) ? 0 : 255;
    for (let channel = at; channel < at + 3; channel++) rgba[channel] = Math.floor((rgba[channel] * alpha + 255 * (255 - alpha) + 127) / 255);
  }
}

/**
 * Read the scale that a PNG or JPEG tells.
 * @param {Uint8Array} head the file's first bytes
 * @param {{plausible: [number, number]}} model micrometres a pixel that can be a microscope's
 * @returns {number|null} micrometres a pixel
 */
export const tellScale = (head, model) => chooseScale([head[0] === 0x89 ? pngScale(head) : jpegScale(head)], model);

/** Give the first scale that can be a microscope's, if it is one for both sides; else null. */
function chooseScale(told, { plausible: [lowest, highest], square }) {
  const [x, y] = told.find((sides) => sides.every((side) => lowest <= side && side <= highest)) ?? [NaN, NaN];
  return Math.max(x, y) <= square * Math.min(x, y) ? Math.sqrt(x * y) : null;
}

/** Read a PNG's pHYs, whose unit is pixels a metre. */
function pngScale(head) {
  const view = new DataView(head.buffer);
  for (let at = 8; at + 21 <= head.length; at += 12 + view.getUint32(at)) {
    const name = String.fromCharCode(...head.subarray(at + 4, at + 8));
    if (name === "IDAT") break;
    if (name === "pHYs" && head[at + 16] === 1) {
      return [8, 12].map((offset) => MICROMETRES_PER_METRE / view.getUint32(at + offset));
    }
  }
  return [NaN, NaN];
}

/** Read the density in a JPEG's JFIF header, whose unit is pixels an inch or a centimetre. */
function jpegScale(head) {
  const view = new DataView(head.buffer), isJfif = String.fromCharCode(...head.subarray(6, 10)) === "JFIF";
  const unit = isJfif ? { 1: PER_INCH, 2: PER_CM }[head[13]] : undefined;
  return unit ? [14, 16].map((offset) => unit / view.getUint16(offset)) : [NaN, NaN];
}
