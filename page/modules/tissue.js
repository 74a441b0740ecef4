/** Where is tissue? Asked of a small copy of a picture: `helpers/pictures/tissue.py` and `survey.py`. */

import { close, dilate, disc, open } from "./morphology.js";
import { maskWhere } from "./regions.js";
import { round } from "./rounding.js";

/**
 * @typedef {object} Tissue where a picture holds tissue
 * @property {number} mm2 its area
 * @property {(top: number, left: number, bottom: number, right: number) => boolean} reaches whether a rectangle of the
 *   picture may hold a nucleus
 * @property {number} factor pixels a side that one of a small copy stands for
 * @property {number} height of that copy
 * @property {number} width of it
 * @property {Uint8Array} small (height, width, 3), the copy
 * @property {Uint8Array} somewhere (height, width), 1 where there may be a nucleus: all but clean glass
 * @property {Uint8Array} marks (height, width), 1 where there is ink
 */

/**
 * Find where a picture holds tissue.
 * @param {{rgba: Uint8ClampedArray, height: number, width: number}} picture laid on white
 * @param {number} umPerPx its scale, micrometres a pixel
 * @param {{tissue: object}} model of `model.json`
 * @returns {Tissue}
 */
export function survey(picture, umPerPx, { tissue: limits }) {
  const factor = chooseFactor(picture, umPerPx, limits), scale = umPerPx * factor;
  const [height, width] = [picture.height, picture.width].map((length) => Math.ceil(length / factor));
  const small = shrink(picture, factor, height, width);
  const smooth = blur(small, height, width, Math.max(1, round(limits.um_per_px / scale)));
  const glass = findGlass(smooth, limits);
  const somewhere = mayHoldNuclei(smooth, height, width, scale, glass, limits);
  const { tissue, marks } = findTissue(smooth, height, width, scale, glass, limits);
  const share = tissue.reduce((sum, inside) => sum + inside, 0) / tissue.length;
  return {
    factor, height, width, small, somewhere, marks,
    mm2: share * picture.height * picture.width * (umPerPx / 1000) ** 2,
    reaches(top, left, bottom, right) {
      const lastRow = Math.min(height, Math.ceil(bottom / factor) + 1), lastColumn = Math.min(width, Math.ceil(right / factor) + 1);
      for (let row = Math.max(0, Math.floor(top / factor) - 1); row < lastRow; row++) {
        for (let column = Math.max(0, Math.floor(left / factor) - 1); column < lastColumn; column++) {
          if (somewhere[row * width + column]) return true;
        }
      }
      return false;
    },
  };
}

/** By how much a picture is shrunk: a power of two. */
function chooseFactor({ height, width }, umPerPx, limits) {
  let factor = 1;
  while (2 * factor * umPerPx <= limits.um_per_px && Math.min(height, width) >= 2 * factor * limits.shortest) factor *= 2;
  return factor;
}

/** Shrink a picture to the means over squares, (height, width, 3); at the border those count that are there. */
function shrink(picture, factor, height, width) {
  const small = new Uint8Array(height * width * 3), sums = new Float64Array(width * 3);
  for (let row = 0; row < height; row++) {
    sums.fill(0);
    const first = row * factor, last = Math.min(first + factor, picture.height);
    for (let from = first * picture.width, line = first; line < last; line++) {
      for (let column = 0; column < picture.width; column++, from++) {
        const to = 3 * Math.floor(column / factor);
        for (let channel = 0; channel < 3; channel++) sums[to + channel] += picture.rgba[4 * from + channel];
      }
    }
    for (let i = 0; i < sums.length; i++) {
      const columns = Math.min(factor, picture.width - Math.floor(i / 3) * factor);
      small[row * sums.length + i] = round(sums[i] / columns / (last - first));
    }
  }
  return small;
}

/** Take the mean over squares, mirrored at the border, so that all scales are judged alike. */
function blur(small, height, width, side) {
  if (side === 1) return small;
  const blurred = new Uint8Array(small.length), before = Math.floor(side / 2);
  const mirror = (place, length) => {
    if (length === 1) return 0;
    const period = 2 * (length - 1), within = ((place % period) + period) % period;
    return Math.min(within, period - within);
  };
  for (let row = 0; row < height; row++) {
    for (let column = 0; column < width; column++) {
      for (let channel = 0; channel < 3; channel++) {
        let sum = 0;
        for (let y = row - before; y < row - before + side; y++) {
          for (let x = column - before; x < column - before + side; x++) {
            sum += small[3 * (mirror(y, height) * width + mirror(x, width)) + channel];
          }
        }
        blurred[3 * (row * width + column) + channel] = round(sum / side ** 2);
      }
    }
  }
  return blurred;
}

