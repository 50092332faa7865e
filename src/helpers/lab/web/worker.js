/** The lab's worker: takes orders of the page one after the other, answers with progress, and with a result or error. */

import { Engine } from "./engine.js";
import { Job } from "./job.js";

/** @import { Answer, Order } from "./types.js" */

/** Orders that were taken and not answered. @type {Map<number, Job>} */
const jobs = new Map();
/** @type {Engine} */
let engine;
/** The work before, for the runtime has one thread. @type {Promise<void>} */
let last = Promise.resolve();

self.addEventListener("message", (/** @type {MessageEvent<Order>} */ { data: order }) => {
  if (order.call === "open") {
    engine = new Engine(new URL(order.base), order.manifest, (file) => answer({ file }));
  } else if (order.call === "stop") {
    jobs.get(order.id)?.stop();
  } else {
    jobs.set(order.id, new Job((progress) => answer({ id: order.id, progress })));
    last = last.then(() => work(order));
  }
});

/** @param {Extract<Order, { call: "make" | "judge" }>} order */
async function work(order) {
  const { id } = order;
  const job = /** @type {Job} */ (jobs.get(id));
  try {
    const result = order.call === "make" ? await engine.make(order.wish, job) : await engine.judge(order.picture, job);
    answer({ id, result });
  } catch (error) {
    const { name, message } = error instanceof Error ? error : new Error(String(error));
    answer({ id, error: { name, message } });
  }
  jobs.delete(id);
}

/** @param {Answer} message */
function answer(message) {
  self.postMessage(message);
}
