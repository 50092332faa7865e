/* One image beside its twin: the pictures, what the detectors say, what the archive says, and what each precision costs. */

import { difference, drawn, apart } from "./canvas.js";
import { archivedImage } from "./controls.js";
import { between, field, fill, h, signed, table } from "./drawing.js";
import { BASELINE } from "./maker.js";
import { GAINS } from "./state.js";
import { counted, detectorTitle, generatorTitle, megabytes, precisionTitle, seconds, verdict } from "./words.js";

/** @typedef {import("./context.d.ts").Context} Context */
/** @typedef {import("./context.d.ts").Made} Made */

/**
 * All that is shown of an image and its twin (the same image where the baseline was asked for).
 * @param {Context} context @param {Made} base @param {Made} other @param {number} gain @param {(gain: number) => void} amplified
 */
export function result(context, base, other, gain, amplified) {
  const { precision, seed, prompt, generator } = other.wish;
  const head = `${generatorTitle(context, generator)}, \u201c${prompt}\u201d, seed ${seed}`;
  return [
    h("h3", { class: "lab-head" }, `${precisionTitle(context, precision)}${precision === BASELINE ? "" : ` beside ${precisionTitle(context, BASELINE)}`}`),
    h("p", { class: "explorer-note" }, head),
    pictures(context, base, other, gain, amplified),
    verdicts(context, base, other),
    archived(context, base, other),
    costs(context, generator),
    h("p", { class: "explorer-note" }, "Each time is that of one image, and the first of a visit takes longer. \u201cMeasure this device\u201d below compares precisions in turns."),
  ];
}

/** @param {Context} context @param {Made} base @param {Made} other @param {number} gain @param {(gain: number) => void} amplified */
function pictures(context, base, other, gain, amplified) {
  const titles = [base, other].map(made => precisionTitle(context, made.wish.precision));
  /** @param {Made} made @param {string} title */
  const card = (made, title) => h("figure", {}, drawn(made.picture, `${title}: ${made.wish.prompt}`), h("figcaption", {}, h("strong", {}, title)));
  if (base === other) return h("div", { class: "lab-pictures" }, card(base, titles[0]));
  const by = apart(base.picture, other.picture);
  const place = h("div", {}), menu = h("select", { id: "lab-gain", onchange: () => show(Number(menu.value)) });
  fill(menu, GAINS.map(times => [times, `\u00d7 ${times}`]), gain);
  /** @param {number} times */
  const show = times => {
    place.replaceChildren(drawn(difference(base.picture, other.picture, times), `Difference of ${titles[1]} from ${titles[0]}, times ${times}`));
    amplified(times);
  };
  show(gain);
  const said = `${titles[1]} less ${titles[0]}: at most ${counted(by.most, "grey level")}, ${by.mean.toFixed(2)} in the mean`;
  return h("div", { class: "lab-pictures" }, card(base, titles[0]), card(other, titles[1]),
    h("figure", {}, place, h("figcaption", {}, said, field("Amplified", menu))));
}

/** @param {Context} context @param {Made} base @param {Made} other */
function verdicts(context, base, other) {
  const both = base === other ? [base] : [base, other], image = archivedImage(context, other.wish);
  const head = ["Detector", ...both.flatMap(made => {
    const title = precisionTitle(context, made.wish.precision);
    return image < 0 ? [title] : [title, `${title}, archive`];
  })];
  const rows = base.verdicts.map(({ detector }) => [detectorTitle(context, detector), ...both.flatMap(made => {
    const own = made.verdicts.find(one => one.detector === detector);
    const cell = h("td", { "data-detector": detector, "data-precision": made.wish.precision }, own ? verdict(own) : "\u2013");
    return image < 0 ? [cell] : [cell, h("td", {}, archivedLogit(context, made, detector, image))];
  })]);
  const note = image < 0 ? "" : `; the archive has this very image, number ${image}`;
  return table("lab-verdicts", `What the detectors say on this device (logit; above 0 it is called fake)${note}`, head, rows);
}

/** @param {Context} context @param {Made} made @param {string} detector @param {number} image */
function archivedLogit({ archive }, made, detector, image) {
  const cell = "cells" in archive ? archive.cells[made.wish.generator]?.[made.wish.precision]?.[detector] : undefined;
  const logit = cell?.logits?.[image];
  return logit === undefined || logit === null ? "\u2013" : signed(logit);
}

/** What the archive says of the cells. @param {Context} context @param {Made} base @param {Made} other */
function archived(context, base, other) {
  const { archive } = context;
  if (!("cells" in archive)) return h("p", { class: "explorer-note" }, `No archive beside it: ${archive.missing}.`);
  const both = base === other ? [base] : [base, other], { generator } = other.wish;
  const rows = base.verdicts.map(({ detector }) => [detectorTitle(context, detector), ...both.flatMap(made => {
    const cell = archive.cells[generator]?.[made.wish.precision]?.[detector];
    if (!cell || cell.share === undefined) return [h("td", {}, "\u2013"), h("td", {}, "\u2013")];
    const { share, low, high } = /** @type {Required<import("./book.d.ts").ArchivedCell>} */ (cell);
    return [h("td", {}, between({ estimate: share, low, high })), h("td", {}, cell.n)];
  })]);
  const head = ["Detector", ...both.flatMap(made => [precisionTitle(context, made.wish.precision), "images"])];
  return table("lab-archive", `What the archive says of ${generatorTitle(context, generator)}: share of images called fake, with 95 % intervals`, head, rows);
}

/** What each precision that was made of a generator takes. @param {Context} context @param {string} generator */
export function costs(context, generator) {
  const made = context.maker.costs(generator);
  const rows = context.lab.manifest.precisions.filter(({ key }) => made.has(key)).map(({ key, title }) => {
    const { seconds: took, bytes, relativeError } = /** @type {Made} */ (made.get(key));
    return [title, ...[seconds(took.make), seconds(took.round), megabytes(bytes), relativeError.toFixed(4)].map(text => h("td", {}, text))];
  });
  const caption = `What a precision of ${generatorTitle(context, generator)} takes on this device; weights: all of its networks, with denoiser and T5 in the format`;
  return table("lab-costs", caption, ["Precision", "An image", "Rounding, once", "Weights", "Relative weight error"], rows);
}
