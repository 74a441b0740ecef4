/** Rounding and writing numbers as Python does it, so that both write the same files. */

/**
 * Round to so many decimals, halves to the even neighbour.
 * @param {number} value
 * @param {number} [decimals]
 */
export function round(value, decimals = 0) {
  const scale = 10 ** decimals, scaled = value * scale;
  const nearest = Math.round(scaled);
  const isHalf = Math.abs(scaled - Math.trunc(scaled)) === 0.5;
  return (isHalf ? 2 * Math.round(scaled / 2) : nearest) / scale;
}

/** Write a float: a whole one with its ".0". */
export const writeFloat = (value) => (Number.isInteger(value) ? value.toFixed(1) : String(value));
