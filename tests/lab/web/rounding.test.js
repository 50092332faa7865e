/** rounding.js against the arm "rounding" of helpers.precision: the same bits for every weight of a generator. */

import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { test } from "node:test";

import { round } from "../../../src/helpers/lab/web/rounding.js";
import { singles, truth } from "./truth.js";

const { rules, shapes, digests } = truth();
const stored = singles("weights.bin");

for (const [key, rule] of Object.entries(rules)) {
  test(key, () => {
    const weights = stored.slice();
    let at = 0;
    const others = shapes.filter((/** @type {number[]} */ shape, /** @type {number} */ place) => {
      const count = shape.reduce((product, side) => product * side, 1);
      const weight = weights.subarray(at, (at += count));
      round(weight, rule, count / shape[0]);
      return sha256(weight) !== digests[key][place];
    });
    assert.equal(others.length, 0, `${others.length} of ${shapes.length} weights differ`);
  });
}

/** @param {Float32Array} weight */
function sha256({ buffer, byteOffset, byteLength }) {
  return createHash("sha256").update(new Uint8Array(buffer, byteOffset, byteLength)).digest("hex");
}
