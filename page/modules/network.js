/** The trained network in ONNX Runtime, on WebAssembly with SIMD. */

import * as ort from "../onnxruntime/ort.wasm.min.mjs";
import { usableThreads } from "./threads.js";

/**
 * Load the network.
 * @param {URL} folder of the page, where its files lie
 * @param {object} model of `model.json`
 * @returns {Promise<(tile: Uint8Array) => Promise<Object<string, Float32Array>>>} takes a tile (size, size, 3) to
 *   logits by name, (C, size, size)
 */
export async function loadNetwork(folder, model) {
  // Where its files are is said, for by itself the runtime may look elsewhere.
  const file = (name) => new URL(`onnxruntime/${name}`, folder).href;
  ort.env.wasm.wasmPaths = { mjs: file("ort-wasm-simd-threaded.mjs"), wasm: file("ort-wasm-simd-threaded.wasm") };
  ort.env.wasm.numThreads = usableThreads();
  ort.env.logLevel = "error";
  const session = await ort.InferenceSession.create(new URL("model.onnx", folder).href, { executionProviders: ["wasm"] });
  const size = model.img_size;
  return async (tile) => {
    const outputs = await session.run({ images: new ort.Tensor("uint8", tile, [1, size, size, 3]) });
    return Object.fromEntries(Object.entries(outputs).map(([name, tensor]) => [name, Float32Array.from(tensor.data)]));
  };
}
