"""Every notebook runs under papermill with small parameters; wrong ones are refused by name; sentences follow the
data.
"""

from __future__ import annotations

import functools
import html
import json
import os
import re
import subprocess
import sys
from collections.abc import Callable, Iterable
from pathlib import Path

import nbconvert
import nbformat
import odd
import papermills
import pytest
import synthetic

from helpers import analysis, claims
from helpers.core import files
from helpers.core.errors import Failure, UsageError
from helpers.core.workers import FORKS
from helpers.paper import contents, execution, page, starting
from helpers.paper.contents import Job
from helpers.paper.pages import setup

NOTEBOOKS = contents.notebooks()
SMALL = {"generators": ["sd15", "sdxl", "sd3", "flux1"], "precisions": ["fp32", "fp8", "fp4"]}


@pytest.fixture(scope="module")
def deck(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A study in which the deck is right, so far as scores can show."""
    return synthetic.write(tmp_path_factory.mktemp("deck"), synthetic.DECK, images=200, placebo=0.05)


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Callable[[Path], Path]:
    """The folder of all notebooks, executed on a study with small parameters as a build does it, once for this file."""
    folder = tmp_path_factory.mktemp("run")

    @functools.cache
    def executed(study: Path) -> Path:
        place = folder / study.name
        jobs = [Job(notebook, place / notebook.name, SMALL | {"results": str(study)}) for notebook in NOTEBOOKS]
        with starting.started(jobs, place / "failed", workers=1) as ended:
            assert len(list(ended)) == len(NOTEBOOKS)
        return place

    return executed


def said(notebook: Path) -> list[str]:
    """What a notebook's cells say, in order, as plain text; the first is the answer with whose results these are."""
    cells = nbformat.read(notebook, as_version=4).cells
    shown = [output.get("data", {}) for cell in cells for output in cell.get("outputs", [])]
    return [data["text/plain"] for data in shown if "text/markdown" in data and "text/html" in data]


def answers(notebook: Path) -> dict[str, tuple[str, str, str]]:
    """Of each claim in a notebook's answer box, by key: the verdict, the sentence, and the word for real evidence."""
    found = {}
    for claim in claims.CLAIMS:
        pattern = rf"^{re.escape(claim.short)}: (holds|fails|open|not testable)(?: \(.*?\))? (.*) Real evidence: (.*)$"
        if told := re.search(pattern, said(notebook)[0], re.M):
            found[claim.key] = told.group(1, 2, 3)
    return found


def test_they_are_there_in_order() -> None:
    numbers = [notebook.stem[:2] for notebook in NOTEBOOKS]
    assert {"01", "02", "03", "04", "05", "06", "09"} <= set(numbers) and numbers == sorted(numbers)


@pytest.mark.parametrize("notebook", NOTEBOOKS, ids=lambda notebook: notebook.stem)
def test_a_notebook_is_stored_clean_and_runs(notebook: Path, deck: Path, run: Callable[[Path], Path]) -> None:
    stored = nbformat.read(notebook, as_version=4)
    assert stored.metadata.kernelspec.name == "python3"
    assert not any(cell.get("outputs") or cell.get("execution_count") for cell in stored.cells)
    tags = [cell.metadata.get("tags", []) for cell in stored.cells]
    assert sum("parameters" in tag and "remove-cell" in tag for tag in tags) == 1
    out = run(deck) / notebook.name
    executed = nbformat.read(out, as_version=4)
    assert "papermill" not in executed.metadata and "widgets" not in executed.metadata
    told = said(out)
    assert told[0].startswith("Answer\n") and "These are miniatures' results" in told[0]
    assert not any("nan" in text.lower().split() for text in told)


#: Roles, directives and targets of MyST, which other viewers of a notebook print as they stand.
MYST = re.compile(r"\{[\w:+-]+\}`|^\s*(?::{3,}|`{3,}\{|~{3,}\{)|^\([\w-]+\)=\s*$", re.M)


@pytest.mark.parametrize("notebook", NOTEBOOKS, ids=lambda notebook: notebook.stem)
def test_prose_is_markdown_that_every_viewer_knows(notebook: Path) -> None:
    for cell in nbformat.read(notebook, as_version=4).cells:
        assert cell.cell_type != "markdown" or not MYST.search(cell.source), cell.id
        tags = cell.metadata.get("tags", [])
        # A cell that only says something shows its sentence, in JupyterLab as in the book.
        assert ("remove-input" in tags) == bool(cell.metadata.get("jupyter", {}).get("source_hidden")), cell.id
        assert not [tag for tag in tags if tag.startswith(("if-", "unless-"))], "papermill knows no such tag"


#: What each page must say of `odd.wide`: 15 images of SD3 at two precisions by NPR, without reals; counted by hand.
OF_WIDE = {
    "01_setup": "1 generator at 2 precisions makes 2 cells with 30 generated images in all; no real image stands",
    "03_sd3_anomaly": "This study cannot say: too few images (15, where at least 20 are needed).",
    "09_claims": "In this study 0 hold, 0 fail, 0 stay open and 16 are not testable.",
    "11_perturbations": "This study cannot say whether FP4 does more damage than JPEG 75",
}
#: The same of a study with reals in which the deck is right.
OF_DECK = {
    "02_heatmap": "The heatmap starts with AUC, which needs no threshold.",
    "03_sd3_anomaly": "In this study the claim holds.",
    "05_flux_sdxl_robustness": "In this study the claim holds.",
}


def by_papermill(study: Path, notebooks: Iterable[Path], folder: Path) -> Path:
    """A new folder of notebooks that plain papermill has run on a study."""
    folder.mkdir()
    jobs = [[str(notebook), str(folder / notebook.name), {"results": str(study)}] for notebook in notebooks]
    asked = json.dumps({"jobs": jobs, "failed": str(folder), "workers": 1, "forks": FORKS})
    command, environment = [sys.executable, papermills.__file__], os.environ | starting.THREADS
    done = subprocess.run(command, env=environment, input=f"{asked}\n", capture_output=True, text=True)
    assert [json.loads(line)["wrong"] for line in done.stdout.splitlines()] == [[]] * len(jobs), done.stderr
    return folder


@pytest.fixture(scope="module")
def without_reals(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("without_reals")
    return by_papermill(odd.wide(folder / "wide"), NOTEBOOKS, folder / "out")


@pytest.fixture(scope="module")
def with_reals(deck: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    notebooks = (files.NOTEBOOKS / f"{name}.ipynb" for name in OF_DECK)
    return by_papermill(deck, notebooks, tmp_path_factory.mktemp("with_reals") / "out")


def read_anywhere(notebook: Path) -> str:
    """The words of an executed notebook of which nbconvert makes a page."""
    page, _ = nbconvert.HTMLExporter(template_name="basic").from_filename(str(notebook))
    return re.sub(r"\s+", " ", html.unescape(re.sub(r"<(script|style)\b.*?</\1>|<[^>]+>", "", page, flags=re.S)))


@pytest.mark.parametrize("notebook", NOTEBOOKS, ids=lambda notebook: notebook.stem)
def test_a_notebook_run_by_papermill_alone_is_whole_without_reals(notebook: Path, without_reals: Path) -> None:
    text = read_anywhere(without_reals / notebook.name)
    assert "Answer" in text and "15 images per cell" in text and OF_WIDE.get(notebook.stem, "") in text
    assert not re.search(r"\{glue|:::|\{cite\}`|real images add|Under shared", text)


@pytest.mark.parametrize("name", OF_DECK)
def test_a_notebook_run_by_papermill_alone_is_whole_with_reals(name: str, with_reals: Path) -> None:
    text = read_anywhere(with_reals / f"{name}.ipynb")
    assert "Answer" in text and "200 images per cell" in text and OF_DECK[name] in text
    assert not re.search(r"\{glue|:::|\{cite\}`|no real images", text)


def test_the_live_check_is_told_as_it_came_out_and_of_these_results_alone(deck: Path, tmp_path: Path) -> None:
    cell = {"images": 2, "images_equal": 1, "max_logit_diff": {"npr": 0.25, "clip_d": 0.01}}
    study, file = analysis.load(deck), tmp_path / "live.json"
    whose = {"study_digest": "0" * 64, "scores_sha256": files.file_sha256(deck / "scores.parquet")}
    for agree, said in ((True, "They agree"), (False, "THEY DO NOT AGREE")):
        file.write_text(json.dumps({"images": 2, "cells": [cell, cell], "agree": agree} | whose))
        sentence = setup.live_check(str(file), study)
        assert said in sentence and "2 of 4 images equal" in sentence and "logit 0.25" in sentence
    for other in ({"study_digest": "1" * 64}, {"scores_sha256": "1" * 64}, {"scores_sha256": None}):
        file.write_text(json.dumps({"images": 2, "cells": [cell], "agree": True} | whose | other))
        assert "was of other results than these" in setup.live_check(str(file), study)
    wrong = [whose | {"cells": 3, "agree": True}, whose | {"cells": [[1]], "agree": True}, {"cells": [], "agree": True}]
    for damage in ("[]", "null", "{}", "not JSON", *map(json.dumps, wrong)):
        file.write_text(damage)
        assert "not run" in setup.live_check(str(file), study)
    assert "not run" in setup.live_check(str(tmp_path / "absent.json"), study)


CLAIMED = [notebook for notebook in NOTEBOOKS if notebook.stem[:2] in ("02", "03", "04", "05", "06", "09")]


#: Statements on generators at large, which studies of single falls leave open.
AT_LARGE = ("C11",)


def test_another_study_changes_every_verdict_and_sentence(
    deck: Path, run: Callable[[Path], Path], tmp_path: Path
) -> None:
    opposite = synthetic.write(tmp_path / "wrong", synthetic.WRONG, images=200, scale="full")
    keys = {claim.key for claim in claims.CLAIMS if claim.of_scores}
    seen: set[str] = set()
    for notebook in CLAIMED[:-1]:
        right, wrong = (answers(run(study) / notebook.name) for study in (deck, opposite))
        for key in right:
            # A fall on SD3 alone, or on Flux.1, says little of generators at large.
            words = ["open", "open"] if key in AT_LARGE else ["holds", "fails"]
            assert [right[key][0], wrong[key][0]] == words, (notebook, key)
            for told, word in zip((right, wrong), words, strict=True):
                concluded = "stays open" if word == "open" else word
                assert f"In this study the claim {concluded}." in told[key][1]
            # What is known of public checkpoints is the same whatever the study.
            assert right[key][2] == wrong[key][2] and right[key][1] != wrong[key][1]
        assert "public checkpoints at full size" in said(run(opposite) / notebook.name)[0]
        assert said(run(deck) / notebook.name)[1:] != said(run(opposite) / notebook.name)[1:]
        seen |= set(right)
    assert seen == keys
    # What the public checkpoints save, and the images that nobody measured, the study cannot say.
    lacking, told = len(claims.CLAIMS) - len(keys), len(keys) - len(AT_LARGE)
    rest = f"{len(AT_LARGE)} stays open and {lacking} are not testable."
    right, wrong = (said(run(study) / CLAIMED[-1].name)[0].splitlines()[1] for study in (deck, opposite))
    assert f"In the miniature {told} hold, 0 fail, {rest}" in right
    assert f"In this study 0 hold, {told} fail, {rest}" in wrong
    assert right.partition("Real evidence")[2] == wrong.partition("Real evidence")[2] != ""


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"treshold": 0.0}, "'treshold': not a parameter.*nearest: 'threshold'"),
        ({"threshold": "0"}, "threshold: '0' is of type str; give a float"),
        ({"threshold": True}, "threshold: True is of type bool"),
        ({"threshold": float("nan")}, "threshold: nan is not a finite number"),
        ({"generators": "sd3"}, "generators: 'sd3' is of type str; give a list"),
        ({"generators": ["sd33"]}, "generators: no 'sd33'.*nearest: 'sd3"),
        ({"precisions": ["fp4", "fp4"]}, "precisions: .* names a key twice"),
        ({"detectors": [3]}, "detectors: no 3"),
        ({"protocol": "plane"}, "protocol: no 'plane'.*nearest: 'plain'"),
        ({"results": "no/such/folder"}, "results: no folder 'no/such/folder'"),
    ],
    ids=lambda value: next(iter(value)) if isinstance(value, dict) else "",
)
def test_a_wrong_parameter_is_refused_by_name(given: dict, said: str, deck: Path, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=said):
        execution.execute(files.NOTEBOOKS / "02_heatmap.ipynb", tmp_path / "out.ipynb", {"results": str(deck)} | given)
    assert not list(tmp_path.iterdir())


