/**
 * Rounding in blocks with scales of their own: MXFP4, NVFP4, and GGUF's Q8_0 and Q4_0 (`helpers.precision.blocks`).
 *
 * Every step is rounded to single precision, as torch does it: by `Math.fround`, or by being stored.
 */

import { SIXTEEN_BITS, nearest, powerBelow } from "./floats.js";
import { magnitude } from "./rounding_groups.js";

/** @import { FloatFormat, Mxfp4, Nvfp4, Q4_0, Q8_0 } from "./types.js" */

const { fround } = Math;

/** Rounded to binary16. @param {number} x */
export function half(x) {
  return nearest(x, SIXTEEN_BITS.float16);
}

/** numerator / scale as torch computes it, by the reciprocal; 0 where that is no number.
 * @param {number} scale @param {number} [numerator]
 */
export function inverse(scale, numerator = 1) {
  const found = fround(fround(1 / scale) * numerator);
  return Number.isFinite(found) ? found : 0;
}

/** The scale is the power of two that puts the block's largest magnitude into the range of the largest code.
 * @param {Float32Array} weights @param {Mxfp4} rule
 */
export function mxfp4(weights, { block, number }) {
  const top = powerBelow(number.largest);
  inBlocks(weights, block, (numbers) => {
    // A block of zeros keeps its zeros at any scale.
    scaled(numbers, (powerBelow(magnitude(numbers)) || 1) / top, number);
  });
}

/** A block's scale is rounded to E4M3, beside one of the whole weight; a block too small for one becomes zeros.
 * @param {Float32Array} weights @param {Nvfp4} rule
 */
export function nvfp4(weights, { block, number, scale }) {
  const whole = fround(magnitude(weights) / (number.largest * scale.largest));
  const unit = inverse(whole);
  inBlocks(weights, block, (numbers) => {
    const share = fround(fround(magnitude(numbers) / number.largest) * unit);
    scaled(numbers, fround(nearest(Math.min(share, scale.largest), scale) * whole), number);
  });
}

/** Integers by the scale before its rounding to binary16, halves away from zero.
 * @param {Float32Array} weights @param {Q8_0} rule
 */
export function q8_0(weights, { block, levels }) {
  inBlocks(weights, block, (numbers) => {
    const scale = fround(magnitude(numbers) / levels);
    const [unit, kept] = [inverse(scale), half(scale)];
    for (let i = 0; i < numbers.length; i++) {
      const code = fround(numbers[i] * unit);
      const size = Math.min(Math.floor(fround(Math.abs(code) + 0.5)), levels);
      numbers[i] = size * (code > 0 ? 1 : code < 0 ? -1 : 0) * kept;
    }
  });
}

/** The first number of largest magnitude is -levels times the scale, whatever its sign.
 * @param {Float32Array} weights @param {Q4_0} rule
 */
export function q4_0(weights, { block, levels }) {
  inBlocks(weights, block, (numbers) => {
    const most = magnitude(numbers);
    const scale = fround((numbers.find((x) => Math.abs(x) === most) ?? 0) / -levels);
    const [unit, kept] = [inverse(scale), half(scale)];
    for (let i = 0; i < numbers.length; i++) {
      const code = Math.floor(fround(fround(numbers[i] * unit) + (levels + 0.5)));
      numbers[i] = ((code < 0 ? 0 : Math.min(code, 2 * levels - 1)) - levels) * kept;
    }
  });
}

/** Blocks of a weight, the last one filled up with zeros.
 * @param {Float32Array} weights @param {number} size @param {(numbers: Float32Array) => void} round a block in place
 */
export function inBlocks(weights, size, round) {
  const whole = weights.length - (weights.length % size);
  for (let at = 0; at < whole; at += size) round(weights.subarray(at, at + size));
  if (whole < weights.length) {
    const last = new Float32Array(size);
    last.set(weights.subarray(whole));
    round(last);
    weights.set(last.subarray(0, weights.length - whole), whole);
  }
}

/** A block as the nearest codes times a scale; a scale of 0 makes zeros.
 * @param {Float32Array} numbers @param {number} scale @param {FloatFormat} format of the codes
 */
function scaled(numbers, scale, format) {
  const divisor = scale > 0 ? scale : Infinity;
  for (let i = 0; i < numbers.length; i++) {
    const code = nearest(fround(numbers[i] / divisor), format);
    numbers[i] = Math.max(-format.largest, Math.min(format.largest, code)) * scale;
  }
}
