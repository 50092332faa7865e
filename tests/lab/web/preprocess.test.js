/** preprocess.js against helpers.detectors.preprocessing, number by number. */

import assert from "node:assert/strict";
import { test } from "node:test";

import { preprocess } from "../../../src/helpers/lab/web/preprocess.js";
import { bytes, same, singles, truth } from "./truth.js";

for (const { name, rule, width, height, file, read, shape } of truth()) {
  test(`${name} reads ${width} x ${height} as in the package`, () => {
    const found = preprocess({ pixels: new Uint8ClampedArray(bytes(file)), width, height }, rule);
    assert.deepEqual([found.height, found.width], shape);
    assert.ok(same(found.data, singles(read)));
  });
}
