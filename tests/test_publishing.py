"""How the book gets to its readers: workflows, the guard before the site, Binder, Zenodo, notebooks to take away."""

from __future__ import annotations

import html
import json
import os
import re
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
import synthetic
import yaml
from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet

from helpers import analysis
from helpers.core import files
from helpers.paper import guard
from helpers.paper.contents import pages
from helpers.paper.pages import setup

FOLDER = files.ROOT / ".github" / "workflows"
WORKFLOWS = {file.name: yaml.safe_load(file.read_text(encoding="utf-8")) for file in sorted(FOLDER.glob("*.yml"))}
JOBS = {(name, key): job for name, flow in WORKFLOWS.items() for key, job in flow["jobs"].items()}
STEPS = [(where, step) for where, job in JOBS.items() for step in job.get("steps", [])]
TARGETS = set(re.findall(r"^([a-z]+):", (files.ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE))
BINDER = files.ROOT / "binder"
CITATION = yaml.safe_load((files.ROOT / "CITATION.cff").read_text(encoding="utf-8"))
REQUIRES = SpecifierSet(
    tomllib.loads((files.ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]["requires-python"]
)


def at(name: str, key: str, found: str) -> int:
    """The place among a job's steps of the one that runs or uses this; -1 where none does."""
    steps = JOBS[name, key]["steps"]
    return next((i for i, s in enumerate(steps) if found in (s.get("run"), s.get("uses", "").partition("@")[0])), -1)


# Workflows


def test_a_linter_that_knows_workflows_finds_nothing_in_them() -> None:
    linter = shutil.which("zizmor", path=os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]]))
    assert linter, "zizmor is missing: make installs it"
    command = [linter, "--offline", "--no-progress", "--strict-collection", "--min-severity", "medium", ".github"]
    run = subprocess.run(command, cwd=files.ROOT, capture_output=True, text=True)
    assert run.returncode == 0, run.stdout + run.stderr


def test_steps_call_targets_of_the_makefile_and_nothing_cleverer() -> None:
    said = [step["run"] for _, step in STEPS if "run" in step]
    assert {"make test", "make book", "make guard", "make pdf"} == set(said)
    assert {line.removeprefix("make ") for line in said} <= TARGETS
    for flow in WORKFLOWS.values():
        for variable, value in flow["env"].items():
            run = subprocess.run(
                ["make", "-n", "VENV=elsewhere", "test"],
                cwd=files.ROOT, env=os.environ | {variable: value}, capture_output=True, text=True,
            )  # fmt: skip
            assert run.returncode == 0 and "--torch-backend cpu" in run.stdout


def test_actions_are_githubs_own_each_of_one_version_everywhere() -> None:
    used = [step["uses"] for _, step in STEPS if "uses" in step]
    assert used and all(re.fullmatch(r"actions/[\w-]+@v\d+", action) for action in used)
    assert len({action.partition("@")[0] for action in used}) == len(set(used))
    called = [job["uses"] for job in JOBS.values() if "uses" in job]
    assert called and all((files.ROOT / place).is_file() for place in called)
    assert all("workflow_call" in WORKFLOWS[Path(place).name][True] for place in called)  # YAML 1.1 reads "on" so


def test_a_workflow_may_do_no_more_than_it_must_and_knows_no_secret() -> None:
    for name, flow in WORKFLOWS.items():
        assert flow["permissions"] == {} and "group" in flow["concurrency"]
        assert set(flow[True]) <= {"push", "pull_request", "workflow_call", "workflow_dispatch"}
        assert "secrets" not in (FOLDER / name).read_text(encoding="utf-8")
    may = {where: {what for what, how in job["permissions"].items() if how != "read"} for where, job in JOBS.items()}
    assert {where: what for where, what in may.items() if what} == {("book.yml", "deploy"): {"pages", "id-token"}}
    assert all("timeout-minutes" in job for job in JOBS.values() if "steps" in job)


def test_what_a_workflow_names_is_there() -> None:
    for (name, _), job in JOBS.items():
        needed = job.get("needs", [])
        assert set([needed] if isinstance(needed, str) else needed) <= set(WORKFLOWS[name]["jobs"])
        text, ids = json.dumps(job), {step["id"] for step in job.get("steps", []) if "id" in step}
        assert set(re.findall(r"steps\.(\w+)\.", text)) <= ids
        for file in re.findall(r"hashFiles\('([^']+)'\)", text):
            assert (files.ROOT / file).is_file()
    versions = {step["with"]["python-version"] for _, step in STEPS if "setup-python" in step.get("uses", "")}
    assert len(versions) == 1 and REQUIRES.contains(versions.pop())


