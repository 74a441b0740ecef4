/** Changing size as OpenCV does it: shrinking by area, enlarging bilinearly, pixel centres kept in place. */

/**
 * Which pixels along a side make each new one, and what they count.
 * @param {number} from pixels along the side
 * @param {number} to new pixels
 * @param {boolean} shrinks by area, else bilinearly
 * @returns {{starts: Int32Array, counts: Int32Array, shares: Float32Array[]}} for each new pixel
 */
function mixtures(from, to, shrinks) {
  const starts = new Int32Array(to), counts = new Int32Array(to), shares = [];
  const step = from / to;
  for (let place = 0; place < to; place++) {
    let first, weights;
    if (shrinks) {
      const begin = place * step, end = Math.min(from, (place + 1) * step);
      first = Math.floor(begin + 1e-6);
      weights = [];
      for (let pixel = first; pixel < end - 1e-6; pixel++) {
        weights.push((Math.min(pixel + 1, end) - Math.max(pixel, begin)) / (end - begin));
      }
    } else {
      const middle = Math.min(Math.max((place + 0.5) * step - 0.5, 0), from - 1);
      first = Math.floor(middle);
      const beyond = middle - first;
      weights = beyond > 0 && first + 1 < from ? [1 - beyond, beyond] : [1];
    }
    starts[place] = first;
    counts[place] = weights.length;
    shares.push(Float32Array.from(weights));
  }
  return { starts, counts, shares };
}

/**
 * Bring a picture or a map to another size.
 * @param {Uint8Array|Float32Array} values (height, width, channels)
 * @param {[number, number, number]} shape
 * @param {number} newHeight
 * @param {number} newWidth
 * @param {boolean} [shrinks] by area, else bilinearly
 * @returns {Uint8Array|Float32Array} (newHeight, newWidth, channels) of the same type; the same array where nothing changes
 */
export function resize(values, [height, width, channels], newHeight, newWidth, shrinks = newHeight <= height && newWidth <= width) {
  if (height === newHeight && width === newWidth) return values;
  const rows = mixtures(height, newHeight, shrinks), columns = mixtures(width, newWidth, shrinks);
  const isBytes = !(values instanceof Float32Array);
  const resized = isBytes ? new Uint8Array(newHeight * newWidth * channels) : new Float32Array(newHeight * newWidth * channels);
  const line = new Float32Array(width * channels), length = newWidth * channels;
  for (let row = 0; row < newHeight; row++) {
    line.fill(0);
    for (let of = 0; of < rows.counts[row]; of++) {
      const share = rows.shares[row][of], from = (rows.starts[row] + of) * width * channels;
      for (let i = 0; i < line.length; i++) line[i] += share * values[from + i];
    }
    for (let column = 0; column < newWidth; column++) {
      const shares = columns.shares[column], from = columns.starts[column] * channels;
      for (let channel = 0; channel < channels; channel++) {
        let sum = 0;
        for (let of = 0; of < shares.length; of++) sum += shares[of] * line[from + of * channels + channel];
        resized[row * length + column * channels + channel] = isBytes ? Math.round(sum) : sum;
      }
    }
  }
  return resized;
}
