/* An axis of logits that bends away from 0: one image that is far out does not flatten the others. */

const MARKS = [0, 1, 3, 10, 30, 100, 300, 1000];

/** Where a logit lies on the bent axis: nearly straight within 2 of 0, logarithmic beyond. @param {number} logit */
export function bent(logit) {
  return Math.asinh(logit / 2);
}

/** The marks of an axis between two logits. @param {number} low @param {number} high */
export function marks(low, high) {
  return [...MARKS.slice(1).map(mark => -mark).reverse(), ...MARKS].filter(mark => mark >= low && mark <= high);
}

/** The ends of an axis that shows these logits, and 0. @param {number[]} logits @returns {[number, number]} */
export function ends(logits) {
  const low = Math.min(0, ...logits), high = Math.max(0, ...logits);
  return [low * 1.15 - 0.5, high * 1.15 + 0.5];
}

/** A logit at a mark. @param {number} mark */
export function printed(mark) {
  return String(mark).replace("-", "\u2212");
}
