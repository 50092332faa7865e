/* Figures and tables of a page. Charts are drawn, their titles follow their menus, and a tap shows what pointing at a
   mark shows. Each figure and table has a menu: picture, data, the cell that made it, link. */
(function () {
  "use strict";

  var WIDTH = 680; // px, of a picture that is saved
  var REACH = 20; // px around a finger in which a mark is meant
  var charts = new Map(); // figure -> { spec, view }

  // Charts

  function draw(figure) {
    var picture = figure.querySelector(".chart-picture");
    if (!window.vegaEmbed) {
      picture.innerHTML = picture.querySelector("noscript").textContent;
      return Promise.resolve();
    }
    var spec = JSON.parse(figure.querySelector(".chart-spec").textContent);
    // The title stands above the chart as text; the text that stands for the picture is the title and the caption.
    var shown = Object.assign({}, spec, { background: "transparent", padding: 2 });
    delete shown.title;
    var place = document.createElement("div"), menus = document.createElement("form");
    place.setAttribute("aria-hidden", "true");
    menus.className = "vega-bindings";
    picture.before(menus);
    picture.append(place);
    var options = { actions: false, renderer: "svg", bind: menus, config: { aria: false }, tooltip: { offsetX: 14, offsetY: 14 } };
    if (spec.width === "container" && typeof spec.height === "object") {
      shown.width = WIDTH;
      options.patch = asWideAsItsPlace;
    }
    return window.vegaEmbed(place, shown, options).then(function (result) {
      charts.set(figure, { spec: spec, view: result.view });
      follow(figure, result.view);
      answerTaps(place, result.view);
      // Vega measures its place when the window is resized; columns of the page may settle later.
      new ResizeObserver(function () { window.dispatchEvent(new Event("resize")); }).observe(picture);
    });
  }

  // What Vega-Lite makes of the width "container". It does not for a chart in rows, which is as high as they are, without
  // a warning that it cannot fit the height.
  function asWideAsItsPlace(vega) {
    var wide = "isFinite(containerSize()[0]) ? containerSize()[0] : " + WIDTH;
    delete vega.width;
    vega.autosize = { type: "fit-x", contains: "padding" };
    vega.signals = [{ name: "width", init: wide, on: [{ events: "window:resize", update: wide }] }].concat(vega.signals || []);
    return vega;
  }

  function follow(figure, view) {
    var title = figure.querySelector(".figure-title");
    if (!title || !has(view, "finding")) return;
    title.setAttribute("aria-live", "polite");
    view.addSignalListener("finding", function (_, said) { title.textContent = said; });
  }

  function has(view, signal) {
    return view.getState({ signals: function (name) { return name === signal; }, data: function () { return false; } })
      .signals[signal] !== undefined;
  }

  // One after the other with a pause between, so that the page answers meanwhile.
  function drawAll(figures) {
    if (figures.length) draw(figures[0]).then(function () { setTimeout(drawAll, 0, figures.slice(1)); });
  }

  // Tooltips by touch

  function markAt(place, x, y) {
    var found = document.elementFromPoint(x, y);
    var item = found && place.contains(found) ? found.__data__ : null;
    item = Array.isArray(item) ? item[0] : item;
    return item && item.tooltip ? item : null;
  }

  function markNear(place, x, y) {
    for (var far = 0; far <= REACH; far += 5) {
      for (var turn = 0; turn < (far ? 12 : 1); turn += 1) {
        var angle = turn * Math.PI / 6;
        var item = markAt(place, x + far * Math.cos(angle), y + far * Math.sin(angle));
        if (item) return item;
      }
    }
    return null;
  }

  function answerTaps(place, view) {
    place.addEventListener("click", function (event) {
      var item = markNear(place, event.clientX, event.clientY);
      view.tooltip()(null, event, item, item ? item.tooltip : null);
      event.stopPropagation();
    });
  }

  function hideTooltip() {
    var shown = document.getElementById("vg-tooltip-element");
    if (shown) shown.classList.remove("visible");
  }

  // Files

  function save(name, type, content) {
    var link = document.createElement("a");
    link.download = name;
    link.href = type === "url" ? content : URL.createObjectURL(new Blob([content], { type: type }));
    link.click();
  }

  // The chart as it is seen, with its title and in the light colours of paper.
  function forFile(figure) {
    var chart = charts.get(figure), spec = JSON.parse(JSON.stringify(chart.spec));
    (spec.params || []).forEach(function (param) { if (param.bind) param.value = chart.view.signal(param.name); });
    if (spec.width === "container") spec.width = WIDTH;
    return window.vegaEmbed(document.createElement("div"), spec, { actions: false, renderer: "svg" });
  }

  function saveSvg(figure) {
    return forFile(figure).then(function (made) {
      return made.view.toSVG().then(function (svg) { save(nameOf(figure) + ".svg", "image/svg+xml", svg); made.finalize(); });
    });
  }

  function savePng(figure) {
    return forFile(figure).then(function (made) {
      return made.view.toImageURL("png", 2).then(function (url) { save(nameOf(figure) + ".png", "url", url); made.finalize(); });
    });
  }

  function field(value) {
    var text = value === null || value === undefined ? "" : String(value);
    return /[",\r\n]/.test(text) ? '"' + text.replace(/"/g, '""') + '"' : text;
  }

  function csv(rows) {
    return rows.map(function (row) { return row.map(field).join(",") + "\n"; }).join("");
  }

  // A row that holds lists is one for each of their places.
  function unfolded(row, names) {
    var lists = names.filter(function (name) { return Array.isArray(row[name]); });
    if (!lists.length) return [names.map(function (name) { return row[name]; })];
    return row[lists[0]].map(function (_, place) {
      return names.map(function (name) { return Array.isArray(row[name]) ? row[name][place] : row[name]; });
    });
  }

  function tabled(rows) {
    var names = Object.keys(rows[0]);
    return rows.reduce(function (all, row) { return all.concat(unfolded(row, names)); }, [names]);
  }

  // The tables that a chart is drawn from, the largest first, without those that only place a rule.
  function tablesOf(spec) {
    var named = spec.datasets ? Object.values(spec.datasets) : [(spec.data || {}).values || []];
    return named
      .filter(function (rows) { return rows.length && Object.keys(rows[0]).length; })
      .map(tabled)
      .sort(function (one, other) { return other.length - one.length; });
  }

  // A key that stands once for several rows is in each of them.
  function tableRows(figure) {
    var rows = Array.from(figure.querySelectorAll("table tr"), function () { return []; });
    figure.querySelectorAll("table tr").forEach(function (row, at) {
      Array.from(row.cells).forEach(function (cell) {
        var column = 0;
        while (rows[at][column] !== undefined) column += 1;
        for (var below = 0; below < cell.rowSpan; below += 1) rows[at + below][column] = cell.textContent.trim();
      });
    });
    return rows;
  }

  function dataItems(figure) {
    var chart = charts.get(figure);
    var found = figure.dataset.kind === "Table" ? [tableRows(figure)] : chart ? tablesOf(chart.spec) : [];
    return found.map(function (rows, place) {
      var nth = place ? "-" + (place + 1) : "";
      return button("Data" + nth.replace("-", " ") + " (CSV)", function () {
        save(nameOf(figure) + nth + ".csv", "text/csv", csv(rows));
      });
    });
  }

  // Menus

  function nameOf(figure) { return figure.id.replace(/^(fig|tab)-/, ""); }

  function button(words, action) {
    var made = document.createElement("button");
    made.type = "button";
    made.textContent = words;
    made.addEventListener("click", action);
    return made;
  }

  function link(words, address) {
    var made = document.createElement("a");
    made.textContent = words;
    made.href = address;
    return made;
  }

  function cellOf(figure) {
    var cell = figure.closest(".cell");
    return cell && cell.querySelector(".cell_input") ? cell : null;
  }

  function items(figure) {
    var home = figure.dataset.home || "", found = [];
    if (charts.has(figure)) {
      found.push(button("Picture (PNG)", function () { savePng(figure); }));
      found.push(button("Picture (SVG)", function () { saveSvg(figure); }));
    }
    var sheet = figure.matches(".contact-sheet") && figure.querySelector("img");
    if (sheet) found.push(link("Picture", sheet.src));
    var drawing = figure.matches(".drawing") && figure.querySelector("svg");
    if (drawing) found.push(button("Picture (SVG)", function () { save(nameOf(figure) + ".svg", "image/svg+xml", drawing.outerHTML); }));
    found = found.concat(dataItems(figure));
    if (home || cellOf(figure)) found.push(link("Code of this " + figure.dataset.kind.toLowerCase(), home + "#code-" + figure.id));
    found.push(link("Link to this " + figure.dataset.kind.toLowerCase(), "#" + figure.id));
    return found;
  }

  // What a menu offers is known, and made, when it is opened.
  function fill(menu, figure) {
    var list = document.createElement("ul");
    items(figure).forEach(function (item) {
      item.addEventListener("click", function () { menu.open = false; });
      list.appendChild(document.createElement("li")).append(item);
    });
    menu.querySelectorAll("ul").forEach(function (old) { old.remove(); });
    menu.append(list);
  }

  function equip(figure) {
    var menu = document.createElement("details"), summary = document.createElement("summary");
    var number = figure.querySelector(".figure-number").textContent;
    menu.className = "figure-menu";
    summary.setAttribute("aria-label", "Save or link " + number);
    summary.textContent = "\u22ef";
    menu.append(summary);
    menu.addEventListener("toggle", function () { if (menu.open) fill(menu, figure); });
    figure.prepend(menu);
  }

  function closeMenus(kept) {
    document.querySelectorAll(".figure-menu[open]").forEach(function (menu) {
      if (menu !== kept) menu.open = false;
    });
  }

  function escape(event) {
    if (event.key !== "Escape") return;
    var open = document.querySelector(".figure-menu[open]");
    if (open) open.querySelector("summary").focus();
    closeMenus(null);
    hideTooltip();
  }

  // "#code-fig-heatmap" leads to the cell that made the figure, and opens it.
  function showCode() {
    var wanted = /^#code-([\w-]+)$/.exec(location.hash);
    var figure = wanted && document.getElementById(wanted[1]), cell = figure && cellOf(figure);
    if (!cell) return;
    cell.querySelectorAll("details:not(.figure-menu)").forEach(function (details) { details.open = true; });
    cell.querySelector(".cell_input").scrollIntoView();
  }

  function start() {
    document.querySelectorAll("figure[data-kind]:not(.kept-number)").forEach(equip);
    document.addEventListener("click", function (event) {
      closeMenus(event.target.closest(".figure-menu"));
      hideTooltip();
    });
    document.addEventListener("keydown", escape);
    window.addEventListener("hashchange", showCode);
    showCode();
  }

  // The bundle has run by then, and the styles that give the column its width are there.
  function drawn() { drawAll(Array.from(document.querySelectorAll(".quantdetect-figure"))); }

  if (document.readyState === "loading") document.addEventListener("DOMContentLoaded", start);
  else start();
  if (document.readyState === "complete") drawn();
  else window.addEventListener("load", drawn);
})();
