/** From a prompt and a seed to a picture: tokens, text encoders, denoiser step by step, decoder. */

import { even } from "./floats.js";
import { TorchRandom } from "./random.js";
import { denoise } from "./scheduler.js";
import { encode } from "./tokenizer.js";

/** @import { Job } from "./job.js" */
/** @import { Networks } from "./networks.js" */
/** @import { Runtime } from "./runtime.js" */
/** @import { Generator, Picture } from "./types.js" */

/**
 * @param {Runtime} runtime @param {Generator} generator @param {Networks} networks
 * @param {string} prompt @param {number} seed @param {Job} job
 * @returns {Promise<Picture>}
 */
export async function generate(runtime, generator, networks, prompt, seed, job) {
  const { latent, parts, schedule, size } = generator;
  const texts = await networks.text.run(tokens(runtime, generator, prompt));
  const noise = new TorchRandom(seed).normal(latent.reduce((product, side) => product * side, 1));
  const latents = await denoise(schedule, noise, async (x, t, step) => {
    await job.report("step", step, schedule.steps.length);
    const time = runtime.floats(Float32Array.of(t), [1]);
    const found = await networks.denoiser.run({ ...texts, x: runtime.floats(x, latent), t: time });
    return found[parts.denoiser.outputs[0]].data;
  });
  const decoded = await networks.vae.run({ [parts.vae.inputs[0]]: runtime.floats(latents, latent) });
  return { pixels: rgba(decoded[parts.vae.outputs[0]].data, size), width: size, height: size };
}

/** The prompt as the text encoders take it. @param {Runtime} runtime @param {Generator} generator @param {string} prompt */
function tokens(runtime, { parts, tokenizers }, prompt) {
  return Object.fromEntries(
    parts.text.inputs.map((name) => {
      const ids = encode(tokenizers[name], prompt);
      return [name, runtime.integers(ids, [1, ids.length])];
    }),
  );
}

/** Numbers from 0 to 1, channel by channel, as 8 bits, row by row. @param {Float32Array} planes @param {number} size */
function rgba(planes, size) {
  const area = size * size;
  const pixels = new Uint8ClampedArray(4 * area).fill(255);
  for (let channel = 0; channel < 3; channel++) {
    // In single precision, as numpy multiplies; then ties to even, as it rounds.
    for (let i = 0; i < area; i++) pixels[4 * i + channel] = even(Math.fround(planes[channel * area + i] * 255));
  }
  return pixels;
}
