/** Flooding from markers, in the very order of `skimage.segmentation.watershed`. */

/** A queue of pixels, the lowest first, and of equal ones that which came first. */
class Queue {
  constructor(room) {
    this.length = 0;
    this.values = new Float32Array(room);
    this.ages = new Int32Array(room);
    this.places = new Int32Array(room);
  }

  /** Tell whether what stands at one place of the heap goes before what stands at another. */
  isBefore(one, other) {
    const difference = this.values[one] - this.values[other];
    return difference < 0 || (difference === 0 && this.ages[one] < this.ages[other]);
  }

  swap(one, other) {
    const { values, ages, places } = this, value = values[one], age = ages[one], place = places[one];
    values[one] = values[other];
    ages[one] = ages[other];
    places[one] = places[other];
    values[other] = value;
    ages[other] = age;
    places[other] = place;
  }

  push(value, age, place) {
    let child = this.length++;
    this.values[child] = value;
    this.ages[child] = age;
    this.places[child] = place;
    while (child > 0) {
      const parent = (child - 1) >> 1;
      if (!this.isBefore(child, parent)) break;
      this.swap(child, parent);
      child = parent;
    }
  }

  /** Take out the first; what was it then stands behind the end, at `length`. */
  pop() {
    this.swap(0, --this.length);
    for (let at = 0; ;) {
      const left = 2 * at + 1, right = left + 1;
      let first = at;
      if (left < this.length && this.isBefore(left, first)) first = left;
      if (right < this.length && this.isBefore(right, first)) first = right;
      if (first === at) break;
      this.swap(at, first);
      at = first;
    }
    return this.length;
  }
}

/**
 * Let regions grow from their markers over a mask, where the height is lowest first.
 * @param {Float32Array} depth (height, width); the height is its negative, so the deepest is flooded first
 * @param {Int32Array} labels (height, width), markers, 0 where none is; filled in place
 * @param {Uint8Array} mask (height, width), 1 where regions may grow
 * @param {number} height
 * @param {number} width
 * @returns {Int32Array} labels
 * @see Meyer 1994, doi:10.1016/0165-1684(94)90060-4
 */
export function watershed(depth, labels, mask, height, width) {
  let room = 0;
  for (const inside of mask) room += inside;
  const queue = new Queue(room + 1);
  for (let at = 0; at < labels.length; at++) {
    if (!mask[at]) labels[at] = 0;
    else if (labels[at]) queue.push(-depth[at], 0, at);
  }
  let age = 1;
  const reach = (at, from, level) => {
    if (!mask[at] || labels[at]) return;
    labels[at] = labels[from];
    queue.push(Math.max(-depth[at], level), ++age, at);
  };
  while (queue.length) {
    const first = queue.pop(), at = queue.places[first], level = queue.values[first], column = at % width;
    if (at >= width) reach(at - width, at, level);
    if (column > 0) reach(at - 1, at, level);
    if (column < width - 1) reach(at + 1, at, level);
    if (at < width * (height - 1)) reach(at + width, at, level);
  }
  return labels;
}
