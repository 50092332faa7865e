/** What the view takes from the book: what its page holds, what the archive says, and what its scripts draw with. */

export type Child = Node | string | number | null | undefined | Child[];
export type Attributes = Record<string, unknown>;

export interface Interval {
  estimate: number;
  low: number;
  high: number;
}

/** `window.quantdetectDrawing`: book/_static/drawing.js. */
export interface Drawing {
  Z: number;
  wilson(count: number, total: number): Interval | null;
  mean(values: number[]): number;
  variance(values: number[]): number;
  h<K extends keyof HTMLElementTagNameMap>(name: K, attributes?: Attributes | null, ...children: Child[]): HTMLElementTagNameMap[K];
  s<K extends keyof SVGElementTagNameMap>(name: K, attributes?: Attributes | null, ...children: Child[]): SVGElementTagNameMap[K];
  field(label: string, control: HTMLElement, more?: Child): HTMLDivElement;
  fill(select: HTMLSelectElement, options: [string | number, string][], value: string | number): void;
  table(name: string, caption: string, head: Child[], rows: Child[][]): HTMLElement;
  signed(value: number, digits?: number): string;
  between(found: Interval | null): string;
  scale(from: [number, number], to: [number, number]): (value: number) => number;
}

/** The miniature world's captions as data (helpers.paper.pages.try_it.grammar). */
export interface Grammar {
  relations: Record<string, { title: string; template: string }>;
  nouns: Record<string, string>;
  shapes: string[];
  places: Record<string, string>;
  clashes: Record<string, string[]>;
}

/** The JSON in the page. */
export interface PageData {
  archive: string;
  grammar: Grammar;
  colours: Record<string, string>;
}

/** One detector on one cell: of n images this share is called fake; the logits of the first images. */
export interface ArchivedCell {
  n: number;
  share?: number;
  low?: number;
  high?: number;
  logits?: (number | null)[];
}

/** `_static/lab-archive.json`; of a study of other models only why there is nothing. */
export interface Archive {
  missing?: string;
  baseline: string;
  first: number | null;
  prompts: string[];
  cells: Record<string, Record<string, Record<string, ArchivedCell>>>;
}
