/** What pytest wrote down for a test: the numbers of torch, Pillow and the package that a module must give. */

import { readFileSync } from "node:fs";

const folder = process.env.TRUTH ?? ".";

/** @returns {any} */
export function truth() {
  return JSON.parse(readFileSync(`${folder}/truth.json`, "utf8"));
}

/** Numbers of a binary file. @param {string} name */
export function singles(name) {
  const { buffer, byteOffset, byteLength } = readFileSync(`${folder}/${name}`);
  return new Float32Array(buffer.slice(byteOffset, byteOffset + byteLength));
}

/** Bytes of a file. @param {string} name */
export function bytes(name) {
  return new Uint8Array(readFileSync(`${folder}/${name}`));
}

/** Whether two arrays hold the same numbers; node's own comparison draws up a list of differences, for minutes.
 * @param {ArrayLike<number>} found @param {ArrayLike<number>} wanted
 */
export function same(found, wanted) {
  return found.length === wanted.length && Array.prototype.every.call(found, (number, i) => Object.is(number, wanted[i]));
}
