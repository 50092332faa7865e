"""What axe-core finds against WCAG 2.2, levels A and AA, on an opened page, and where the keyboard gets on it."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from helpers.core import files

AXE = files.ROOT / "node_modules" / "axe-core" / "axe.min.js"
LEVELS = [f"wcag{version}{level}" for version in ("2", "21", "22") for level in ("a", "aa")]
THEMES = ("light", "dark")

# A rule, how often it is broken, and one place with what is wrong there.
RUN = """levels => axe.run(document, {runOnly: {type: "tag", values: levels}, resultTypes: ["violations"]}).then(
    found => found.violations.map(rule => `${rule.id} (${rule.nodes.length}): `
        + `${rule.nodes[0].html.slice(0, 200)} ${rule.nodes[0].failureSummary}`.replace(/\\s+/g, " ")))"""

#: Charts are drawn, and drawn anew once their columns have settled; the explorer has its scores.
DRAWN = """() => [...document.querySelectorAll(".quantdetect-chart")].every(chart => chart.querySelector("svg"))
    && [...document.querySelectorAll(".explorer-place")].every(place => place.dataset.drawn)"""

# Changes of colour and fading boxes come to their end (what goes by the scroll bar is none of time's), and charts fit
# their places: for some frames none is drawn anew.
SETTLE = """async () => {
    const drawn = () => [...document.querySelectorAll(".quantdetect-chart svg")].map(svg => svg.outerHTML).join();
    for (let frames = 0, still = 0, before = ""; still < 5 && frames < 300; frames++) {
        await new Promise(requestAnimationFrame);
        document.getAnimations().filter(moves => moves.timeline === document.timeline).forEach(moves => moves.finish());
        still = drawn() === before ? still + 1 : 0;
        before = drawn();
    }
}"""

#: What cuts what it holds, or lies outside the window where nothing scrolls to it.
CUT = """() => [...document.querySelectorAll("body *")].filter(box => {
    const none = "svg, dialog:not([open]), .visually-hidden, .skip-link";
    if (!box.getClientRects().length || box.closest(none)) return false;
    const style = getComputedStyle(box), edge = document.documentElement.clientWidth + 1;
    if (style.visibility === "hidden" || !box.clientWidth) return false;
    if (/hidden|clip/.test(style.overflowX)) return box.scrollWidth > box.clientWidth + 1;
    const scrolls = up => up !== document.body && /auto|scroll/.test(getComputedStyle(up).overflowX);
    const free = up => !up || (!scrolls(up) && free(up.parentElement));
    return !box.children.length && box.getBoundingClientRect().right > edge && free(box.parentElement);
}).map(box => box.outerHTML.slice(0, 150))"""

# Outlines are compared with what the element has without the focus.
FOCUS = """() => {
    const at = document.activeElement;
    if (!at || at === document.body) return null;
    document.getAnimations().filter(moves => moves.timeline === document.timeline).forEach(moves => moves.finish());
    const look = () => ["outlineStyle", "outlineWidth", "outlineColor", "boxShadow", "borderColor", "backgroundColor"]
        .map(name => getComputedStyle(at)[name]).join(" ");
    const box = at.getBoundingClientRect(), style = getComputedStyle(at), focused = look();
    const ring = style.outlineStyle !== "none" && parseFloat(style.outlineWidth) >= 2;
    const inside = box.bottom > 0 && box.top < innerHeight && box.right > 0 && box.left < innerWidth;
    const first = !at.dataset.reached;
    at.dataset.reached = "yes";
    at.blur();
    const differs = look() !== focused;
    at.focus({preventScroll: true});
    return {first, seen: ring && inside && differs, what: at.outerHTML.slice(0, 150)};
}"""
TAB = {"type": "rawKeyDown", "key": "Tab", "code": "Tab", "windowsVirtualKeyCode": 9}
LEFT_OUT = """() => [...document.querySelectorAll("a[href], button, select, input, summary, textarea, [tabindex='0']")]
    .filter(control => control.checkVisibility({visibilityProperty: true}) && !control.disabled && control.tabIndex >= 0
        && !control.closest("[inert]") && !control.dataset.reached && control.type !== "radio")
    .map(control => control.outerHTML.slice(0, 150))"""


def violations(page) -> list[str]:
    """The rules that the page as it is now breaks, a line each, charts and all; [] where it breaks none."""
    if not AXE.is_file():
        pytest.fail("axe-core is missing: `make test` installs it, and `npm ci` does", pytrace=False)
    if not page.evaluate("() => 'axe' in window"):
        page.add_script_tag(path=AXE)
    return page.evaluate(RUN, LEVELS)


def themes(page) -> Iterator[str]:
    """Bring the open page, with its code unfolded, to each theme in turn, and say which it is."""
    page.evaluate("document.querySelectorAll('details:is(.hide, .colophon, .behind)').forEach(box => box.open = true)")
    for theme in THEMES:
        page.emulate_media(color_scheme=theme)
        page.wait_for_function(f"(document.documentElement.dataset.theme ?? '{theme}') === '{theme}'")
        page.evaluate(SETTLE)
        yield theme


def unseen(page) -> list[str]:
    """What the key Tab reaches and shows no focus, from the page's beginning to its end, and what it does not reach."""
    wrong: list[str] = []
    keys = page.context.new_cdp_session(page)  # playwright's own press takes twice as long
    for _ in range(5000):
        keys.send("Input.dispatchKeyEvent", TAB)
        found = page.evaluate(FOCUS)
        if found is None or not found["first"]:
            return wrong + [f"not reached: {control}" for control in page.evaluate(LEFT_OUT)]
        if not found["seen"]:
            wrong.append(f"no focus: {found['what']}")
    return [*wrong, "Tab does not come to an end"]
