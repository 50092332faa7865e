/** The lab as a page sees it: pictures made, judged, changed and read, all on the reader's device. */

import { Refused } from "./container.js";
import { decode } from "./decode.js";
import { perturb } from "./perturb.js";
import { understood } from "./tokenizer.js";

/** @import { Answer, Made, Manifest, Order, Picture, Progress, Verdict, Wish } from "./types.js" */

export { Refused };

/** There is no lab where it was looked for; the message says why. */
export class Missing extends Error {
  name = "Missing";
}

/** @typedef {{ onProgress?: (progress: Progress) => void, signal?: AbortSignal }} Watch */
/** @typedef {{ resolve: (result: any) => void, reject: (error: Error) => void, onProgress?: Watch["onProgress"] }} Waiting */

export class Lab {
  /** @type {Map<number, Waiting>} */
  #waiting = new Map();
  /** Names of files that have travelled. @type {Set<string>} */
  #travelled = new Set();
  #count = 0;
  /** @type {Worker | undefined} */
  #worker;
  #base;

  /** Read lab.json. Nothing else is loaded before it is needed. Throws Missing where there is no lab, and a TypeError where
   * the site cannot be reached.
   * @param {string | URL} base the lab's folder
   */
  static async open(base) {
    const folder = new URL(base, document.baseURI);
    const response = await fetch(new URL("lab.json", folder));
    if (!response.ok) throw new Missing("the lab's files are not on this site");
    const manifest = await response.json();
    if (manifest.missing) throw new Missing(manifest.missing);
    return new Lab(folder, manifest);
  }

  /** @param {URL} base @param {Manifest} manifest */
  constructor(base, manifest) {
    this.#base = base;
    this.manifest = manifest;
  }

  /** Bytes that are still to travel for a picture of a generator, and for the detectors beside it.
   * @param {string} key of the generator
   */
  sizes(key) {
    const { runtime, generators, detectors } = this.manifest;
    const own = [runtime.wasm, ...Object.values(generators[key].parts).flatMap(({ graph, weights }) => [graph, weights])];
    return { transfer: this.#missing(own), detectors: this.#missing(Object.values(detectors).map(({ graph }) => graph)) };
  }

  /** Make a picture; an AbortError where the signal stops it, between steps.
   * @param {Wish} wish @param {Watch} [watch] @returns {Promise<Made>}
   */
  make(wish, watch = {}) {
    return this.#order({ call: "make", wish }, watch);
  }

  /** Judge a picture by all detectors. @param {Picture} picture @param {Watch} [watch] @returns {Promise<Verdict[]>} */
  judge({ pixels, width, height }, watch = {}) {
    return this.#order({ call: "judge", picture: { pixels, width, height } }, watch);
  }

  /** A picture after "jpeg:75" (by the browser's encoder) or "resize:0.5" (by the package's rule).
   * @param {Picture} picture @param {string} name
   */
  perturb(picture, name) {
    return perturb(picture, name);
  }

  /** The pixels of a picture file; throws Refused with the reason. @param {Blob} file */
  decode(file) {
    return decode(file);
  }

  /** What a generator makes of each word of a prompt. @param {string} key @param {string} prompt */
  understood(key, prompt) {
    const [tokenizer] = Object.values(this.manifest.generators[key].tokenizers);
    return understood(tokenizer, prompt);
  }

  /** @param {string[]} names */
  #missing(names) {
    const left = names.filter((name) => !this.#travelled.has(name));
    return left.reduce((sum, name) => sum + this.manifest.files[name].transfer, 0);
  }

  /** @param {{ call: "make", wish: Wish } | { call: "judge", picture: Picture }} order @param {Watch} watch */
  #order(order, { onProgress, signal }) {
    const id = this.#count++;
    return new Promise((resolve, reject) => {
      signal?.throwIfAborted();
      this.#waiting.set(id, { resolve, reject, onProgress });
      signal?.addEventListener("abort", () => this.#send({ call: "stop", id }), { once: true });
      this.#send({ ...order, id });
    });
  }

  /** @param {Order} order */
  #send(order) {
    this.#worker ??= this.#started();
    this.#worker.postMessage(order);
  }

  #started() {
    const worker = new Worker(new URL("./worker.js", import.meta.url), { type: "module" });
    worker.addEventListener("message", ({ data }) => this.#take(data));
    worker.addEventListener("error", ({ message }) => this.#fail(new Error(message || "the lab's worker does not start")));
    worker.postMessage({ call: "open", base: this.#base.href, manifest: this.manifest });
    return worker;
  }

  /** @param {Answer} answer */
  #take(answer) {
    if ("file" in answer) {
      this.#travelled.add(answer.file);
      return;
    }
    const waiting = this.#waiting.get(answer.id);
    if ("progress" in answer) {
      waiting?.onProgress?.(answer.progress);
      return;
    }
    this.#waiting.delete(answer.id);
    if ("result" in answer) waiting?.resolve(answer.result);
    else waiting?.reject(Object.assign(new Error(answer.error.message), { name: answer.error.name }));
  }

  /** @param {Error} error */
  #fail(error) {
    for (const { reject } of this.#waiting.values()) reject(error);
    this.#waiting.clear();
    this.#worker = undefined;
  }
}
