/** The lab's files: each travels once, is kept as it came, and is unpacked where it is used. */

/** @import { Manifest } from "./types.js" */

const GZIP = [0x1f, 0x8b];

/** The files below the lab's folder. */
export class Files {
  /** @type {Map<string, Uint8Array<ArrayBuffer>>} */
  #kept = new Map();
  #base;
  #sizes;
  #travelled;

  /** @param {URL} base the lab's folder @param {Manifest["files"]} sizes @param {(name: string) => void} travelled
   * called once for each file
   */
  constructor(base, sizes, travelled) {
    this.#base = base;
    this.#sizes = sizes;
    this.#travelled = travelled;
  }

  /** The address of a file. @param {string} name */
  url(name) {
    return new URL(name, this.#base);
  }

  /** A file's bytes, unpacked. Throws where it does not come whole; it is then asked for again the next time.
   * @param {string} name @param {AbortSignal} signal
   */
  async read(name, signal) {
    const kept = this.#kept.get(name);
    if (kept) return unpacked(kept);
    const came = await fetched(this.url(name), signal);
    const bytes = await unpacked(came).catch(() => new Uint8Array());
    // A network that asks for a login answers every address with a page of its own.
    if (bytes.length !== this.#sizes[name].bytes) throw new Error(`${this.url(name).pathname} did not come whole: try again`);
    this.#kept.set(name, came);
    this.#travelled(name);
    return bytes;
  }
}

/** @param {URL} url @param {AbortSignal} signal */
async function fetched(url, signal) {
  const response = await fetch(url, { signal }).catch((error) => {
    throw signal.aborted ? error : new Error(`${url.pathname} cannot be reached: try again`);
  });
  if (!response.ok) throw new Error(`${url.pathname}: the site answers ${response.status}`);
  return new Uint8Array(await response.arrayBuffer());
}

/** @param {Uint8Array<ArrayBuffer>} bytes */
async function unpacked(bytes) {
  // A server that names the packing has had it undone by the browser.
  if (!GZIP.every((byte, place) => bytes[place] === byte)) return bytes;
  const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("gzip"));
  return new Uint8Array(await new Response(stream).arrayBuffer());
}
