/** What the worker does for the page: it makes pictures and judges them, and keeps the networks it used last. */

import { Detectors } from "./detectors.js";
import { Files } from "./files.js";
import { generate } from "./generator.js";
import { networks, release } from "./networks.js";
import { Runtime } from "./runtime.js";

/** @import { Job } from "./job.js" */
/** @import { Networks } from "./networks.js" */
/** @import { Made, Manifest, Picture, Verdict, Wish } from "./types.js" */

/** Generators at a precision that stay in memory: those of an image and of its FP32 twin, seed after seed. */
const KEPT = 2;

export class Engine {
  /** By generator and precision, the latest last. @type {Map<string, Networks>} */
  #networks = new Map();
  /** @type {Runtime | undefined} */
  #runtime;
  /** @type {Detectors | undefined} */
  #detectors;
  #files;
  #manifest;

  /** @param {URL} base the lab's folder @param {Manifest} manifest
   * @param {(file: string) => void} travelled called once for each file
   */
  constructor(base, manifest, travelled) {
    this.#files = new Files(base, manifest.files, travelled);
    this.#manifest = manifest;
  }

  /** @param {Wish} wish @param {Job} job @returns {Promise<Made>} */
  async make({ generator: key, precision, prompt, seed }, job) {
    const generator = this.#manifest.generators[key];
    const runtime = await this.#loaded(job);
    const found = await this.#at(runtime, key, precision, job);
    const began = performance.now();
    const picture = await generate(runtime, generator, found, prompt, seed, job);
    const seconds = { ...found.seconds, make: (performance.now() - began) / 1000 };
    return { ...picture, seconds, bytes: generator.bytes[precision].all, relativeError: found.relativeError };
  }

  /** @param {Picture} picture @param {Job} job @returns {Promise<Verdict[]>} */
  async judge(picture, job) {
    this.#detectors ??= new Detectors(await this.#loaded(job), this.#files, this.#manifest.detectors);
    return this.#detectors.judge(picture, job);
  }

  /** @param {Job} job */
  async #loaded(job) {
    await job.report("loading", 0, 1);
    this.#runtime ??= await Runtime.load(this.#files, this.#manifest.runtime, job.signal);
    return this.#runtime;
  }

  /** The networks of a generator at a precision; the seconds are 0 where they are kept.
   * @param {Runtime} runtime @param {string} key @param {string} precision @param {Job} job
   * @returns {Promise<Networks>}
   */
  async #at(runtime, key, precision, job) {
    const name = `${key} ${precision}`;
    const kept = this.#networks.get(name);
    this.#networks.delete(name);
    const found = kept ? { ...kept, seconds: { load: 0, round: 0 } } : await this.#build(runtime, key, precision, job);
    this.#networks.set(name, found);
    return found;
  }

  /** @param {Runtime} runtime @param {string} key @param {string} precision @param {Job} job */
  async #build(runtime, key, precision, job) {
    for (const [name, old] of this.#networks) {
      if (this.#networks.size < KEPT) break;
      this.#networks.delete(name);
      await release(old);
    }
    const row = this.#manifest.precisions.find((one) => one.key === precision);
    if (!row) throw new RangeError(`no precision ${precision}`);
    return networks(runtime, this.#files, this.#manifest.generators[key], row.rule, job);
  }
}
