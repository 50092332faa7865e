/* A picture of the reader's own: judged as it is, after JPEG 75 and at half size. It never leaves the device. */

import { drawn } from "./canvas.js";
import { field, h, table } from "./drawing.js";
import { told } from "./maker.js";
import { detectorTitle, verdict } from "./words.js";

/** @typedef {import("./context.d.ts").Context} Context */
/** @typedef {import("./context.d.ts").Picture} Picture */
/** @typedef {import("./context.d.ts").Verdict} Verdict */

/** What is done to a picture, by the names that `quantdetect detect --perturb` has; "" is nothing. */
const TREATMENTS = { "": "as it is", "jpeg:75": "after JPEG 75", "resize:0.5": "at half size" };

/** @param {Picture} picture */
function size({ width, height, cut }) {
  const whole = cut ? `, the middle of ${cut.width} \u00d7 ${cut.height}: a larger one takes too long here` : "";
  return `${width} \u00d7 ${height} pixels${whole}`;
}

export class OwnPicture {
  /** @param {Context} context */
  constructor(context) {
    this.context = context;
    this.input = h("input", { type: "file", id: "lab-file", accept: "image/*", onchange: () => this.#take(this.input.files) });
    this.shown = h("div", { class: "lab-own" });
    const zone = h("div", { class: "lab-drop" }, field("A picture from this device, or dropped on the page", this.input));
    // Anywhere on the page: beside the frame a browser would leave the page and open the picture in its place.
    for (const name of ["dragover", "drop"]) document.addEventListener(name, event => this.#dragged(/** @type {DragEvent} */ (event)));
    document.addEventListener("dragleave", event => { if (!event.relatedTarget) zone.classList.remove("lab-over"); });
    this.zone = zone;
    this.box = h("section", { "aria-labelledby": "lab-own-head" }, h("h3", { id: "lab-own-head", class: "lab-head" }, "A picture of your own"),
      h("p", {}, "It is decoded and judged on this device, and no request leaves it. The detectors are miniatures that were trained on renders: they judge renders, and of a photograph their answer means little."),
      zone, this.shown);
  }

  /** @param {DragEvent} event */
  #dragged(event) {
    // Words that are dragged into a field are none of ours.
    if (!event.dataTransfer?.types.includes("Files")) return;
    event.preventDefault();
    this.zone.classList.toggle("lab-over", event.type === "dragover");
    if (event.type !== "drop") return;
    if (!(event.target instanceof Node && this.zone.contains(event.target))) this.zone.scrollIntoView({ block: "center" });
    this.#take(event.dataTransfer.files);
  }

  /** @param {FileList | null | undefined} files of which the first is judged */
  #take(files) {
    if (!files?.length) return;
    const { lab, tasks } = this.context, [file] = files, others = files.length - 1;
    if (tasks.running) {
      this.input.value = "";
      this.#refuse("something else runs here; stop it or wait for its end, then choose the picture again");
      return;
    }
    this.shown.replaceChildren();
    tasks.run("Your picture", async (report, signal) => {
      report("decoding", 0, 0);
      const picture = await this.#decoded(file);
      const preview = h("figure", {}, drawn(picture, `Your picture, ${picture.width} by ${picture.height} pixels`), h("figcaption", {}, size(picture), others ? `. One at a time: of ${others + 1} pictures this is the first` : ""));
      /** @type {Map<string, Verdict[]>} */
      const found = new Map();
      for (const [key, title] of Object.entries(TREATMENTS)) {
        report(`judging it ${title}`, found.size, Object.keys(TREATMENTS).length);
        const treated = key ? await lab.perturb(picture, key) : picture;
        found.set(key, await lab.judge(treated, { onProgress: told(report), signal }));
        this.shown.replaceChildren(preview, this.#table(found));
      }
      // On a phone the table's last column is out of sight.
      this.shown.append(h("p", {}, this.#flips(found)));
      return `Your picture: judged by ${Object.keys(lab.manifest.detectors).length} detectors.`;
    }).finally(() => { this.input.value = ""; });
  }

  /** @param {File} file @returns {Promise<Picture>} */
  async #decoded(file) {
    try {
      return await this.context.lab.decode(file);
    } catch (error) {
      this.#refuse(error instanceof Error ? error.message : String(error));
      throw error;
    }
  }

  /** @param {string} why */
  #refuse(why) {
    this.shown.replaceChildren(h("p", { role: "alert" }, `Not judged: ${why}`));
  }

  /** @param {Map<string, Verdict[]>} found */
  #flips(found) {
    const all = [...found.values()], flips = all[0].filter((one, place) => all.some(own => own[place].fake !== one.fake));
    return flips.length ? `Unstable: ${flips.map(one => detectorTitle(this.context, one.detector)).join(", ")}.` : "No verdict flips.";
  }

  /** @param {Map<string, Verdict[]>} found */
  #table(found) {
    const columns = [...found.keys()], first = /** @type {Verdict[]} */ (found.get(""));
    const rows = first.map(({ detector }) => {
      const own = columns.map(key => found.get(key)?.find(one => one.detector === detector));
      const steady = new Set(own.map(one => one?.fake)).size === 1, whole = columns.length === Object.keys(TREATMENTS).length;
      return [detectorTitle(this.context, detector), ...own.map(one => h("td", {}, one ? verdict(one) : "\u2013")),
        h("td", {}, steady ? (whole ? "the same" : "\u2013") : h("strong", {}, "unstable"))];
    });
    const head = ["Detector", ...columns.map(key => TREATMENTS[/** @type {keyof TREATMENTS} */ (key)]), "Verdicts"];
    return table("lab-picture", "What the detectors say of your picture (logit; above 0 it is called fake); unstable where the verdict flips", head, rows);
  }
}
