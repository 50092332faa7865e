/** random.js against MT19937's published output and torch. */

import assert from "node:assert/strict";
import { test } from "node:test";

import { TorchRandom } from "../../../src/helpers/lab/web/random.js";
import { truth } from "./truth.js";

test("the ten thousandth number is that of the C++ standard", () => {
  const random = new TorchRandom(5489); // [rand.predef] of ISO C++11
  for (let i = 1; i < 10_000; i++) random.integer();
  assert.equal(random.integer(), 4123659995);
});

for (const { seed, numbers } of truth()) {
  test(`${numbers.length} normal numbers of seed ${seed} are torch's`, () => {
    const found = new TorchRandom(seed).normal(numbers.length);
    const worst = found.reduce((most, number, i) => Math.max(most, Math.abs(number - numbers[i])), 0);
    assert.ok(worst < 1e-6, `${worst} apart`);
  });
}

test("of fewer than 16 it says that it does not know them", () => {
  assert.throws(() => new TorchRandom(0).normal(15), RangeError);
});
