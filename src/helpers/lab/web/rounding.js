/** Weights rounded to a precision, to the same bits as `helpers.precision`'s arm "rounding" gives them. */

import { SIXTEEN_BITS, nearest } from "./floats.js";
import { mxfp4, nvfp4, q4_0, q8_0 } from "./rounding_blocks.js";
import { affine, channel, codes, symmetric } from "./rounding_groups.js";
import { q4_k } from "./rounding_q4_k.js";

/** @import { Rule, Tensor } from "./types.js" */

/** @type {{ [K in Rule["kind"]]: (weights: Float32Array, rule: Extract<Rule, { kind: K }>, row: number) => void }} */
const ROUNDED = {
  none: () => {},
  cast: (weights, { type }) => {
    for (let i = 0; i < weights.length; i++) weights[i] = nearest(weights[i], SIXTEEN_BITS[type]);
  },
  channel,
  codes,
  symmetric,
  affine,
  mxfp4,
  nvfp4,
  q8_0,
  q4_0,
  q4_k,
};

/** Round a weight in place.
 * @param {Float32Array} weights in torch's layout, output channels first
 * @param {Rule} rule
 * @param {number} row how many weights an output channel has
 */
export function round(weights, rule, row) {
  /** @type {(weights: Float32Array, rule: any, row: number) => void} */ (ROUNDED[rule.kind])(weights, rule, row);
}

/** Whether a format takes a tensor: casts take every parameter of the denoiser and T5, the others their Linear weights.
 * @param {Rule} rule
 * @param {Tensor} tensor
 */
export function takes(rule, tensor) {
  return rule.kind === "cast" ? tensor.rounds !== undefined : rule.kind !== "none" && tensor.rounds === "layers";
}
