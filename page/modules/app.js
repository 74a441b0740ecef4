/** The page: it takes pictures and settings, and shows what the worker finds. */

import { View } from "./draw.js";
import { MOST_PIXELS } from "./picture.js";
import { usableThreads } from "./threads.js";

const byId = (id) => document.getElementById(id);
const view = new View(byId("view"));
const model = await (await fetch("model.json")).json();
const ASSUMED_SCALE = String(model.um_per_px);

// A worker of its own address would go by the headers of its file, and a static host sends none. One that begins as a
// text of the page's goes by the page's policy: no connection but to its own files.
const start = new Blob([`import ${JSON.stringify(new URL("worker.js", import.meta.url).href)};`], { type: "text/javascript" });
const worker = new Worker(URL.createObjectURL(start), { type: "module" });

let job = 0; // number of the latest wish; answers to older ones are passed over
let isBusy = false, isFound = false; // with finding; whether nuclei are shown
let isParting = false, isMoved = false; // whether an answer to the slider is on its way, and the slider moved since

/** Ask the worker for something; what is new makes it leave what it was asked before. */
function ask(message, isNew = true) {
  if (isNew) job++;
  worker.postMessage({ job, ...message });
}

const threshold = () => Number(byId("threshold").value);
const tell = (text) => { byId("status").textContent = text; };
const doubt = (texts) => { byId("doubts").textContent = texts.join(" "); };
const fail = (text) => { byId("error").textContent = text; };
const count = (number) => Math.round(number).toLocaleString("en");

/** Show whether work is going on. */
function setBusy(busy) {
  isBusy = busy;
  for (const id of ["cancel", "progress", "tiles"]) byId(id).hidden = !busy;
  byId("predict").disabled = busy || !view.picture;
  for (const button of byId("saves").children) button.disabled = busy || !isFound;
  byId("view").setAttribute("aria-busy", busy);
}

function open(message) {
  fail("");
  doubt([]);
  tell("Opening ...");
  isFound = false;
  setBusy(false);
  showCounts({}, 0, 0);
  view.showOverlay(null);
  ask({ type: "open", ...message });
}

function predict() {
  fail("");
  doubt([]);
  byId("progress").value = 0;
  byId("tiles").textContent = "Loading the model ...";
  tell("Finding nuclei ...");
  setBusy(true);
  isParting = isMoved = false;
  ask({ type: "predict", scale: byId("scale").value, threshold: chosenThreshold() });
}

/** The threshold as it was moved to; null at the model's own. */
const chosenThreshold = () => (byId("threshold").value === byId("threshold").defaultValue ? null : threshold());

function showCounts(counts, total, mm2) {
  const rows = Object.entries(counts).sort(([a, n], [b, m]) => m - n || (a < b ? -1 : 1));
  byId("rows").replaceChildren(...[...rows, ...(rows.length ? [["all", total]] : [])].map(([kind, number]) => {
    const row = document.createElement("tr"), name = document.createElement("th");
    name.scope = "row";
    if (model.colours[kind]) name.append(swatch(model.colours[kind]));
    name.append(kind);
    row.append(name);
    for (const text of [count(number), total ? `${((100 * number) / total).toFixed(1)} %` : "–", mm2 > 0 ? count(number / mm2) : "–"]) {
      const cell = document.createElement("td");
      cell.textContent = text;
      row.append(cell);
    }
    return row;
  }));
  byId("area").textContent = mm2 > 0
    ? `Nuclei by kind, and to the square millimetre of tissue (${mm2.toPrecision(3)} mm² here)`
    : "Nuclei by kind, and to the square millimetre of tissue";
}

/** A square of a colour, drawn: the policy allows no style beside the style sheet. */
function swatch(colour) {
  const canvas = document.createElement("canvas");
  canvas.className = "swatch";
  canvas.width = canvas.height = 1;
  canvas.setAttribute("aria-hidden", "true");
  const context = canvas.getContext("2d");
  context.fillStyle = `rgb(${colour.join(" ")})`;
  context.fillRect(0, 0, 1, 1);
  return canvas;
}

