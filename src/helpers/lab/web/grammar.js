/* Sentences of the miniature world from choices, and back: the rules come with the page, from helpers.world.captions. */

/** @typedef {import("./book.d.ts").Grammar} Grammar */
/** @typedef {{relation: string, ground: string, solids: {colour: string, shape: string}[]}} Choices */

/** How many solids a relation has. @param {Grammar} grammar @param {string} relation */
export function solidsOf(grammar, relation) {
  return (grammar.relations[relation].template.match(/\{\d\}/g) ?? []).length;
}

/** The caption of choices. @param {Grammar} grammar @param {Choices} choices */
export function sentence(grammar, { relation, ground, solids }) {
  return grammar.relations[relation].template
    .replace("{place}", grammar.places[ground])
    .replace(/\{(\d)\}/g, (_, place) => {
      const { colour, shape } = solids[Number(place)];
      return `${grammar.nouns[colour]} ${shape}`;
    });
}

/**
 * The choices that a text is the caption of; null where it is none.
 * @param {Grammar} grammar @param {string} text
 * @returns {Choices | null}
 */
export function parsed(grammar, text) {
  const nouns = Object.entries(grammar.nouns);
  const noun = `(?:${nouns.map(([, said]) => said).join("|")}) (?:${grammar.shapes.join("|")})`;
  for (const [ground, place] of Object.entries(grammar.places)) {
    for (const [relation, { template }] of Object.entries(grammar.relations)) {
      const found = text.match(new RegExp(`^${template.replace("{place}", place).replace(/\{\d\}/g, `(${noun})`)}$`));
      if (!found) continue;
      const solids = found.slice(1).map(said => {
        const [colour, words] = /** @type {[string, string]} */ (nouns.find(([, words]) => said.startsWith(`${words} `)));
        return { colour, shape: said.slice(words.length + 1) };
      });
      return { relation, ground, solids };
    }
  }
  return null;
}
