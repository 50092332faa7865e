/** tokenizer.js against the tokenizers that lie beside the miniatures. */

import assert from "node:assert/strict";
import { test } from "node:test";

import { encode, understood } from "../../../src/helpers/lab/web/tokenizer.js";
import { truth } from "./truth.js";

const tokenizers = truth();

for (const { name, tokenizer, texts } of tokenizers) {
  test(`${name} gives the same ids`, () => {
    for (const { text, ids } of texts) assert.deepEqual(encode(tokenizer, text), ids, text);
  });
}

test("a reader is told which words are known and which are cut", () => {
  const [{ tokenizer }] = tokenizers;
  const room = tokenizer.length - tokenizer.begin.length - tokenizer.end.length;
  const found = understood(tokenizer, `a unicorn${" ball".repeat(room)}`);
  assert.deepEqual(found[0], { word: "a", known: true, kept: true });
  assert.deepEqual(found[1], { word: "unicorn", known: false, kept: true });
  assert.deepEqual(found.slice(room), Array(2).fill({ word: "ball", known: true, kept: false }));
});
