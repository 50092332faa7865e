/** What passes between the lab's modules, and the table lab.json that `python -m helpers.lab` writes for them. */

/** A picture in RGBA, row by row; alpha is 255 throughout. */
export interface Picture {
  pixels: Uint8ClampedArray<ArrayBuffer>;
  width: number;
  height: number;
  /** The size of the whole, where this is its middle. */
  cut?: { width: number; height: number };
}

/** A floating-point format, as torch.finfo describes it. */
export interface FloatFormat {
  eps: number;
  tiny: number;
  largest: number;
}

export interface None { kind: "none" }
export interface Cast { kind: "cast"; type: "float16" | "bfloat16" }
export interface Channel { kind: "channel"; largest: number; number: Omit<FloatFormat, "largest"> | null }
export interface Codes { kind: "codes"; block: number; codes: number[] }
export interface Symmetric { kind: "symmetric"; block: number; levels: number }
export interface Affine { kind: "affine"; block: number; steps: number }
export interface Mxfp4 { kind: "mxfp4"; block: number; number: FloatFormat }
export interface Nvfp4 { kind: "nvfp4"; block: number; number: FloatFormat; scale: FloatFormat }
export interface Q8_0 { kind: "q8_0"; block: number; levels: number }
export interface Q4_0 { kind: "q4_0"; block: number; levels: number }
export interface Q4_K { kind: "q4_k"; block: number; parts: number; steps: number; six_bits: number; tried: number[] }

/** How a precision rounds a weight; the numbers are those of `helpers.precision`. */
export type Rule = None | Cast | Channel | Codes | Symmetric | Affine | Mxfp4 | Nvfp4 | Q8_0 | Q4_0 | Q4_K;

export interface Precision {
  key: string;
  title: string;
  deck: boolean;
  rule: Rule;
}

/** A word-level tokenizer: ids of its words and marks, and how many ids a prompt has. */
export interface Tokenizer {
  vocab: Record<string, number>;
  begin: number[];
  end: number[];
  pad: number;
  unknown: number;
  length: number;
}

/** A sampler as a linear recurrence: x' = a x + b prediction + c x_before + d prediction_before. */
export interface Schedule {
  noise: number;
  scale_input: number[];
  timesteps: number[];
  steps: [number, number, number, number][];
}

export interface Tensor {
  name: string;
  /** As torch has it: output channels first. */
  shape: number[];
  /** The index of its first number in the part's weights. */
  at: number;
  /** Which formats round it: those of layers, or casts alone; none where it is left out. */
  rounds?: "layers" | "component";
}

/** One network of a generator: its graph, and the file of its weights in byte planes (`weights.js`). */
export interface Part {
  graph: string;
  weights: string;
  inputs: string[];
  outputs: string[];
  halves: number;
  singles: number;
  tensors: Tensor[];
}

export interface Generator {
  title: string;
  size: number;
  latent: number[];
  schedule: Schedule;
  tokenizers: Record<string, Tokenizer>;
  parts: { text: Part; denoiser: Part; vae: Part };
  /** Bytes of weights by precision, counted as the package counts a footprint. */
  bytes: Record<string, { quantized: number; all: number }>;
}

/** How a detector reads a picture: the new length of its short side, or of both; normalized by channel. */
export interface Preprocess {
  side: number | null;
  crop: boolean;
  mean: number[];
  std: number[];
}

export interface Detector {
  title: string;
  graph: string;
  input: string;
  output: string;
  preprocess: Preprocess;
  threshold: number;
}

export interface Manifest {
  digest: string;
  missing?: string;
  runtime: { name: string; version: string; licence: string; module: string; wasm: string; loader: string };
  precisions: Precision[];
  generators: Record<string, Generator>;
  detectors: Record<string, Detector>;
  /** Every file that is loaded: its bytes unpacked, and as they travel. */
  files: Record<string, { bytes: number; transfer: number }>;
}

export interface Wish {
  generator: string;
  precision: string;
  prompt: string;
  seed: number;
}

export interface Progress {
  stage: "loading" | "rounding" | "step" | "judging";
  done: number;
  of: number;
}

export interface Made extends Picture {
  seconds: { load: number; round: number; make: number };
  bytes: number;
  relativeError: number;
}

export interface Verdict {
  detector: string;
  logit: number;
  fake: boolean;
  seconds: number;
}

/** What the page sends to the worker. */
export type Order =
  | { call: "open"; base: string; manifest: Manifest }
  | { call: "make"; id: number; wish: Wish }
  | { call: "judge"; id: number; picture: Picture }
  | { call: "stop"; id: number };

/** What the worker answers; `file` is one that has travelled. */
export type Answer =
  | { file: string }
  | { id: number; progress: Progress }
  | { id: number; result: Made | Verdict[] }
  | { id: number; error: { name: string; message: string } };
