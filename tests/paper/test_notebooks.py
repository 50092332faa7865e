"""Every notebook runs under papermill with small parameters; wrong ones are refused by name; sentences follow the
data.
"""

from __future__ import annotations

import functools
import json
from collections.abc import Callable
from pathlib import Path

import nbformat
import pytest
import synthetic

from helpers import analysis, claims
from helpers.core import files
from helpers.core.errors import Failure, UsageError
from helpers.detectors.catalogue import DETECTORS
from helpers.generators.catalogue import GENERATORS
from helpers.images.protocols import PROTOCOLS
from helpers.paper import contents, execution, page
from helpers.paper.facts import FACTS, wanted
from helpers.paper.pages import setup
from helpers.precision.catalogue import PRECISIONS

NOTEBOOKS = contents.notebooks()
SMALL = {"generators": ["sd15", "sdxl", "sd3", "flux1"], "precisions": ["fp32", "fp8", "fp4"]}


@pytest.fixture(scope="module")
def deck(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A study in which the deck is right, so far as scores can show."""
    return synthetic.write(tmp_path_factory.mktemp("deck"), synthetic.DECK, images=200, placebo=0.05)


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Callable[[Path, Path], Path]:
    """A notebook executed on a study with small parameters, once for all tests of this file."""
    folder = tmp_path_factory.mktemp("run")

    @functools.cache
    def executed(notebook: Path, study: Path) -> Path:
        out = folder / study.name / notebook.name
        out.parent.mkdir(exist_ok=True)
        return execution.execute(notebook, out, SMALL | {"results": str(study)})

    return executed


def glued(notebook: Path) -> dict[str, str]:
    """What a notebook glues, by name, as plain text."""
    found = {}
    for cell in nbformat.read(notebook, as_version=4).cells:
        for output in cell.get("outputs", []):
            name = output.get("metadata", {}).get("scrapbook", {}).get("name")
            if name:
                found[name] = next(text for kind, text in output["data"].items() if kind.endswith("text/plain"))
    return found


def test_they_are_there_in_order() -> None:
    numbers = [notebook.stem[:2] for notebook in NOTEBOOKS]
    assert {"01", "02", "03", "04", "05", "06", "09"} <= set(numbers) and numbers == sorted(numbers)


@pytest.mark.parametrize("notebook", NOTEBOOKS, ids=lambda notebook: notebook.stem)
def test_a_notebook_is_stored_clean_and_runs(notebook: Path, deck: Path, run: Callable[[Path, Path], Path]) -> None:
    stored = nbformat.read(notebook, as_version=4)
    assert stored.metadata.kernelspec.name == "python3"
    assert not any(cell.get("outputs") or cell.get("execution_count") for cell in stored.cells)
    tags = [cell.metadata.get("tags", []) for cell in stored.cells]
    assert sum("parameters" in tag and "remove-cell" in tag for tag in tags) == 1
    out = run(notebook, deck)
    executed = nbformat.read(out, as_version=4)
    assert "papermill" not in executed.metadata and "widgets" not in executed.metadata
    said = glued(out)
    assert "These are miniatures' results" in said["scale_note"]
    assert not any("nan" in text.lower().split() for text in said.values())


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
    deck: Path, run: Callable[[Path, Path], Path], tmp_path: Path
) -> None:
    opposite = synthetic.write(tmp_path / "wrong", synthetic.WRONG, images=200, scale="full")
    keys = {claim.key for claim in claims.CLAIMS if claim.of_scores}
    seen: set[str] = set()
    for notebook in CLAIMED:
        right, wrong = (glued(run(notebook, study)) for study in (deck, opposite))
        here = {key.removesuffix("_verdict") for key in right if key.endswith("_verdict")} & keys
        for key in here:
            marks = [study[f"{key}_verdict"].partition(" (")[0] for study in (right, wrong)]
            # A fall on SD3 alone, or on Flux.1, says little of generators at large.
            words = ["stays open", "stays open"] if key in AT_LARGE else ["holds", "fails"]
            assert marks == [word.removeprefix("stays ") for word in words], (notebook, key)
            for study, word in zip((right, wrong), words, strict=True):
                assert f"in this study the claim {word}." in study[f"{key}_answer"]
            # What is known of public checkpoints is the same whatever the study.
            assert right[f"{key}_evidence"] == wrong[f"{key}_evidence"]
            assert right[f"{key}_answer"] != wrong[f"{key}_answer"]
        assert "public checkpoints at full size" in wrong["scale_note"]
        assert right.get("overview_answer", "a") != wrong.get("overview_answer", "b")
        seen |= here
    assert seen == keys
    # What the public checkpoints save, and the images that nobody measured, the study cannot say.
    lacking, told = len(claims.CLAIMS) - len(keys), len(keys) - len(AT_LARGE)
    rest = f"{len(AT_LARGE)} stays open and {lacking} are not testable."
    assert f"In the miniature {told} hold, 0 fail, {rest}" in right["summary"]
    assert f"In this study 0 hold, {told} fail, {rest}" in wrong["summary"]
    assert right["summary"].partition("Real evidence")[2] == wrong["summary"].partition("Real evidence")[2] != ""


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
        page.glue_claims(study, "C44")
    assert [outcome.claim.key for outcome in page.glue_claims(study, "C4")] == ["C4", "C4_size"]


@pytest.mark.parametrize(
    ("tags", "kept"),
    [
        ([], True),
        (["hide-input"], True),
        (["if-reals"], True),
        (["if-reals", "if-sd3"], False),
        (["unless-sd3"], True),
        (["unless-reals", "hide-input"], False),
    ],
)
def test_a_cell_is_kept_where_the_study_has_what_it_speaks_of(tags: list[str], kept: bool) -> None:
    assert wanted(tags, {"reals", "npr"}) is kept


def test_every_tag_names_a_fact() -> None:
    known = {*FACTS, *GENERATORS, *PRECISIONS, *DETECTORS, *PROTOCOLS, "conditions", "seeds"}
    known |= {"mini-sdxl", "mini-s1", "mini-s2", "scale-mini", "scale-full", "scale-unknown"}
    for notebook in NOTEBOOKS:
        for cell in nbformat.read(notebook, as_version=4).cells:
            for tag in cell.metadata.get("tags", []):
                how, _, name = tag.partition("-")
                assert how not in ("if", "unless") or name in known, (notebook.name, tag)


def test_what_a_study_lacks_is_left_out_of_a_page(deck: Path, run: Callable[[Path, Path], Path]) -> None:
    notebook = NOTEBOOKS[1]
    out = nbformat.read(run(notebook, deck), as_version=4).cells
    told = "\n".join(cell.source for cell in out if cell.cell_type == "markdown")
    assert "what else real images add" in told and "no real images" not in told and "Under *shared*" not in told
