"""What a build runs again and what it keeps: notebooks that leave a mark where they run, in a project of their own."""

from __future__ import annotations

import json
import os
from pathlib import Path
from unittest import mock

import nbformat
import pytest
import synthetic

from helpers.core import files, reach
from helpers.core.errors import Failure
from helpers.core.workers import processors
from helpers.paper import build, cache, contents, starting
from helpers.paper.pages import mechanism, setup

#: These name stored files when they are first imported, which must not happen in a checkout of two notebooks.
IMPORTED = (mechanism, setup)

LOG = "ran.txt"
FAILING = "def half(x):\n    return x / 0\n\nhalf(1)"


def notebook(file: Path, *cells: str, parameters: str = 'results = ""\nthreshold = 0.0') -> Path:
    """A notebook that writes its name into the log where it stands, then runs `cells`."""
    kernel = {"name": "python3", "display_name": "", "language": "python"}
    book = nbformat.v4.new_notebook(metadata={"kernelspec": kernel})
    mark = f'import os\nopen(os.environ["MARKS"], "a").write("{file.stem}\\n")'
    book.cells = [nbformat.v4.new_code_cell(code) for code in (parameters, mark, *cells)]
    book.cells[0].metadata["tags"] = ["parameters", "remove-cell"]
    nbformat.write(book, file)
    return file


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A checkout of two notebooks, whose pages are compiled by a copy; `out` beside it gets the book."""
    root = tmp_path / "checkout"
    for folder in ("notebooks", "book", "studies", "models/mini", "results"):
        (root / folder).mkdir(parents=True)
    for name in ("_config.yml", "LICENSE"):
        (root / name).write_text(name)
    (root / "_toc.yml").write_text("root: book/intro\nchapters: [{file: notebooks/01_a}, {file: notebooks/02_b}]\n")
    notebook(root / "notebooks/01_a.ipynb", "print(threshold)")
    notebook(root / "notebooks/02_b.ipynb", "from helpers.paper.pages import savings", parameters='results = ""')
    synthetic.write(tmp_path / "study", images=4)
    places = {"ROOT": root, "BOOK": root / "book", "NOTEBOOKS": root / "notebooks", "STUDIES": root / "studies"}
    places |= {"MODELS": root / "models", "RESULTS": root / "results", "BUILD": root / "_build"}
    for name, place in places.items():
        monkeypatch.setattr(files, name, place)
    monkeypatch.setattr(cache, "colophon", dict)
    monkeypatch.setattr(build, "_stage", staged)
    monkeypatch.setattr(build, "_compile", compiled)
    monkeypatch.setenv("MARKS", str(tmp_path / LOG))
    return tmp_path


def staged(source: Path, _results: Path) -> None:
    (source / "_static").mkdir()
    (source / "_static" / "heatmap.png").write_bytes(b"picture")


def compiled(source: Path, scratch: Path) -> None:
    for page in ["index", *contents.pages()]:
        file = scratch / "_build" / "html" / f"{page}.html"
        file.parent.mkdir(parents=True, exist_ok=True)
        executed = source / f"{page}.ipynb"
        file.write_text(executed.read_text() if executed.is_file() else page)


def ran(project: Path, **given: object) -> list[str]:
    """The notebooks that a build runs, sorted."""
    (project / LOG).unlink(missing_ok=True)
    page = build.build(project / "study", project / "out", given)
    assert page == project / "out" / "html" / "index.html" and page.is_file()
    assert not list((project / "out").glob(".tmp-*"))
    return sorted((project / LOG).read_text().split()) if (project / LOG).exists() else []


def test_what_has_not_changed_is_not_run_again(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert ran(project) == ["01_a", "02_b"]
    compiling: list[Path] = []
    monkeypatch.setattr(build, "_compile", lambda *places: [compiling.append(places[0]), compiled(*places)])
    assert ran(project) == [] and compiling == []

    notebook(project / "checkout/notebooks/02_b.ipynb", "print('other words')", parameters='results = ""')
    assert ran(project) == ["02_b"] and len(compiling) == 1
    assert "other words" in (project / "out/html/notebooks/02_b.html").read_text()

    assert ran(project, threshold=1.5) == ["01_a"]  # the other has no such parameter
    assert "1.5" in (project / "out/html/notebooks/01_a.html").read_text()
    assert ran(project) == []  # that state was kept
    assert "1.5" not in (project / "out/html/notebooks/01_a.html").read_text()

    (project / "checkout/book/intro.md").write_text("# Other words")
    before = len(compiling)
    assert ran(project) == [] and len(compiling) == before + 1

    page = project / "out/html/notebooks/01_a.html"
    page.write_text("somebody's hand")
    assert ran(project) == [] and "somebody" not in page.read_text()

    manifest = project / "study/manifest.json"
    manifest.write_text(json.dumps(json.loads(manifest.read_text()) | {"created": "2026-02-02T00:00:00+00:00"}))
    assert ran(project) == ["01_a", "02_b"]


@pytest.mark.parametrize(
    ("source", "changed"),
    [("paper/pages/savings.py", ["02_b"]), ("core/files.py", ["01_a", "02_b"]), ("paper/pages/ladders.py", [])],
)
def test_a_source_counts_for_the_notebooks_that_reach_it(project: Path, source: str, changed: list[str]) -> None:
    """The first of the two imports nothing itself, the second imports `savings`; both need `files` to be run."""
    state = cache.State(project / "study", {})
    before = {file: state.notebook(file, {}) for file in contents.notebooks()}
    book, state.sources = state.book, with_another(source)
    after = {file: state.notebook(file, {}) for file in contents.notebooks()}
    assert [file.stem for file in before if after[file] != before[file]] == changed
    assert state.book != book  # pages may quote a docstring


def with_another(source: str) -> reach.Sources:
    """This package's sources as if one were different."""
    found = mock.patch.object(files, "file_sha256", lambda path, own=files.file_sha256: (
        "another" if Path(path) == reach.PACKAGE / source else own(path)
    ))  # fmt: skip
    with found:
        return reach.Sources()


