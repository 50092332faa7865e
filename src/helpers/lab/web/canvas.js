/* Pictures on canvases: as they are, and the difference of two, amplified. */

import { h } from "./drawing.js";

/** @typedef {import("./context.d.ts").Picture} Picture */

/** A canvas with a picture. @param {Picture} picture @param {string} label what it is, for who does not see it */
export function drawn({ pixels, width, height }, label) {
  const canvas = h("canvas", { class: "lab-picture", width, height, role: "img", "aria-label": label });
  const data = new ImageData(new Uint8ClampedArray(pixels), width, height);
  /** @type {CanvasRenderingContext2D} */ (canvas.getContext("2d")).putImageData(data, 0, 0);
  return canvas;
}

/**
 * The absolute difference of two pictures of one size, channel by channel, times `gain`.
 * @param {Picture} one @param {Picture} other @param {number} gain
 * @returns {Picture}
 */
export function difference(one, other, gain) {
  const pixels = new Uint8ClampedArray(one.pixels.length);
  for (let at = 0; at < pixels.length; at += 1)
    pixels[at] = at % 4 === 3 ? 255 : gain * Math.abs(one.pixels[at] - other.pixels[at]);
  return { pixels, width: one.width, height: one.height };
}

/** The largest and the mean difference of two pictures, in grey levels. @param {Picture} one @param {Picture} other */
export function apart(one, other) {
  let most = 0, sum = 0;
  for (let at = 0; at < one.pixels.length; at += 1) {
    const by = Math.abs(one.pixels[at] - other.pixels[at]);
    most = Math.max(most, by);
    sum += by;
  }
  return { most, mean: sum / (one.pixels.length * 3 / 4) };
}
