/* What the theme's menus, boxes and search lack: a button that closes each menu, focus that goes back to the button it
   came from, names for boxes that the keyboard can scroll, keys below the heads of a long table, sentences quoted. */
(function () {
  "use strict";

  var MENUS = [
    { dialog: "pst-primary-sidebar-modal", filled: "pst-primary-sidebar", opener: ".primary-toggle", closes: "Close the menu" },
    { dialog: "pst-secondary-sidebar-modal", filled: "pst-secondary-sidebar", opener: ".secondary-toggle", closes: "Close the contents" },
    { dialog: "pst-search-dialog", filled: "pst-search-dialog", opener: ".search-button", closes: "Close the search" }
  ];

  // The theme moves what a sidebar holds into the dialog and back, so the button is put into the sidebar.
  function closer(menu) {
    var button = document.createElement("button");
    button.type = "button";
    button.className = "shell-close";
    button.setAttribute("aria-label", menu.closes);
    button.innerHTML = '<span class="fa-solid fa-xmark" aria-hidden="true"></span>';
    button.addEventListener("click", function () { button.closest("dialog").close(); });
    return button;
  }

  function equip(menu) {
    var dialog = document.getElementById(menu.dialog), filled = document.getElementById(menu.filled);
    if (!dialog || !filled) return;
    var opener = document.querySelector(menu.opener);
    dialog.setAttribute("aria-label", opener ? opener.getAttribute("aria-label") : menu.closes);
    filled.prepend(closer(menu));
    // Behind an open dialog the place that a link leads to would not be seen.
    dialog.addEventListener("click", function (event) { if (event.target.closest("a")) dialog.close(); });
    // The theme takes the focus from its buttons when they are pressed, so it cannot give it back.
    dialog.addEventListener("close", function () { if (opener) opener.focus({ preventScroll: true }); });
  }

  function nameOf(box) {
    var figure = box.closest("figure"), said = figure && figure.querySelector("figcaption, caption");
    var caption = said || box.querySelector("caption");
    if (caption) return caption.textContent.trim();
    return box.matches("pre") ? "Code" : box.querySelector("table") ? "Table" : "Output";
  }

  function nameBoxes() {
    document.querySelectorAll('pre[tabindex="0"], .output[tabindex="0"], .table-scroll[tabindex="0"]').forEach(function (box) {
      if (box.hasAttribute("aria-label") || box.hasAttribute("aria-labelledby")) return;
      box.setAttribute("role", "group");
      box.setAttribute("aria-label", nameOf(box));
    });
  }

  // In a long table's window the keys of groups stay below its heads, whose lines depend on the window's width.
  function followHeads() {
    var watch = new ResizeObserver(function (heads) {
      heads.forEach(function (entry) {
        var head = entry.target, cell = head.closest("table").querySelector("tbody th");
        var gap = cell ? parseFloat(getComputedStyle(cell).paddingTop) : 0;
        head.closest("table").style.setProperty("--heads", head.getBoundingClientRect().height + gap + "px");
      });
    });
    document.querySelectorAll(".table-scroll .long.fitted thead").forEach(function (head) { watch.observe(head); });
  }

  // What a search quotes of a page are its sentences: not its buttons, its list of contents, its code or, once more, its title.
  function quoteSentences() {
    if (typeof Search === "undefined") return; // on the page of the search alone
    var quoted = Search.htmlToText;
    Search.htmlToText = function (text, anchor) {
      var article = new DOMParser().parseFromString(text, "text/html").querySelector("article");
      if (!article) return quoted(text, anchor);
      article.querySelectorAll("h1, details.hide, .figure-menu").forEach(function (part) { part.remove(); });
      article.setAttribute("role", "main"); // by which Sphinx finds what is to be quoted
      return quoted(article.outerHTML, anchor);
    };
  }

  function start() {
    MENUS.forEach(equip);
    nameBoxes();
    followHeads();
    quoteSentences();
    // The theme makes boxes focusable as soon as what they hold is wider than they are.
    new MutationObserver(nameBoxes).observe(document.body, { subtree: true, attributeFilter: ["tabindex"] });
  }

  if (document.readyState === "loading") document.addEventListener("DOMContentLoaded", start);
  else start();
})();
