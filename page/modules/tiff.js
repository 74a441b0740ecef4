/** Plain TIFF, which browsers do not decode: one picture of 8 bits, grey or RGB, packed without loss or not at all. */

import { tiffScales } from "./scale_tags.js";

const GREY = 1, RGB = 2; // of which 0 is black
const LOSSLESS = [1, 5, 8, 32946]; // not packed, LZW, Deflate by both its numbers

/**
 * Open a TIFF.
 * @param {Blob} file
 * @param {object} model of `model.json`
 * @returns {Promise<{width: number, height: number, scales: number[][], read: () => Promise<ImageData>}|null>} its size,
 *   the micrometres a pixel that it tells, as of `tiffScales`, and its pixels; null if it is another kind of TIFF. What
 *   is damaged is an error of one call or the other.
 */
export async function openTiff(file, model) {
  await import("../geotiff/geotiff.js"); // fetched for a TIFF alone; it is no module, and makes a global
  const tiff = await GeoTIFF.fromBlob(file), image = await tiff.getImage();
  const [bits, format, kind, packing, description, unit, ...densities] = await Promise.all([
    "BitsPerSample", "SampleFormat", "PhotometricInterpretation", "Compression", "ImageDescription", "ResolutionUnit",
    "XResolution", "YResolution",
  ].map((tag) => image.fileDirectory.loadValue(tag)));
  const samples = image.getSamplesPerPixel(), width = image.getWidth(), height = image.getHeight();
  const isPlain = samples === { [GREY]: 1, [RGB]: 3 }[kind] && [...bits].every((of) => of === 8) &&
    [...(format ?? [])].every((of) => of === 1) && LOSSLESS.includes(packing ?? 1) && (await tiff.getImageCount()) === 1;
  if (!isPlain) return null;
  return {
    width, height,
    scales: tiffScales({ description, unit, densities }, model),
    async read() {
      const values = await image.readRasters({ interleave: true }), pixels = new ImageData(width, height);
      for (let to = 0, from = 0; to < pixels.data.length; to += 4, from += samples) {
        for (let channel = 0; channel < 3; channel++) pixels.data[to + channel] = values[from + (samples === 3 ? channel : 0)];
        pixels.data[to + 3] = 255;
      }
      return pixels;
    },
  };
}
