/* Times of this device: the same image at each of the deck's precisions in turn, in rounds, to be saved as a file that
   `quantdetect import-device` takes (helpers.results.devices). */

import { field, fill, h, table } from "./drawing.js";
import { told } from "./maker.js";
import { counted, detectorTitle, generatorTitle, megabytes, precisionTitle, seconds } from "./words.js";

/** @typedef {import("./context.d.ts").Context} Context */
/** @typedef {{model: string, precision: string, round: number, pixels: number, seconds: number, seconds_load: number, seconds_round: number, bytes: number, weight_error: number}} ImageTiming */
/** @typedef {{model: string, round: number, pixels: number, seconds: number}} VerdictTiming */

const FORMAT = "quantdetect-device-1";
const ROUNDS = [3, 5, 10], ALL = "all", SEED = 1000;

export class DeviceRecord {
  /** @param {Context} context @param {() => {generator: string, prompt: string}} chosen */
  constructor(context, chosen) {
    this.context = context;
    this.chosen = chosen;
    /** @type {ImageTiming[]} */
    this.images = [];
    /** @type {VerdictTiming[]} */
    this.verdicts = [];
    this.which = h("select", { id: "lab-measured" });
    this.rounds = h("select", { id: "lab-rounds" });
    fill(this.which, [["", "the generator above"], [ALL, "all generators"]], "");
    fill(this.rounds, ROUNDS.map(rounds => [rounds, String(rounds)]), 5);
    this.save = h("button", { type: "button", class: "lab-save", "aria-disabled": "true", onclick: () => this.#save() }, "Save as a file");
    this.shown = h("div", {});
    const measure = h("button", { type: "button", "data-action": "measure", onclick: () => this.#run() }, "Measure this device");
    this.box = h("section", { "aria-labelledby": "lab-device-head" }, h("h3", { id: "lab-device-head", class: "lab-head" }, "Does quantization save time on this device?"),
      h("p", {}, "The deck\u2019s precisions make the same image in turn, in several rounds. A saved file holds these times, the browser, the system and how many processors the browser tells of."),
      h("div", { class: "explorer-controls" }, field("Measured", this.which), field("Rounds", this.rounds)), h("p", { class: "lab-buttons" }, measure, this.save), this.shown);
  }

  #run() {
    const { generator, prompt } = this.chosen(), { manifest } = this.context.lab, rounds = Number(this.rounds.value);
    const generators = this.which.value === ALL ? Object.keys(manifest.generators) : [generator];
    return this.context.tasks.run("Measuring", async (report, signal) => {
      this.images = [];
      this.verdicts = [];
      this.shown.replaceChildren();
      this.save.setAttribute("aria-disabled", "true");
      for (const key of generators) await this.#measure({ generator: key, prompt }, rounds, report, signal);
      return `Measuring: ${counted(this.images.length, "image")} timed.`;
    });
  }

  /**
   * Time one generator. An image that is not counted comes first: it loads, and wakes the processor.
   * @param {{generator: string, prompt: string}} wish @param {number} rounds @param {import("./task.js").Report} report @param {AbortSignal} signal
   */
  async #measure({ generator, prompt }, rounds, report, signal) {
    const { lab } = this.context, keys = lab.manifest.precisions.filter(one => one.deck).map(one => one.key);
    const title = generatorTitle(this.context, generator);
    const warm = await lab.make({ generator, precision: keys[0], prompt, seed: SEED }, { onProgress: told(report), signal });
    await lab.judge(warm, { onProgress: told(report), signal });
    for (let round = 1; round <= rounds; round += 1) {
      // The order turns, so that no precision is always the first.
      for (const [place, precision] of [...keys.slice(round % keys.length), ...keys.slice(0, round % keys.length)].entries()) {
        report(`${title}, round ${round} of ${rounds}, ${precisionTitle(this.context, precision)}`, (round - 1) * keys.length + place, rounds * keys.length);
        const made = await lab.make({ generator, precision, prompt, seed: SEED + round }, { onProgress: () => {}, signal });
        this.images.push({ model: generator, precision, round, pixels: made.width, seconds: made.seconds.make, seconds_load: made.seconds.load,
          seconds_round: made.seconds.round, bytes: made.bytes, weight_error: made.relativeError });
        if (place) continue;
        for (const { detector, seconds: took } of await lab.judge(made, { onProgress: () => {}, signal }))
          this.verdicts.push({ model: detector, round, pixels: made.width, seconds: took });
      }
      this.#show();
    }
  }

  #show() {
    const { generators, precisions } = this.context.lab.manifest;
    const kinds = Object.keys(generators).flatMap(model => precisions.map(({ key }) => ({ model, precision: key })));
    const rows = kinds.flatMap(({ model, precision }) => {
      const own = this.images.filter(image => image.model === model && image.precision === precision);
      return own.length ? [[`${generatorTitle(this.context, model)}, ${precisionTitle(this.context, precision)}`,
        ...[seconds(median(own.map(one => one.seconds))), seconds(median(own.map(one => one.seconds_round))), megabytes(own[0].bytes), String(own.length)].map(text => h("td", {}, text))]] : [];
    });
    const judged = [...new Set(this.verdicts.map(one => one.model))].map(model => [detectorTitle(this.context, model),
      h("td", {}, seconds(median(this.verdicts.filter(one => one.model === model).map(one => one.seconds))))]);
    this.shown.replaceChildren(table("lab-device", "Measured on this device: medians", ["Precision", "An image", "Rounding, once", "Weights", "Rounds"], rows),
      table("lab-device-detectors", "Seconds of a detector for one image: medians", ["Detector", "An image"], judged));
    this.save.setAttribute("aria-disabled", "false");
  }

  #save() {
    if (!this.images.length) return;
    const recorded = new Date().toISOString().slice(0, 10);
    const text = JSON.stringify(record(this.context, recorded, this.images, this.verdicts), null, 1);
    const address = URL.createObjectURL(new Blob([`${text}\n`], { type: "application/json" }));
    h("a", { href: address, download: `quantdetect-device-${recorded}.json` }).click();
    setTimeout(() => URL.revokeObjectURL(address), 10_000);
  }
}

