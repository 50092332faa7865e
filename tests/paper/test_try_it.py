"""Page 12 in a real browser with a client that computes nothing: what the view shows is what the client gives, the
address holds what is chosen, nothing is loaded before it is asked for, and what is missing is said."""

from __future__ import annotations

import json
import math
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import synthetic
from accessibility import violations
from browsing import opened, served
from scipy import stats
from statsmodels.stats.proportion import proportion_confint

from helpers import analysis, world
from helpers.core import files
from helpers.paper import site
from helpers.paper.pages import try_it
from helpers.results import devices

PAGE = "notebooks/12_try_it.html"
WEB = files.ROOT / "src" / "helpers" / "lab" / "web"
MINUS = "\N{MINUS SIGN}"
PROMPT = "a photo of a red ball on sand"


def compiled(study: Path, folder: Path) -> Path:
    """A site of the lab alone, beside a study's archive, with the client of these tests; the folder of its pages."""
    (folder / "notebooks").mkdir(parents=True)
    (folder / site.EXTRA).mkdir()
    shutil.copytree(files.BOOK / "_static", folder / "_static")
    shutil.copytree(WEB, folder / try_it.LAB / "web")
    shutil.copy(Path(__file__).with_name("lab_client.js"), folder / try_it.LAB / "web" / "client.js")
    (folder / try_it.LAB / "lab.json").write_text("{}", encoding="utf-8")
    try_it.stage(analysis.load(study), folder)
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder / "notebooks")
        shown = try_it.show().data
    head = '<meta charset="utf-8"><meta name="viewport" content="width=device-width"><link rel="icon" href="data:,">'
    names = ("style", "figures", "explorer")
    head += "".join(f'<link rel="stylesheet" href="../_static/{name}.css">' for name in names)
    head += "".join(f'<script defer src="../_static/{name}.js"></script>' for name in ("drawing", "lab"))
    style = "<style>* { box-sizing: border-box; } :root { --pst-color-background: #fff; --pst-color-text-base: #222; }"
    style += " .explorer-note, .lab-understood { --pst-color-text-muted: #555; }</style>"
    text = f'<!DOCTYPE html><html lang="en"><head><title>Lab</title>{head}{style}</head><body><main class="bd-article">'
    (folder / PAGE).write_text(f"{text}<h1>Lab</h1><h2>The lab</h2>{shown}</main></body></html>", encoding="utf-8")
    return folder


