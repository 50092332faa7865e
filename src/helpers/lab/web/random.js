/**
 * torch's random numbers on a CPU: the Mersenne Twister MT19937, and normal numbers by Box and Muller in its order.
 *
 * Matsumoto and Nishimura 1998 (doi:10.1145/272991.272995); torch draws 16 uniform numbers at a time and makes them
 * 16 normal ones, and where a group would be short it draws the last 16 anew.
 */

const SIZE = 624;
const SHIFT = 397;
const GROUP = 16;
const TWO_PI = Math.fround(2 * Math.PI);

/** The generator `torch.Generator("cpu").manual_seed(seed)`. */
export class TorchRandom {
  #state = new Uint32Array(SIZE);
  #next = SIZE;

  /** @param {number} seed a whole number from 0; torch takes its lower 32 bits */
  constructor(seed) {
    const state = this.#state;
    state[0] = seed % 2 ** 32;
    for (let i = 1; i < SIZE; i++) {
      const last = state[i - 1] ^ (state[i - 1] >>> 30);
      state[i] = Math.imul(1812433253, last) + i;
    }
  }

  /** The next whole number, 0 to 2 ** 32 - 1. */
  integer() {
    if (this.#next === SIZE) this.#twist();
    let number = this.#state[this.#next++];
    number ^= number >>> 11;
    number ^= (number << 7) & 0x9d2c5680;
    number ^= (number << 15) & 0xefc60000;
    return (number ^ (number >>> 18)) >>> 0;
  }

  /** The next number from 0 to below 1, of 24 bits as torch's float32. */
  uniform() {
    return (this.integer() & 0xffffff) * 2 ** -24;
  }

  /**
   * As `torch.randn(count)`, to rounding.
   * @param {number} count at least 16: of fewer torch draws in another way
   * @returns {Float32Array}
   */
  normal(count) {
    if (count < GROUP) throw new RangeError(`${count} normal numbers: at least ${GROUP}`);
    const numbers = new Float32Array(count);
    for (let i = 0; i < count; i++) numbers[i] = this.uniform();
    for (let at = 0; at + GROUP <= count; at += GROUP) toNormal(numbers.subarray(at, at + GROUP));
    if (count % GROUP) {
      const last = numbers.subarray(count - GROUP);
      for (let i = 0; i < GROUP; i++) last[i] = this.uniform();
      toNormal(last);
    }
    return numbers;
  }

  #twist() {
    const state = this.#state;
    for (let i = 0; i < SIZE; i++) {
      const mixed = (state[i] & 0x80000000) | (state[(i + 1) % SIZE] & 0x7fffffff);
      state[i] = state[(i + SHIFT) % SIZE] ^ (mixed >>> 1) ^ (mixed & 1 ? 0x9908b0df : 0);
    }
    this.#next = 0;
  }
}

/** @param {Float32Array} group 16 uniform numbers, which become normal: the first eight give radii, the others angles */
function toNormal(group) {
  const half = GROUP / 2;
  for (let i = 0; i < half; i++) {
    const radius = Math.fround(Math.sqrt(-2 * Math.log(Math.fround(1 - group[i]))));
    const angle = Math.fround(TWO_PI * group[i + half]);
    group[i] = radius * Math.cos(angle);
    group[i + half] = radius * Math.sin(angle);
  }
}
