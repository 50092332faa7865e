/** The four detectors: each reads a picture in its own way and gives one logit. */

import { preprocess } from "./preprocess.js";

/** @import { Files } from "./files.js" */
/** @import { Job } from "./job.js" */
/** @import { Runtime, Session } from "./runtime.js" */
/** @import { Manifest, Picture, Verdict } from "./types.js" */

export class Detectors {
  /** @type {Map<string, Session>} */
  #sessions = new Map();

  /** @param {Runtime} runtime @param {Files} files @param {Manifest["detectors"]} detectors */
  constructor(runtime, files, detectors) {
    this.runtime = runtime;
    this.files = files;
    this.detectors = detectors;
  }

  /** @param {Picture} picture @param {Job} job @returns {Promise<Verdict[]>} */
  async judge(picture, job) {
    const verdicts = [];
    const keys = Object.keys(this.detectors);
    for (const [place, key] of keys.entries()) {
      await job.report("judging", place, keys.length);
      verdicts.push(await this.#verdict(key, picture, job.signal));
    }
    return verdicts;
  }

  /** @param {string} key @param {Picture} picture @param {AbortSignal} signal @returns {Promise<Verdict>} */
  async #verdict(key, picture, signal) {
    const { input, output, preprocess: rule, threshold } = this.detectors[key];
    const session = await this.#session(key, signal);
    const began = performance.now();
    const { data, width, height } = preprocess(picture, rule);
    const found = await session.run({ [input]: this.runtime.floats(data, [1, 3, height, width]) });
    const [logit] = found[output].data;
    return { detector: key, logit, fake: logit > threshold, seconds: (performance.now() - began) / 1000 };
  }

  /** @param {string} key @param {AbortSignal} signal */
  async #session(key, signal) {
    const session =
      this.#sessions.get(key) ?? (await this.runtime.session(await this.files.read(this.detectors[key].graph, signal)));
    this.#sessions.set(key, session);
    return session;
  }
}
