/* Student's interval of a mean, for the few values that a reader makes. */

import { mean, variance } from "./drawing.js";

const STEPS = 4000;

/**
 * Student's quantile below which a share of 0.975 lies. With x = sqrt(df) tan(a) its density becomes cos(a) to the power
 * df - 1, which is added up until 0.95 of its half is reached.
 * @param {number} df degrees of freedom, 1 or more
 */
export function student(df) {
  const width = Math.PI / 2 / STEPS;
  const heights = Array.from({ length: STEPS }, (_, place) => Math.cos((place + 0.5) * width) ** (df - 1));
  const wanted = 0.95 * heights.reduce((sum, height) => sum + height, 0);
  let sum = 0, place = 0;
  while (sum + heights[place] < wanted) sum += heights[place++];
  return Math.sqrt(df) * Math.tan((place + (wanted - sum) / heights[place]) * width);
}

/**
 * The mean of values with its 95 % interval; null for none, and no ends for one.
 * @param {number[]} values
 * @returns {import("./book.d.ts").Interval | null}
 */
export function meanInterval(values) {
  if (!values.length) return null;
  const estimate = mean(values);
  const half = values.length < 2 ? NaN : student(values.length - 1) * Math.sqrt(variance(values) / values.length);
  return { estimate, low: estimate - half, high: estimate + half };
}
