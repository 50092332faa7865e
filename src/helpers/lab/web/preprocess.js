/** How a detector reads a picture: its size rule and its normalization, as `helpers.detectors.preprocessing` does it. */

import { even } from "./floats.js";
import { resize } from "./resize.js";

/** @import { Picture, Preprocess } from "./types.js" */

/**
 * @param {Picture} picture
 * @param {Preprocess} rule
 * @returns {{ data: Float32Array, width: number, height: number }} normalized, channel by channel
 */
export function preprocess(picture, rule) {
  const { pixels, width, height } = sized(rgb(picture), picture.width, picture.height, rule);
  const area = width * height;
  const data = new Float32Array(3 * area);
  for (let channel = 0; channel < 3; channel++) {
    const levels = normalized(Math.fround(rule.mean[channel]), Math.fround(rule.std[channel]));
    for (let i = 0, from = channel, to = channel * area; i < area; i++, from += 3) data[to + i] = levels[pixels[from]];
  }
  return { data, width, height };
}

/** The channels of a picture without alpha. @param {Picture} picture */
export function rgb({ pixels, width, height }) {
  const made = new Uint8Array(width * height * 3);
  for (let from = 0, to = 0; from < pixels.length; from += 4) {
    made[to++] = pixels[from];
    made[to++] = pixels[from + 1];
    made[to++] = pixels[from + 2];
  }
  return made;
}

/** What becomes of each of the 256 levels; every step rounded to single precision.
 * @param {number} mean @param {number} std
 */
function normalized(mean, std) {
  return Float32Array.from({ length: 256 }, (_, level) => Math.fround(Math.fround(level / 255) - mean) / std);
}

/** @param {Uint8Array} pixels RGB @param {number} width @param {number} height @param {Preprocess} rule */
function sized(pixels, width, height, { side, crop }) {
  if (side === null) return { pixels, width, height };
  if (!crop) return { pixels: resize(pixels, width, height, side, side), width: side, height: side };
  const short = Math.min(width, height);
  const wide = Math.trunc((side * width) / short);
  const high = Math.trunc((side * height) / short);
  const [left, top] = [even((wide - side) / 2), even((high - side) / 2)];
  const made = new Uint8Array(side * side * 3);
  const all = resize(pixels, width, height, wide, high);
  for (let y = 0; y < side; y++) {
    const from = ((top + y) * wide + left) * 3;
    made.set(all.subarray(from, from + side * 3), y * side * 3);
  }
  return { pixels: made, width: side, height: side };
}