def test_tests_run_on_pull_requests_and_before_a_site_is_deployed() -> None:
    assert {"pull_request", "workflow_call"} == set(WORKFLOWS["test.yml"][True])
    assert at("test.yml", "test", "make test") >= 0
    assert JOBS["book.yml", "test"]["uses"].endswith("/test.yml")
    assert WORKFLOWS["book.yml"][True]["push"]["branches"] == ["main"]


def test_no_site_is_deployed_that_the_guard_has_not_let_pass() -> None:
    assert sum(step.get("uses", "").startswith("actions/deploy-pages@") for _, step in STEPS) == 1
    deploy = JOBS["book.yml", "deploy"]
    assert set(deploy["needs"]) == {"test", "build"} and deploy["if"] == "github.ref == 'refs/heads/main'"
    built, guarded, printed, kept = (
        at("book.yml", "build", found)
        for found in ("make book", "make guard", "make pdf", "actions/upload-pages-artifact")
    )
    assert 0 <= built < guarded < printed < kept
    steps = JOBS["book.yml", "build"]["steps"]
    # Without a condition of its own a step is left out once one before it has failed.
    assert not {"if", "continue-on-error"} & {*steps[built], *steps[guarded], *steps[printed]}
    assert steps[kept]["if"] == deploy["if"]
    preview = steps[at("book.yml", "build", "actions/upload-artifact")]
    assert "pull_request" in preview["if"] and preview["with"]["path"] == steps[kept]["with"]["path"] == "_build/html"


# The guard

#: The page of this made-up book that tells of the live check; any may.
TELLS = "notebooks/01_setup"


