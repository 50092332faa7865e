/** scheduler.js on recurrences whose ends are known. */

import assert from "node:assert/strict";
import { test } from "node:test";

import { denoise } from "../../../src/helpers/lab/web/scheduler.js";

/** @param {[number, number, number, number][]} steps */
function schedule(steps) {
  return { noise: 1, steps, scale_input: steps.map(() => 1), timesteps: steps.map((_, i) => steps.length - i) };
}

test("x plus what was before it gives the Fibonacci numbers", async () => {
  /** @type {[number, number, number, number][]} */
  const steps = [[1, 0, 0, 0], ...Array(9).fill([1, 0, 1, 0])];
  const found = await denoise(schedule(steps), Float32Array.of(1), async () => Float32Array.of(7));
  assert.deepEqual(found, Float32Array.of(89));
});

test("the midpoint of predictions integrates t to its square", async () => {
  // dx = t dt from 4 to 0, by two-step Adams and Bashforth: its first step is Euler's, from 3 on it is exact.
  /** @type {[number, number, number, number][]} */
  const steps = [[1, -1, 0, 0], ...Array(3).fill([1, -1.5, 0, 0.5])];
  const found = await denoise(schedule(steps), Float32Array.of(8), async (_, t) => Float32Array.of(t));
  assert.deepEqual(found, Float32Array.of(8 - 4 - 3 ** 2 / 2));
});

test("noise and inputs are scaled, and the denoiser is told the time", async () => {
  const plan = { noise: 3, scale_input: [0.5, 2], timesteps: [9, 4], steps: [[0, 1, 0, 0], [0, 1, 0, 0]] };
  /** @type {number[][]} */
  const seen = [];
  // @ts-expect-error steps are written as plain lists
  const found = await denoise(plan, Float32Array.of(2), async (x, t, step) => {
    seen.push([x[0], t, step]);
    return Float32Array.of(x[0] + 1);
  });
  assert.deepEqual(seen, [[3, 9, 0], [8, 4, 1]]);
  assert.deepEqual(found, Float32Array.of(9));
});