/** @param {number[]} values one or more */
function median(values) {
  const ordered = [...values].sort((a, b) => a - b), half = ordered.length >> 1;
  return ordered.length % 2 ? ordered[half] : (ordered[half - 1] + ordered[half]) / 2;
}

/**
 * What is saved.
 * @param {Context} context @param {string} recorded the day, YYYY-MM-DD @param {ImageTiming[]} images @param {VerdictTiming[]} verdicts
 */
function record(context, recorded, images, verdicts) {
  const { name, version } = context.lab.manifest.runtime;
  return { format: FORMAT, recorded, device: { ...device(navigator.userAgent), processors: navigator.hardwareConcurrency || 1, runtime: `${name} ${version}` }, images, verdicts };
}

/**
 * Browser, system and whether it is a phone or a tablet, by what a browser says of itself.
 * @param {string} agent
 */
export function device(agent) {
  // Edge also says Chrome, and every browser says Safari, so the order counts; Safari itself is Apple's alone.
  const browsers = /** @type {const} */ ([["Edge", /Edge?\/(\d+)/], ["Opera", /OPR\/(\d+)/], ["Firefox", /(?:Firefox|FxiOS)\/(\d+)/], ["Chrome", /(?:Chrome|CriOS)\/(\d+)/], ["Safari", /Mac OS X.*Version\/(\d+).*Safari/],
    ["WebKit", /Version\/(\d+).*Safari/]]);
  const systems = /** @type {const} */ ([["Android", /Android/], ["iOS", /iPhone|iPad|iPod/], ["ChromeOS", /CrOS/], ["Windows", /Windows/], ["macOS", /Mac OS X/], ["Linux", /Linux/]]);
  const [name, mark] = browsers.find(([, mark]) => mark.test(agent)) ?? ["Other", /(\d+)/];
  const system = systems.find(([, mark]) => mark.test(agent))?.[0] ?? "other";
  return { browser: `${name} ${agent.match(mark)?.[1] ?? 0}`, system, mobile: /Mobi|Android|iPad/.test(agent) };
}
