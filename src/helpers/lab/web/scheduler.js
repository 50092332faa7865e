/** Every sampler of the six generators as one linear recurrence, whose coefficients come from diffusers' schedulers. */

/** @import { Schedule } from "./types.js" */

/**
 * From noise to the latents that the decoder takes.
 * @param {Schedule} schedule
 * @param {Float32Array} noise
 * @param {(x: Float32Array, t: number, step: number) => Promise<Float32Array>} predict the denoiser's prediction
 * @returns {Promise<Float32Array>}
 */
export async function denoise(schedule, noise, predict) {
  let x = times(noise, schedule.noise);
  // Before the first step nothing was, and the coefficients of it are 0.
  let [before, predictedBefore] = [x, x];
  for (const [step, coefficients] of schedule.steps.entries()) {
    const predicted = await predict(times(x, schedule.scale_input[step]), schedule.timesteps[step], step);
    const next = combined(coefficients, [x, predicted, before, predictedBefore]);
    [before, predictedBefore, x] = [x, predicted, next];
  }
  return x;
}

/** @param {Float32Array} x @param {number} factor */
function times(x, factor) {
  return factor === 1 ? x : x.map((number) => number * factor);
}

/** @param {number[]} coefficients @param {Float32Array[]} of @returns {Float32Array} */
function combined([a, b, c, d], [x, predicted, before, predictedBefore]) {
  const next = new Float32Array(x.length);
  for (let i = 0; i < x.length; i++) {
    next[i] = a * x[i] + b * predicted[i] + c * before[i] + d * predictedBefore[i];
  }
  return next;
}
