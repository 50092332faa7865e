/** A piece of work in the worker: it tells how far it is, and stops where the page asks for it. */

/** @import { Progress } from "./types.js" */

export class Job {
  #controller = new AbortController();
  #tell;

  /** @param {(progress: Progress) => void} tell */
  constructor(tell) {
    this.#tell = tell;
  }

  get signal() {
    return this.#controller.signal;
  }

  /** Stop at the next report. */
  stop() {
    this.#controller.abort();
  }

  /** Tell how far a stage is, and let messages in; throws an AbortError where one of them said stop.
   * @param {Progress["stage"]} stage @param {number} done @param {number} of
   */
  async report(stage, done, of) {
    this.#tell({ stage, done, of });
    await new Promise((resolve) => setTimeout(resolve));
    this.signal.throwIfAborted();
  }
}
