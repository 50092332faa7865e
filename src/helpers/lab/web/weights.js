/**
 * Weights as they travel: numbers of 16 and of 32 bits, in byte planes, which compress better.
 *
 * First the low bytes of all halves, then their high bytes; then the four bytes of all single-precision numbers in the
 * same way, the lowest first.
 */

/** All numbers of a file in single precision, exactly: the halves, then the singles.
 * @param {Uint8Array} file
 * @param {number} halves how many numbers of binary16 there are
 * @param {number} singles how many of binary32
 * @returns {Float32Array<ArrayBuffer>}
 */
export function unpack(file, halves, singles) {
  const expected = 2 * halves + 4 * singles;
  if (file.length !== expected) throw new Error(`${file.length} bytes of weights where ${expected} should be`);
  const numbers = new Float32Array(halves + singles);
  const table = halfTable();
  for (let i = 0; i < halves; i++) numbers[i] = table[file[i] | (file[halves + i] << 8)];
  const planes = file.subarray(2 * halves);
  const bits = new Uint32Array(numbers.buffer, 4 * halves);
  for (let i = 0; i < singles; i++) {
    const low = planes[i] | (planes[singles + i] << 8);
    bits[i] = low | (planes[2 * singles + i] << 16) | (planes[3 * singles + i] << 24);
  }
  return numbers;
}

/** @type {Float32Array | undefined} */
let table;

/** The value of each pattern of 16 bits. */
function halfTable() {
  table ??= Float32Array.from({ length: 2 ** 16 }, (_, pattern) => half(pattern));
  return table;
}

/** The number of binary16 that 16 bits stand for: a sign, 5 bits of the exponent, 10 of the fraction.
 * @param {number} pattern
 */
export function half(pattern) {
  const sign = pattern & 0x8000 ? -1 : 1;
  const exponent = (pattern >> 10) & 31;
  const fraction = pattern & 1023;
  if (exponent === 31) return fraction ? NaN : sign * Infinity;
  return sign * (exponent ? (1024 + fraction) * 2 ** (exponent - 25) : fraction * 2 ** -24);
}
