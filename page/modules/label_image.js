/** A label map as an image: the TIFF that `helpers/saving/label_image.py` writes, and a PNG, which more programs show. */

export const MOST_IDS = 65535; // that a PNG of 16 bits holds
const STRIP = 512; // rows that are packed at once
const SHORT = 3, LONG = 4, RATIONAL = 5, ASCII = 2; // kinds of numbers in a TIFF
const WIDTHS = { [ASCII]: 1, [SHORT]: 2, [LONG]: 4, [RATIONAL]: 8 }; // bytes of each

/** Pack bytes as zlib does. */
async function deflate(bytes) {
  const packed = new Blob([bytes]).stream().pipeThrough(new CompressionStream("deflate"));
  return new Uint8Array(await new Response(packed).arrayBuffer());
}

/**
 * Write a label map as TIFF: 32 bits, 0 where no nucleus is, and of each nucleus its number in the table.
 * @param {Int32Array} labels (height, width)
 * @param {number} height
 * @param {number} width
 * @param {number} umPerPx its scale, written as the resolution
 * @returns {Promise<Blob>}
 */
export async function writeLabels(labels, height, width, umPerPx) {
  const strips = [];
  for (let row = 0; row < height; row += STRIP) strips.push(await deflate(labels.subarray(row * width, (row + STRIP) * width)));
  const starts = [];
  let end = 8; // behind the head; each strip begins at an even byte
  for (const { length } of strips) {
    starts.push(end);
    end += length + (length % 2);
  }
  const perCm = [Math.round((1e4 / umPerPx) * 1e4), 1e4];
  const tags = [ // number, kind, values; in the order of the numbers, as TIFF wants them
    [256, LONG, [width]], [257, LONG, [height]], [258, SHORT, [32]], // bits
    [259, SHORT, [8]], // packed by zlib
    [262, SHORT, [1]], // 0 is black
    [270, ASCII, [...new TextEncoder().encode("ids of nuclei; 0 is none\0")]],
    [273, LONG, starts], [277, SHORT, [1]], [278, LONG, [STRIP]], [279, LONG, strips.map(({ length }) => length)],
    [282, RATIONAL, perCm], [283, RATIONAL, perCm], [296, SHORT, [3]], // to the centimetre
    [339, SHORT, [1]], // whole numbers, none below 0
  ];
  const table = 2 + 12 * tags.length + 4; // bytes of it; longer values stand behind
  const size = (kind, values) => (WIDTHS[kind] * values.length) / (kind === RATIONAL ? 2 : 1);
  const directory = new DataView(new ArrayBuffer(tags.reduce((sum, [, kind, values]) => sum + 2 * size(kind, values), table)));
  const put = { [ASCII]: "setUint8", [SHORT]: "setUint16", [LONG]: "setUint32", [RATIONAL]: "setUint32" };
  directory.setUint16(0, tags.length, true);
  let behind = table;
  tags.forEach(([number, kind, values], at) => {
    const entry = 2 + 12 * at, bytes = size(kind, values), step = Math.min(4, WIDTHS[kind]);
    directory.setUint16(entry, number, true);
    directory.setUint16(entry + 2, kind, true);
    directory.setUint32(entry + 4, bytes / WIDTHS[kind], true);
    if (bytes > 4) directory.setUint32(entry + 8, end + behind, true);
    values.forEach((value, of) => directory[put[kind]]((bytes > 4 ? behind : entry + 8) + of * step, value, true));
    if (bytes > 4) behind += bytes + (bytes % 2);
  });
  const head = new DataView(new ArrayBuffer(8));
  head.setUint32(0, 0x002a4949, true); // "II", low bytes first, and 42
  head.setUint32(4, end, true);
  const even = strips.flatMap((strip) => [strip, new Uint8Array(strip.length % 2)]);
  return new Blob([head, ...even, new Uint8Array(directory.buffer, 0, behind)], { type: "image/tiff" });
}

/** Give the CRC-32 of a PNG's chunk. */
function crc32(bytes) {
  let crc = ~0;
  for (const byte of bytes) {
    crc ^= byte;
    for (let bit = 0; bit < 8; bit++) crc = crc & 1 ? (crc >>> 1) ^ 0xedb88320 : crc >>> 1;
  }
  return ~crc;
}

/** Give a chunk of a PNG: its length, name, content and check. */
function chunk(name, content) {
  const bytes = new Uint8Array(content.length + 12), view = new DataView(bytes.buffer);
  view.setUint32(0, content.length);
  bytes.set(new TextEncoder().encode(name), 4);
  bytes.set(content, 8);
  view.setInt32(content.length + 8, crc32(bytes.subarray(4, content.length + 8)));
  return bytes;
}

/**
 * Write a label map as PNG of 16 bits, grey: 0 where no nucleus is, and of each nucleus its number in the table.
 * @param {Int32Array} labels (height, width), up to `MOST_IDS`
 * @param {number} height
 * @param {number} width
 * @returns {Promise<Blob>}
 */
export async function writePng(labels, height, width) {
  const rows = new Uint8Array(height * (1 + 2 * width)); // each begins with its filter, 0 for none
  for (let row = 0, to = 0, from = 0; row < height; row++) {
    to++;
    for (let column = 0; column < width; column++, from++) {
      rows[to++] = labels[from] >> 8;
      rows[to++] = labels[from] & 255;
    }
  }
  const header = new Uint8Array(13), view = new DataView(header.buffer);
  view.setUint32(0, width);
  view.setUint32(4, height);
  header[8] = 16; // bits a sample; what follows is grey, the only compression and filtering there are, not interlaced
  const parts = [chunk("IHDR", header), chunk("IDAT", await deflate(rows)), chunk("IEND", [])];
  return new Blob([Uint8Array.of(137, 80, 78, 71, 13, 10, 26, 10), ...parts], { type: "image/png" });
}