@pytest.fixture(scope="module")
def study(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return synthetic.write(tmp_path_factory.mktemp("study"), synthetic.DECK, images=20)


def write_live(build: Path, study: Path, **changed: object) -> None:
    cell = {"images": 2, "images_equal": 2, "max_logit_diff": {"npr": 1e-6}, "agree": True}
    told = {"images": 2, "cells": [cell] * 24, "agree": True, "study_digest": "0" * 64}
    told["scores_sha256"] = files.file_sha256(study / "scores.parquet")
    (build / "live.json").write_text(json.dumps(told | changed))


def write_pages(build: Path, study: Path) -> None:
    """A book that tells what the live check beside it found."""
    told = html.escape(setup.live_check(str(build / "live.json"), analysis.load(study)), quote=False)
    for page in ["index", *pages()]:
        file = build / "html" / f"{page}.html"
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(f"<p>{told if page == TELLS else page}</p>")


@pytest.fixture
def book(study: Path, tmp_path: Path) -> Path:
    write_live(tmp_path, study)
    write_pages(tmp_path, study)
    return tmp_path


def test_the_sentence_on_the_live_check_may_have_links_in_it(book: Path, study: Path) -> None:
    page = book / "html" / f"{TELLS}.html"
    said = page.read_text()
    assert "the stored results" in said
    page.write_text(said.replace("the stored results", 'the <a href="x.html"><span>stored</span></a>\nresults'))
    assert guard.faults(book, study) == []


def test_a_whole_book_whose_checks_passed_may_be_published(book: Path, study: Path) -> None:
    assert guard.faults(book, study) == []
    assert guard.main([str(book), str(study)]) == 0


def test_the_makefiles_step_ends_as_the_guard_does(book: Path, study: Path) -> None:
    shown = subprocess.run(["make", "-n", "guard", "VENV=elsewhere"], cwd=files.ROOT, capture_output=True, text=True)
    assert "elsewhere/bin/python -m helpers.paper.guard\n" in shown.stdout
    (book / "html" / "book" / "glossary.html").unlink()
    command = [sys.executable, "-m", "helpers.paper.guard", str(book), str(study)]
    run = subprocess.run(command, capture_output=True, text=True)
    assert run.returncode == 1 and run.stderr.startswith("not to be published: book/glossary.html: missing")


@pytest.mark.parametrize(
    "changed, why",
    [
        ({"agree": False}, "the archive was not reproduced"),
        ({"cells": [{"images": 2, "images_equal": 2, "max_logit_diff": {}}] * 23}, "only 23 of 24 cells"),
        ({"cells": []}, "only 0 of 24 cells"),
        ({"scores_sha256": "1" * 64}, "of other results"),
        ({"study_digest": "1" * 64}, "of other results"),
    ],
)
def test_a_book_with_a_failed_check_is_refused(book: Path, study: Path, changed: dict, why: str) -> None:
    write_live(book, study, **changed)
    write_pages(book, study)  # as the build does, which says so in the book
    (fault,) = guard.faults(book, study)
    assert why in fault
    assert guard.main([str(book), str(study)]) == 1


def test_a_book_is_refused_that_was_built_on_another_check(book: Path, study: Path) -> None:
    write_live(book, study, images=5)
    (fault,) = guard.faults(book, study)
    assert "the book tells of another check" in fault


@pytest.mark.parametrize("damage", [None, "", "[]"])
def test_a_book_without_a_live_check_is_refused(book: Path, study: Path, damage: str | None) -> None:
    (book / "live.json").unlink() if damage is None else (book / "live.json").write_text(damage)
    (fault,) = guard.faults(book, study)
    assert "no live check" in fault


# Without the page that tells of the check a further fault is found.
@pytest.mark.parametrize("page", ["index", *(page for page in pages() if page != TELLS)])
def test_a_book_without_a_page_is_refused(book: Path, study: Path, page: str) -> None:
    (book / "html" / f"{page}.html").unlink()
    assert [fault.partition(":")[0] for fault in guard.faults(book, study)] == [f"{page}.html"]


def test_a_book_that_shows_a_failed_cell_is_refused(book: Path, study: Path) -> None:
    page = book / "html" / "notebooks" / "07_mechanism.html"
    page.write_text('<div class="cell_output"><div class="output traceback highlight-ipythontb notranslate">')
    assert guard.faults(book, study) == ["notebooks/07_mechanism.html: shows a cell that failed"]


def test_no_book_at_all_is_refused_in_words(study: Path, tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    assert guard.main([str(tmp_path), str(study)]) == 1
    assert guard.main([str(tmp_path), str(tmp_path / "absent")]) == 1
    said = capsys.readouterr().err.splitlines()
    assert all(line.startswith("not to be published: ") for line in said) and "no folder" in said[-1]


# Binder


def python_of(file: Path) -> str:
    """The version of Python that an environment of conda's names, as Binder reads it: one minor version."""
    environment = yaml.safe_load(file.read_text(encoding="utf-8"))
    (version,) = [m[1] for d in environment["dependencies"] if (m := re.fullmatch(r"python=(\d\.\d+)", str(d)))]
    return version


def test_binder_conda_and_workflows_have_one_python() -> None:
    named = {python_of(files.ROOT / "environment.yml"), python_of(BINDER / "environment.yml")}
    named |= {step["with"]["python-version"] for _, step in STEPS if "setup-python" in step.get("uses", "")}
    assert len(named) == 1 and REQUIRES.contains(named.pop())


def test_binder_installs_the_lock_for_cpus_into_the_environment_it_has(tmp_path: Path) -> None:
    """binder/postBuild itself, in an environment whose programs only write down what they were asked."""
    asked = tmp_path / "asked.txt"
    for name in ("bin", "conda-meta"):
        (tmp_path / name).mkdir()
    for name in ("python", "uv"):
        (tmp_path / "bin" / name).write_text(f'#!/bin/sh\necho "{name} $*" >> {asked}\n')
        (tmp_path / "bin" / name).chmod(0o755)
    start = BINDER / "postBuild"
    assert os.access(start, os.X_OK)
    env = os.environ | {"NB_PYTHON_PREFIX": str(tmp_path), "MAKEFLAGS": ""}
    run = subprocess.run([start], cwd=files.ROOT, env=env, capture_output=True, text=True)
    assert run.returncode == 0, run.stderr
    uv, packages, package = asked.read_text().splitlines()
    assert uv == "python -m pip install --quiet uv"  # no "-m venv": the environment is used as it is
    assert packages.startswith("uv pip install") and "--torch-backend cpu" in packages
    assert package.endswith("--no-deps --editable .") and all(
        f"--python {tmp_path}/bin/python" in one for one in (packages, package)
    )
    names = {Requirement(line).name for line in (tmp_path / "requirements.lock").read_text().splitlines()}
    locked = {Requirement(line).name for line in (files.ROOT / "requirements.lock").read_text().splitlines()}
    assert {"torch", "jupyterlab", "papermill"} <= names < locked
    assert not [name for name in names if name.startswith(("nvidia", "cuda", "triton"))]


def test_an_environment_that_is_not_there_is_made(tmp_path: Path) -> None:
    new = tmp_path / "new"
    run = subprocess.run(["make", "-n", "install", f"VENV={new}"], cwd=files.ROOT, capture_output=True, text=True)
    assert f"-m venv {new}\n" in run.stdout


# Zenodo

#: Fields of a deposit, as the documentation of Zenodo's interface lists them; of those, the ones without which there is
#: none.
DEPOSIT = {
    "upload_type", "publication_date", "title", "creators", "description", "access_right", "license", "doi", "keywords",
    "notes", "related_identifiers", "contributors", "references", "communities", "grants", "subjects", "version",
    "language", "locations", "dates", "method",
}  # fmt: skip
NEEDED = {"upload_type", "title", "creators", "description", "access_right"}


def test_zenodo_is_told_what_citation_cff_says() -> None:
    deposit = json.loads((files.ROOT / ".zenodo.json").read_text(encoding="utf-8"))
    assert NEEDED <= set(deposit) <= DEPOSIT
    same = {"title": "title", "upload_type": "type", "description": "abstract", "version": "version"}
    same |= {"license": "license", "keywords": "keywords"}
    for field, of in same.items():
        assert deposit[field] == CITATION[of], field
    people = [one.get("name") or f"{one['family-names']}, {one['given-names']}" for one in CITATION["authors"]]
    assert [one["name"] for one in deposit["creators"]] == people
    assert len(deposit["references"]) == len(CITATION["references"])
    for told, source in zip(deposit["references"], CITATION["references"], strict=True):
        assert source["title"] in told and all(one["family-names"] in told for one in source["authors"])
    assert deposit.get("doi") == CITATION.get("doi")
    assert deposit["access_right"] == "open"


# Addresses and notebooks to take away

ONE = {
    "cells": [{"cell_type": "markdown", "id": "one", "metadata": {}, "source": ["# Executed"]}],
    "metadata": {"kernelspec": {"display_name": "Python 3", "language": "python", "name": "python3"}},
    "nbformat": 4,
    "nbformat_minor": 5,
}


def site(folder: Path) -> Path:
    """A page of prose and the page of a notebook, compiled with the book's theme and the extension."""
    source = folder / "source"
    (source / "notebooks").mkdir(parents=True)
    (source / "index.md").write_text("# Prose\n\n```{toctree}\nnotebooks/01_setup\n```\n")
    (source / "notebooks" / "01_setup.ipynb").write_text(json.dumps(ONE))
    config = {
        "extensions": ["myst_nb", "sphinx_book_theme", "helpers.paper.published"], "html_theme": "sphinx_book_theme",
        "nb_execution_mode": "off", "html_copy_source": False,
        "html_theme_options": {"use_download_button": False, "use_fullscreen_button": False},
    }  # fmt: skip
    (source / "conf.py").write_text("\n".join(f"{name} = {value!r}" for name, value in config.items()))
    # A process of its own: Sphinx warns of nodes that an earlier one has registered.
    command = [sys.executable, "-m", "sphinx", "-q", "-W", str(source), str(folder / "out")]
    run = subprocess.run(command, capture_output=True, text=True)
    assert run.returncode == 0, run.stderr
    return folder / "out"


def links(file: Path) -> list[str]:
    return [html.unescape(link) for link in re.findall(r'href="([^"]+)"', file.read_text(encoding="utf-8"))]


def test_without_addresses_there_is_no_button_for_binder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("SITE_URL", "REPOSITORY_URL"):
        monkeypatch.delenv(name, raising=False)
    out = site(tmp_path)
    page = out / "notebooks" / "01_setup.html"
    assert "mybinder" not in page.read_text(encoding="utf-8")
    assert "canonical" not in page.read_text(encoding="utf-8")
    # The notebook as the checkout stores it, not as it was executed for this page; and only where there is one.
    (given,) = [link for link in links(page) if link.endswith(".ipynb")]
    assert (page.parent / given).read_bytes() == (files.NOTEBOOKS / "01_setup.ipynb").read_bytes()
    assert not [link for link in links(out / "index.html") if link.endswith(".ipynb")]


def test_addresses_come_from_the_workflow_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    step = next(step for _, step in STEPS if step.get("run") == "make book")
    assert step["env"] == {
        "SITE_URL": "${{ steps.pages.outputs.base_url }}",
        "REPOSITORY_URL": "${{ github.server_url }}/${{ github.repository }}",
    }
    monkeypatch.setenv("SITE_URL", "https://someone.example/paper")
    monkeypatch.setenv("REPOSITORY_URL", "https://github.com/someone/paper")
    page = site(tmp_path) / "notebooks" / "01_setup.html"
    binder = "https://mybinder.org/v2/gh/someone/paper/HEAD?urlpath=lab/tree/notebooks/01_setup.ipynb"
    assert links(page).count(binder) == 1
    assert links(page).count("https://someone.example/paper/notebooks/01_setup.html") == 1
