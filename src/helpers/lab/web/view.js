/* The lab of page 12 as readers meet it. What computes is behind `client.js`, in a worker; this lays out the parts and keeps
   what is chosen in the address. */

import { Lab } from "./client.js";
import { Controls } from "./controls.js";
import { DeviceRecord } from "./device_record.js";
import { distribution } from "./distribution.js";
import { field, fill, h } from "./drawing.js";
import { ladder } from "./ladder_chart.js";
import { BASELINE, Maker } from "./maker.js";
import { OwnPicture } from "./picture.js";
import { result } from "./result.js";
import { address, possible, read } from "./state.js";
import { Tasks } from "./task.js";
import { counted, generatorTitle, megabytes, precisionTitle } from "./words.js";

/** @typedef {import("./context.d.ts").Context} Context */
/** @typedef {import("./context.d.ts").Made} Made */
/** @typedef {import("./state.js").State} State */

const SEEDS = [5, 10, 20, 40];
/** So many images of one precision are made in a row: another precision has to be rounded first. */
const TOGETHER = 5;
/** Where an address says nothing. */
const FIRST = { generator: "sd3", precision: "fp4", gain: 8 };

/**
 * Open the lab in its place on the page. Throws where there is no lab beside the page; the page says so.
 * @param {HTMLElement} root
 */
export async function open(root) {
  const page = JSON.parse(/** @type {HTMLElement} */ (root.querySelector("script")).textContent ?? "");
  const place = /** @type {HTMLElement} */ (root.querySelector(".lab-place"));
  const base = new URL(/** @type {string} */ (root.dataset.lab), document.baseURI).href;
  await styled(new URL("lab.css", import.meta.url).href);
  const lab = await opened(base, place);
  if (!lab) return;
  const context = { lab, page, archive: await archive(page.archive), maker: new Maker(lab), tasks: new Tasks(place) };
  new View(context, place).start();
}

/** The lab; null where its list says why it was not made. @param {string} base @param {HTMLElement} place */
async function opened(base, place) {
  try {
    return await Lab.open(base);
  } catch (error) {
    if (!(error instanceof Error) || error.name !== "Missing") throw error;
    place.replaceChildren(h("p", { class: "lab-missing" }, `This copy of the book was made without the lab: ${error.message}`));
    return null;
  }
}

/** @param {string} href */
function styled(href) {
  return new Promise((resolve, reject) => document.head.append(h("link", { rel: "stylesheet", href, onload: resolve, onerror: reject })));
}

/** @param {string} place @returns {Promise<Context["archive"]>} */
async function archive(place) {
  const answer = await fetch(new URL(place, document.baseURI)).catch(() => null);
  if (!answer) return { missing: "its file cannot be reached" };
  return answer.ok ? answer.json() : { missing: "its file is not beside this page" };
}

class View {
  /** @param {Context} context @param {HTMLElement} place */
  constructor(context, place) {
    this.context = context;
    this.place = place;
    const { manifest } = context.lab, generators = Object.keys(manifest.generators), precisions = manifest.precisions.map(one => one.key);
    this.there = { generators, precisions };
    /** What stands there at first. @type {State} */
    this.first = possible(FIRST, { ...firstWords(context), generator: generators[0], precision: precisions[0], gain: 8 }, this.there);
    this.state = possible(read(location.hash), this.first, this.there);
    this.controls = new Controls(context, wanted => this.change(wanted));
    this.sizes = h("p", { class: "explorer-note lab-sizes" });
    this.seeds = h("select", { id: "lab-seeds" });
    fill(this.seeds, SEEDS.map(count => [count, String(count)]), SEEDS[1]);
    this.shown = h("div", { class: "lab-shown" });
    this.rungs = h("div", { class: "lab-rungs" });
    this.spread = h("div", { class: "lab-spread" });
    context.tasks.after = () => this.saySizes();
    this.device = new DeviceRecord(context, () => this.state);
  }

  start() {
    /** @param {string} action @param {string} title @param {() => void} work */
    const button = (action, title, work) => h("button", { type: "button", "data-action": action, onclick: work }, title);
    const seeds = field("Seeds", this.seeds);
    seeds.classList.add("lab-count");
    this.place.replaceChildren(
      this.controls.form,
      h("p", { class: "lab-buttons" }, button("make", "Make the image and its twin", () => this.make()), button("ladder", "Run the ladder", () => this.ladder()), h("span", { class: "lab-together" }, button("seeds", "Run several seeds", () => this.several()), seeds)),
      this.sizes, this.context.tasks.box, this.shown, this.rungs, this.spread, new OwnPicture(this.context).box, this.device.box);
    this.#corrected();
    this.show();
    this.place.dataset.open = "yes";
    // The button that opened the lab is gone, and with it the keyboard's place.
    if (document.activeElement === document.body) this.controls.form.querySelector("select")?.focus({ preventScroll: true });
    window.addEventListener("popstate", () => {
      if (location.hash && !location.hash.startsWith("#generator=")) return;
      this.state = possible(read(location.hash), this.first, this.there);
      this.#corrected();
      this.show();
    });
  }

