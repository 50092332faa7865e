/* The form: generator, precision, prompt by menus or as free text, and seed. */

import { field, fill, h } from "./drawing.js";
import { parsed, sentence, solidsOf } from "./grammar.js";
import { LAST_SEED } from "./state.js";

/** @typedef {import("./context.d.ts").Context} Context */
/** @typedef {import("./state.js").State} State */

export class Controls {
  /** @param {Context} context @param {(wanted: Partial<State>) => void} change */
  constructor(context, change) {
    this.context = context;
    this.change = change;
    this.grammar = context.page.grammar;
    /** What the menus of words show, also while a text is none of theirs. @type {import("./grammar.js").Choices} */
    this.choices = { relation: "alone", ground: Object.keys(this.grammar.places)[0], solids: [{ colour: Object.keys(this.grammar.nouns)[0], shape: this.grammar.shapes[0] }] };
    this.generator = this.#select("generator", generator => change({ generator }));
    this.precision = this.#select("precision", precision => change({ precision }));
    this.archived = this.#select("archived", image => this.#takeArchived(Number(image)));
    this.relation = this.#select("relation", relation => this.#word({ relation }));
    this.ground = this.#select("ground", ground => this.#word({ ground }));
    this.prompt = h("input", { type: "text", id: "lab-prompt", name: "prompt", maxlength: 300, spellcheck: "false", autocomplete: "off",
      onchange: () => change({ prompt: this.prompt.value }) });
    this.seed = h("input", { type: "number", id: "lab-seed", name: "seed", min: 0, max: LAST_SEED, step: 1, inputmode: "numeric", "aria-describedby": "lab-seed-range",
      onchange: () => change({ seed: this.seed.valueAsNumber }) });
    this.solids = h("div", { class: "lab-solids" });
    this.understood = h("p", { class: "lab-understood", role: "status" });
    this.form = this.#form();
  }

  /** Show a state. @param {State} state */
  show(state) {
    const { manifest } = this.context.lab;
    fill(this.generator, Object.entries(manifest.generators).map(([key, { title }]) => [key, title]), state.generator);
    this.precision.value = state.precision;
    this.prompt.value = state.prompt;
    this.seed.value = String(state.seed);
    this.choices = parsed(this.grammar, state.prompt) ?? this.choices;
    this.#fillWords();
    this.#fillArchived(state);
    this.#sayUnderstood(state);
  }

