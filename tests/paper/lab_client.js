/* Stands in for client.js where the view alone is tested: images of one colour and logits that a formula gives, at once. */

const PRECISIONS = ["fp32", "fp16", "fp8", "fp4", "int8", "nf4", "int2"];
const BITS = { fp32: 32, fp16: 16, fp8: 8, fp4: 4, int8: 8, nf4: 4, int2: 2 };
const DETECTORS = { npr: "NPR", r50_nodown: "R50_nodown", r50_tf: "R50_TF", clip_d: "CLIP-D" };

/** The logit of the first detector; each further one adds one. */
export function logit({ precision, seed }) {
  return (seed % 7) - 3 + BITS[precision] / 8;
}

export class Lab {
  static async open(base) {
    const said = await (await fetch(`${base}lab.json`)).json();
    if (said.missing) throw Object.assign(new Error(said.missing), { name: "Missing" });
    return new Lab();
  }

  constructor() {
    this.asked = window.labAsked = [];
    this.loaded = false;
    this.manifest = {
      runtime: { name: "onnxruntime-web", version: "1.0.0" },
      precisions: PRECISIONS.map((key, place) => ({ key, title: key.toUpperCase(), deck: place < 4 })),
      generators: { sd15: { title: "SD1.5" }, sd3: { title: "SD3" } },
      detectors: Object.fromEntries(Object.entries(DETECTORS).map(([key, title]) => [key, { title }])),
    };
  }

  sizes() {
    return this.loaded ? { transfer: 0, detectors: 0 } : { transfer: 8_400_000, detectors: 1_200_000 };
  }

  async make(wish, { onProgress, signal }) {
    this.asked.push(wish);
    for (let done = 0; done < 4; done += 1) {
      onProgress({ stage: "step", done, of: 4 });
      await new Promise(resolve => setTimeout(resolve, window.labDelay ?? 0));
      signal.throwIfAborted();
    }
    this.loaded = true;
    const pixels = new Uint8ClampedArray(16 * 16 * 4).fill(255);
    for (let at = 0; at < pixels.length; at += 4) pixels[at] = BITS[wish.precision];
    this.last = wish;
    return { pixels, width: 16, height: 16, seconds: { load: 0, round: 0.25, make: BITS[wish.precision] / 10 }, bytes: 125_000 * BITS[wish.precision], relativeError: 1 / BITS[wish.precision] };
  }

  async judge(picture) {
    const first = picture.width === 16 ? logit(this.last) : picture.judged;
    return Object.keys(DETECTORS).map((detector, place) => ({ detector, logit: first + place, fake: first + place > 0, seconds: 0.125 }));
  }

  // As it is 0.5, after JPEG -0.5, at half size -3.5: all flip but the last of four detectors at half size.
  async perturb(picture, name) {
    return { ...picture, judged: name === "jpeg:75" ? -0.5 : -3.5 };
  }

  async decode(file) {
    if (file.name.endsWith(".txt")) throw new Error("it is no picture that this browser can decode");
    return { pixels: new Uint8ClampedArray(20 * 10 * 4).fill(128), width: 20, height: 10, judged: 0.5 };
  }

  understood(_generator, prompt) {
    return prompt.split(" ").map((word, place) => ({ word, known: word !== "castle", kept: place < 20 }));
  }
}