@pytest.fixture(scope="module")
def study(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("study") / "study"
    return synthetic.vouch(synthetic.write(folder, synthetic.DECK, images=40, generators=("sd15", "sd3"), gallery=4))


@pytest.fixture(scope="module")
def folder(study: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return compiled(study, tmp_path_factory.mktemp("site"))


@pytest.fixture
def shown(folder: Path, browser) -> Iterator[Callable]:
    """The page with its lab open, at an address and a width; nothing may go wrong, and no request leaves the site."""
    wrong, pages = [], []

    def at(fragment: str = "", width: int = 1280, **options):
        page = opened(browser, width, **options)
        page.set_default_timeout(30_000)
        page.on("pageerror", lambda error: wrong.append(str(error)))
        page.on("requestfailed", lambda sent: wrong.append(sent.url))
        page.on(
            "request", lambda sent: None if sent.url.startswith((address, "data:", "blob:")) else wrong.append(sent.url)
        )
        page.goto(f"{address}{PAGE}{fragment}")
        page.get_by_role("button", name="Open the lab").click()
        page.wait_for_selector(".lab-place[data-open]")
        pages.append(page)
        return page

    with served(folder) as address:
        yield at
    for page in pages:
        page.close()
    assert wrong == []


def done(page, action: str) -> None:
    """Press a button and wait for the end of what it begins."""
    page.locator(f"[data-action={action}]").click()
    page.wait_for_function("() => !document.querySelector('.lab-place').hasAttribute('data-busy')")


def cells(page, caption: str) -> list[list[str]]:
    """The rows of the table whose caption begins so."""
    figure = page.locator(
        "figure.table-figure", has=page.locator(f"figcaption:text-matches('^(Table )?{caption}')")
    ).first
    return figure.locator("tbody tr").evaluate_all(
        "rows => rows.map(row => [...row.cells].map(cell => cell.innerText))"
    )


def logit(precision_bits: int, seed: int, place: int) -> float:
    """The formula of the fake client, again."""
    return seed % 7 - 3 + precision_bits / 8 + place


def said(value: float) -> str:
    return f"{value:+.2f}".replace("-", MINUS)


def test_nothing_is_loaded_before_the_reader_opens_the_lab(folder: Path, browser) -> None:
    page, sent = opened(browser, 390), []
    page.on("request", lambda request: sent.append(request.url))
    with served(folder) as address:
        page.goto(f"{address}{PAGE}", wait_until="networkidle")
        assert not [url for url in sent if "/lab/" in url or "lab-archive" in url]
        page.get_by_role("button", name="Open the lab").click()
        page.wait_for_selector(".lab-place[data-open]")
        assert "first loads 8.4 MB for SD3 and 1.2 MB for the detectors" in page.locator(".lab-sizes").inner_text()
        done(page, "make")
        assert "loads nothing" in page.locator(".lab-sizes").inner_text()
    page.close()


def test_an_image_and_its_twin_stand_beside_the_archive(study: Path, shown) -> None:
    page = shown("#generator=sd3&precision=fp4&prompt=a+photo+of+number+2&seed=2&gain=4")
    done(page, "make")
    logits = analysis.load(study).logits
    rows = cells(page, "What the detectors say on this device")
    for place, (row, key) in enumerate(zip(rows, synthetic.DETECTORS, strict=True)):
        for at, (precision, bits) in enumerate((("fp32", 32), ("fp4", 4))):
            own = logit(bits, 2, place)
            assert row[1 + 2 * at] == f"{said(own)} {'fake' if own > 0 else 'real'}"
            archived = float(logits(key, "sd3", precision)[2])
            assert float(row[2 + 2 * at].replace(MINUS, "-")) == pytest.approx(archived, abs=0.006)
    for row, key in zip(cells(page, "What the archive says of SD3"), synthetic.DETECTORS, strict=True):
        for at, precision in enumerate(("fp32", "fp4")):
            own = logits(key, "sd3", precision)
            low, high = proportion_confint(int((own > 0).sum()), len(own), method="wilson")
            assert row[1 + 2 * at] == f"{(own > 0).mean():.3f} ({low:.3f} to {high:.3f})"
            assert row[2 + 2 * at] == "40"
    middle = "canvas => [...canvas.getContext('2d').getImageData(8, 8, 1, 1).data].slice(0, 3)"
    colours = page.locator(".lab-pictures canvas").evaluate_all(f"all => all.map({middle})")
    assert colours == [[32, 255, 255], [4, 255, 255], [4 * 28, 0, 0]]
    assert "at most 28 grey levels, 9.33 in the mean" in page.locator(".lab-pictures").inner_text()
    # Each table has the number that the page kept for it, and stands where a link to it leads.
    for name in ("lab-verdicts", "lab-archive", "lab-costs"):
        assert page.locator(f"figure#tab-{name}.table-figure .figure-number").inner_text() == "Table"
    assert page.locator("figure.kept-number").count() == len(try_it.TABLES) - 3
    costs = {row[0]: row[1:] for row in cells(page, "What a precision of SD3 takes")}
    assert costs == {"FP32": ["3.2 s", "0.25 s", "4.0 MB", "0.0313"], "FP4": ["0.40 s", "0.25 s", "0.50 MB", "0.2500"]}


def test_an_address_holds_what_is_chosen(shown) -> None:
    page = shown()
    page.locator("[name=generator]").select_option("sd15")
    page.locator("[name=precision]").select_option("nf4")
    page.locator("[name=seed]").fill("77")
    page.locator("[name=prompt]").fill("a castle on sand")
    page.keyboard.press("Enter")
    assert "SD1.5 does not know: castle." in page.locator(".lab-understood").inner_text()
    page.locator("[name=relation]").select_option("row")
    page.locator("[name=ground]").select_option("sky")
    page.locator("[name=colour-2]").select_option("orange")
    text = page.locator("[name=prompt]").input_value()
    parsed = world.parse(text)
    assert parsed.relation == "row" and parsed.ground == "sky" and parsed.solids[1][0] == "orange"
    there = page.url
    assert "generator=sd15&precision=nf4" in there and "seed=77" in there
    page.go_back()
    assert page.locator("[name=prompt]").input_value() != text
    again = shown(f"#{there.partition('#')[2]}")
    assert again.locator("[name=prompt]").input_value() == text
    assert again.locator("[name=colour-2]").input_value() == "orange"
    odd = shown("#generator=sd9&precision=int1&seed=-4&gain=3&prompt=")
    assert [odd.locator(f"[name={name}]").input_value() for name in ("generator", "precision")] == ["sd3", "fp4"]
    assert "generator=sd3&precision=fp4" in odd.url


def test_a_field_that_cannot_be_keeps_what_was_chosen(shown) -> None:
    page = shown("#generator=sd15&precision=nf4&prompt=a+castle&seed=77&gain=4")
    for name, value in (("prompt", "  "), ("seed", "-5"), ("seed", ""), ("seed", str(2**53))):
        page.locator(f"[name={name}]").fill(value)
        page.keyboard.press("Tab")
        kept = [page.locator(f"[name={field}]").input_value() for field in ("prompt", "seed")]
        assert kept == ["a castle", "77"], (name, value)


def test_the_menus_write_what_the_world_says(shown) -> None:
    page = shown()
    told = page.evaluate(
        """async captions => {
            const grammar = JSON.parse(document.querySelector(".quantdetect-lab script").textContent).grammar;
            const {parsed, sentence} = await import(new URL("../_static/lab/web/grammar.js", document.baseURI));
            return captions.map(text => [parsed(grammar, text), sentence(grammar, parsed(grammar, text))]);
        }""",
        captions := [world.prompt(seed) for seed in range(200)],
    )
    for caption, (choices, text) in zip(captions, told, strict=True):
        own = world.parse(caption)
        assert text == caption
        assert (choices["ground"], choices["relation"]) == (own.ground, own.relation)
        assert [(one["colour"], one["shape"]) for one in choices["solids"]] == list(own.solids)


def test_several_seeds_have_honest_intervals(shown) -> None:
    page = shown(f"#generator=sd3&precision=fp4&prompt={PROMPT.replace(' ', '+')}&seed=3")
    page.locator("#lab-seeds").select_option("5")
    done(page, "seeds")
    rows = cells(page, "5 pairs")
    for place, row in enumerate(rows):
        for at, bits in enumerate((32, 4)):
            count = sum(logit(bits, seed, place) > 0 for seed in range(3, 8))
            low, high = proportion_confint(count, 5, method="wilson")
            assert row[1 + at] == f"{count} of 5: {count / 5:.3f} ({low:.3f} to {high:.3f})"
        assert row[3] == f"{said(-3.5)} ({said(-3.5)} to {said(-3.5)})"
    assert page.locator(".lab-spread circle").count() == 5 * 2 * 4
    found = page.evaluate(
        """async all => { const {meanInterval} = await import(new URL("../_static/lab/web/statistics.js",
            document.baseURI)); return meanInterval(all); }""",
        values := [0.3, -1.2, 2.5, 0.7, 0.1, -0.4],
    )
    low, high = stats.t.interval(0.95, 5, loc=sum(values) / 6, scale=stats.sem(values))
    assert found == pytest.approx({"estimate": sum(values) / 6, "low": low, "high": high}, abs=1e-5)
    quantiles = page.evaluate(
        """async all => { const {student} = await import(new URL("../_static/lab/web/statistics.js", document.baseURI));
            return all.map(student); }""",
        [1, 2, 4, 9, 19, 39],
    )
    assert quantiles == pytest.approx([stats.t.ppf(0.975, df) for df in (1, 2, 4, 9, 19, 39)], rel=1e-5)


def test_several_seeds_at_the_baseline_have_no_twin(shown) -> None:
    page = shown(f"#generator=sd3&precision=fp32&prompt={PROMPT.replace(' ', '+')}&seed=3")
    page.locator("#lab-seeds").select_option("5")
    done(page, "seeds")
    rows = cells(page, "5 images")
    assert [len(row) for row in rows] == [2] * 4
    assert page.locator(".lab-spread circle").count() == 5 * 4


def test_the_ladder_has_every_format_and_stops(shown) -> None:
    page = shown(f"#generator=sd15&precision=fp8&prompt={PROMPT.replace(' ', '+')}&seed=4")
    page.evaluate("window.labDelay = 100")
    page.locator("[data-action=ladder]").click()
    page.locator(".lab-rungs table").wait_for()
    page.locator("[data-action=make]").click(force=True)  # one thing at a time
    page.get_by_role("button", name="Stop").click()
    page.wait_for_function("() => !document.querySelector('.lab-place').hasAttribute('data-busy')")
    assert page.locator(".lab-said").inner_text() == "The ladder of SD1.5: stopped."
    assert page.locator(".lab-shown table").count() == 0
    page.evaluate("window.labDelay = 0")
    done(page, "ladder")
    rows = cells(page, "The ladder of this prompt")
    bits = {"FP32": 32, "FP16": 16, "FP8": 8, "INT8": 8, "FP4": 4, "NF4": 4, "INT2": 2}  # by the error of weights
    assert [row[0] for row in rows] == list(bits)
    assert [row[1] for row in rows] == [
        f"{said(v)} {'fake' if v > 0 else 'real'}" for v in (logit(b, 4, 0) for b in bits.values())
    ]
    asked = page.evaluate("window.labAsked.map(wish => wish.precision)")
    assert asked.count("fp32") == 1  # what is there is not made again
    assert page.locator(".lab-rungs polyline").count() == 4


def test_a_picture_of_ones_own_is_unstable_where_verdicts_flip(shown) -> None:
    page = shown()
    page.locator("#lab-file").set_input_files({"name": "mine.png", "mimeType": "image/png", "buffer": b"x"})
    page.locator(".lab-own table").wait_for()
    page.wait_for_function("() => !document.querySelector('.lab-place').hasAttribute('data-busy')")
    rows = cells(page, "What the detectors say of your picture")
    values = [[first + place for first in (0.5, -0.5, -3.5)] for place in range(4)]
    for row, own in zip(rows, values, strict=True):
        assert row[1:4] == [f"{said(v)} {'fake' if v > 0 else 'real'}" for v in own]
        assert row[4] == ("the same" if len({v > 0 for v in own}) == 1 else "unstable")
    flips = [row[0] for row in rows if row[4] == "unstable"]
    assert f"Unstable: {', '.join(flips)}." in page.locator(".lab-own").inner_text()
    page.locator("#lab-file").set_input_files({"name": "mine.txt", "mimeType": "text/plain", "buffer": b"x"})
    page.locator(".lab-own [role=alert]").wait_for()
    assert "Not judged: it is no picture" in page.locator(".lab-own").inner_text()
    two = [{"name": f"{name}.png", "mimeType": "image/png", "buffer": b"x"} for name in "ab"]
    page.evaluate("window.labDelay = 50")
    page.locator("[data-action=make]").click()
    page.locator("#lab-file").set_input_files(two[0])
    assert "something else runs" in page.locator(".lab-own").inner_text()
    page.wait_for_function("() => !document.querySelector('.lab-place').hasAttribute('data-busy')")
    page.locator("#lab-file").evaluate("input => { input.multiple = true; }")
    page.locator("#lab-file").set_input_files(two)
    page.locator(".lab-own table").wait_for()
    assert "of 2 pictures this is the first" in page.locator(".lab-own").inner_text()


DROPPED = """kind => {
    const data = new DataTransfer();
    if (kind === "file") data.items.add(new File(["x"], "mine.png", { type: "image/png" }));
    else data.setData("text/plain", "words");
    const drop = new DragEvent("drop", { dataTransfer: data, bubbles: true, cancelable: true });
    return !document.querySelector("h1").dispatchEvent(drop);
}"""


def test_a_picture_dropped_beside_the_frame_is_taken(shown) -> None:
    """A browser would leave the page for it; words that are dragged go where they went before."""
    page = shown()
    assert page.evaluate(DROPPED, "words") is False
    assert page.evaluate(DROPPED, "file") is True
    page.locator(".lab-own table").wait_for()
    assert page.locator(".lab-drop").evaluate("box => box.getBoundingClientRect().top < innerHeight")


def test_the_keyboard_goes_on_where_the_lab_opens(folder: Path, browser) -> None:
    page = opened(browser, 1280)
    with served(folder) as address:
        page.goto(f"{address}{PAGE}")
        page.get_by_role("button", name="Open the lab").focus()
        page.keyboard.press("Enter")
        page.wait_for_selector(".lab-place[data-open]")
        assert page.evaluate("document.activeElement.closest('.explorer-controls') !== null")
    page.close()


@pytest.mark.parametrize("place", ["top", "bottom"])
def test_on_a_phone_what_runs_is_seen_from_either_end(shown, place: str) -> None:
    page = shown(width=390)
    done(page, "make")  # so that the page is long
    page.evaluate("window.labDelay = 300")
    page.locator("[data-action=ladder]").click()
    target = page.locator(".lab-buttons").first if place == "top" else page.locator("[data-action=measure]")
    target.scroll_into_view_if_needed()
    box = page.locator(".lab-task").bounding_box()
    assert page.evaluate("document.documentElement.scrollHeight > 2 * innerHeight")
    assert box["y"] >= 0 and box["y"] + box["height"] <= page.viewport_size["height"] + 1
    page.locator(".lab-stop").click()
    page.wait_for_function("() => !document.querySelector('.lab-place').hasAttribute('data-busy')")


def test_a_measurement_is_saved_as_a_record_that_is_taken_in(shown, tmp_path: Path) -> None:
    page = shown()
    page.locator("#lab-rounds").select_option("3")
    done(page, "measure")
    with page.expect_download() as saved:
        page.get_by_role("button", name="Save as a file").click()
    saved.value.save_as(tmp_path / "record.json")
    record = devices.read_record(tmp_path / "record.json")
    assert {image.precision for image in record.images} == {"fp32", "fp16", "fp8", "fp4"} and len(record.images) == 12
    assert all(
        image.seconds == {"fp32": 3.2, "fp16": 1.6, "fp8": 0.8, "fp4": 0.4}[image.precision] for image in record.images
    )
    assert len(record.verdicts) == 3 * 4
    assert devices.import_devices([tmp_path / "record.json"], tmp_path / "devices.csv").new == 1
    order = [image.precision for image in record.images if image.round in (1, 2)]
    assert order[:4] != order[4:]


def test_a_device_says_its_browser_and_system(shown) -> None:
    page = shown()
    blink = "AppleWebKit/537.36 (KHTML, like Gecko) Chrome/139.0.0.0"
    apple = "AppleWebKit/605.1.15 (KHTML, like Gecko) Version/18.5 Mobile/15E148 Safari/604.1"
    agents = {
        f"Mozilla/5.0 (Linux; Android 10; K) {blink} Mobile Safari/537.36": ("Chrome 139", "Android", True),
        f"Mozilla/5.0 (iPhone; CPU iPhone OS 18_5 like Mac OS X) {apple}": ("Safari 18", "iOS", True),
        "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/60.5 Safari/605.1.15": (
            "WebKit 60", "Linux", False,
        ),
        "Mozilla/5.0 (Macintosh; Intel Mac OS X 10.15; rv:142.0) Gecko/20100101 Firefox/142.0": (
            "Firefox 142", "macOS", False,
        ),
        f"Mozilla/5.0 (Windows NT 10.0; Win64; x64) {blink} Safari/537.36 Edg/139.0.0.0": (
            "Edge 139", "Windows", False,
        ),
        "Lynx": ("Other 0", "other", False),
    }  # fmt: skip
    found = page.evaluate(
        """async agents => { const {device} = await import(new URL("../_static/lab/web/device_record.js",
            document.baseURI)); return agents.map(device); }""",
        list(agents),
    )
    assert [(own["browser"], own["system"], own["mobile"]) for own in found] == list(agents.values())


@pytest.mark.parametrize(("width", "scheme"), [(390, "light"), (1280, "dark"), (320, "dark")])
def test_the_page_fits_and_breaks_no_rule_of_accessibility(shown, width: int, scheme: str) -> None:
    page = shown(width=width, color_scheme=scheme)
    for action in ("make", "ladder", "seeds", "measure"):
        done(page, action)
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    assert violations(page) == []


def test_from_a_disk_and_without_a_lab_a_sentence_says_why(folder: Path, browser, tmp_path: Path) -> None:
    page = opened(browser, 390)
    page.goto((folder / PAGE).as_uri())
    assert "python -m http.server" in page.locator(".lab-file").inner_text()
    assert not page.get_by_role("button", name="Open the lab").is_visible()
    shutil.copytree(folder, other := tmp_path / "site")
    said = other / try_it.LAB / "lab.json"
    said.write_text(json.dumps({"missing": "npm could not be reached"}), encoding="utf-8")
    with served(other) as address:
        page.goto(f"{address}{PAGE}")
        page.get_by_role("button", name="Open the lab").click()
        page.get_by_text("made without the lab: npm could not be reached").wait_for()
        shutil.rmtree(other / try_it.LAB)
        page.goto(f"{address}{PAGE}?again")
        page.get_by_role("button", name="Open the lab").click()
        page.locator(".lab-missing").wait_for()
        assert "python -m helpers.lab" in page.locator(".lab-missing").inner_text()
    page.close()


def test_a_site_that_cannot_be_reached_is_not_called_one_without_a_lab(folder: Path, browser) -> None:
    with served(folder) as address:
        for lost in ("lab/lab.json", "view.js"):
            page = opened(browser, 390)
            page.goto(f"{address}{PAGE}")
            page.route(f"**/{lost}", lambda route: route.abort())
            page.get_by_role("button", name="Open the lab").click()
            page.locator(".lab-failed").wait_for()
            assert not page.locator(".lab-missing").is_visible()
            page.close()


def test_the_archive_says_nothing_of_another_study(tmp_path: Path) -> None:
    other = synthetic.vouch(synthetic.write(tmp_path / "study", images=20, scale="full", generators=("sd3",)))
    assert set(try_it.archive(analysis.load(other))) == {"missing"}


def test_numbers_of_the_archive_are_finite_json(study: Path) -> None:
    said = try_it.archive(analysis.load(study))
    shares = [cell["share"] for of in said["cells"].values() for row in of.values() for cell in row.values()]
    assert len(shares) == 2 * 4 * 4 and all(math.isfinite(share) for share in shares)
    assert said["first"] == analysis.load(study).manifest["study"].get("seed")
