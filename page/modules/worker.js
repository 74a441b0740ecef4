/** All the work, apart from the page, so that the page never freezes. */

import { doubtPicture } from "./checks.js";
import { writeCsv, writeGeoJson } from "./files.js";
import { MOST_IDS, writeLabels, writePng } from "./label_image.js";
import { loadNetwork } from "./network.js";
import { drawOverlay } from "./overlay.js";
import { InputError, checkScale, readPicture } from "./picture.js";
import { predictPicture } from "./predict.js";
import { findNuclei } from "./segmentation.js";
import { usableThreads } from "./threads.js";
import { survey } from "./tissue.js";

const folder = new URL("..", import.meta.url);
let picture, maps, umPerPx, mm2, found; // what is open, and what was found in it
let latest = 0; // number of the page's latest wish; work for an older one ends at its next tile

class Outdated extends Error {}

const check = (job) => { if (job !== latest) throw new Outdated(); };

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

/** Do something once; again only if it failed. */
function once(work) {
  let done;
  return () => (done ??= work().catch((error) => {
    done = undefined;
    throw error;
  }));
}

const describe = once(async () => (await fetchFile("model.json")).json());
const load = once(async () => loadNetwork(folder, await describe()));

/** Find the nuclei at a threshold, from what the network told, and say so; null for the model's own. */
function answer(job, model, threshold) {
  const { height, width } = maps;
  // A threshold is of the probability, which is the logit's at the model's temperature.
  const logit = threshold === null ? model.threshold_logit : model.temperature * Math.log(threshold / (1 - threshold));
  const { labels, nuclei } = found = findNuclei(maps, logit, umPerPx, model);
  const canvas = new OffscreenCanvas(width, height);
  canvas.getContext("2d").putImageData(drawOverlay(labels, nuclei, height, width, model.colours), 0, 0);
  const overlay = canvas.transferToImageBitmap();
  const counts = Object.fromEntries(model.kinds.map((kind) => [kind, 0]));
  for (const { kind } of nuclei) counts[kind]++;
  postMessage({ type: "found", job, overlay, counts, total: nuclei.length, mm2 }, [overlay]);
}

const actions = {
  async open({ job, file, name, address }) {
    latest = job;
    maps = found = undefined; // the picture before stays, which the page shows until there is another
    const model = await describe();
    const opened = await readPicture(file ?? (await (await fetchFile(address)).blob()), name, model);
    check(job);
    const { bitmap, ...kept } = opened;
    picture = kept;
    postMessage({ type: "picture", job, bitmap, name, width: kept.width, height: kept.height, umPerPx: kept.umPerPx }, [bitmap]);
  },

  async predict({ job, scale, threshold }) {
    latest = job;
    const model = await describe(), checked = checkScale(scale, model), run = await load();
    check(job);
    const started = performance.now();
    let tiles = 0;
    const tissue = survey(picture, checked, model);
    postMessage({ type: "doubts", job, texts: doubtPicture(picture, tissue, model) });
    const onTile = async (done, of) => {
      tiles = of;
      postMessage({ type: "progress", job, done, of });
      await breathe();
      check(job);
    };
    const predicted = await predictPicture(run, picture, checked, model, onTile, tissue);
    [maps, umPerPx, mm2] = [predicted, checked, tissue.mm2];
    postMessage({ type: "predicted", job, tiles, ms: performance.now() - started, threads: usableThreads() });
    answer(job, model, threshold);
  },

  async part({ job, threshold }) {
    if (maps) answer(job, await describe(), threshold);
  },

  async cancel({ job }) {
    latest = job;
  },

  async save({ job, kind }) {
    const model = await describe(), { labels, nuclei } = found, { height, width, name } = picture;
    if (kind === "png" && nuclei.length > MOST_IDS) {
      throw new InputError(`Expected up to ${MOST_IDS} nuclei for a PNG of 16 bits, found ${nuclei.length}; save the label image as TIFF, which holds them all.`);
    }
    const write = {
      geojson: async () => new Blob([await writeGeoJson(labels, nuclei, picture, model.colours)], { type: "application/geo+json" }),
      csv: async () => new Blob([writeCsv(nuclei)], { type: "text/csv" }),
      labels: () => writeLabels(labels, height, width, umPerPx),
      png: () => writePng(labels, height, width),
    };
    postMessage({ type: "file", job, blob: await write[kind](), name: name.replace(/\.[^.]*$/, "") + model.endings[kind] });
  },
};

onmessage = async ({ data }) => {
  try {
    await actions[data.type](data);
  } catch (error) {
    if (error instanceof Outdated) return;
    const isTold = error instanceof InputError;
    if (!isTold) console.error(error);
    postMessage({ type: "error", job: data.job, text: isTold ? error.message : `Something failed that should not: ${error.message}` });
  }
};
