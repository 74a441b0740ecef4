/** Flooding from markers, in the very order of `skimage.segmentation.watershed`. */

/** A queue of pixels, the lowest first, and of equal ones that which came first. */
class Queue {
  constructor(room) {
    this.length = 0;
    this.values = new Float32Array(room);
    this.ages = new Int32Array(room);
    this.places = new Int32Array(room);
  }

  push(value, age, place) {
    const { values, ages, places } = this;
    let at = this.length++;
    while (at > 0) {
      const parent = (at - 1) >> 1;
      if (value > values[parent] || (value === values[parent] && age >= ages[parent])) break;
      values[at] = values[parent];
      ages[at] = ages[parent];
      places[at] = places[parent];
      at = parent;
    }
    values[at] = value;
    ages[at] = age;
    places[at] = place;
  }

  /** Take out the first, which stands at 0 before. */
  pop() {
    const { values, ages, places } = this, length = --this.length;
    const value = values[length], age = ages[length], place = places[length];
    let at = 0;
    for (let child = 1; child < length; child = 2 * at + 1) {
      const right = child + 1;
      if (right < length &&
        (values[right] < values[child] || (values[right] === values[child] && ages[right] < ages[child]))) child = right;
      if (value < values[child] || (value === values[child] && age <= ages[child])) break;
      values[at] = values[child];
      ages[at] = ages[child];
      places[at] = places[child];
      at = child;
    }
    values[at] = value;
    ages[at] = age;
    places[at] = place;
  }
}

/**
 * Let regions grow from their markers over a mask, where the height is lowest first.
 * @param {Float32Array} depth (height, width); the height is its negative, so the deepest is flooded first
 * @param {Int32Array} labels (height, width), markers, 0 where none is; filled in place
 * @param {Int32Array} pieces (height, width), which piece of the mask a pixel lies in, from 1; 0 where regions may not grow
 * @param {number} count pieces; each is flooded by itself, as Python does, which decides where heights are equal
 * @param {number} height
 * @param {number} width
 * @returns {Int32Array} labels
 * @see Meyer 1994, doi:10.1016/0165-1684(94)90060-4
 */
export function watershed(depth, labels, pieces, count, height, width) {
  const starts = new Int32Array(count + 2), ends = new Int32Array(count + 2);
  for (let at = 0; at < labels.length; at++) {
    if (!pieces[at]) labels[at] = 0;
    else if (labels[at]) starts[pieces[at] + 1]++;
  }
  for (let piece = 1; piece < starts.length; piece++) starts[piece] += starts[piece - 1];
  ends.set(starts);
  const markers = new Int32Array(starts[count + 1]); // piece by piece, each in reading order
  for (let at = 0; at < labels.length; at++) if (labels[at]) markers[ends[pieces[at]]++] = at;
  const queue = new Queue(labels.length + 1);
  let age = 1;
  const reach = (at, from, level) => {
    if (!pieces[at] || labels[at]) return;
    labels[at] = labels[from];
    queue.push(Math.max(-depth[at], level), ++age, at);
  };
  for (let piece = 1; piece <= count; piece++) {
    for (let marker = starts[piece]; marker < ends[piece]; marker++) queue.push(-depth[markers[marker]], 0, markers[marker]);
    while (queue.length) {
      const at = queue.places[0], level = queue.values[0], column = at % width;
      queue.pop();
      if (at >= width) reach(at - width, at, level);
      if (column > 0) reach(at - 1, at, level);
      if (column < width - 1) reach(at + 1, at, level);
      if (at < width * (height - 1)) reach(at + width, at, level);
    }
  }
  return labels;
}