  #form() {
    const { manifest } = this.context.lab;
    const options = (/** @type {boolean} */ deck) => manifest.precisions.filter(one => one.deck === deck)
      .map(({ key, title }) => h("option", { value: key }, title));
    this.precision.append(h("optgroup", { label: "The deck\u2019s four" }, ...options(true)), h("optgroup", { label: "The ladder of formats" }, ...options(false)));
    const range = h("span", { class: "explorer-note", id: "lab-seed-range" }, `A whole number, 0 to ${LAST_SEED}`);
    const another = h("button", { type: "button", onclick: () => this.change({ seed: Math.floor(Math.random() * 1e6) }) }, "Another");
    const seed = field("Seed", this.seed, another), prompt = field("Prompt, as free text", this.prompt, this.understood);
    seed.classList.add("lab-seed");
    seed.append(range);
    prompt.classList.add("lab-wide");
    const archived = field("Prompts of the archive, with their seeds", this.archived);
    archived.classList.add("lab-wide");
    archived.hidden = !this.#archivedPrompts().length;
    const words = h("fieldset", { class: "lab-wide lab-words" }, h("legend", {}, "Prompt, by menus"), field("How many", this.relation), this.solids, field("Ground", this.ground));
    return h("form", { class: "explorer-controls", "aria-label": "What is made", onsubmit: (/** @type {Event} */ event) => event.preventDefault() },
      field("Generator", this.generator), field("Precision", this.precision), seed, prompt, words, archived);
  }

  /** @param {string} name @param {(value: string) => void} chosen */
  #select(name, chosen) {
    const select = h("select", { id: `lab-${name}`, name, onchange: () => chosen(select.value) });
    return select;
  }

  /** Another word in a menu makes another sentence. @param {Partial<import("./grammar.js").Choices>} wanted */
  #word(wanted) {
    const next = { ...this.choices, ...wanted };
    const first = next.solids[0];
    const solids = Array.from({ length: solidsOf(this.grammar, next.relation) }, (_, place) => next.solids[place] ?? first);
    this.choices = { ...next, solids };
    this.change({ prompt: sentence(this.grammar, this.choices) });
  }

  #fillWords() {
    const { relation, ground, solids } = this.choices, { relations, places, nouns, shapes, clashes } = this.grammar;
    fill(this.relation, Object.entries(relations).map(([key, { title }]) => [key, title]), relation);
    fill(this.ground, Object.entries(places), ground);
    if (this.solids.children.length !== 2 * solids.length) this.#layOutSolids(solids.length);
    const selects = this.solids.querySelectorAll("select");
    solids.forEach(({ colour, shape }, place) => {
      /** @param {string} key */
      const named = key => clashes[ground].includes(key) ? `${key} (never ${places[ground]} in training)` : key;
      fill(selects[2 * place], Object.keys(nouns).map(key => [key, named(key)]), colour);
      fill(selects[2 * place + 1], shapes.map(key => [key, key]), shape);
    });
  }

  /** @param {number} count */
  #layOutSolids(count) {
    /** @param {number} place @param {"colour" | "shape"} part */
    const menu = (place, part) => this.#select(`${part}-${place + 1}`, value => {
      this.#word({ solids: this.choices.solids.map((solid, at) => at === place ? { ...solid, [part]: value } : solid) });
    });
    /** @param {string} noun @param {number} place */
    const named = (noun, place) => count > 1 ? `${noun} ${place + 1}` : noun;
    this.solids.replaceChildren(...Array.from({ length: count }, (_, place) => [
      field(named("Colour", place), menu(place, "colour")), field(named("Shape", place), menu(place, "shape")),
    ]).flat());
  }

  #archivedPrompts() {
    const { archive } = this.context;
    return "prompts" in archive && archive.first !== null ? archive.prompts : [];
  }

  /** @param {State} state */
  #fillArchived(state) {
    const prompts = this.#archivedPrompts();
    if (!prompts.length) return;
    const at = archivedImage(this.context, state);
    fill(this.archived, [[-1, "none of them"], ...prompts.map((prompt, image) => /** @type {[number, string]} */ ([image, `${image}: ${prompt}`]))], at);
  }

  /** @param {number} image */
  #takeArchived(image) {
    const { archive } = this.context;
    if (image >= 0 && "prompts" in archive) this.change({ prompt: archive.prompts[image], seed: /** @type {number} */ (archive.first) + image });
  }

  /** @param {State} state */
  #sayUnderstood(state) {
    const words = this.context.lab.understood(state.generator, state.prompt);
    const title = this.context.lab.manifest.generators[state.generator].title;
    const unknown = words.filter(word => !word.known).map(({ word }) => word), late = words.filter(word => !word.kept).map(({ word }) => word);
    const said = unknown.length ? [`${title} does not know: ${unknown.join(", ")}.`] : [];
    if (late.length) said.push(`Beyond what it reads, and left out: ${late.join(" ")}.`);
    if (!said.length) said.push(parsed(this.grammar, state.prompt) ? `${title} knows every word.` : `${title} knows every word, but such a sentence it was not trained on.`);
    this.understood.textContent = said.join(" ");
  }
}

/**
 * Which image of the archive has this prompt and seed; -1 where none has.
 * @param {Context} context @param {{prompt: string, seed: number}} wish
 */
export function archivedImage({ archive }, { prompt, seed }) {
  if (!("prompts" in archive) || archive.first === null) return -1;
  const image = seed - archive.first;
  return archive.prompts[image] === prompt ? image : -1;
}
