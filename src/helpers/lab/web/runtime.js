/** onnxruntime-web's CPU build in the worker: one thread, which needs no special headers of the site. */

/** @import { Files } from "./files.js" */
/** @import { Manifest } from "./types.js" */

/** The path by which the graphs name their weights. */
const WEIGHTS = "weights.bin";

/**
 * What is used of the runtime.
 * @typedef {object} Session
 * @property {(feeds: Record<string, object>) => Promise<Record<string, { data: Float32Array<ArrayBuffer> }>>} run
 * @property {() => Promise<void>} release
 */

/** Makes tensors and sessions. */
export class Runtime {
  #ort;

  /** @param {any} ort the module, set up */
  constructor(ort) {
    this.#ort = ort;
  }

  /** Load the runtime's three files.
   * @param {Files} files @param {Manifest["runtime"]} manifest @param {AbortSignal} signal
   */
  static async load(files, manifest, signal) {
    const ort = await import(files.url(manifest.module).href);
    ort.env.logLevel = "error";
    ort.env.wasm.numThreads = 1;
    ort.env.wasm.wasmPaths = { mjs: files.url(manifest.loader).href };
    ort.env.wasm.wasmBinary = await files.read(manifest.wasm, signal);
    return new Runtime(ort);
  }

  /** A network, ready to run.
   * @param {Uint8Array} graph @param {Float32Array<ArrayBuffer>} [weights] that lie outside of it
   * @returns {Promise<Session>}
   */
  session(graph, weights) {
    const externalData = weights && [{ path: WEIGHTS, data: new Uint8Array(weights.buffer) }];
    return this.#ort.InferenceSession.create(graph, { executionProviders: ["wasm"], externalData });
  }

  /** @param {Float32Array} data @param {number[]} shape */
  floats(data, shape) {
    return new this.#ort.Tensor("float32", data, shape);
  }

  /** @param {number[]} data @param {number[]} shape */
  integers(data, shape) {
    return new this.#ort.Tensor("int64", BigInt64Array.from(data, BigInt), shape);
  }
}
