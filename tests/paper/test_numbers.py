"""Figures and tables are numbered in reading order; what is quoted keeps its number; references follow."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from helpers.core import files
from helpers.core.errors import Failure
from helpers.paper import numbers
from helpers.paper.tables import table


def figure(name: str, digest: str = "0", kind: str = "Figure") -> str:
    return (
        f'<figure class="quantdetect-figure" id="{name}" data-kind="{kind}" data-digest="{digest}"><p>x</p>\n'
        f'<figcaption id="{name}-caption"><span class="figure-number">{kind}</span> Words</figcaption></figure>'
    )


def reference(name: str) -> str:
    return f'<a class="numbered reference external" href="#{name}">text</a>'


PAGES = {
    "book/intro": figure("fig-b") + reference("fig-c") + reference("tab-t"),
    "notebooks/one": figure("fig-a") + figure("tab-t", "1", "Table") + figure("tab-t", "2", "Table"),
    "notebooks/two": reference("fig-b") + figure("fig-b") + figure("fig-c") + figure("tab-t", "3", "Table"),
}


def written(folder: Path, pages: dict[str, str]) -> list[str]:
    for name, text in pages.items():
        (folder / f"{name}.html").parent.mkdir(exist_ok=True)
        (folder / f"{name}.html").write_text(text, encoding="utf-8")
    return list(pages)


def test_numbers_run_in_reading_order_and_what_is_quoted_keeps_its_own(tmp_path: Path) -> None:
    called = numbers.number(tmp_path, written(tmp_path, PAGES))
    assert {name: called[name] for name in ("fig-b", "fig-a", "fig-c", "tab-t", "tab-t-2")} == {
        "fig-b": "Figure 1", "fig-a": "Figure 2", "fig-c": "Figure 3", "tab-t": "Table 1", "tab-t-2": "Table 2",
    }  # fmt: skip
    intro, one, two = ((tmp_path / f"{name}.html").read_text(encoding="utf-8") for name in PAGES)
    assert 'href="../notebooks/two.html#fig-c">Figure 3</a>' in intro
    assert 'href="../notebooks/one.html#tab-t">Table 1</a>' in intro
    # The first page quotes what the notebook makes, and says where.
    assert 'data-home="../notebooks/two.html"' in intro and "data-home" not in one + two
    assert 'href="#fig-b">Figure 1</a>' in two and ">Table 3</span>" in two
    assert 'id="tab-t"' in one and 'id="tab-t-2"' in one


def test_numbering_again_changes_nothing_and_a_new_page_is_taken_in(tmp_path: Path) -> None:
    names = written(tmp_path, PAGES)
    first = numbers.number(tmp_path, names)
    before = [(tmp_path / f"{name}.html").read_text(encoding="utf-8") for name in names]
    assert numbers.number(tmp_path, names) == first
    assert [(tmp_path / f"{name}.html").read_text(encoding="utf-8") for name in names] == before
    written(tmp_path, {"book/intro": figure("fig-new") + PAGES["book/intro"]})  # the others hold old numbers
    assert numbers.number(tmp_path, names)["fig-c"] == "Figure 4"
    assert ">Figure 2</a>" in (tmp_path / "notebooks/two.html").read_text(encoding="utf-8")


def test_a_reference_to_nothing_is_refused_with_the_nearest_name(tmp_path: Path) -> None:
    names = written(tmp_path, PAGES | {"book/last": figure("fig-heatmap") + reference("fig-heatmp")})
    with pytest.raises(Failure, match="book/last: .*heatmp.*heatmap"):
        numbers.number(tmp_path, names)


def test_a_table_that_a_script_draws_has_its_number_kept(tmp_path: Path) -> None:
    kept = f'<p class="lab-place"></p>{numbers.kept("lab-costs", "What it costs")}{reference("tab-lab-costs")}'
    named = numbers.number(tmp_path, written(tmp_path, {"a": figure("tab-one", kind="Table"), "b": kept}))
    assert named["tab-lab-costs"] == "Table 2"
    page = (tmp_path / "b.html").read_text(encoding="utf-8")
    assert '<span class="figure-number">Table 2</span> What it costs' in page and ">Table 2</a>" in page


def test_a_tables_name_is_its_captions_first_words() -> None:
    import pandas as pd

    text = table(pd.DataFrame({"a": [1]}), "Holm's p of it, in all: what <else>").data
    assert 'id="tab-holms-p-of-it"' in text and "what &lt;else&gt;</figcaption>" in text


@pytest.mark.parametrize("page", sorted(files.BOOK.glob("*.md")), ids=lambda page: page.stem)
def test_every_table_and_drawing_of_a_prose_page_stands_in_a_numbered_figure(page: Path) -> None:
    """Line by line: what is open is a `<figure>` with a place for its number."""
    numbered, inside = re.compile(r'<figure class="[\w-]+" id="(?:fig|tab)-[\w-]+" data-kind="\w+"'), False
    for line in page.read_text(encoding="utf-8").splitlines():
        inside = inside or bool(numbered.search(line))
        assert inside or not re.match(r"\|(?:-+\|)+$|:file: .*\.svg$", line), line
        inside = inside and "</figure>" not in line