/** Give the colour of glass: of the bright grey pixels, brighter than which a tenth of them are. */
function findGlass(small, { bright, colourless, share }) {
  const counts = [0, 1, 2].map(() => new Int32Array(256));
  let grey = 0;
  for (let i = 0; i < small.length; i += 3) {
    const pixel = small.subarray(i, i + 3), darkest = Math.min(...pixel), brightest = Math.max(...pixel);
    if (darkest < bright || brightest - darkest > colourless) continue;
    grey++;
    pixel.forEach((value, channel) => counts[channel][value]++);
  }
  if (grey < Math.max(1, (share * small.length) / 3)) return [255, 255, 255];
  return counts.map((of) => {
    let value = 0;
    for (let sum = of[0]; sum < 0.9 * grey; sum += of[++value]);
    return value;
  });
}

/** All that is not clean glass, and what lies beside it, (height, width). */
function mayHoldNuclei(small, height, width, scale, glass, limits) {
  const differs = new Uint8Array(height * width);
  for (let i = 0; i < small.length; i++) {
    if (small[i] < glass[i % 3] - limits.differs) differs[Math.floor(i / 3)] = 1;
  }
  return dilate(differs, height, width, disc(radiusOf(limits.um_per_px, scale), true));
}

/** The area of tissue, as it is counted in mm2: stained, larger than dust, gaps closed, no ink; and the ink. */
function findTissue(small, height, width, scale, glass, limits) {
  // Optical density against the glass; brighter than it is 0.
  const density = glass.map((white) =>
    Float32Array.from({ length: 256 }, (_, value) => Math.max(0, Math.log10((white + 1) / (value + 1)))));
  const total = new Float32Array(height * width), ink = new Uint8Array(height * width);
  for (let i = 0; i < total.length; i++) {
    const [red, green, blue] = density.map((of, channel) => of[small[3 * i + channel]]), all = red + green + blue;
    total[i] = all;
    const isColoured = red - green > limits.red_leads * all || blue - green > limits.blue_leads * all;
    const spread = Math.max(red, green, blue) - Math.min(red, green, blue);
    const isBlack = spread < limits.black_colour * all && all > limits.black_density;
    ink[i] = (isColoured && all > limits.ink_density) || isBlack ? 1 : 0;
  }
  const of = (um) => disc(radiusOf(um, scale));
  const marks = dilate(open(ink, height, width, of(limits.ink_um)), height, width, of(limits.dust_um)); // their edge mixes with glass
  const threshold = chooseThreshold(total, limits.densities);
  const stained = maskWhere(total.length, (i) => total[i] > threshold && !marks[i]);
  const closed = close(stained, height, width, of(limits.closed_um));
  marks.forEach((marked, i) => { if (marked) closed[i] = 0; });
  return { tissue: open(closed, height, width, of(limits.dust_um)), marks };
}

const radiusOf = (um, scale) => Math.max(1, round(um / scale));

/** Otsu's threshold between stained and not, within limits. */
function chooseThreshold(total, [lowest, highest]) {
  const BINS = 256, counts = new Float64Array(BINS);
  let least = Infinity, most = -Infinity;
  for (const value of total) {
    least = Math.min(least, value);
    most = Math.max(most, value);
  }
  if (least === most) return lowest;
  for (const value of total) counts[Math.min(BINS - 1, Math.floor(((value - least) / (most - least)) * BINS))]++;
  const middle = (bin) => least + ((bin + 0.5) * (most - least)) / BINS;
  const sumAll = counts.reduce((sum, number, bin) => sum + number * middle(bin), 0);
  let below = 0, sumBelow = 0, best = 0, threshold = lowest;
  for (let bin = 0; bin < BINS - 1; bin++) {
    below += counts[bin];
    sumBelow += counts[bin] * middle(bin);
    const above = total.length - below;
    const variance = below * above * (sumBelow / below - (sumAll - sumBelow) / above) ** 2;
    if (variance > best) [best, threshold] = [variance, middle(bin)];
  }
  return Math.min(Math.max(threshold, lowest), highest);
}
