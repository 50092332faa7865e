/** resize.js and the perturbation by it against Pillow and the package, pixel by pixel. */

import assert from "node:assert/strict";
import { test } from "node:test";

import { resized } from "../../../src/helpers/lab/web/perturb.js";
import { rgb } from "../../../src/helpers/lab/web/preprocess.js";
import { resize } from "../../../src/helpers/lab/web/resize.js";
import { bytes, same, truth } from "./truth.js";

const { sizes, factors } = truth();

for (const { from, to, file, made } of sizes) {
  test(`${from} to ${to} is Pillow's`, () => {
    assert.ok(same(resize(bytes(file), from[0], from[1], to[0], to[1]), bytes(made)));
  });
}

for (const { factor, size, file, made, to } of factors) {
  test(`${size} times ${factor} is the package's`, () => {
    const found = resized({ pixels: new Uint8ClampedArray(bytes(file)), width: size[0], height: size[1] }, factor);
    assert.deepEqual([found.width, found.height], to);
    assert.ok(same(rgb(found), bytes(made)));
  });
}
