/** The lab's files: each travels once, is kept as it came, and is unpacked where it is used. */

const GZIP = [0x1f, 0x8b];

/** The files below the lab's folder. */
export class Files {
  /** @type {Map<string, Uint8Array<ArrayBuffer>>} */
  #kept = new Map();
  #base;
  #travelled;

  /** @param {URL} base the lab's folder @param {(name: string) => void} travelled called once for each file */
  constructor(base, travelled) {
    this.#base = base;
    this.#travelled = travelled;
  }

  /** The address of a file. @param {string} name */
  url(name) {
    return new URL(name, this.#base);
  }

  /** A file's bytes, unpacked. @param {string} name @param {AbortSignal} signal */
  async read(name, signal) {
    let bytes = this.#kept.get(name);
    if (!bytes) {
      bytes = await fetched(this.url(name), signal);
      this.#kept.set(name, bytes);
      this.#travelled(name);
    }
    return unpacked(bytes);
  }
}

/** @param {URL} url @param {AbortSignal} signal */
async function fetched(url, signal) {
  const response = await fetch(url, { signal });
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
