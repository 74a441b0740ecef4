/** All the work, apart from the page, so that the page never freezes. */

import { MOST_IDS, writeCsv, writeGeoJson, writeLabels } from "./files.js";
import { listNuclei, partNuclei } from "./instances.js";
import { loadNetwork, usableThreads } from "./network.js";
import { drawOverlay } from "./overlay.js";
import { InputError, checkScale, readPicture } from "./picture.js";
import { predictPicture } from "./predict.js";

const folder = new URL("..", import.meta.url);
let loading; // the model's description and its network, loaded once
let picture, maps, umPerPx, found; // what is open, and what was found in it
let job = 0; // number of the latest prediction; an older one ends at its next tile

class Cancelled extends Error {}

/** Let messages in. */
const breathe = () => new Promise((resume) => {
  const { port1, port2 } = new MessageChannel();
  port1.onmessage = resume;
  port2.postMessage(null);
});

async function fetchFile(name) {
  const response = await fetch(new URL(name, folder));
  if (!response.ok) throw new Error(`${name}: the page's own file cannot be fetched (${response.status})`);
  return response;
}

const load = () => (loading ??= (async () => {
  const model = await (await fetchFile("model.json")).json();
  return { model, run: await loadNetwork(folder, model) };
})().catch((error) => {
  loading = undefined; // so that the next picture tries again
  throw error;
}));

/** Find the nuclei at a threshold, from what the network told, and say so. */
function answer(model, threshold) {
  const started = performance.now(), { height, width } = maps;
  // A threshold is of the probability, which is the logit's at the model's temperature.
  const logit = threshold === null ? model.threshold_logit : model.temperature * Math.log(threshold / (1 - threshold));
  const mask = Uint8Array.from(maps.nuclei, (value) => (value >= logit ? 1 : 0));
  const { labels, count } = partNuclei(mask, maps.interior, height, width, umPerPx, model);
  const nuclei = listNuclei(labels, count, width, maps.kinds, model.kinds, umPerPx);
  found = { labels, nuclei };
  const canvas = new OffscreenCanvas(width, height);
  canvas.getContext("2d").putImageData(drawOverlay(labels, nuclei, height, width, model.colours), 0, 0);
  const overlay = canvas.transferToImageBitmap();
  const counts = Object.fromEntries(model.kinds.map((kind) => [kind, 0]));
  for (const { kind } of nuclei) counts[kind]++;
  postMessage({ type: "found", overlay, counts, total: count, mm2: maps.mm2, ms: performance.now() - started }, [overlay]);
}

const actions = {
  async open({ file, name, address }) {
    const mine = ++job;
    maps = found = undefined;
    const model = await (await fetchFile("model.json")).json();
    const opened = await readPicture(file ?? (await (await fetchFile(address)).blob()), name, model);
    if (mine !== job) return;
    const { bitmap, ...kept } = opened;
    picture = kept;
    const { width, height } = picture;
    postMessage({ type: "picture", name, bitmap, width, height, umPerPx: picture.umPerPx }, [bitmap]);
  },

  async predict({ scale, threshold }) {
    const mine = ++job;
    const { model, run } = await load();
    const checked = checkScale(scale, model);
    if (mine !== job || !picture) return;
    const started = performance.now();
    let tiles = 0;
    const predicted = await predictPicture(run, picture, checked, model, async (done, of) => {
      tiles = of;
      postMessage({ type: "progress", done, of });
      await breathe();
      if (mine !== job) throw new Cancelled();
    });
    maps = predicted;
    umPerPx = checked;
    postMessage({ type: "predicted", tiles, ms: performance.now() - started, threads: usableThreads() });
    answer(model, threshold);
  },

  async part({ threshold }) {
    if (maps) answer((await load()).model, threshold);
  },

  async cancel() {
    job++;
  },

  async save({ kind }) {
    const { model } = await load(), { labels, nuclei } = found, { height, width, name } = picture;
    if (kind === "labels" && nuclei.length > MOST_IDS) {
      throw new InputError(`Expected up to ${MOST_IDS} nuclei for a PNG, found ${nuclei.length}; save GeoJSON or use the Python package.`);
    }
    const write = {
      geojson: async () => new Blob([await writeGeoJson(labels, nuclei, picture, model.colours)], { type: "application/geo+json" }),
      csv: async () => new Blob([writeCsv(nuclei)], { type: "text/csv" }),
      labels: () => writeLabels(labels, height, width),
    };
    const ending = { geojson: ".geojson", csv: ".csv", labels: ".labels.png" }[kind];
    postMessage({ type: "file", blob: await write[kind](), name: name.replace(/\.[^.]*$/, "") + ending });
  },
};

onmessage = async ({ data }) => {
  try {
    await actions[data.type](data);
  } catch (error) {
    if (error instanceof Cancelled) postMessage({ type: "cancelled" });
    else if (error instanceof InputError) postMessage({ type: "error", text: error.message });
    else {
      console.error(error);
      postMessage({ type: "error", text: `Something failed that should not: ${error.message}` });
    }
  }
};
