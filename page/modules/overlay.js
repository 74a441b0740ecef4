/** The outlines of nuclei in the colours of their kinds, as `helpers/saving/overlay.py` draws them. */

/**
 * Draw the outlines of nuclei on their own two outermost pixels, all else transparent.
 * @param {Int32Array} labels (height, width)
 * @param {import("./instances.js").Nucleus[]} nuclei
 * @param {number} height
 * @param {number} width
 * @param {Object<string, [number, number, number]>} colours of kinds, 0 to 255
 * @returns {ImageData}
 */
export function drawOverlay(labels, nuclei, height, width, colours) {
  const overlay = new ImageData(width, height), pixels = new Uint32Array(overlay.data.buffer);
  const inks = Uint32Array.from([0, ...nuclei.map(({ kind }) => {
    const [red, green, blue] = colours[kind];
    return (255 << 24) | (blue << 16) | (green << 8) | red; // every browser's machines put the last byte first
  })]);
  const isEdge = (i, column, row) => {
    const id = labels[i];
    return column === 0 || row === 0 || column === width - 1 || row === height - 1 ||
      labels[i - 1] !== id || labels[i + 1] !== id || labels[i - width] !== id || labels[i + width] !== id;
  };
  for (let row = 0, i = 0; row < height; row++) {
    for (let column = 0; column < width; column++, i++) {
      if (!labels[i]) continue;
      if (isEdge(i, column, row) || isEdge(i - 1, column - 1, row) || isEdge(i + 1, column + 1, row) ||
        isEdge(i - width, column, row - 1) || isEdge(i + width, column, row + 1)) pixels[i] = inks[labels[i]];
    }
  }
  return overlay;
}
