/** Growing and shrinking of masks, as OpenCV does it; what lies beyond the border does not count. */

/**
 * Give the rows of a disc or a square: how far each reaches to both sides of its middle.
 * @param {number} radius pixels
 * @param {boolean} [square]
 * @returns {number[]} of rows -radius to radius
 */
export const disc = (radius, square = false) =>
  Array.from({ length: 2 * radius + 1 }, (_, row) =>
    square ? radius : Math.round(radius * Math.sqrt(Math.max(0, 1 - ((row - radius) / radius) ** 2))));

/**
 * Grow a mask by a shape.
 * @param {Uint8Array} mask (height, width), 0 or 1
 * @param {number} height
 * @param {number} width
 * @param {number[]} shape as of `disc`
 * @returns {Uint8Array} (height, width)
 */
export function dilate(mask, height, width, shape) {
  const radius = (shape.length - 1) / 2, grown = new Uint8Array(mask.length), sums = new Int32Array(width + 1);
  for (let row = 0; row < height; row++) {
    for (let column = 0; column < width; column++) sums[column + 1] = sums[column] + mask[row * width + column];
    if (sums[width] === 0) continue;
    for (let step = Math.max(-radius, -row); step <= radius && row + step < height; step++) {
      const reach = shape[step + radius], to = (row + step) * width;
      for (let column = 0; column < width; column++) {
        if (sums[Math.min(width, column + reach + 1)] > sums[Math.max(0, column - reach)]) grown[to + column] = 1;
      }
    }
  }
  return grown;
}

const not = (mask) => mask.map((inside) => 1 - inside);

/** Shrink a mask by a shape; arguments are those of `dilate`. */
export const erode = (mask, height, width, shape) => not(dilate(not(mask), height, width, shape));

/** Close gaps that a shape does not fit into. */
export const close = (mask, height, width, shape) => erode(dilate(mask, height, width, shape), height, width, shape);

/** Leave out what a shape does not fit into. */
export const open = (mask, height, width, shape) => dilate(erode(mask, height, width, shape), height, width, shape);
