/* What the explorer and the lab both draw with: elements, fields, tables, a scale, and the statistics that they share.
   A script and no module, for a page that is opened from a disk can load no module. */
window.quantdetectDrawing = (function () {
  "use strict";

  /* Statistics, as helpers.analysis.stats.metrics has them. */

  const Z = 1.959963984540054;

  function wilson(count, total) {
    if (!total) return null;
    const share = count / total, z2 = Z * Z / total;
    const middle = (share + z2 / 2) / (1 + z2);
    const half = Z / (1 + z2) * Math.sqrt(share * (1 - share) / total + z2 / (4 * total));
    return { estimate: share, low: Math.min(share, Math.max(0, middle - half)), high: Math.max(share, Math.min(1, middle + half)) };
  }

  function mean(values) {
    return values.reduce((sum, value) => sum + value, 0) / values.length;
  }

  function variance(values) {
    if (values.length < 2) return 0;
    const middle = mean(values);
    return values.reduce((sum, value) => sum + (value - middle) ** 2, 0) / (values.length - 1);
  }

  /* Elements */

  const SVG = "http://www.w3.org/2000/svg";

  // Attributes "on..." are listeners; one without a value is left out.
  function filled(element, attributes, children) {
    for (const [name, value] of Object.entries(attributes || {})) {
      if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
      else if (value !== null && value !== undefined && value !== false) element.setAttribute(name, value === true ? "" : value);
    }
    element.append(...children.flat().filter(child => child !== null && child !== undefined));
    return element;
  }

  function h(name, attributes, ...children) {
    return filled(document.createElement(name), attributes, children);
  }

  function s(name, attributes, ...children) {
    return filled(document.createElementNS(SVG, name), attributes, children);
  }

  function signed(value, digits) {
    return (value < 0 ? "\u2212" : value > 0 ? "+" : "") + Math.abs(value).toFixed(digits === undefined ? 2 : digits);
  }

  function between(found) {
    return found ? `${found.estimate.toFixed(3)} (${found.low.toFixed(3)} to ${found.high.toFixed(3)})` : "\u2013";
  }

  /* Fields of a form */

  function field(label, control, more) {
    return h("div", { class: "explorer-field" }, h("label", { for: control.id }, label), control, more);
  }

  function fill(select, options, value) {
    select.replaceChildren(...options.map(([key, title]) => h("option", { value: key, selected: String(key) === String(value) }, title)));
    select.value = String(value);
    select.disabled = options.length < 2;
  }

  /* Tables */

  // The numbers that a page keeps for the tables that scripts draw (helpers.paper.numbers), by name.
  const kept = {};

  function numberOf(name) {
    const place = document.querySelector(`figure.kept-number[id="tab-${name}"]`);
    if (place) {
      kept[name] = place.querySelector(".figure-number").textContent;
      place.remove();
    }
    return kept[name] ? [h("span", { class: "figure-number" }, kept[name]), " "] : [];
  }

  function table(name, caption, head, rows) {
    const heads = head.map(text => h("th", { scope: "col" }, text));
    const body = rows.map(([first, ...rest]) => h("tr", {}, h("th", { scope: "row" }, first), ...rest));
    return h("figure", { class: "table-figure", id: `tab-${name}` }, h("figcaption", {}, numberOf(name), caption), h("div", { class: "table-scroll", tabindex: 0, role: "group", "aria-label": caption },
      h("table", { class: "table" }, h("thead", {}, h("tr", {}, heads)), h("tbody", {}, body))));
  }

  /* A scale */

  function round(value) {
    return Math.round(value * 10) / 10;
  }

  // From numbers to places, to a tenth of a pixel.
  function scale(from, to) {
    return value => round(to[0] + (value - from[0]) / (from[1] - from[0]) * (to[1] - to[0]));
  }

  return { Z, wilson, mean, variance, h, s, field, fill, table, signed, between, scale };
})();
