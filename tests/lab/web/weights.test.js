/** weights.js against numpy's halves and singles. */

import assert from "node:assert/strict";
import { test } from "node:test";

import { unpack } from "../../../src/helpers/lab/web/weights.js";
import { bytes, same, singles, truth } from "./truth.js";

const { halves, others } = truth();

test("every half and any single comes out as numpy has it", () => {
  assert.ok(same(unpack(bytes("planes.bin"), halves, others), singles("numbers.bin")));
});

test("a file of another length is refused", () => {
  assert.throws(() => unpack(bytes("planes.bin").subarray(1), halves, others), /bytes of weights/);
});
