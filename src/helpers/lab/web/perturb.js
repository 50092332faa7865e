/** What platforms do to a picture after it is made, as far as a page can: compress it as JPEG, halve it. */

import { recompressed, SMALLEST } from "./decode.js";
import { even } from "./floats.js";
import { rgb } from "./preprocess.js";
import { resize } from "./resize.js";

/** @import { Picture } from "./types.js" */

/** @type {Record<string, (picture: Picture, amount: number) => Picture | Promise<Picture>>} */
const KINDS = { jpeg: recompressed, resize: resized };

/** @param {Picture} picture @param {string} name as the package names it: "jpeg:75", "resize:0.5"
 * @returns {Promise<Picture>}
 */
export async function perturb(picture, name) {
  const [kind, amount] = name.split(":");
  if (!Object.hasOwn(KINDS, kind)) throw new RangeError(`no perturbation ${name}`);
  return KINDS[kind](picture, Number(amount));
}

/** Both sides times a factor, as `helpers.images.perturbations` does it. @param {Picture} picture @param {number} factor */
export function resized(picture, factor) {
  const [width, height] = [picture.width, picture.height].map((side) => Math.max(SMALLEST, even(side * factor)));
  const small = resize(rgb(picture), picture.width, picture.height, width, height);
  const pixels = new Uint8ClampedArray(4 * width * height).fill(255);
  for (let from = 0, to = 0; from < small.length; to++) {
    pixels[to++] = small[from++];
    pixels[to++] = small[from++];
    pixels[to++] = small[from++];
  }
  return { pixels, width, height };
}
