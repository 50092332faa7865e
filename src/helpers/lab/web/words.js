/* Numbers and names as the lab prints them. */

import { signed } from "./drawing.js";

/** @typedef {import("./context.d.ts").Context} Context */

/** Bytes in MB (10^6), or in kB where they would be 0.00 MB. @param {number} bytes */
export function megabytes(bytes) {
  if (bytes < 1e4) return `${(bytes / 1e3).toFixed(1)} kB`;
  return `${(bytes / 1e6).toFixed(bytes < 1e6 ? 2 : 1)} MB`;
}

/** Seconds, to two digits that count. @param {number} seconds */
export function seconds(seconds) {
  return `${seconds.toFixed(seconds < 1 ? 2 : 1)} s`;
}

/** What a detector says. @param {{logit: number, fake: boolean}} verdict */
export function verdict({ logit, fake }) {
  return `${signed(logit)} ${fake ? "fake" : "real"}`;
}

/** @param {Context} context @param {string} key */
export function precisionTitle({ lab }, key) {
  return lab.manifest.precisions.find(precision => precision.key === key)?.title ?? key;
}

/** @param {Context} context @param {string} key */
export function generatorTitle({ lab }, key) {
  return lab.manifest.generators[key].title;
}

/** @param {Context} context @param {string} key */
export function detectorTitle({ lab }, key) {
  return lab.manifest.detectors[key].title;
}

/** @param {number} count @param {string} noun */
export function counted(count, noun) {
  return `${count} ${noun}${count === 1 ? "" : "s"}`;
}
