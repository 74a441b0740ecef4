/** Connected regions of a map. */

/**
 * Number the regions of equal values that are not 0, from 1 in reading order.
 * @param {Uint8Array|Int32Array} values (height, width)
 * @param {number} width
 * @param {boolean} [corners] whether pixels that share a corner alone are connected too
 * @returns {{labels: Int32Array, count: number}} (height, width), and how many there are
 */
export function numberRegions(values, width, corners = false) {
  const labels = new Int32Array(values.length), stack = [];
  let count = 0, value = 0;
  const visit = (at) => {
    if (values[at] !== value || labels[at]) return;
    labels[at] = count;
    stack.push(at);
  };
  const visitLine = (at, isFirst, isLast) => {
    visit(at);
    if (corners && !isFirst) visit(at - 1);
    if (corners && !isLast) visit(at + 1);
  };
  for (let start = 0; start < values.length; start++) {
    if (!values[start] || labels[start]) continue;
    value = values[start];
    count++;
    visit(start);
    while (stack.length) {
      const at = stack.pop(), column = at % width, isFirst = column === 0, isLast = column === width - 1;
      if (!isFirst) visit(at - 1);
      if (!isLast) visit(at + 1);
      if (at >= width) visitLine(at - width, isFirst, isLast);
      if (at + width < values.length) visitLine(at + width, isFirst, isLast);
    }
  }
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
