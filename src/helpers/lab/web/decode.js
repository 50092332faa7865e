/**
 * A picture file to the pixels that the package would decode, in the page: a canvas decodes JPEG, PNG and WebP as Pillow
 * does, where WebCodecs does not. What cannot come out the same is refused, with the reason.
 */

/** @import { Picture } from "./types.js" */

/** The least side in pixels, as the package has it. */
export const SMALLEST = 8;
/** The largest side that is taken, that of a tile in the package; of more the middle is, or a phone works for minutes. */
export const LARGEST = 512;

/** The tag of EXIF data that says how a picture was held; 1 is upright. */
const ORIENTATION = 0x0112;

/** A picture that cannot be judged; the message says why. */
export class Refused extends Error {
  name = "Refused";
}

/** How files of a format begin, and where their numbers are wider than 8 bits or no RGB.
 * @type {{ format: string, begins: RegExp, unfit?: (bytes: Uint8Array) => string }[]}
 */
const FORMATS = [
  { format: "JPEG", begins: /^\xff\xd8\xff/, unfit: unfitJpeg },
  { format: "PNG", begins: /^\x89PNG\r\n/, unfit: unfitPng },
  { format: "WebP", begins: /^RIFF[^]{4}WEBP/, unfit: unfitWebp },
];

/** @param {Blob} file @returns {Promise<Picture>} */
export async function decode(file) {
  checkFormat(new Uint8Array(await file.arrayBuffer()));
  const bitmap = await createImageBitmap(file, { colorSpaceConversion: "none", premultiplyAlpha: "none" }).catch(() => {
    throw new Refused("it is broken: the browser cannot decode it");
  });
  try {
    return middle(bitmap);
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

/** @param {Uint8Array} bytes */
function checkFormat(bytes) {
  const head = String.fromCharCode(...bytes.subarray(0, 16));
  const row = FORMATS.find(({ begins }) => begins.test(head));
  if (!row) throw new Refused(`it is none of ${FORMATS.map(({ format }) => format).join(", ")}`);
  const reason = row.unfit?.(bytes);
  if (reason) throw new Refused(reason);
}

/** @param {ImageBitmap} bitmap @returns {Picture} */
function middle(bitmap) {
  const whole = { width: bitmap.width, height: bitmap.height };
  if (Math.min(whole.width, whole.height) < SMALLEST) {
    throw new Refused(`${whole.width} x ${whole.height} pixels: each side needs ${SMALLEST}`);
  }
  const width = Math.min(whole.width, LARGEST);
  const height = Math.min(whole.height, LARGEST);
  const { context } = surface(width, height);
  checkHonest(context);
  // Whole pixels, so that nothing is resampled.
  context.drawImage(bitmap, -Math.trunc((whole.width - width) / 2), -Math.trunc((whole.height - height) / 2));
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

/** @param {Uint8Array} bytes */
function unfitPng(bytes) {
  return bytes[24] === 16 ? "it has 16 bits a colour, of which a browser keeps 8" : "";
}

/** Pillow turns a WebP by its EXIF data, and browsers do not. @param {Uint8Array} bytes */
function unfitWebp(bytes) {
  const view = new DataView(bytes.buffer);
  for (let at = 12; at + 8 <= bytes.length; ) {
    const size = view.getUint32(at + 4, true);
    const kind = String.fromCharCode(...bytes.subarray(at, at + 4));
    if (kind === "EXIF" && turned(bytes.subarray(at + 8, at + 8 + size))) {
      return "its EXIF data turn it, which browsers leave out of a WebP";
    }
    at += 8 + size + (size % 2);
  }
  return "";
}

/** Whether EXIF data say that a picture lies on its side or in a mirror; a mark of JPEG may stand before them.
 * @param {Uint8Array} exif
 */
function turned(exif) {
  const bytes = String.fromCharCode(...exif.subarray(0, 4)) === "Exif" ? exif.subarray(6) : exif;
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  if (bytes.length < 10) return false;
  const little = bytes[0] === 0x49;
  const first = view.getUint32(4, little);
  const entries = first + 2 <= bytes.length ? view.getUint16(first, little) : 0;
  for (let at = first + 2; at < first + 2 + 12 * entries && at + 12 <= bytes.length; at += 12) {
    if (view.getUint16(at, little) === ORIENTATION) return view.getUint16(at + 8, little) > 1;
  }
  return false;
}

/** @param {Uint8Array} bytes */
function unfitJpeg(bytes) {
  const view = new DataView(bytes.buffer);
  for (let at = 2; at + 9 < bytes.length && bytes[at] === 0xff; at += 2 + view.getUint16(at + 2)) {
    const marker = bytes[at + 1];
    const frame = marker >= 0xc0 && marker <= 0xcf && ![0xc4, 0xc8, 0xcc].includes(marker);
    if (frame) return bytes[at + 9] === 4 ? "it is for print (CMYK), which browsers turn to RGB otherwise" : "";
  }
  return "";
}
