/* What is chosen, kept in the address as the explorer keeps it: a link shows the same choice. */

/** @typedef {{generator: string, precision: string, prompt: string, seed: number, gain: number}} State */

export const GAINS = [1, 2, 4, 8, 16, 32];
/** Seeds go up to here, as a field of whole numbers takes them. */
export const LAST_SEED = 2 ** 31 - 1;
const LONGEST = 300;

/**
 * A state in which every choice exists, whatever an address or a field says.
 * @param {Partial<State>} wanted @param {State} start @param {{generators: string[], precisions: string[]}} there
 * @returns {State}
 */
export function possible(wanted, start, there) {
  const seed = Math.trunc(Number(wanted.seed ?? NaN)), prompt = (wanted.prompt ?? "").replace(/\s+/g, " ").trim();
  /** @param {string | undefined} key @param {string[]} keys @param {string} otherwise */
  const either = (key, keys, otherwise) => key !== undefined && keys.includes(key) ? key : otherwise;
  return {
    generator: either(wanted.generator, there.generators, start.generator),
    precision: either(wanted.precision, there.precisions, start.precision),
    prompt: prompt.slice(0, LONGEST) || start.prompt,
    seed: seed >= 0 && seed <= LAST_SEED ? seed : start.seed,
    gain: GAINS.includes(Number(wanted.gain)) ? Number(wanted.gain) : start.gain,
  };
}

/** The state that an address's fragment says; {} where it says none. @param {string} hash @returns {Partial<State>} */
export function read(hash) {
  const said = new URLSearchParams(hash.slice(1));
  if (!said.has("generator")) return {};
  /** @param {string} name */
  const word = name => said.get(name) ?? undefined;
  /** @param {string} name */
  const number = name => said.has(name) ? Number(said.get(name)) : undefined;
  return { generator: word("generator"), precision: word("precision"), prompt: word("prompt"), seed: number("seed"), gain: number("gain") };
}

/** The fragment of a state. @param {State} state */
export function address(state) {
  return `#${new URLSearchParams(Object.entries(state).map(([name, value]) => [name, String(value)]))}`;
}
