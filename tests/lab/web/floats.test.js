/** floats.js against torch's casts to each type, and against IEEE 754's rule for halves. */

import assert from "node:assert/strict";
import { test } from "node:test";

import { even, nearest } from "../../../src/helpers/lab/web/floats.js";
import { same, singles, truth } from "./truth.js";

test("halves go to the even neighbour, and zero keeps its sign", () => {
  assert.deepEqual([0.5, 1.5, 2.5, -0.5, -1.5, 7.49, -7.51, -0].map(even), [0, 2, 2, -0, -2, 7, -8, -0]);
});

for (const { type, format, cast } of truth()) {
  test(`${type} is rounded as by torch`, () => {
    const numbers = singles("numbers.bin");
    assert.ok(same(numbers.map((number) => nearest(number, format)), singles(cast)));
  });
}
