/* The explorer and the gallery of page 08. What there is to choose stands in the page as JSON; the logits of a
   generator under one protocol and training lie in a script of their own, which is loaded when they are chosen. The
   state is the address's fragment, so a link reproduces a view and the browser's own buttons go back and forth. */
(function () {
  "use strict";

  /* Statistics, as helpers.analysis.stats.metrics has them. Label 1 is fake; a fake scores strictly above the threshold. */

  const { Z, wilson, mean, variance, h, s, field, fill, table, signed, between, scale } = window.quantdetectDrawing;
  const FEW = 30;

  function sorted(values) {
    return Float64Array.from(values).sort();
  }

  // How many of the ordered numbers lie below a value, or up to it.
  function rank(ordered, value, upTo) {
    let low = 0, high = ordered.length;
    while (low < high) {
      const middle = (low + high) >> 1;
      if (ordered[middle] < value || (upTo && ordered[middle] === value)) low = middle + 1;
      else high = middle;
    }
    return low;
  }

  // The share of the others below each value, ties counted half.
  function placements(values, others) {
    const ordered = sorted(others);
    return Float64Array.from(values, value => (rank(ordered, value, false) + rank(ordered, value, true)) / 2 / ordered.length);
  }

  // DeLong's interval, or where that says too little Newcombe's on the variance of Hanley and McNeil.
  function auc(fakes, reals) {
    if (!fakes.length || !reals.length) return null;
    const ofFakes = placements(fakes, reals), ofReals = placements(reals, fakes).map(below => 1 - below);
    const area = mean(ofFakes), spread = variance(ofFakes) / fakes.length + variance(ofReals) / reals.length;
    const half = Z * Math.sqrt(spread);
    if (spread > 0 && Math.min(fakes.length, reals.length) >= FEW && half <= area && area <= 1 - half)
      return { estimate: area, low: area - half, high: area + half };
    return areaInterval(area, fakes.length, reals.length);
  }

  function areaInterval(area, fakes, reals) {
    const STEPS = 20000, extra = (fakes + reals) / 2 - 1;
    let low = area, high = area;
    for (let step = 0; step <= STEPS; step += 1) {
      const at = step / STEPS;
      const error = Math.sqrt(at * (1 - at) * (1 + extra * ((1 - at) / (2 - at) + at / (1 + at))) / (fakes * reals));
      if (Math.abs(at - area) <= Z * error + 1e-12) {
        low = Math.min(low, at);
        high = Math.max(high, at);
      }
    }
    return { estimate: area, low, high };
  }

  // The lowest threshold that at most this share of the reals exceed.
  function limitAt(reals, share) {
    const falling = sorted(reals).reverse();
    return falling[Math.floor(falling.length * share + 1e-9)];
  }

  // A density on a grid: normal kernels, as wide as helpers.analysis.densities makes them.
  function density(values, grid) {
    const total = values.length, spread = Math.sqrt(variance(values) * (total - 1) / total);
    const width = Math.max(0.05, 0.9 * spread * total ** -0.2);
    return grid.map(x => values.reduce((sum, value) => sum + Math.exp(-0.5 * ((x - value) / width) ** 2), 0)
      / (total * width * Math.sqrt(2 * Math.PI)));
  }

  function quantile(ordered, share) {
    const place = share * (ordered.length - 1), below = Math.floor(place);
    return ordered[below] + (place - below) * (ordered[Math.min(below + 1, ordered.length - 1)] - ordered[below]);
  }

  // The points of an ROC curve, from (0, 0) to (1, 1), one at each distinct score.
  function roc(fakes, reals) {
    const of = [sorted(fakes), sorted(reals)];
    const limits = [...new Set([...of[0], ...of[1]])].sort((a, b) => b - a);
    return [[0, 0], ...limits.map(limit => [share(of[1], limit, false), share(of[0], limit, false)])];
  }

  function share(ordered, limit, strict) {
    return 1 - rank(ordered, limit, strict) / ordered.length;
  }

  /* What there is: the index in the page, and the scores, each file once. */

  const REAL = "real", REAL_COLOUR = "var(--explorer-real)", DASHES = ["", "7 3", "2 3", "9 3 2 3"];
  let index, form, place;
  const asked = {}, arrived = {};

  function unpacked(text, kind) {
    const signs = atob(text), bytes = new Uint8Array(signs.length);
    for (let at = 0; at < signs.length; at += 1) bytes[at] = signs.charCodeAt(at);
    return Array.from(new kind(bytes.buffer));
  }

  // The logits of a cell, and that of one image by its number; places count from 0 where they are not told.
  function cellOf(cell, kind) {
    const logits = unpacked(cell.logits, kind), places = cell.index && unpacked(cell.index, Uint32Array);
    return { logits, of: image => logits[places ? places.indexOf(image) : image] };
  }

  // Called by each script of scores.
  window.quantdetectScores = function (name, bits, detectors) {
    const kind = bits === 32 ? Float32Array : Float64Array, found = {};
    for (const [detector, cells] of Object.entries(detectors))
      found[detector] = Object.fromEntries(Object.entries(cells).map(([key, cell]) => [key, cellOf(cell, kind)]));
    arrived[name] = found;
  };

  function scores(name) {
    if (!asked[name]) {
      asked[name] = new Promise((resolve, reject) => {
        const source = `${index.place}${encodeURIComponent(name)}.js?v=${index.version}`;
        const script = h("script", { src: source, onload: () => resolve(arrived[name]), onerror: reject });
        document.head.append(script);
      });
      asked[name].catch(() => { delete asked[name]; });
    }
    return asked[name];
  }

  function of(list, key) {
    return list.find(entry => entry.key === key);
  }

  function titleOf(key) {
    return key === REAL ? "Real" : of(index.precisions, key).title;
  }

  function colourOf(key) {
    return key === REAL ? REAL_COLOUR : of(index.precisions, key).colour;
  }

  function dashOf(key) {
    return key === REAL ? "1 0" : DASHES[index.precisions.findIndex(entry => entry.key === key) % DASHES.length];
  }

  /* The state: what is chosen. `threshold` null is the detector's own. */

  let state;

  function conditionsOf(generator, detector) {
    const files = of(index.generators, generator).files;
    return index.conditions.filter(one => one.detectors.includes(detector) && files[`${one.protocol} ${one.weights}`]);
  }

  function either(wanted, choices, otherwise) {
    return choices.includes(wanted) ? wanted : choices.includes(otherwise) ? otherwise : choices[0];
  }

  // A state in which every choice exists, whatever an address or a former choice says.
  function possible(wanted) {
    const start = index.start, keys = list => list.map(entry => entry.key);
    const generator = either(wanted.generator, keys(index.generators), start.generator);
    const judged = keys(index.detectors).filter(key => conditionsOf(generator, key).length);
    const detector = either(wanted.detector, judged, start.detector);
    const there = conditionsOf(generator, detector);
    const protocol = either(wanted.protocol, there.map(one => one.protocol), start.protocol);
    const trainings = there.filter(one => one.protocol === protocol).map(one => one.weights);
    const chosen = (wanted.precisions || start.precisions).filter(key => of(index.precisions, key));
    const stored = of(index.generators, generator).images || [];
    const threshold = Number.isFinite(wanted.threshold) ? wanted.threshold : null;
    return {
      generator, detector, protocol, threshold,
      training: either(wanted.training, trainings, start.training),
      image: either(wanted.image, stored, start.image) ?? null,
      // The baseline is always there: the others are shown beside it.
      precisions: keys(index.precisions).filter(key => key === index.baseline || chosen.includes(key)),
      gain: either(wanted.gain, GAINS, 8)
    };
  }

  function read() {
    const said = new URLSearchParams(location.hash.slice(1));
    if (!said.has("generator")) return possible(index.start);
    const number = name => said.has(name) ? Number(said.get(name)) : null;
    return possible({
      generator: said.get("generator"), detector: said.get("detector"), protocol: said.get("protocol"),
      training: said.get("training"), image: number("image"), threshold: number("threshold"), gain: number("gain"),
      precisions: said.has("precisions") ? said.get("precisions").split(",") : null
    });
  }

  function address() {
    const { threshold, precisions, image, ...rest } = state;
    const said = new URLSearchParams(rest);
    if (image !== null) said.set("image", image);
    said.set("precisions", precisions.join(","));
    if (threshold !== null) said.set("threshold", String(+threshold.toPrecision(6)));
    return "#" + said.toString().replaceAll("%2C", ",");
  }

  // While a slider is dragged the address follows without a step for each of its places.
  function change(wanted, dragged) {
    state = possible({ ...state, ...wanted });
    if (address() !== location.hash) history[dragged ? "replaceState" : "pushState"](null, "", address());
    draw();
  }

  function limit() {
    return state.threshold ?? of(index.detectors, state.detector).threshold;
  }

  function called(logit) {
    return limit() === null ? "" : logit > limit() ? "called fake" : "called real";
  }

  /* Controls */

  const GAINS = [1, 2, 4, 8, 16, 32], FORM = "explorer-form";

  function menu(name, onchange) {
    return h("select", { id: `explorer-${name}`, name, onchange: event => onchange(event.target.value) });
  }

  function ticks() {
    const boxes = index.precisions.map(({ key, title }) => h("label", { class: "explorer-tick" },
      h("input", { type: "checkbox", name: "precisions", value: key, onchange: ticked, disabled: key === index.baseline }),
      sample(key), title));
    return h("fieldset", { class: "explorer-field" }, h("legend", {}, "Precisions"), ...boxes);
  }

  function ticked() {
    change({ precisions: [...form.querySelectorAll("[name=precisions]:checked")].map(box => box.value) });
  }

  function sample(key) {
    return s("svg", { class: "explorer-sample", viewBox: "0 0 26 8", "aria-hidden": "true" },
      s("line", { x1: 0, x2: 26, y1: 4, y2: 4, stroke: colourOf(key), "stroke-width": 3, "stroke-dasharray": dashOf(key) }));
  }

  function thresholdField() {
    const slider = h("input", { type: "range", id: "explorer-threshold", name: "threshold", form: FORM,
      oninput: event => change({ threshold: Number(event.target.value) }, true) });
    const number = h("input", { type: "number", name: "limit", form: FORM, step: "any", "aria-label": "Threshold as a number (logit)",
      onchange: event => change({ threshold: event.target.value === "" ? null : Number(event.target.value) }) });
    const own = h("button", { type: "button", name: "own", form: FORM, onclick: () => change({ threshold: null }) }, "The detector\u2019s own");
    const five = h("button", { type: "button", name: "five", form: FORM, onclick: atFive }, "5 % of reals called fake");
    // It stands beside the charts that it moves, and is the form's all the same.
    return h("div", { class: "explorer-field explorer-threshold" }, h("label", { for: slider.id }, "Threshold (logit)"),
      h("div", {}, slider, number), h("div", {}, own, five));
  }

  function atFive() {
    const reals = (arrived[fileName()] || {})[state.detector][REAL];
    if (reals) change({ threshold: limitAt(reals.logits, 0.05) });
  }

  // Another score has another scale, so a threshold does not go with it.
  function fresh(name) {
    return value => change({ [name]: value, threshold: null });
  }

  function step(by) {
    const stored = of(index.generators, state.generator).images;
    change({ image: stored[(stored.indexOf(state.image) + by + stored.length) % stored.length] });
  }

  function controls() {
    const before = h("button", { type: "button", "aria-label": "Previous prompt", onclick: () => step(-1) }, "\u2039");
    const after = h("button", { type: "button", "aria-label": "Next prompt", onclick: () => step(1) }, "\u203a");
    const prompt = field("Prompt", menu("image", value => change({ image: Number(value) })),
      h("span", { class: "explorer-steps" }, before, after));
    prompt.classList.add("explorer-prompt");
    return h("form", { class: "explorer-controls", id: FORM, "aria-label": "What is shown", onsubmit: event => event.preventDefault() },
      prompt, field("Generator", menu("generator", fresh("generator"))), field("Detector", menu("detector", fresh("detector"))),
      field("Protocol", menu("protocol", fresh("protocol"))), field("Training", menu("training", fresh("training"))), ticks());
  }

  function fillControls() {
    const { generator, detector, protocol } = state, titled = list => list.map(({ key, title }) => [key, title]);
    const there = conditionsOf(generator, detector), stored = of(index.generators, generator).images || [];
    fill(form.elements.generator, titled(index.generators), generator);
    fill(form.elements.image, stored.map(image => [image, `${image}: ${index.prompts[image]}`]), state.image);
    form.querySelector(".explorer-prompt").hidden = !stored.length;
    fill(form.elements.detector, titled(index.detectors.filter(one => conditionsOf(generator, one.key).length)), detector);
    fill(form.elements.protocol, [...new Set(there.map(one => one.protocol))].map(key => [key, key]), protocol);
    const trainings = there.filter(one => one.protocol === protocol).map(one => [one.weights, one.weights]);
    fill(form.elements.training, trainings, state.training);
    for (const box of form.querySelectorAll("[name=precisions]")) box.checked = state.precisions.includes(box.value);
  }

  function fillThreshold(cells) {
    const every = sorted(Object.values(cells).flatMap(cell => cell.logits)), slider = form.elements.threshold;
    const at = limit(), ends = [Math.min(every[0], at ?? every[0]), Math.max(every[every.length - 1], at ?? every[0])];
    slider.min = Math.floor(ends[0]);
    slider.max = Math.ceil(ends[1]);
    slider.step = (slider.max - slider.min) / 500;
    slider.value = at ?? 0;
    form.elements.limit.value = at === null ? "" : +at.toPrecision(6);
    form.elements.five.disabled = !cells[REAL];
    form.elements.own.disabled = state.threshold === null;
  }

  /* Pictures: SVG, which shows a part of a strip at every size. */

  // So much of the outermost pixels is not shown: on the very edge of a picture a browser mixes it with what is behind.
  const CUT = 0.1;

  function stripOf(generator, image) {
    return `${index.place}gallery/${encodeURIComponent(generator.key)}/${String(image).padStart(4, "0")}.webp?v=${index.version}`;
  }

  function picture(generator, image, key) {
    const { side, columns } = generator;
    return s("svg", { class: "explorer-picture", viewBox: `${CUT} ${CUT} ${side - 2 * CUT} ${side - 2 * CUT}`, role: "img",
      "aria-label": `${titleOf(key)}: ${generator.title}, ${index.prompts[image]}` },
    s("image", { href: stripOf(generator, image), x: -side * columns.indexOf(key), y: 0, width: side * columns.length, height: side,
      preserveAspectRatio: "none" }));
  }

  // A canvas subtracts the stored pixels themselves. Two pictures that the page has enlarged may lie a part of a pixel apart:
  // Firefox moves each to whole pixels of the screen, and of equal ones it showed stripes.
  function difference(generator, image, key, minus, gain) {
    const { side, columns } = generator;
    const canvas = h("canvas", { class: "explorer-picture", width: side, height: side, role: "img", style: `filter: brightness(${gain})`,
      "aria-label": `Difference of ${titleOf(key)} from ${titleOf(minus)}, times ${gain}: ${generator.title}, ${index.prompts[image]}` });
    const strip = h("img", { src: stripOf(generator, image), onload: () => {
      const context = canvas.getContext("2d");
      for (const [column, how] of [[key, "copy"], [minus, "difference"]]) {
        context.globalCompositeOperation = how;
        context.drawImage(strip, side * columns.indexOf(column), 0, side, side, 0, 0, side, side);
      }
    } });
    return canvas;
  }

  function shownKeys(generator) {
    return [...state.precisions, REAL].filter(key => generator.columns.includes(key));
  }

  function pictures() {
    const generator = of(index.generators, state.generator);
    if (state.image === null) return [h("p", {}, index.missing.images)];
    const gain = menu("gain", value => change({ gain: Number(value) }));
    fill(gain, GAINS.map(times => [times, `\u00d7 ${times}`]), state.gain);
    return [
      h("div", { class: "explorer-pictures" }, shownKeys(generator).map(key => card(generator, key))),
      state.precisions.length > 1 ? field("Differences, amplified", gain) : null,
      notes(generator)
    ];
  }

  // An image with what the detector says of it, and below it how it differs from the baseline's.
  function card(generator, key) {
    const differs = comparable(generator, key);
    const own = h("figure", { "data-key": key }, picture(generator, state.image, key),
      h("figcaption", {}, h("strong", {}, titleOf(key)), h("span", { class: "explorer-verdict" })));
    const apart = differs ? h("figure", {}, difference(generator, state.image, key, index.baseline, state.gain),
      h("figcaption", {}, `${titleOf(key)} less ${titleOf(index.baseline)}`)) : null;
    return h("div", { class: "explorer-card" }, own, apart);
  }

  function comparable(generator, key) {
    return key !== index.baseline && key !== REAL && generator.columns.includes(index.baseline);
  }

  function notes(generator) {
    const said = [];
    if (generator.side < generator.size) said.push(`Shown is the middle, ${generator.side} of ${generator.size} pixels a side.`);
    if (!generator.columns.includes(REAL)) said.push("No real image is stored beside these.");
    if (index.seen[state.protocol]) said.push(index.seen[state.protocol]);
    said.push("A difference is absolute, channel by channel: black is equal.");
    return h("p", { class: "explorer-note" }, said.join(" "));
  }

  // Detector -> precision or real -> the logit of the image shown.
  function logitsOfImage(detectors) {
    return Object.fromEntries(Object.entries(detectors).map(([detector, cells]) =>
      [detector, Object.fromEntries(Object.entries(cells).map(([key, cell]) => [key, cell.of(state.image)]))]));
  }

  function verdicts(logits) {
    for (const card of place.querySelectorAll("figure[data-key]")) {
      const logit = logits[state.detector][card.dataset.key];
      card.querySelector(".explorer-verdict").textContent = logit === undefined ? "no score" : `${signed(logit)} ${called(logit)}`;
    }
    part("verdicts", everyVerdict(logits));
  }

  /* Tables */

  function everyVerdict(logits) {
    const keys = [...state.precisions, REAL];
    const rows = index.detectors.filter(one => logits[one.key]).map(({ key, title, threshold }) => {
      const at = key === state.detector ? limit() : threshold;
      return [title, ...keys.map(column => {
        const logit = logits[key][column];
        if (logit === undefined) return h("td", {}, "\u2013");
        return h("td", { "data-value": logit }, signed(logit) + (at === null ? "" : logit > at ? " fake" : " real"));
      })];
    });
    const others = "others by their own threshold";
    return table("explorer-verdicts", `What each detector says of image ${state.image} (logit; ${titleOfDetector()} by the threshold chosen, ${others})`,
      ["Detector", ...keys.map(titleOf)], rows);
  }

  function titleOfDetector() {
    return of(index.detectors, state.detector).title;
  }

  function number(found, name) {
    return h("td", found ? { "data-name": name, "data-value": found.estimate, "data-low": found.low, "data-high": found.high } : {}, between(found));
  }

  function rates(cells) {
    const at = limit(), over = cell => cell.logits.filter(logit => logit > at).length;
    const reals = cells[REAL];
    const rows = state.precisions.filter(key => cells[key]).map(key => [
      titleOf(key), h("td", {}, cells[key].logits.length),
      number(at === null ? null : wilson(over(cells[key]), cells[key].logits.length), `tpr ${key}`),
      number(reals ? auc(cells[key].logits, reals.logits) : null, `auc ${key}`)
    ]);
    const specific = reals && at !== null ? wilson(reals.logits.length - over(reals), reals.logits.length) : null;
    if (reals) rows.push(["Real", h("td", {}, reals.logits.length), number(specific, "tnr"), h("td", {}, "\u2013")]);
    const where = at === null ? "no threshold is known" : `at a threshold of ${signed(at)}`;
    return table("explorer-rates", `Rates of ${titleOfDetector()} on ${of(index.generators, state.generator).title}, ${where}, with 95 % intervals`,
      ["Images", "Number", "Detection rate (reals: TNR)", "AUC"], rows);
  }

  /* Charts */

  const WIDE = 340, HIGH = 230, EDGE = { left: 56, right: 10, top: 12, bottom: 40 };

  // Round numbers within a span, about so many.
  function nice(low, high, count) {
    const raw = (high - low) / count, power = 10 ** Math.floor(Math.log10(raw));
    const size = [1, 2, 5, 10].map(times => times * power).find(size => size >= raw);
    const found = [];
    for (let at = Math.ceil(low / size) * size; at <= high + size / 1e6; at += size) found.push(+at.toPrecision(6));
    return found;
  }

  function frame(label, x, y, spans, titles) {
    const bottom = HIGH - EDGE.bottom;
    const marks = nice(...spans[0], 6).map(at => s("g", {}, s("line", { x1: x(at), x2: x(at), y1: bottom, y2: bottom + 4 }),
      s("text", { x: x(at), y: bottom + 17, "text-anchor": "middle" }, String(at).replace("-", "\u2212"))));
    const rules = nice(...spans[1], 4).map(at => s("g", {}, s("line", { class: "grid", x1: EDGE.left, x2: WIDE - EDGE.right, y1: y(at), y2: y(at) }),
      s("text", { x: EDGE.left - 6, y: y(at) + 4, "text-anchor": "end" }, at)));
    return s("svg", { class: "explorer-chart", viewBox: `0 0 ${WIDE} ${HIGH}`, role: "img", "aria-label": label }, rules,
      s("line", { x1: EDGE.left, x2: WIDE - EDGE.right, y1: bottom, y2: bottom }), marks,
      s("text", { x: (EDGE.left + WIDE - EDGE.right) / 2, y: HIGH - 5, "text-anchor": "middle" }, titles[0]),
      s("text", { transform: `translate(12 ${(EDGE.top + bottom) / 2}) rotate(-90)`, "text-anchor": "middle" }, titles[1]));
  }

  function curve(points, key, x, y) {
    return s("polyline", { points: points.map(([a, b]) => `${x(a)},${y(b)}`).join(" "), fill: "none", stroke: colourOf(key),
      "stroke-width": 2.5, "stroke-dasharray": dashOf(key), "data-key": key });
  }

  function densities(cells) {
    const keys = [...state.precisions, REAL].filter(key => cells[key]);
    const every = sorted(keys.flatMap(key => cells[key].logits)), at = limit();
    let low = quantile(every, 0.001), high = quantile(every, 0.999);
    const pad = 0.08 * (high - low) + 0.25;
    [low, high] = [Math.min(low - pad, at ?? low), Math.max(high + pad, at ?? high)];
    const grid = Array.from({ length: 121 }, (_, place) => low + place / 120 * (high - low));
    const curves = keys.map(key => [key, density(cells[key].logits, grid)]);
    const top = Math.max(...curves.map(([, heights]) => Math.max(...heights)));
    const x = scale([low, high], [EDGE.left, WIDE - EDGE.right]), y = scale([0, top], [HIGH - EDGE.bottom, EDGE.top]);
    const label = `Densities of ${titleOfDetector()}\u2019s logits: ${keys.map(titleOf).join(", ")}`;
    const chart = frame(label, x, y, [[low, high], [0, top]], ["real \u2190 logit \u2192 fake", "density"]);
    chart.append(...curves.map(([key, heights]) => curve(grid.map((value, place) => [value, heights[place]]), key, x, y)));
    if (at !== null) chart.append(s("line", { class: "limit", x1: x(at), x2: x(at), y1: EDGE.top, y2: HIGH - EDGE.bottom }));
    for (const key of keys) {
      const own = cells[key].of(state.image);
      if (own !== undefined) chart.append(s("circle", { cx: Math.max(EDGE.left, Math.min(WIDE - EDGE.right, x(own))), cy: HIGH - EDGE.bottom, r: 4.5, fill: colourOf(key) }));
    }
    return h("figure", {}, chart, h("figcaption", {}, "Densities of the logits. The dashed upright line is the threshold; dots are the images above."));
  }

  function curves(cells) {
    if (!cells[REAL]) return h("p", { class: "explorer-note" }, index.missing.reals);
    const keys = state.precisions.filter(key => cells[key]), at = limit(), reals = cells[REAL].logits;
    const x = scale([0, 1], [EDGE.left, WIDE - EDGE.right]), y = scale([0, 1], [HIGH - EDGE.bottom, EDGE.top]);
    const label = `ROC curves of ${titleOfDetector()}: ${keys.map(titleOf).join(", ")}`;
    const chart = frame(label, x, y, [[0, 1], [0, 1]], ["reals called fake", "fakes called fake"]);
    chart.append(s("line", { class: "grid", x1: x(0), y1: y(0), x2: x(1), y2: y(1) }));
    chart.append(...keys.map(key => curve(roc(cells[key].logits, reals), key, x, y)));
    if (at !== null) {
      const over = logits => logits.filter(logit => logit > at).length / logits.length;
      chart.append(...keys.map(key => s("circle", { class: "point", cx: x(over(reals)), cy: y(over(cells[key].logits)), r: 5, fill: colourOf(key) })));
    }
    return h("figure", {}, chart, h("figcaption", {}, "ROC curves. Dots are the operating points at the threshold."));
  }

  /* The stored images whose scores are nearest to the threshold. */

  const NEAREST = 6;

  function nearest(cells) {
    const generator = of(index.generators, state.generator), at = limit();
    if (at === null || state.image === null) return null;
    const every = shownKeys(generator).flatMap(key => generator.images.map(image => ({ key, image, logit: cells[key] && cells[key].of(image) })));
    const found = every.filter(one => one.logit !== undefined).sort((a, b) => Math.abs(a.logit - at) - Math.abs(b.logit - at));
    const cards = found.slice(0, NEAREST).map(({ key, image, logit }) => h("button", { type: "button", class: "explorer-near",
      onclick: () => change({ image }) }, picture(generator, image, key),
    h("span", {}, `${titleOf(key)}, image ${image}: ${signed(logit)} ${called(logit)}`)));
    return [h("p", {}, `The ${cards.length} nearest to the threshold, among the ${found.length} of these images that are stored as pictures. A press shows one above.`),
      h("div", { class: "explorer-pictures" }, cards)];
  }

  /* Drawing */

  function fileName() {
    return of(index.generators, state.generator).files[`${state.protocol} ${state.training}`];
  }

  function part(name, content) {
    place.querySelector(`.explorer-${name}`).replaceChildren(...[content].flat(2).filter(Boolean));
  }

  let drawnPictures = "", seenNearest = null;

  // These pictures are far down, and on a slow line would keep those above from coming.
  function watchNearest() {
    seenNearest = false;
    whenNear(place.querySelector(".explorer-nearest"), () => {
      seenNearest = true;
      // Nothing else is drawn anew: the keyboard may be there.
      scores(fileName()).then(found => { if (Object.keys(found[state.detector]).length) part("nearest", nearest(found[state.detector])); });
    });
  }

  function draw() {
    const view = { ...state }, pictured = JSON.stringify([view.generator, view.image, view.precisions, view.gain, view.protocol]);
    fillControls();
    if (pictured !== drawnPictures) {
      const back = document.activeElement && document.activeElement.id === "explorer-gain";
      part("images", pictures());
      drawnPictures = pictured;
      if (back) place.querySelector("#explorer-gain").focus();
    }
    // What the page opens with has its verdicts in the page: they need not wait for all the scores.
    if (opensWith(index.first)) verdicts(index.first.logits);
    return scores(fileName()).then(found => {
      if (JSON.stringify(view) === JSON.stringify(state)) drawScores(found);
    }, () => part("rates", h("p", { role: "alert" }, "The scores of this generator could not be loaded. Choose it again to try once more.")));
  }

  function opensWith(first) {
    return first && first.file === fileName() && first.image === state.image && !arrived[first.file];
  }

  function drawScores(detectors) {
    const cells = detectors[state.detector];
    place.dataset.drawn = address();
    if (state.image !== null) verdicts(logitsOfImage(detectors));
    if (!Object.keys(cells).length) {
      ["charts", "nearest"].forEach(name => part(name, null));
      return part("rates", h("p", {}, `${titleOfDetector()} has no scores of ${of(index.generators, state.generator).title}.`));
    }
    fillThreshold(cells);
    part("charts", [densities(cells), curves(cells)]);
    part("rates", rates(cells));
    if (seenNearest) part("nearest", nearest(cells));
    else if (seenNearest === null) watchNearest();
    const said = [...place.querySelectorAll("figure[data-key]")].map(card => card.textContent.replace(/([a-z\d])([+\u2212])/i, "$1 $2"));
    place.querySelector(".explorer-said").textContent = [`${of(index.generators, state.generator).title} by ${titleOfDetector()}`, ...said].join("; ");
  }

  // Call `begin` once, when a box comes near what is seen of the page, or the page is printed.
  function whenNear(box, begin) {
    const watch = new IntersectionObserver(seen => { if (seen.some(one => one.isIntersecting)) once(); }, { rootMargin: "300px" });
    const once = () => {
      watch.disconnect();
      window.removeEventListener("beforeprint", once);
      begin();
    };
    watch.observe(box);
    window.addEventListener("beforeprint", once);
  }

  /* The gallery: one prompt, every generator. Its pictures are loaded when they come near. */

  function gallery(box) {
    const stored = index.generators.filter(generator => generator.images);
    const every = [...new Set(stored.flatMap(generator => generator.images))].sort((a, b) => a - b);
    if (!every.length) return;
    const rows = h("div", { class: "explorer-rows" });
    const prompt = h("select", { id: "gallery-image" }), how = h("select", { id: "gallery-how" });
    fill(prompt, every.map(image => [image, `${image}: ${index.prompts[image]}`]), every[0]);
    fill(how, [[0, "as they are"], ...GAINS.map(times => [times, `difference from ${titleOf(index.baseline)} \u00d7 ${times}`])], 0);
    const show = () => rows.replaceChildren(...stored.map(generator => galleryRow(generator, Number(prompt.value), Number(how.value))));
    prompt.addEventListener("change", show);
    how.addEventListener("change", show);
    box.replaceChildren(h("form", { class: "explorer-controls", "aria-label": "What the gallery shows" }, field("Prompt", prompt), field("Images", how)), rows);
    whenNear(box, show);
  }

  function galleryRow(generator, image, gain) {
    const there = generator.images.includes(image);
    const cards = there ? generator.columns.map(key => {
      const shown = gain && comparable(generator, key) ? difference(generator, image, key, index.baseline, gain) : picture(generator, image, key);
      return h("figure", {}, shown, h("figcaption", {}, titleOf(key)));
    }) : [h("p", {}, "not stored")];
    return h("section", { class: "explorer-row", "aria-label": generator.title }, h("p", { class: "explorer-name" }, generator.title), h("div", { class: "explorer-pictures", style: `--columns: ${generator.columns.length}` }, cards));
  }

  /* Start */

  function start() {
    const root = document.querySelector(".quantdetect-explorer");
    if (!root) return;
    index = JSON.parse(root.querySelector("script").textContent);
    place = root.querySelector(".explorer-place");
    state = read();
    scores(fileName());
    form = controls();
    place.replaceChildren(form, h("p", { class: "explorer-said visually-hidden", "aria-live": "polite" }),
      ...["images", "verdicts"].map(name => h("div", { class: `explorer-${name}` })), thresholdField(),
      ...["charts", "rates", "nearest"].map(name => h("div", { class: `explorer-${name}` })));
    // The gallery is below: it waits for what is above it.
    draw().then(() => document.querySelectorAll(".quantdetect-gallery").forEach(gallery));
    // The browser's buttons, and an address that is typed; another fragment is a place on the page.
    window.addEventListener("popstate", () => {
      if (location.hash && !location.hash.startsWith("#generator=")) return;
      state = read();
      draw();
    });
  }

  if (document.readyState === "loading") document.addEventListener("DOMContentLoaded", start);
  else start();
})();
