/** Rounding of weights that share a scale: an output channel, or a group of 64 (`helpers.precision.formats`). */

import { even, nearest } from "./floats.js";

/** @import { Affine, Channel, Codes, Symmetric } from "./types.js" */

/** The least scale, single precision's smallest normal number: that of a group of zeros. */
const LEAST = 2 ** -126;

/** Each output channel divided by its largest magnitude over the largest code, rounded and scaled back.
 * @param {Float32Array} weights @param {Channel} rule @param {number} row
 */
export function channel(weights, { largest, number }, row) {
  const code = number === null ? even : (/** @type {number} */ x) => nearest(x, number);
  inGroups(weights, row, (group) => {
    const scale = scaleOf(magnitude(group), largest);
    for (let i = 0; i < group.length; i++) group[i] = code(clamp(Math.fround(group[i] / scale), largest)) * scale;
  });
}

/** Integers -levels to levels times a scale. @param {Float32Array} weights @param {Symmetric} rule */
export function symmetric(weights, { block, levels }) {
  inGroups(weights, block, (group) => {
    const scale = scaleOf(magnitude(group), levels);
    for (let i = 0; i < group.length; i++) group[i] = clamp(even(Math.fround(group[i] / scale)), levels) * scale;
  });
}

/** Integers 0 to steps less a zero point, times a scale; the range is widened to hold zero.
 * @param {Float32Array} weights @param {Affine} rule
 */
export function affine(weights, { block, steps }) {
  inGroups(weights, block, (group) => {
    const [low, high] = range(group);
    const scale = scaleOf(Math.fround(high - low), steps);
    const zero = even(Math.fround(-low / scale));
    for (let i = 0; i < group.length; i++) {
      const code = even(Math.fround(Math.fround(group[i] / scale) + zero));
      group[i] = ((code < 0 ? 0 : code > steps ? steps : code) - zero) * scale;
    }
  });
}

/** The nearest of a book of codes, -1 to 1, times the group's largest magnitude; the lower one halfway.
 * @param {Float32Array} weights @param {Codes} rule
 */
export function codes(weights, { block, codes: listed }) {
  const book = Float32Array.from(listed);
  const middles = Float32Array.from(book.subarray(1), (code, place) => Math.fround(code + book[place]) / 2);
  inGroups(weights, block, (group) => {
    const scale = scaleOf(magnitude(group), 1);
    for (let i = 0; i < group.length; i++) group[i] = book[below(middles, Math.fround(group[i] / scale))] * scale;
  });
}

/** How many numbers of a sorted list lie below x. @param {Float32Array} sorted @param {number} x */
function below(sorted, x) {
  let [low, high] = [0, sorted.length];
  while (low < high) {
    const middle = (low + high) >> 1;
    if (sorted[middle] < x) low = middle + 1;
    else high = middle;
  }
  return low;
}

/** @param {Float32Array} weights @param {number} size the last group may be shorter
 * @param {(group: Float32Array) => void} round
 */
function inGroups(weights, size, round) {
  for (let at = 0; at < weights.length; at += size) round(weights.subarray(at, at + size));
}

/** The scale of a group. Numbers so large or small that the package takes a neighbour of it are none that 16 bits hold.
 * @param {number} magnitude @param {number} largest code
 */
function scaleOf(magnitude, largest) {
  return Math.max(Math.fround(magnitude / largest), LEAST);
}

/** The largest magnitude. @param {Float32Array} group */
export function magnitude(group) {
  let most = 0;
  for (let i = 0; i < group.length; i++) most = Math.max(most, Math.abs(group[i]));
  return most;
}

/** The least number, at most 0, and the largest, at least 0. @param {Float32Array} group */
function range(group) {
  let [low, high] = [0, 0];
  for (let i = 0; i < group.length; i++) {
    low = Math.min(low, group[i]);
    high = Math.max(high, group[i]);
  }
  return [low, high];
}

/** @param {number} x @param {number} largest */
function clamp(x, largest) {
  return x < -largest ? -largest : x > largest ? largest : x;
}
