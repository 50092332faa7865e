/* What the book's scripts draw with (book/_static/drawing.js), as a module. */

const shared = /** @type {{quantdetectDrawing: import("./book.d.ts").Drawing}} */ (/** @type {unknown} */ (window));

export const { wilson, mean, variance, h, s, field, fill, table, signed, between, scale } = shared.quantdetectDrawing;
