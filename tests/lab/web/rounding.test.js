/** rounding.js against the arm "rounding" of helpers.precision: the same bits for every weight of every generator. */

import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { test } from "node:test";

import { round } from "../../../src/helpers/lab/web/rounding.js";
import { singles, truth } from "./truth.js";

const { rules, generators } = truth();

for (const { generator, file, shapes, digests } of generators) {
  const stored = singles(file);
  for (const [key, rule] of Object.entries(rules)) {
    test(`${generator} at ${key}`, () => {
      const weights = stored.slice();
      let at = 0;
      const found = shapes.map((/** @type {number[]} */ shape) => {
        const count = shape.reduce((product, side) => product * side, 1);
        const weight = weights.subarray(at, (at += count));
        round(weight, rule, count / shape[0]);
        return createHash("sha256").update(new Uint8Array(weight.buffer, weight.byteOffset, weight.byteLength)).digest("hex");
      });
      assert.deepEqual(found, digests[key]);
    });
  }
}
