/* The ladder of one prompt and seed: every detector's logit at every format. */

import { bent, ends, marks, printed } from "./axis.js";
import { h, s, scale, table } from "./drawing.js";
import { detectorTitle, generatorTitle, precisionTitle, verdict } from "./words.js";

/** @typedef {import("./context.d.ts").Context} Context */
/** @typedef {import("./context.d.ts").Made} Made */

const DASHES = ["", "7 3", "2 3", "9 3 2 3", "12 4"];
const HIGH = 320, EDGE = { left: 44, right: 12, top: 10, bottom: 88 };

/**
 * Chart and table of what was made so far, in the order of the error that a format leaves in the weights.
 * @param {Context} context @param {Made[]} unordered @param {number} width of the place, in pixels
 */
export function ladder(context, unordered, width) {
  const made = [...unordered].sort((one, other) => one.relativeError - other.relativeError);
  const { generator, prompt, seed } = made[0].wish, of = `${generatorTitle(context, generator)}, \u201c${prompt}\u201d, seed ${seed}`;
  const detectors = made[0].verdicts.map(one => one.detector);
  const head = ["Format", ...detectors.map(key => detectorTitle(context, key)), "Relative weight error"];
  const rows = made.map(one => [precisionTitle(context, one.wish.precision),
    ...one.verdicts.map(own => h("td", {}, verdict(own))), h("td", {}, one.relativeError.toFixed(4))]);
  return [
    h("h3", { class: "lab-head" }, "The ladder"),
    h("figure", { class: "lab-chart chart-picture" }, chart(context, made, detectors, Math.max(300, Math.min(720, width))), legend(context, detectors),
      h("figcaption", {}, `${of}: formats by the error that they leave in the weights. Above the line at 0 the image is called fake; away from 0 the axis is compressed. One image a format: the next prompt may differ.`)),
    table("lab-ladder", "The ladder of this prompt: logit at each format", head, rows),
  ];
}

/** @param {Context} context @param {Made[]} made @param {string[]} detectors @param {number} wide */
function chart(context, made, detectors, wide) {
  const logits = made.flatMap(one => one.verdicts.map(own => own.logit));
  const [low, high] = ends(logits);
  const x = scale([0, Math.max(1, made.length - 1)], [EDGE.left + 14, wide - EDGE.right - 8]), straight = scale([bent(low), bent(high)], [HIGH - EDGE.bottom, EDGE.top]);
  /** @param {number} logit */
  const y = logit => straight(bent(logit));
  const rules = marks(low, high).map(at => s("g", {}, s("line", { class: at === 0 ? "limit" : "grid", x1: EDGE.left, x2: wide - EDGE.right, y1: y(at), y2: y(at) }),
    s("text", { x: EDGE.left - 6, y: y(at) + 4, "text-anchor": "end" }, printed(at))));
  const names = made.map((one, place) => s("text", { "text-anchor": "end", transform: `translate(${x(place) + 4} ${HIGH - EDGE.bottom + 14}) rotate(-50)` },
    precisionTitle(context, one.wish.precision)));
  const lines = detectors.map((key, place) => {
    const points = made.map((one, at) => [x(at), y(/** @type {number} */ (one.verdicts.find(own => own.detector === key)?.logit))]);
    const colour = context.page.colours[key];
    return s("g", { "data-key": key }, s("polyline", { points: points.map(point => point.join(",")).join(" "), fill: "none", stroke: colour, "stroke-width": 2, "stroke-dasharray": DASHES[place] }),
      points.map(([cx, cy]) => s("circle", { cx, cy, r: 3.5, fill: colour })));
  });
  const label = `Logit of each detector at ${made.length} formats, by the error of their weights: ${detectors.map(key => detectorTitle(context, key)).join(", ")}`;
  return s("svg", { class: "explorer-chart", viewBox: `0 0 ${wide} ${HIGH}`, role: "img", "aria-label": label }, rules, names, lines,
    s("text", { transform: `translate(11 ${(EDGE.top + HIGH - EDGE.bottom) / 2}) rotate(-90)`, "text-anchor": "middle" }, "real \u2190 logit \u2192 fake"));
}

/** @param {Context} context @param {string[]} detectors */
function legend(context, detectors) {
  return h("p", { class: "lab-legend" }, ...detectors.map((key, place) => h("span", {}, s("svg", { class: "explorer-sample", viewBox: "0 0 26 8", "aria-hidden": "true" },
    s("line", { x1: 0, x2: 26, y1: 4, y2: 4, stroke: context.page.colours[key], "stroke-width": 3, "stroke-dasharray": DASHES[place] })), ` ${detectorTitle(context, key)}`)));
}