  /** An address that says what there is not becomes that of what is shown, so that it can be passed on. */
  #corrected() {
    if (location.hash.startsWith("#generator=") && address(this.state) !== location.hash) history.replaceState(null, "", address(this.state));
  }

  /** @param {Partial<State>} wanted */
  change(wanted) {
    // What there is not changes nothing: an empty prompt or a seed below 0 leaves the ones before.
    this.state = possible({ ...this.state, ...wanted }, this.state, this.there);
    if (address(this.state) !== location.hash) history.pushState(null, "", address(this.state));
    this.show();
  }

  show() {
    this.controls.show(this.state);
    this.saySizes();
  }

  saySizes() {
    const { transfer, detectors } = this.context.lab.sizes(this.state.generator), title = generatorTitle(this.context, this.state.generator);
    const parts = [[transfer, title], [detectors, "the detectors"]].filter(([bytes]) => bytes);
    const said = parts.map(([bytes, what]) => `${megabytes(Number(bytes))} for ${what}`).join(" and ");
    this.sizes.textContent = parts.length ? `The next image first loads ${said}. That stays for this visit, and every precision is rounded from it.`
      : `All that ${title} and the detectors need is here: another precision, prompt or seed loads nothing.`;
  }

  /** @param {string} precision @param {number} seed */
  wish(precision = this.state.precision, seed = this.state.seed) {
    return { generator: this.state.generator, prompt: this.state.prompt, precision, seed };
  }

  make() {
    const { maker, tasks } = this.context, [first, second] = [this.wish(BASELINE), this.wish()];
    return tasks.run(this.#named(), async (report, signal) => {
      const base = await maker.made(first, about(report, `image 1 of 2, ${precisionTitle(this.context, BASELINE)}`), signal);
      const other = await maker.made(second, about(report, `image 2 of 2, ${precisionTitle(this.context, second.precision)}`), signal);
      this.shown.replaceChildren(...result(this.context, base, other, this.state.gain, gain => this.#amplified(gain)));
    });
  }

  ladder() {
    const { lab, maker, tasks } = this.context, wishes = lab.manifest.precisions.map(one => this.wish(one.key));
    return tasks.run(`The ladder of ${this.#named()}`, async (report, signal) => {
      /** @type {Made[]} */
      const made = [];
      for (const [place, wish] of wishes.entries()) {
        made.push(await maker.made(wish, about(report, `format ${place + 1} of ${wishes.length}, ${precisionTitle(this.context, wish.precision)}`), signal));
        this.rungs.replaceChildren(...ladder(this.context, made, this.place.clientWidth));
      }
    });
  }

  several() {
    const { maker, tasks } = this.context, count = Number(this.seeds.value), { seed, precision } = this.state;
    const sides = [BASELINE, precision].map(key => Array.from({ length: count }, (_, place) => this.wish(key, seed + place)));
    return tasks.run(`${counted(count, "seed")} of ${this.#named()}`, async (report, signal) => {
      /** @type {[Made, Made][]} */
      const pairs = [];
      for (let from = 0; from < count; from += TOGETHER) {
        /** @type {Made[][]} */
        const made = [[], []];
        for (const [side, wishes] of sides.entries())
          for (const [place, wish] of wishes.slice(from, from + TOGETHER).entries())
            made[side].push(await maker.made(wish, about(report, `seed ${from + place + 1} of ${count}, ${precisionTitle(this.context, wish.precision)}`), signal));
        pairs.push(...made[0].map((first, at) => /** @type {[Made, Made]} */ ([first, made[1][at]])));
        this.spread.replaceChildren(...distribution(this.context, pairs, this.place.clientWidth));
      }
    });
  }

  #named() {
    return generatorTitle(this.context, this.state.generator);
  }

  /** @param {number} gain */
  #amplified(gain) {
    if (gain === this.state.gain) return;
    this.state = { ...this.state, gain };
    history.replaceState(null, "", address(this.state));
  }
}

/** Progress with what it is of before it. @param {import("./task.js").Report} report @param {string} what @returns {import("./task.js").Report} */
function about(report, what) {
  return (said, done, of) => report(`${what}: ${said}`, done, of);
}

/** The prompt and seed at which the lab begins: the archive's third, else any. @param {Context} context */
function firstWords({ archive, page }) {
  const image = 2;
  if ("prompts" in archive && archive.first !== null && archive.prompts[image]) return { prompt: archive.prompts[image], seed: archive.first + image };
  const [colour] = Object.values(page.grammar.nouns);
  return { prompt: page.grammar.relations.alone.template.replace("{0}", `${colour} ${page.grammar.shapes[0]}`).replace("{place}", Object.values(page.grammar.places)[0]), seed: 0 };
}
