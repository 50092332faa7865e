/**
 * Pillow's bicubic resize with antialiasing, to the same numbers: 8-bit channels, weights as integers of 22 bits.
 *
 * The filter is Keys's cubic convolution with a = -1/2 (doi:10.1109/TASSP.1981.1163711), stretched by the factor where
 * the picture shrinks, along rows and along columns; what comes between is rounded to 8 bits, so the order matters.
 */

const SUPPORT = 2;
const BITS = 22;
const ONE = 2 ** BITS;
const CHANNELS = 3;

/**
 * @param {Uint8Array} pixels RGB, row by row
 * @param {number} width of it
 * @param {number} height of it
 * @param {number} newWidth
 * @param {number} newHeight
 * @returns {Uint8Array} RGB; the same array where the size is the same
 */
export function resize(pixels, width, height, newWidth, newHeight) {
  // As Pillow 13 does it: columns first where more than twice as many rows as columns go.
  if (newHeight < height && height - newHeight > 2 * (width - newWidth)) {
    return alongRows(alongColumns(pixels, width, height, newHeight), width, newHeight, newWidth);
  }
  return alongColumns(alongRows(pixels, width, height, newWidth), newWidth, height, newHeight);
}

/** @param {Uint8Array} pixels @param {number} width @param {number} height @param {number} newWidth */
function alongRows(pixels, width, height, newWidth) {
  if (newWidth === width) return pixels;
  const made = new Uint8Array(newWidth * height * CHANNELS);
  const windows = weights(width, newWidth);
  for (let y = 0, to = 0; y < height; y++) {
    for (const { first, taps } of windows) {
      let from = (y * width + first) * CHANNELS;
      let [red, green, blue] = [ONE / 2, ONE / 2, ONE / 2];
      for (const tap of taps) {
        red += tap * pixels[from++];
        green += tap * pixels[from++];
        blue += tap * pixels[from++];
      }
      made[to++] = level(red);
      made[to++] = level(green);
      made[to++] = level(blue);
    }
  }
  return made;
}

/** @param {Uint8Array} pixels @param {number} width @param {number} height @param {number} newHeight */
function alongColumns(pixels, width, height, newHeight) {
  if (newHeight === height) return pixels;
  const row = width * CHANNELS;
  const made = new Uint8Array(row * newHeight);
  weights(height, newHeight).forEach(({ first, taps }, y) => {
    for (let x = 0; x < row; x++) {
      let sum = ONE / 2;
      for (let i = 0, from = first * row + x; i < taps.length; i++, from += row) sum += taps[i] * pixels[from];
      made[y * row + x] = level(sum);
    }
  });
  return made;
}

/** For each new place: the first old one that it takes, and the weights of that and those after it.
 * @param {number} length @param {number} newLength
 * @returns {{ first: number, taps: Int32Array }[]}
 */
function weights(length, newLength) {
  const factor = length / newLength;
  const stretch = Math.max(factor, 1);
  const inverse = 1 / stretch; // Pillow multiplies by it, which rounds otherwise than to divide
  return Array.from({ length: newLength }, (_, place) => {
    const centre = (place + 0.5) * factor;
    const first = Math.max(0, Math.trunc(centre - SUPPORT * stretch + 0.5));
    const end = Math.min(length, Math.trunc(centre + SUPPORT * stretch + 0.5));
    const taps = Array.from({ length: end - first }, (_, i) => cubic((i + first - centre + 0.5) * inverse));
    const sum = taps.reduce((total, tap) => total + tap, 0);
    return { first, taps: Int32Array.from(taps, (tap) => away((tap / sum) * ONE)) };
  });
}

/** @param {number} x */
function cubic(x) {
  const a = -0.5;
  const at = Math.abs(x);
  if (at < 1) return ((a + 2) * at - (a + 3)) * at * at + 1;
  return at < 2 ? (((at - 5) * at + 8) * at - 4) * a : 0;
}

/** The nearest whole number, halves away from zero. @param {number} x */
function away(x) {
  return Math.trunc(x < 0 ? x - 0.5 : x + 0.5);
}

/** @param {number} sum in units of 2 ** -22 levels, a half added */
function level(sum) {
  return Math.min(255, Math.max(0, sum >> BITS));
}
