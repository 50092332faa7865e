/* One piece of work at a time, with its progress, a button that stops it, and a line that says how it ended. */

import { h } from "./drawing.js";

/** @typedef {(said: string, done: number, of: number) => void} Report */

export class Tasks {
  /** @param {HTMLElement} root whose buttons `[data-action]` wait while something runs */
  constructor(root) {
    this.root = root;
    /** @type {AbortController | null} */
    this.running = null;
    /** Called at the end of each piece of work. */
    this.after = () => {};
    this.bar = h("progress", { max: 1, value: 0, "aria-label": "Progress", hidden: true });
    this.line = h("span", { class: "lab-said" });
    this.ended = h("span", { class: "visually-hidden", role: "status" });
    this.stop = h("button", { type: "button", class: "lab-stop", "aria-disabled": "true", onclick: () => this.running?.abort() }, "Stop");
    this.box = h("div", { class: "lab-task" }, this.stop, this.bar, this.line, this.ended);
  }

  /**
   * Do a piece of work unless another runs. Its errors are said, and a stop is no error.
   * @param {string} title what is done, as the line begins
   * @param {(report: Report, signal: AbortSignal) => Promise<string | void>} work returns what is said at its end
   */
  async run(title, work) {
    if (this.running) return;
    const stopped = this.running = new AbortController();
    this.#busy(true);
    /** @type {Report} */
    const report = (said, done, of) => {
      this.line.textContent = `${title}: ${said}`;
      if (of) this.bar.value = done / of;
      else this.bar.removeAttribute("value");
    };
    report("begun", 0, 1);
    try {
      this.#end(await work(report, stopped.signal) || `${title}: done.`);
    } catch (error) {
      if (!stopped.signal.aborted) console.info(`lab: ${error instanceof Error ? error.stack : error}`);
      const why = error instanceof Error ? error.message : String(error);
      this.#end(stopped.signal.aborted ? `${title}: stopped.` : `${title}: ${why}`);
    } finally {
      this.running = null;
      this.#busy(false);
      this.after();
    }
  }

  /** @param {string} said */
  #end(said) {
    this.line.textContent = said;
    this.ended.textContent = said;
  }

  /** @param {boolean} busy */
  #busy(busy) {
    this.bar.hidden = !busy;
    // A button that is disabled loses the keyboard, so these say that they wait.
    this.stop.setAttribute("aria-disabled", String(!busy));
    this.root.toggleAttribute("data-busy", busy);
    for (const button of this.root.querySelectorAll("[data-action]")) button.setAttribute("aria-disabled", String(busy));
  }
}
