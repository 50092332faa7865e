/**
 * Rounding to GGUF's Q4_K without an importance matrix: parts of 32 weights on 16 equal steps from a minimum, searched
 * by weighted least squares as `helpers.precision.blocks` searches them.
 *
 * Every step is rounded to single precision, as torch does it, and sums are taken in the order in which torch adds 32
 * numbers on x86: eight lanes, which are then added up. Order decides the last bit. The root is IEEE 754's; that of MKL,
 * which torch takes there, is off by a bit now and then, and one part in a hundred thousand then ends on other steps.
 */

import { even } from "./floats.js";
import { half, inBlocks, inverse } from "./rounding_blocks.js";

/** @import { Q4_K } from "./types.js" */

const { fround } = Math;
const LANES = 8;

/** @param {Float32Array} weights @param {Q4_K} rule */
export function q4_k(weights, { block, parts, steps, six_bits: sixBits, tried }) {
  const size = block / parts;
  const search = new Search(size, steps, tried.map(fround));
  const [widths, lows] = [new Float32Array(parts), new Float32Array(parts)];
  inBlocks(weights, block, (numbers) => {
    for (let part = 0; part < parts; part++) {
      const found = search.part(numbers.subarray(part * size, (part + 1) * size));
      widths[part] = found.step;
      lows[part] = -found.low;
    }
    multiples(widths, sixBits);
    multiples(lows, sixBits);
    for (let i = 0; i < block; i++) {
      const part = Math.floor(i / size);
      const step = widths[part] > 0 ? widths[part] : Infinity;
      const code = clamp(even(fround(fround(numbers[i] + lows[part]) / step)), steps);
      numbers[i] = fround(code * widths[part]) - lows[part];
    }
  });
}

/** Numbers as multiples, 0 to most, of their largest / most in binary16.
 * @param {Float32Array} numbers @param {number} most
 */
function multiples(numbers, most) {
  const largest = Math.max(0, ...numbers);
  const [unit, kept] = [inverse(largest, most), half(fround(largest / most))];
  for (let i = 0; i < numbers.length; i++) numbers[i] = clamp(even(fround(numbers[i] * unit)), most) * kept;
}

/** @param {number} code @param {number} most */
function clamp(code, most) {
  return code < 0 ? 0 : code > most ? most : code;
}

/** The search for a part's step and minimum. Numbers count by their magnitude plus the part's root mean square. */
class Search {
  #codes;
  #importance;
  #steps;
  #tried;

  /** @param {number} size of a part, a multiple of LANES @param {number} steps @param {number[]} tried ranges, in codes */
  constructor(size, steps, tried) {
    this.#codes = new Float32Array(size);
    this.#importance = new Float32Array(size);
    this.#steps = steps;
    this.#tried = tried;
  }

  /** The step and the minimum, at most 0, that leave the smallest weighted error. @param {Float32Array} part */
  part(part) {
    this.#weigh(part);
    let low = Math.min(0, ...part);
    const high = Math.max(...part);
    let step = fround(fround(high - low) / this.#steps);
    this.#code(part, low, inverse(fround(high - low), this.#steps));
    let best = this.#error(part, step, low);
    for (const wide of this.#tried) {
      this.#code(part, low, inverse(fround(high - low), wide));
      const fitted = this.#fitted(part);
      if (fitted === null) continue;
      const error = this.#error(part, fitted.step, fitted.low);
      if (error < best) [step, low, best] = [fitted.step, fitted.low, error];
    }
    return { step, low };
  }

  /** @param {Float32Array} part */
  #weigh(part) {
    let squares = 0;
    for (let lane = 0; lane < LANES; lane++) {
      let sum = 0;
      for (let i = lane; i < part.length; i += LANES) sum = fround(sum + fround(part[i] * part[i]));
      squares = fround(squares + sum);
    }
    const root = fround(Math.sqrt(fround(squares / part.length)));
    for (let i = 0; i < part.length; i++) this.#importance[i] = root + Math.abs(part[i]);
  }

  /** @param {Float32Array} part @param {number} low @param {number} unit codes of 1 */
  #code(part, low, unit) {
    for (let i = 0; i < part.length; i++) {
      this.#codes[i] = clamp(even(fround(fround(part[i] - low) * unit)), this.#steps);
    }
  }

  /** @param {Float32Array} part @param {number} step @param {number} low */
  #error(part, step, low) {
    const codes = this.#codes, importance = this.#importance;
    let error = 0;
    for (let lane = 0; lane < LANES; lane++) {
      let sum = 0;
      for (let i = lane; i < part.length; i += LANES) {
        const off = fround(fround(fround(step * codes[i]) + low) - part[i]);
        sum = fround(sum + fround(importance[i] * fround(off * off)));
      }
      error = fround(error + sum);
    }
    return error;
  }

  /** Step and minimum of the weighted least squares of a part on its codes; none where all codes are the same.
   * @param {Float32Array} part
   */
  #fitted(part) {
    if (this.#same()) return null;
    const [whole, ofParts, ofCodes, ofSquares, ofProducts] = this.#moments(part);
    const spread = fround(fround(whole * ofSquares) - fround(ofCodes * ofCodes));
    const step = fround(fround(fround(whole * ofProducts) - fround(ofParts * ofCodes)) / spread);
    const low = fround(fround(fround(ofSquares * ofParts) - fround(ofCodes * ofProducts)) / spread);
    return low <= 0 ? { step, low } : { step: fround(ofProducts / ofSquares), low: Math.min(low, 0) };
  }

  #same() {
    const codes = this.#codes;
    for (let i = 1; i < codes.length; i++) if (codes[i] !== codes[0]) return false;
    return true;
  }

  /** The weighted sums of 1, numbers, codes, codes squared, and codes times numbers. @param {Float32Array} part */
  #moments(part) {
    const codes = this.#codes, importance = this.#importance;
    let whole = 0, ofParts = 0, ofCodes = 0, ofSquares = 0, ofProducts = 0;
    for (let lane = 0; lane < LANES; lane++) {
      let a = 0, b = 0, c = 0, d = 0, e = 0;
      for (let i = lane; i < part.length; i += LANES) {
        const weight = importance[i], number = part[i], code = codes[i];
        a = fround(a + weight);
        b = fround(b + fround(weight * number));
        c = fround(c + fround(weight * code));
        d = fround(d + fround(weight * fround(code * code)));
        e = fround(e + fround(weight * fround(code * number)));
      }
      whole = fround(whole + a);
      ofParts = fround(ofParts + b);
      ofCodes = fround(ofCodes + c);
      ofSquares = fround(ofSquares + d);
      ofProducts = fround(ofProducts + e);
    }
    return [whole, ofParts, ofCodes, ofSquares, ofProducts];
  }
}