const answers = {
  picture({ name, bitmap, width, height, umPerPx }) {
    view.show(bitmap);
    byId("view").setAttribute("aria-label", `${name}, ${width} x ${height} pixels`);
    byId("scale").value = umPerPx ? String(Number(umPerPx.toPrecision(4))) : ASSUMED_SCALE;
    byId("scale-hint").textContent = umPerPx
      ? "As the file says."
      : `The file says none: ${ASSUMED_SCALE} (40x) is assumed; 20x has 0.5. A wrong one costs much, unnoticed.`;
    predict();
  },
  doubts: ({ texts }) => doubt(texts),
  progress({ done, of }) {
    byId("progress").value = done / of;
    byId("tiles").textContent = `${done} of ${of} tiles`;
  },
  predicted({ tiles, ms, threads }) {
    const again = crossOriginIsolated ? "" : " Loaded again, the page may use more.";
    byId("threads").textContent = `${Math.round(ms / tiles) || 0} ms a tile, in ${inThreads(threads)}.${again}`;
  },
  found({ overlay, counts, total, mm2 }) {
    isParting = false;
    isFound = true;
    view.showOverlay(overlay);
    showCounts(counts, total, mm2);
    setBusy(false);
    tell(`${count(total)} nuclei found.`);
    byId("view").setAttribute("aria-label", `Picture with ${count(total)} nuclei outlined by kind`);
    if (isMoved) part();
  },
  error({ text }) {
    isParting = false;
    setBusy(false);
    tell("");
    fail(text);
  },
  file({ blob, name }) {
    const link = document.createElement("a");
    link.href = URL.createObjectURL(blob);
    link.download = name;
    link.click();
    setTimeout(() => URL.revokeObjectURL(link.href), 60_000);
  },
};
worker.onmessage = ({ data }) => {
  if (data.job === job) answers[data.type](data);
  else for (const image of [data.bitmap, data.overlay]) image?.close();
};
worker.onerror = () => fail("The page's own files cannot be loaded; reload the page.");

/** Ask for the nuclei at the slider's threshold; while an answer is on its way, only the last place waits. */
function part() {
  isMoved = !isFound || isBusy || isParting;
  if (isMoved) return;
  isParting = true;
  ask({ type: "part", threshold: chosenThreshold() }, false);
}

byId("threshold").addEventListener("input", () => {
  byId("threshold-value").textContent = threshold().toFixed(2);
  part();
});
byId("settings").addEventListener("submit", (event) => {
  event.preventDefault();
  if (view.picture && !isBusy) predict();
});
byId("cancel").addEventListener("click", () => {
  ask({ type: "cancel" });
  setBusy(false);
  tell("Cancelled.");
});
byId("closer").addEventListener("click", () => view.zoomBy(1.5));
byId("farther").addEventListener("click", () => view.zoomBy(1 / 1.5));
byId("whole").addEventListener("click", () => view.fit());
byId("outlines").addEventListener("change", ({ target }) => {
  view.showsOutlines = target.checked;
  view.draw();
});
for (const button of byId("saves").children) {
  button.addEventListener("click", () => ask({ type: "save", kind: button.dataset.kind }, false));
}

const openFile = (file) => file && open({ file, name: file.name || "pasted.png" });
byId("file").addEventListener("change", ({ target }) => {
  openFile(target.files[0]);
  target.value = ""; // so that the same file can be chosen again
});
addEventListener("paste", ({ clipboardData }) => openFile(clipboardData.files[0]));
for (const type of ["dragover", "dragleave", "drop"]) {
  addEventListener(type, (event) => {
    event.preventDefault();
    byId("drop").classList.toggle("over", type === "dragover");
    if (type === "drop") openFile(event.dataTransfer.files[0]);
  });
}
for (const { name, file, small } of model.samples) {
  const item = document.createElement("li"), button = document.createElement("button"), image = new Image(128, 128);
  image.src = small;
  image.alt = "";
  button.type = "button";
  button.append(image, name);
  button.addEventListener("click", () => open({ address: file, name: file.split("/").pop() }));
  item.append(button);
  byId("samples").append(item);
}

byId("most-pixels").textContent = MOST_PIXELS / 1e6;
const inThreads = (threads) => (threads > 1 ? `${threads} threads` : "one thread");
byId("threads").textContent = `The model runs in ${inThreads(usableThreads())} of this machine.`;
if (navigator.serviceWorker && isSecureContext) {
  const registration = await navigator.serviceWorker.register("service-worker.js");
  await navigator.serviceWorker.ready;
  // Through it the page is isolated from other origins, and may use threads; nothing is lost by loading it again.
  if (!crossOriginIsolated && job === 0 && registration.active && !sessionStorage.reloaded) {
    sessionStorage.reloaded = true;
    location.reload();
  }
}
