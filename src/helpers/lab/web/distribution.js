/* Several seeds of one prompt: where the logits lie, how many images are called fake, and the paired change. */

import { bent, ends, marks, printed } from "./axis.js";
import { between, h, s, scale, signed, table, wilson } from "./drawing.js";
import { BASELINE } from "./maker.js";
import { meanInterval } from "./statistics.js";
import { counted, detectorTitle, generatorTitle, precisionTitle } from "./words.js";

/** @typedef {import("./context.d.ts").Context} Context */
/** @typedef {import("./context.d.ts").Made} Made */
/** @typedef {[Made, Made]} Pair an image at the baseline and its twin */

const ROW = 22, EDGE = { left: 128, right: 12, top: 8, bottom: 40 };

/**
 * Chart and table of pairs, each an image at FP32 and its twin of the same seed.
 * @param {Context} context @param {Pair[]} pairs @param {number} width of the place, in pixels
 */
export function distribution(context, pairs, width) {
  const { generator, prompt, precision, seed } = pairs[0][1].wish, last = pairs[pairs.length - 1][1].wish.seed;
  const seeds = pairs.length > 1 ? `seeds ${seed} to ${last}` : `seed ${seed}`;
  const of = `${generatorTitle(context, generator)}, \u201c${prompt}\u201d, ${seeds}: ${things(pairs)}`;
  return [
    h("h3", { class: "lab-head" }, "Several seeds"),
    h("figure", { class: "lab-chart chart-picture" }, chart(context, pairs, Math.max(300, Math.min(720, width))),
      h("figcaption", {}, `${of}. Each dot is an image; right of the line at 0 it is called fake, and away from 0 the axis is compressed. These are seeds of one prompt: they say nothing of other prompts.`)),
    numbers(context, pairs, precision),
  ];
}

/** The images of a pair that differ in precision: one alone where the baseline itself was asked for. @param {Pair} pair */
function sidesOf([base, other]) {
  return base === other ? [0] : [0, 1];
}

/** @param {Made} made @param {string} detector */
function logitOf(made, detector) {
  return made.verdicts.find(one => one.detector === detector)?.logit ?? NaN;
}

/** @param {Context} context @param {Pair[]} pairs @param {string} precision */
function numbers(context, pairs, precision) {
  const sides = sidesOf(pairs[0]), titles = [BASELINE, precision].map(key => precisionTitle(context, key));
  const rows = pairs[0][0].verdicts.map(({ detector }) => {
    const fakes = sides.map(side => pairs.filter(pair => pair[side].verdicts.find(one => one.detector === detector)?.fake).length);
    const moved = meanInterval(pairs.map(([base, other]) => logitOf(other, detector) - logitOf(base, detector)));
    const cells = fakes.map(count => h("td", {}, `${count} of ${pairs.length}: ${between(wilson(count, pairs.length))}`));
    return [detectorTitle(context, detector), ...cells, ...sides.slice(1).map(() => h("td", {}, change(moved)))];
  });
  const changed = sides.length > 1;
  const caption = `${things(pairs)}: share called fake (Wilson)${changed ? " and mean change of logit (Student)" : ""}, with 95 % intervals`;
  const head = ["Detector", ...sides.map(side => `Called fake at ${titles[side]}`), ...(changed ? [`${titles[1]} less ${titles[0]}`] : [])];
  return table("lab-seeds", caption, head, rows);
}

/** How many there are, of what. @param {Pair[]} pairs */
function things(pairs) {
  return counted(pairs.length, sidesOf(pairs[0]).length > 1 ? "pair" : "image");
}

/** @param {import("./book.d.ts").Interval | null} found */
function change(found) {
  if (!found) return "\u2013";
  return Number.isNaN(found.low) ? `${signed(found.estimate)} (no interval from one)` : `${signed(found.estimate)} (${signed(found.low)} to ${signed(found.high)})`;
}

/** @param {Context} context @param {Pair[]} pairs @param {number} wide */
function chart(context, pairs, wide) {
  const detectors = pairs[0][0].verdicts.map(one => one.detector), sides = sidesOf(pairs[0]), step = sides.length * ROW + 8;
  const logits = pairs.flatMap(pair => pair.flatMap(made => made.verdicts.map(one => one.logit)));
  const [low, high] = ends(logits), bottom = EDGE.top + detectors.length * step;
  const straight = scale([bent(low), bent(high)], [EDGE.left, wide - EDGE.right]);
  /** @param {number} logit */
  const x = logit => straight(bent(logit));
  const rules = marks(low, high).map(at => s("g", {}, s("line", { class: at === 0 ? "limit" : "grid", x1: x(at), x2: x(at), y1: EDGE.top, y2: bottom }),
    s("text", { x: x(at), y: bottom + 15, "text-anchor": "middle" }, printed(at))));
  const strips = detectors.flatMap((detector, place) => sides.map(side => {
    const y = EDGE.top + place * step + side * ROW + ROW / 2;
    const title = precisionTitle(context, pairs[0][side].wish.precision);
    return s("g", { "data-key": detector }, s("text", { x: EDGE.left - 8, y: y + 4, "text-anchor": "end" }, side ? title : `${detectorTitle(context, detector)}, ${title}`),
      pairs.map(pair => s("circle", { cx: x(logitOf(pair[side], detector)), cy: y, r: 4, "fill-opacity": side ? 1 : 0.55, fill: context.page.colours[detector] })));
  }));
  const strip = sides.map(side => `${["upper", "lower"][side]} strips ${precisionTitle(context, pairs[0][side].wish.precision)}`).join(", ");
  const label = `Logits of ${things(pairs)} by ${detectors.map(key => detectorTitle(context, key)).join(", ")}: ${strip}`;
  return s("svg", { class: "explorer-chart", viewBox: `0 0 ${wide} ${bottom + EDGE.bottom}`, role: "img", "aria-label": label }, rules, strips,
    s("text", { x: (EDGE.left + wide - EDGE.right) / 2, y: bottom + 33, "text-anchor": "middle" }, "real \u2190 logit \u2192 fake"));
}