def test_those_that_were_used_last_are_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cache, "KEPT", 2)
    kept, out = cache.Cache(tmp_path / "cache"), tmp_path / "out.ipynb"
    for place, name in enumerate("abc"):
        (tmp_path / name).write_text(name)
        if name == "c":  # `a` is used again before it comes
            assert kept.take("a", out) and out.read_text() == "a"
        kept.keep(name, tmp_path / name)
        for file in (tmp_path / "cache" / "notebooks").glob("[ab].ipynb") if place < 2 else ():
            os.utime(file, (ord(file.stem), ord(file.stem)))
    assert [kept.take(name, out) for name in "abc"] == [True, False, True]


def test_a_cell_that_fails_is_named_and_what_ran_is_kept(project: Path) -> None:
    page = build.build(project / "study", project / "out")
    before = page.read_text()
    failing = project / "checkout/notebooks/01_a.ipynb"
    notebook(failing, "print('so far')", FAILING, "print('never')")
    with pytest.raises(Failure) as caught:
        ran(project)
    kept = project / "out" / "failed" / "01_a.ipynb"
    assert (
        str(caught.value) == f"01_a.ipynb: cell 5: ZeroDivisionError: division by zero; as far as it ran it is {kept}"
    )
    assert "return x / 0" in caught.value.details and "\x1b" not in caught.value.details
    shown = [str(cell.get("outputs")) for cell in nbformat.read(kept, as_version=4).cells]
    assert any("so far" in text for text in shown) and not any("never" in text for text in shown)
    assert page.read_text() == before and not list((project / "out").glob(".tmp-*"))

    notebook(failing, "print('mended')")
    assert ran(project) == ["01_a"] and not (project / "out" / "failed").exists()


def test_pages_do_not_depend_on_how_many_run_at_once(project: Path) -> None:
    found = []
    for workers in (1, 2):
        out = project / f"out{workers}"
        build.build(project / "study", out, workers=workers)
        found.append({file.name: file.read_text() for file in out.rglob("*.html")})
    assert found[0] == found[1] and len(found[0]) == 4


def test_where_nothing_can_be_forked_each_worker_is_a_process(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As on macOS and Windows, where each notebook has a kernel that starts from nothing."""
    monkeypatch.setattr(starting, "FORKS", False)
    began, out = mock.Mock(wraps=starting._begun), project / "out"
    monkeypatch.setattr(starting, "_begun", began)
    build.build(project / "study", out, {"threshold": 1.5}, workers=2)
    assert [len(call.args[0]) for call in began.call_args_list] == [1, 1]
    assert sorted((project / LOG).read_text().split()) == ["01_a", "02_b"]
    assert "1.5" in (out / "html/notebooks/01_a.html").read_text()

    notebook(project / "checkout/notebooks/01_a.ipynb", FAILING)
    with pytest.raises(Failure, match="01_a.ipynb: cell 4: ZeroDivisionError"):
        build.build(project / "study", out, workers=2)
    assert (out / "failed" / "01_a.ipynb").is_file()


def test_processors_are_counted_where_no_system_says_which_may_be_used(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr(os, "sched_getaffinity", raising=False)
    monkeypatch.setattr(os, "cpu_count", lambda: 3)
    assert processors() == 3
    monkeypatch.setattr(os, "cpu_count", lambda: None)
    assert processors() == 1