def test_a_failing_cell_names_its_notebook(deck: Path, tmp_path: Path) -> None:
    broken = tmp_path / "broken.ipynb"
    book = nbformat.v4.new_notebook(
        metadata={"kernelspec": {"name": "python3", "display_name": "", "language": "python"}}
    )
    book.cells = [
        nbformat.v4.new_code_cell('results = ""', metadata={"tags": ["parameters"]}),
        nbformat.v4.new_code_cell("1/0"),
    ]
    nbformat.write(book, broken)
    with pytest.raises(Failure, match="broken.ipynb: .*ZeroDivisionError"):
        execution.execute(broken, tmp_path / "out.ipynb", {"results": str(deck)})
    assert not (tmp_path / "out.ipynb").exists()


def test_a_claim_that_the_deck_does_not_make_is_refused_by_name(deck: Path) -> None:
    study = analysis.load(deck)
    with pytest.raises(UsageError, match="claims: no 'C44' .nearest: 'C4'.; the deck has C1 to C11"):
        claims.evaluate(study, "C44")
    outcomes = claims.evaluate(study, "C4")
    assert [outcome.claim.key for outcome in outcomes] == ["C4", "C4_size"]
    with pytest.raises(UsageError, match="claims: no 'C4_siz' .nearest: 'C4_size'.; judged here are C4, C4_size"):
        page.answer(study, outcomes, "C4_siz")


def test_what_a_study_lacks_is_not_said(deck: Path, run: Callable[[Path], Path]) -> None:
    told = "\n".join(said(run(deck) / "02_heatmap.ipynb"))
    assert "what else real images add" in told and "no real images" not in told and "Under shared" not in told
