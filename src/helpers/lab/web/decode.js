/**
 * A picture file to the pixels that the package would decode, in the page: a canvas decodes JPEG, PNG and WebP as Pillow
 * does, where WebCodecs does not. What cannot come out the same is refused, with the reason.
 */

import { BROKEN, crc32, plain, Refused } from "./container.js";
import { KNOWN } from "./known_pictures.js";

/** @import { Picture } from "./types.js" */

/** The least side in pixels, as the package has it. */
export const SMALLEST = 8;
/** The largest side that is taken, that of a tile in the package; of more the middle is, or a phone works for minutes. */
export const LARGEST = 512;

/** How a canvas is turned (a, b, c, d of its matrix) by EXIF's number, of which the first is upright. */
const TURNS = [
  [1, 0, 0, 1], [-1, 0, 0, 1], [-1, 0, 0, -1], [1, 0, 0, -1],
  [0, 1, 1, 0], [0, 1, -1, 0], [0, -1, -1, 0], [0, -1, 1, 0],
];

/** Whether this browser decodes a format as Pillow does, by format, each tried once. @type {Map<string, Promise<boolean>>} */
const tried = new Map();

/** @param {Blob} file @returns {Promise<Picture>} */
export async function decode(file) {
  const { blob, turn, format } = plain(new Uint8Array(await file.arrayBuffer()));
  if (!await decodesAsPillow(format)) {
    throw new Refused(`this browser decodes a ${format} to other pixels than the package does, and detectors would judge that`);
  }
  return pixels(blob, turn);
}

/** @param {string} format */
function decodesAsPillow(format) {
  const known = KNOWN[format];
  if (!known) return Promise.resolve(true);
  const found = tried.get(format) ?? pixels(known.file(), 1).then((picture) => crc32(picture.pixels) === known.crc);
  tried.set(format, found);
  return found;
}

/** @param {Blob} blob @param {number} turn EXIF's number */
async function pixels(blob, turn) {
  const bitmap = await createImageBitmap(blob, { colorSpaceConversion: "none", premultiplyAlpha: "none" }).catch(() => {
    throw new Refused(BROKEN);
  });
  try {
    return middle(bitmap, turn);
  } finally {
    bitmap.close();
  }
}

/** A picture as JPEG by the browser's own encoder and back; quality 1 to 100.
 * @param {Picture} picture @param {number} quality @returns {Promise<Picture>}
 */
export async function recompressed(picture, quality) {
  const { canvas, context } = surface(picture.width, picture.height);
  context.putImageData(new ImageData(picture.pixels, picture.width, picture.height), 0, 0);
  const file = await new Promise((/** @type {BlobCallback} */ resolve) => canvas.toBlob(resolve, "image/jpeg", quality / 100));
  if (!file) throw new Error("the browser cannot write a JPEG");
  return decode(file);
}

/** @param {ImageBitmap} bitmap @param {number} turn @returns {Picture} */
function middle(bitmap, turn) {
  const [a, b, c, d] = TURNS[turn - 1];
  const whole = a ? { width: bitmap.width, height: bitmap.height } : { width: bitmap.height, height: bitmap.width };
  if (Math.min(whole.width, whole.height) < SMALLEST) {
    throw new Refused(`${whole.width} x ${whole.height} pixels: each side needs ${SMALLEST}`);
  }
  const width = Math.min(whole.width, LARGEST);
  const height = Math.min(whole.height, LARGEST);
  const { context } = surface(width, height);
  checkHonest(context);
  // Whole pixels, so that nothing is resampled.
  context.imageSmoothingEnabled = false;
  context.translate(-Math.trunc((whole.width - width) / 2), -Math.trunc((whole.height - height) / 2));
  context.transform(a, b, c, d, a + c < 0 ? whole.width : 0, b + d < 0 ? whole.height : 0);
  context.drawImage(bitmap, 0, 0);
  const pixels = new Uint8ClampedArray(context.getImageData(0, 0, width, height).data);
  checkOpaque(pixels);
  const picture = { pixels, width, height };
  return width < whole.width || height < whole.height ? { ...picture, cut: whole } : picture;
}

/** Refuse where the browser changes what a canvas gives back, as some do against fingerprinting.
 * @param {CanvasRenderingContext2D} context
 */
function checkHonest(context) {
  const side = SMALLEST;
  const known = Uint8ClampedArray.from({ length: 4 * side * side }, (_, i) => (i % 4 === 3 ? 255 : (i * 37) % 256));
  context.putImageData(new ImageData(known, side, side), 0, 0);
  const found = context.getImageData(0, 0, side, side).data;
  if (known.some((level, i) => level !== found[i])) {
    throw new Refused("this browser changes pixels that a page reads, to protect its reader: detectors would judge that");
  }
}

/** @param {Uint8ClampedArray} pixels RGBA */
function checkOpaque(pixels) {
  for (let i = 3; i < pixels.length; i += 4) {
    if (pixels[i] !== 255) throw new Refused("parts of it are transparent, and a browser does not keep their colours");
  }
}

/** @param {number} width @param {number} height */
function surface(width, height) {
  const canvas = Object.assign(document.createElement("canvas"), { width, height });
  const context = canvas.getContext("2d", { willReadFrequently: true });
  if (!context) throw new Error("the browser gives no canvas");
  return { canvas, context };
}
