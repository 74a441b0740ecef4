/** Connected regions of a map. */

/**
 * Number the regions of equal values that are not 0, from 1 in reading order.
 * @param {Uint8Array|Int32Array} values (height, width)
 * @param {number} width
 * @param {boolean} [corners] whether pixels that share a corner alone are connected too
 * @returns {{labels: Int32Array, count: number}} (height, width), and how many there are
 */
export function numberRegions(values, width, corners = false) {
  const labels = new Int32Array(values.length), parents = [0], reach = corners ? 1 : 0;
  const root = (label) => {
    while (parents[label] !== label) label = parents[label] = parents[parents[label]];
    return label;
  };
  // Run by run: one gets the lowest number of the runs above that it touches, which are of one region from then on.
  for (let row = 0; row < values.length; row += width) {
    for (let start = 0, end; start < width; start = end) {
      const value = values[row + start];
      for (end = start + 1; end < width && values[row + end] === value;) end++;
      if (!value) continue;
      let label = 0;
      const last = row > 0 ? Math.min(width, end + reach) : 0, above = row - width;
      for (let at = Math.max(0, start - reach); at < last; at++) {
        if (values[above + at] !== value) continue;
        const other = root(labels[above + at]), lowest = label ? Math.min(label, other) : other;
        if (label) parents[label] = lowest;
        parents[other] = label = lowest;
        while (at + 1 < last && values[above + at + 1] === value) at++;
      }
      if (!label) parents.push(label = parents.length);
      labels.fill(label, row + start, row + end);
    }
  }
  let count = 0;
  const numbers = Int32Array.from(parents);
  for (let label = 1; label < numbers.length; label++) {
    numbers[label] = parents[label] === label ? ++count : numbers[root(label)];
  }
  for (let i = 0; i < labels.length; i++) labels[i] = numbers[labels[i]];
  return { labels, count };
}

/**
 * Mark the places where something holds.
 * @param {number} length
 * @param {(place: number) => boolean} holds
 * @returns {Uint8Array} 1 where it does
 */
export function maskWhere(length, holds) {
  const mask = new Uint8Array(length);
  for (let i = 0; i < length; i++) if (holds(i)) mask[i] = 1;
  return mask;
}

/** Count the pixels of each number of a label map, 0 included. */
export function countPixels(labels, count) {
  const pixels = new Int32Array(count + 1);
  for (const label of labels) pixels[label]++;
  return pixels;
}

/** Leave out the regions of a label map that have fewer pixels; in place. */
export function dropSmall(labels, count, fewest) {
  const pixels = countPixels(labels, count);
  for (let i = 0; i < labels.length; i++) if (pixels[labels[i]] < fewest) labels[i] = 0;
  return labels;
}
