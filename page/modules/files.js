/** Nuclei as the text files that Python writes: GeoJSON for QuPath, and a table. */

import { traceOutlines } from "./outlines.js";
import { round, writeFloat } from "./rounding.js";

const NAMESPACE_URL = "6ba7b8119dad11d180b400c04fd430c8"; // of RFC 4122, for names that are addresses
const COLUMNS = { id: 0, x: 2, y: 2, area_um2: 2, kind: null, confidence: 4, left: 0, top: 0, right: 0, bottom: 0 };

/** Give the UUID of a name, of version 5: as 32 hexadecimal digits. */
async function nameUuid(namespace, name) {
  const bytes = Uint8Array.from(namespace.match(/../g), (digits) => parseInt(digits, 16));
  const text = new TextEncoder().encode(name), both = new Uint8Array(bytes.length + text.length);
  both.set(bytes);
  both.set(text, bytes.length);
  const hash = new Uint8Array(await crypto.subtle.digest("SHA-1", both)).subarray(0, 16);
  hash[6] = (hash[6] & 0x0f) | 0x50;
  hash[8] = (hash[8] & 0x3f) | 0x80;
  return Array.from(hash, (byte) => byte.toString(16).padStart(2, "0")).join("");
}

const asUuid = (digits) => digits.replace(/^(.{8})(.{4})(.{4})(.{4})(.{12})$/, "$1-$2-$3-$4-$5");

/**
 * Write nuclei as GeoJSON, a detection each, in ASCII: QuPath may read text in whatever encoding the computer is set to.
 * @param {Int32Array} labels (height, width)
 * @param {import("./instances.js").Nucleus[]} nuclei
 * @param {{name: string, height: number, width: number}} picture UUIDs are made of it and the nuclei's numbers
 * @param {Object<string, [number, number, number]>} colours of kinds, 0 to 255
 * @returns {Promise<string>}
 */
export async function writeGeoJson(labels, nuclei, { name, height, width }, colours) {
  const outlines = traceOutlines(labels, height, width);
  const namespace = await nameUuid(NAMESPACE_URL, `${name} ${height} x ${width}`);
  const uuids = await Promise.all(nuclei.map(({ id }) => nameUuid(namespace, String(id))));
  const features = nuclei.map((nucleus, index) => {
    const polygons = outlines.get(nucleus.id), several = polygons.length > 1;
    return JSON.stringify({
      type: "Feature",
      id: asUuid(uuids[index]),
      geometry: { type: several ? "MultiPolygon" : "Polygon", coordinates: several ? polygons : polygons[0] },
      properties: {
        objectType: "detection",
        classification: { name: nucleus.kind, color: colours[nucleus.kind] },
        measurements: {
          "Nucleus number": nucleus.id,
          "Area µm^2": round(nucleus.area_um2, 2),
          Confidence: round(nucleus.confidence, 4),
        },
      },
    }).replaceAll("µ", "\\u00b5");
  });
  return `{"type":"FeatureCollection","features":[${features.map((line) => `\n${line}`).join(",")}\n]}\n`;
}

/**
 * Write nuclei as a CSV table: a header, then a row for each.
 * @param {import("./instances.js").Nucleus[]} nuclei
 * @returns {string}
 */
export function writeCsv(nuclei) {
  const rows = nuclei.map((nucleus) => Object.entries(COLUMNS).map(([name, decimals]) =>
    decimals ? writeFloat(round(nucleus[name], decimals)) : nucleus[name]).join(","));
  return [Object.keys(COLUMNS).join(","), ...rows, ""].join("\n");
}
