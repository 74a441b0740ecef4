/** Do the colours of a picture look like H&E, and would they with red and blue swapped? `helpers/pictures/stain_check.py`. */

/**
 * Say in a sentence why the colours of a picture cannot be those of H&E, or nothing where they may be.
 * @param {Uint8ClampedArray} rgba (height, width, 4)
 * @param {number} height
 * @param {number} width
 * @param {Uint8Array|null} outside (height, width), what does not count
 * @param {{stain: object}} model of `model.json`
 * @returns {string}
 */
export function doubtStain(rgba, height, width, outside, { stain: limits }) {
  const [down, across] = [height, width].map((length) => Math.max(1, Math.floor(length / limits.grid)));
  const table = Float32Array.from({ length: 256 }, (_, value) => Math.log10(limits.white / (value + 1)));
  const stained = [], dense = [], brightness = [];
  for (let row = 0; row < height; row += down) {
    for (let column = 0; column < width; column += across) {
      const i = row * width + column;
      if (outside?.[i]) continue;
      const pixel = rgba.subarray(4 * i, 4 * i + 3), density = Array.from(pixel, (value) => table[value]);
      const total = Math.fround(Math.fround(density[0] + density[1]) + density[2]);
      brightness.push(Math.max(...pixel));
      if (total > Math.fround(limits.stained)) stained.push(density);
      if (total > Math.fround(limits.dense)) dense.push(density);
    }
  }
  const tissue = outside ? outside.reduce((sum, none) => sum + 1 - none, 0) : height * width;
  const enough = Math.max(limits.share, limits.fewest / Math.max(1, tissue)) * brightness.length;
  if (dense.length > enough && (leadOfGreen(dense) < limits.green_leads || median(brightness) < limits.dark)) {
    return "The colours are not those of haematoxylin and eosin: a grey picture, fluorescence, another stain, a photograph, or ink? The model knows nothing else, so do not trust what it finds.";
  }
  if (stained.length > enough && orderOfRedAndBlue(stained, limits) < limits.in_order) {
    return "Red and blue seem to be swapped: the colours look more like haematoxylin and eosin the other way round, so save the picture anew, its channels in the order red, green, blue.";
  }
  return "";
}

const mean = (values) => values.reduce((sum, value) => sum + value, 0) / values.length;

function median(values) {
  const sorted = Float32Array.from(values).sort(), middle = sorted.length / 2;
  return (sorted[Math.ceil(middle) - 1] + sorted[Math.floor(middle)]) / 2;
}

/** By how much green is absorbed more than red and blue, as a share of all that is. */
const leadOfGreen = (densities) =>
  mean(densities.map(([red, green, blue]) => green - Math.max(red, blue))) / mean(densities.map((of) => of[0] + of[1] + of[2]));

/** Whether red and blue stand as in H&E (above 0) or swapped (below): two differences of correlations. */
function orderOfRedAndBlue(densities, { hardly, two_stains: twoStains }) {
  const [red, green, blue] = [0, 1, 2].map((channel) => densities.map((of) => of[channel]));
  const both = red.map((value, i) => value + blue[i]);
  const ratio = red.map((value, i) => Math.log((value + hardly) / (blue[i] + hardly)));
  if (Math.sqrt(covariance(ratio, ratio)) < twoStains) return 0;
  return correlation(both, ratio) + correlation(green, blue) - correlation(red, green);
}

function covariance(one, other) {
  const [middle, otherMiddle] = [mean(one), mean(other)];
  return mean(one.map((value, i) => (value - middle) * (other[i] - otherMiddle)));
}

const correlation = (one, other) => covariance(one, other) / Math.sqrt(covariance(one, one) * covariance(other, other));
