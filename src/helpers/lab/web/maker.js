/* Images made and judged on the device, each once: what is asked for again is there. */

/** @typedef {import("./context.d.ts").Wish} Wish */
/** @typedef {import("./context.d.ts").Made} Made */

/** So many images are kept, of at most 64 kB each. */
const KEPT = 400;
/** The client's stages in words; `done` of them are over, so the one that goes on is the next. @type {Record<import("./types.d.ts").Progress["stage"], (done: number, of: number) => string>} */
const WORDS = {
  loading: (done, of) => of > 1 ? `loads network ${done + 1} of ${of}` : "loads",
  rounding: () => "rounds the weights",
  step: (done, of) => `step ${done + 1} of ${of}`,
  judging: (done, of) => `detector ${done + 1} of ${of}`,
};
/** What precisions are compared with. */
export const BASELINE = "fp32";

export class Maker {
  /** @param {import("./client.js").Lab} lab */
  constructor(lab) {
    this.lab = lab;
    /** @type {Map<string, Made>} */
    this.kept = new Map();
  }

  /**
   * The image of a wish with what the detectors say of it.
   * @param {Wish} wish @param {import("./task.js").Report} report @param {AbortSignal} signal
   * @returns {Promise<Made>}
   */
  async made(wish, report, signal) {
    const key = JSON.stringify([wish.generator, wish.precision, wish.prompt, wish.seed]);
    const known = this.kept.get(key);
    if (known) return known;
    const { pixels, width, height, seconds, bytes, relativeError } = await this.lab.make(wish, { onProgress: told(report), signal });
    const picture = { pixels, width, height };
    const verdicts = await this.lab.judge(picture, { onProgress: told(report), signal });
    const found = { wish, picture, verdicts, seconds, bytes, relativeError };
    this.kept.set(key, found);
    if (this.kept.size > KEPT) this.kept.delete(/** @type {string} */ (this.kept.keys().next().value));
    return found;
  }

  /** What was made last of each precision of a generator. @param {string} generator */
  costs(generator) {
    return new Map([...this.kept.values()].filter(made => made.wish.generator === generator).map(made => [made.wish.precision, made]));
  }
}

/** The client's progress as a line. @param {import("./task.js").Report} report */
export function told(report) {
  /** @param {import("./types.d.ts").Progress} progress */
  return ({ stage, done, of }) => report(WORDS[stage](done, of), done, of);
}
