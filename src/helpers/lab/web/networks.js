/** The networks of a generator at a precision: weights read, rounded, and handed to the runtime. */

import { round, takes } from "./rounding.js";
import { unpack } from "./weights.js";

/** @import { Files } from "./files.js" */
/** @import { Job } from "./job.js" */
/** @import { Runtime, Session } from "./runtime.js" */
/** @import { Generator, Part, Rule } from "./types.js" */

/**
 * @typedef {object} Networks
 * @property {Session} text
 * @property {Session} denoiser
 * @property {Session} vae
 * @property {number} relativeError of all weights that the format takes (Frobenius); 0 where it takes none
 * @property {{ load: number, round: number }} seconds
 */

/** Load the networks of a generator, their weights rounded by a rule.
 * @param {Runtime} runtime @param {Files} files @param {Generator} generator @param {Rule} rule @param {Job} job
 * @returns {Promise<Networks>}
 */
export async function networks(runtime, files, generator, rule, job) {
  const change = new Change();
  const seconds = { load: 0, round: 0 };
  /** @type {Record<string, Session>} */
  const sessions = {};
  const parts = Object.entries(generator.parts);
  for (const [place, [name, part]] of parts.entries()) {
    const began = performance.now();
    await job.report("loading", place, parts.length);
    const graph = await files.read(part.graph, job.signal);
    const weights = unpack(await files.read(part.weights, job.signal), part.halves, part.singles);
    const read = performance.now();
    await rounded(weights, part, rule, change, job);
    const ready = performance.now();
    sessions[name] = await runtime.session(graph, weights);
    seconds.round += (ready - read) / 1000;
    seconds.load += (performance.now() - ready + read - began) / 1000;
  }
  const { text, denoiser, vae } = sessions;
  return { text, denoiser, vae, relativeError: change.relative, seconds };
}

/** Let go of the memory of networks. @param {Networks} networks */
export async function release({ text, denoiser, vae }) {
  await Promise.all([text, denoiser, vae].map((session) => session.release()));
}

/** Round in place what a format takes of a part's weights.
 * @param {Float32Array} weights @param {Part} part @param {Rule} rule @param {Change} change @param {Job} job
 */
async function rounded(weights, part, rule, change, job) {
  const taken = part.tensors.filter((tensor) => takes(rule, tensor));
  for (const [place, { at, shape }] of taken.entries()) {
    await job.report("rounding", place, taken.length);
    const count = shape.reduce((product, side) => product * side, 1);
    const weight = weights.subarray(at, at + count);
    const before = weight.slice();
    round(weight, rule, count / shape[0]);
    change.add(before, weight);
  }
}

/** What a precision did to weights: sums of squares of their change and of themselves. */
class Change {
  #changed = 0;
  #whole = 0;

  /** @param {Float32Array} before @param {Float32Array} after */
  add(before, after) {
    for (let i = 0; i < before.length; i++) {
      this.#changed += (after[i] - before[i]) ** 2;
      this.#whole += before[i] ** 2;
    }
  }

  get relative() {
    return this.#whole ? Math.sqrt(this.#changed / this.#whole) : 0;
  }
}
