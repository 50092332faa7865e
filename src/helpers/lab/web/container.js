/**
 * A picture file before the browser decodes it. Browsers judge files unlike each other: some take one that is cut off and
 * show grey for the rest, some apply colour profiles though a page asks for none, some do not turn a PNG by its EXIF data.
 * So a file has to be whole, the browser gets only what holds pixels, and the page turns them itself.
 */

/** A picture that cannot be judged; the message says why. */
export class Refused extends Error {
  name = "Refused";
}

/** @typedef {Uint8Array<ArrayBuffer>} Bytes */
/** What holds the pixels of a file, how they are turned (EXIF's number; 1 is upright), and the format's name.
 * @typedef {{ blob: Blob, turn: number, format: string }} Plain
 */

export const BROKEN = "it is broken: a part is missing or damaged, or the browser cannot decode it";

/** The tag of EXIF data that says how a picture was held, and what says it in XMP, which counts where EXIF is silent. */
const ORIENTATION = 0x0112, XMP_ORIENTATION = /tiff:Orientation(?:="|>)([0-9])/;
const UPRIGHT = 1, TURNS = 8;
/** The chunks of a PNG without which its pixels are others. */
const PNG_PIXELS = ["IHDR", "PLTE", "tRNS", "IDAT", "IEND"];
/** What the texts of a PNG are called that hold XMP and, as ImageMagick writes them, EXIF data. */
const XMP_KEY = "XML:com.adobe.xmp\0", EXIF_KEY = "Raw profile type exif\0";
const EXIF_AS_TEXT = "its EXIF data are kept as a text, which may turn it and is not read here: save it without them";
/** What a WebP has beside pixels, and the bits of its header that announce them. */
const WEBP_OTHER = ["ICCP", "EXIF", "XMP "], WEBP_BITS = 0x20 | 0x08 | 0x04;

/** How files of a format begin, and what of them a browser gets.
 * @type {{ format: string, begins: RegExp, read: (bytes: Bytes) => { pieces: Bytes[], exif?: number, xmp?: number } }[]}
 */
const FORMATS = [
  { format: "JPEG", begins: /^\xff\xd8\xff/, read: readJpeg },
  { format: "PNG", begins: /^\x89PNG\r\n/, read: readPng },
  { format: "WebP", begins: /^RIFF[^]{4}WEBP/, read: readWebp },
];

/** The part of a file that holds pixels; throws Refused with the reason. @param {Bytes} bytes of the whole file
 * @returns {Plain}
 */
export function plain(bytes) {
  const head = text(bytes, 0, 16);
  const row = FORMATS.find(({ begins }) => begins.test(head));
  if (!row) throw new Refused(`it is none of ${FORMATS.map(({ format }) => format).join(", ")}`);
  const { pieces, exif, xmp } = row.read(bytes), said = exif ?? xmp ?? UPRIGHT;
  const turn = said >= UPRIGHT && said <= TURNS ? said : UPRIGHT;
  return { blob: new Blob([joined(pieces)], { type: `image/${row.format.toLowerCase()}` }), turn, format: row.format };
}

/** One array, for Firefox tells a format by a blob's first piece. @param {Bytes[]} pieces */
function joined(pieces) {
  const whole = new Uint8Array(pieces.reduce((sum, piece) => sum + piece.length, 0));
  let at = 0;
  for (const piece of pieces) {
    whole.set(piece, at);
    at += piece.length;
  }
  return whole;
}

/** @param {Bytes} bytes */
function readJpeg(bytes) {
  const pieces = [bytes.subarray(0, 2)];
  let exif, xmp;
  for (const { kind, from, at, end } of segments(bytes)) {
    const begins = text(bytes, at + 4, 12);
    if (forPrint(kind, bytes[at + 9])) throw new Refused("it is for print (CMYK), which browsers turn to RGB otherwise");
    // What lies before a marker belongs to the scan.
    pieces.push(bytes.subarray(from, at));
    if (kind === 0xe1 && begins.startsWith("Exif\0\0")) exif ??= orientation(bytes.subarray(at + 10, end));
    else if (kind === 0xe1 && begins === "http://ns.ad") xmp ??= inXmp(bytes.subarray(at + 4, end));
    else if (kind !== 0xe2 || begins !== "ICC_PROFILE\0") pieces.push(bytes.subarray(at, end));
  }
  return { pieces, exif, xmp };
}

/** The segments of a JPEG to its end: `at` is the marker's place, and `from` that of what lies before it.
 * @param {Bytes} bytes
 */
function* segments(bytes) {
  const view = new DataView(bytes.buffer);
  for (let from = 2, kind = 0; kind !== 0xd9; ) {
    const at = marker(bytes, from);
    kind = bytes[at + 1];
    const length = kind === 0xd9 ? 0 : at + 4 <= bytes.length ? view.getUint16(at + 2) : Infinity;
    const end = at + 2 + length;
    if (end > bytes.length) throw new Refused(BROKEN);
    yield { kind, from, at, end };
    from = end;
  }
}

/** Where the next marker of a JPEG is that begins a segment or ends the file. @param {Bytes} bytes @param {number} from */
function marker(bytes, from) {
  for (let at = bytes.indexOf(0xff, from); at >= 0 && at + 1 < bytes.length; at = bytes.indexOf(0xff, at + 1)) {
    const kind = bytes[at + 1], restart = kind >= 0xd0 && kind <= 0xd7;
    if (kind > 1 && kind < 0xff && !restart) return at;
  }
  throw new Refused(BROKEN);
}

/** Whether a segment of a JPEG is the frame's, and of four colours. @param {number} kind @param {number} colours */
function forPrint(kind, colours) {
  return kind >= 0xc0 && kind <= 0xcf && ![0xc4, 0xc8, 0xcc].includes(kind) && colours === 4;
}

/** @param {Bytes} bytes */
function readPng(bytes) {
  const view = new DataView(bytes.buffer);
  const pieces = [bytes.subarray(0, 8)];
  let exif, xmp, asText = false;
  for (let at = 8, kind = ""; kind !== "IEND"; ) {
    if (at + 12 > bytes.length) throw new Refused(BROKEN);
    const end = at + 12 + view.getUint32(at);
    kind = text(bytes, at + 4, 4);
    if (end > bytes.length) throw new Refused(BROKEN);
    if (kind === "IHDR" && bytes[at + 16] === 16) throw new Refused("it has 16 bits a colour, of which a browser keeps 8");
    if (kind === "eXIf") exif = orientation(bytes.subarray(at + 8, end - 4));
    if (kind === "iTXt" && text(bytes, at + 8, XMP_KEY.length) === XMP_KEY) xmp ??= inXmp(bytes.subarray(at + 8, end - 4));
    asText ||= ["tEXt", "zTXt"].includes(kind) && text(bytes, at + 8, EXIF_KEY.length) === EXIF_KEY;
    if (PNG_PIXELS.includes(kind)) {
      if (view.getUint32(end - 4) !== crc32(bytes.subarray(at + 4, end - 4))) throw new Refused(BROKEN);
      pieces.push(bytes.subarray(at, end));
    }
    at = end;
  }
  if (asText && exif === undefined) throw new Refused(EXIF_AS_TEXT);
  return { pieces, exif, xmp };
}

/** @param {Bytes} bytes */
function readWebp(bytes) {
  const view = new DataView(bytes.buffer), last = 8 + view.getUint32(4, true);
  if (last > bytes.length) throw new Refused(BROKEN);
  const head = bytes.slice(0, 12), pieces = [head];
  let exif, xmp;
  for (let at = 12; at + 8 <= last; ) {
    const size = view.getUint32(at + 4, true), end = at + 8 + size + (size % 2), kind = text(bytes, at, 4);
    if (at + 8 + size > last) throw new Refused(BROKEN);
    if (kind === "EXIF") exif = orientation(bytes.subarray(at + 8, at + 8 + size));
    if (kind === "XMP ") xmp = inXmp(bytes.subarray(at + 8, at + 8 + size));
    if (kind === "VP8X") bytes[at + 8] &= ~WEBP_BITS;
    if (!WEBP_OTHER.includes(kind)) pieces.push(bytes.subarray(at, end));
    at = end;
  }
  new DataView(head.buffer).setUint32(4, pieces.reduce((sum, piece) => sum + piece.length, 0) - 8, true);
  return { pieces, exif, xmp };
}

/** How EXIF data say that a picture was held, if they do; a mark of JPEG may stand before them.
 * @param {Bytes} data @returns {number | undefined}
 */
function orientation(data) {
  const bytes = text(data, 0, 4) === "Exif" ? data.subarray(6) : data;
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  if (bytes.length < 10) return undefined;
  const little = bytes[0] === 0x49;
  const first = view.getUint32(4, little);
  const entries = first + 2 <= bytes.length ? view.getUint16(first, little) : 0;
  for (let at = first + 2; at < first + 2 + 12 * entries && at + 12 <= bytes.length; at += 12) {
    if (view.getUint16(at, little) === ORIENTATION) return view.getUint16(at + 8, little);
  }
  return undefined;
}

/** How XMP data say that a picture was held, if they do. @param {Bytes} data */
function inXmp(data) {
  const found = XMP_ORIENTATION.exec(new TextDecoder("latin1").decode(data));
  return found ? Number(found[1]) : undefined;
}

/** @param {Bytes} bytes @param {number} at @param {number} length */
function text(bytes, at, length) {
  return String.fromCharCode(...bytes.subarray(at, at + length));
}

const CRC = Uint32Array.from({ length: 256 }, (_, byte) => {
  let rest = byte;
  for (let bit = 0; bit < 8; bit++) rest = rest & 1 ? 0xedb88320 ^ (rest >>> 1) : rest >>> 1;
  return rest;
});

/** The check sum of PNG and zip. @param {Uint8Array | Uint8ClampedArray} bytes */
export function crc32(bytes) {
  let rest = ~0;
  for (let at = 0; at < bytes.length; at++) rest = CRC[(rest ^ bytes[at]) & 255] ^ (rest >>> 8);
  return ~rest >>> 0;
}
