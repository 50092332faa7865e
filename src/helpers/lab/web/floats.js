/** Numbers rounded to whole numbers and to floating-point formats of few bits, ties to even. */

/** @import { FloatFormat } from "./types.js" */

// Adding and taking it away leaves a double no bits below 1: what is left is rounded, ties to even.
const INTEGERS = 2 ** 52;

/** IEEE binary16 and bfloat16, as torch.finfo gives them. @type {Record<"float16" | "bfloat16", FloatFormat>} */
export const SIXTEEN_BITS = {
  float16: { eps: 2 ** -10, tiny: 2 ** -14, largest: 65504 },
  bfloat16: { eps: 2 ** -7, tiny: 2 ** -126, largest: (2 - 2 ** -7) * 2 ** 127 },
};

/** The nearest whole number, ties to even; zero keeps the sign.
 * @param {number} x magnitude below 2 ** 52
 */
export function even(x) {
  const rounded = Math.abs(x) + INTEGERS - INTEGERS;
  return x < 0 || Object.is(x, -0) ? -rounded : rounded;
}

/** The nearest number of a format, ties to even; zero keeps the sign. No end is kept to: the format's largest is for
 * the caller.
 * @param {number} x
 * @param {Omit<FloatFormat, "largest">} format
 */
export function nearest(x, { eps, tiny }) {
  const step = eps * Math.max(tiny, powerBelow(x));
  return even(x / step) * step;
}

const single = new Float32Array(1);
const bits = new Uint32Array(single.buffer);

/** The largest power of two that is not above a magnitude; 0 for those below single precision's normal range.
 * @param {number} x in single precision
 */
export function powerBelow(x) {
  single[0] = x;
  bits[0] &= 0x7f800000;
  return single[0];
}
