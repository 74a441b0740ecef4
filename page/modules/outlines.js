/** The outlines of nuclei along the edges of their pixels, as `helpers/saving/polygons.py` traces them. */

import { numberRegions } from "./regions.js";

// Sides of a pixel as they are walked, clockwise as seen on the screen: above, right, below, left. For each: the step
// along it and the step out of the pixel, in columns and rows, and the corner where it ends.
const SIDES = [
  { along: [1, 0], out: [0, -1], end: [1, 0] },
  { along: [0, 1], out: [1, 0], end: [1, 1] },
  { along: [-1, 0], out: [0, 1], end: [0, 1] },
  { along: [0, -1], out: [-1, 0], end: [0, 0] },
];

/**
 * Trace the outline of every nucleus of a label map.
 * @param {Int32Array} labels (height, width), 0 where no nucleus is
 * @param {number} height
 * @param {number} width
 * @returns {Map<number, number[][][][]>} for each id its polygons, nested as GeoJSON's MultiPolygon is: corners x and y,
 *   the first again at the end; the outline first, then its holes
 */
export function traceOutlines(labels, height, width) {
  const { labels: parts } = numberRegions(labels, width);
  const at = (column, row) =>
    column < 0 || row < 0 || column >= width || row >= height ? 0 : parts[row * width + column];
  const seen = new Uint8Array(labels.length), outlines = new Map(), polygons = new Map();
  for (let row = 0, i = 0; row < height; row++) {
    for (let column = 0; column < width; column++, i++) {
      // Every ring has a side above a pixel, and the first such side of a part is of its outline.
      if (!parts[i] || seen[i] || at(column, row - 1) === parts[i]) continue;
      const ring = walk(at, seen, width, column, row);
      const polygon = polygons.get(parts[i]);
      if (polygon) {
        polygon.push(ring);
        continue;
      }
      polygons.set(parts[i], [ring]);
      if (!outlines.has(labels[i])) outlines.set(labels[i], []);
      outlines.get(labels[i]).push(polygons.get(parts[i]));
    }
  }
  return outlines;
}

/** Walk round a part from the side above a pixel, and mark the sides above that were walked. */
function walk(at, seen, width, startColumn, startRow) {
  const part = at(startColumn, startRow), ring = [[startColumn, startRow]];
  let column = startColumn, row = startRow, side = 0;
  do {
    if (side === 0) seen[row * width + column] = 1;
    const { along, out, end } = SIDES[side];
    const ahead = [column + along[0], row + along[1]], diagonal = [ahead[0] + out[0], ahead[1] + out[1]];
    const corner = [column + end[0], row + end[1]];
    if (at(...diagonal) === part) {
      [column, row] = diagonal;
      side = (side + 3) % 4;
      ring.push(corner);
    } else if (at(...ahead) === part) {
      [column, row] = ahead;
    } else {
      side = (side + 1) % 4;
      ring.push(corner);
    }
  } while (side !== 0 || column !== startColumn || row !== startRow);
  return ring;
}
