/** The miniatures' tokenizers: whole words, and marks of beginning, end and padding around them. */

/** @import { Tokenizer } from "./types.js" */

// A word, or a run of other signs; both as Unicode has them (UTS 18), which Python's tokenizers go by.
const WORD = "\\p{Alphabetic}\\p{M}\\p{Nd}\\p{Pc}\\p{Join_Control}";
const PIECES = `[${WORD}]+|[^${WORD}\\p{White_Space}]+`;

/** The pieces of a text, in order; a mark of the tokenizer that is written out, such as <end>, is one piece.
 * @param {Tokenizer} tokenizer
 * @param {string} text
 * @returns {string[]}
 */
export function pieces(tokenizer, text) {
  const whole = new RegExp(`^(?:${PIECES})$`, "u");
  const marks = Object.keys(tokenizer.vocab).filter((word) => !whole.test(word));
  const escaped = marks.map((mark) => mark.replace(/[^\p{L}\p{N}]/gu, (sign) => `\\u{${sign.codePointAt(0)?.toString(16)}}`));
  // Between marks the text is split by itself, so that a mark also ends a run of signs.
  const parts = marks.length ? text.split(new RegExp(`(${escaped.join("|")})`, "u")) : [text];
  return parts.flatMap((part) => (marks.includes(part) ? [part] : (part.match(new RegExp(PIECES, "gu")) ?? [])));
}

/** The ids of a text, cut or padded to the tokenizer's length; its marks of beginning and end are never cut.
 * @param {Tokenizer} tokenizer
 * @param {string} text
 * @returns {number[]}
 */
export function encode(tokenizer, text) {
  const { vocab, begin, end, pad, unknown, length } = tokenizer;
  const words = pieces(tokenizer, text).map((word) => (Object.hasOwn(vocab, word) ? vocab[word] : unknown));
  const ids = [...begin, ...words.slice(0, room(tokenizer)), ...end];
  return [...ids, ...Array(length - ids.length).fill(pad)];
}

/** What becomes of each piece of a text: whether the tokenizer knows it, and whether there is room for it.
 * @param {Tokenizer} tokenizer
 * @param {string} text
 * @returns {{ word: string, known: boolean, kept: boolean }[]}
 */
export function understood(tokenizer, text) {
  return pieces(tokenizer, text).map((word, place) => ({
    word,
    known: Object.hasOwn(tokenizer.vocab, word),
    kept: place < room(tokenizer),
  }));
}

/** How many words there is room for. @param {Tokenizer} tokenizer */
function room({ begin, end, length }) {
  return length - begin.length - end.length;
}
