"""What documents show to be typed does what they say: README, the book's page on reproducing, docstrings."""

from __future__ import annotations

import doctest
import importlib
import json
import re
import shlex
import shutil
from pathlib import Path

import pandas as pd
import pytest
import typer
import yaml
from PIL import Image
from recorded import record

from helpers import world
from helpers.cli import app, book
from helpers.core import files
from helpers.paper import execution
from helpers.results import devices

SOURCE = files.ROOT / "src"
README = (files.ROOT / "README.md").read_text(encoding="utf-8")
REPRODUCE = (files.BOOK / "reproduce.md").read_text(encoding="utf-8")
#: (what is typed, how long it takes) of the rows of the README's table.
ROWS = [
    (command, takes.strip())
    for what, takes in re.findall(r"^\|[^|]+\|([^|]*`[^|]+)\|([^|]+)\|$", README, re.MULTILINE)
    for command in re.findall(r"`(quantdetect [^`]+)`", what)
]
TYPED = [command for command, _ in ROWS] + re.findall(r"^\$ (quantdetect .+)$", REPRODUCE, re.MULTILINE)
TAKES = {"seconds", "minutes", "hours", "hours, a GPU", "minutes, a GPU", "hours, a network"}
EXAMPLES = [
    path for path in sorted(SOURCE.rglob("*.py")) if re.search(r"^\s*>>> ", path.read_text(encoding="utf-8"), re.M)
]


def test_the_table_says_of_each_command_how_long_it_takes() -> None:
    assert len(ROWS) >= 15 and {takes for _, takes in ROWS} <= TAKES
    assert {command.split()[1] for command, _ in ROWS} == {*app.COMMANDS, "train"}


@pytest.mark.parametrize("command", TYPED)
def test_a_command_is_understood(command: str) -> None:
    group, words = typer.main.get_command(app.app), book.joined(shlex.split(command)[1:])
    while hasattr(group, "commands"):
        group, words = group.commands[words[0]], words[1:]
    group.make_context(group.name, words)


def test_the_book_executes_a_notebook_that_is_there_with_parameters_that_it_has() -> None:
    (command,) = re.findall(r"^\$ papermill (.+)$", REPRODUCE, re.MULTILINE)
    notebook, _, *options = shlex.split(command)
    given = yaml.safe_load(options.pop()) | {options[-3]: yaml.safe_load(options[-2])}
    assert options[:2] == ["-k", "python3"] and options[-4::3] == ["-p", "-y"]
    execution.check(files.ROOT / notebook, given)


def test_the_book_says_how_long_a_command_takes_and_where_it_needs_a_gpu() -> None:
    """Each block of commands says seconds, minutes or hours, before it or after; one for CUDA or a full run, a GPU."""
    blocks = re.split(r"(?m)^```console\n((?:\$ .+\n)+)```$", REPRODUCE)
    for before, commands, after in zip(blocks[::2], blocks[1::2], blocks[2::2], strict=False):
        said = before[-400:] + after[:900]
        assert re.search(r"\b(seconds|minutes|hours|a minute)\b", said), commands
        if re.search("cuda|run full", commands):
            assert "GPU" in said, commands


@pytest.fixture(scope="module")
def named(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What the README's examples name: images, scores and a map, a record of a device, an older run."""
    folder = tmp_path_factory.mktemp("named")
    (folder / "FOLDER").mkdir()
    for seed in range(2):
        Image.fromarray(world.render(seed, 64)).save(folder / "FOLDER" / f"{seed}.png")
    few = [("detector", "==", "npr"), ("index", "<", 40)]
    scores = pd.read_parquet(files.RESULTS / "mini" / "scores.parquet", filters=few)
    scores.rename(columns={"generator": "model"}).to_csv(folder / "scores.csv", index=False)
    (folder / "record.json").write_text(json.dumps(record()), encoding="utf-8")
    (folder / "map.toml").write_text('[columns]\ngenerator = "model"\n', encoding="utf-8")
    shutil.copytree(files.RESULTS / "mini", folder / "results" / "again")
    return folder


@pytest.fixture
def place(named: Path, tmp_path: Path) -> Path:
    """A folder of one's own with all of it."""
    return shutil.copytree(named, tmp_path, dirs_exist_ok=True)


@pytest.mark.parametrize("command", [command for command, takes in ROWS if takes == "seconds"])
def test_what_takes_seconds_works(
    command: str, place: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(place)
    monkeypatch.setattr(files, "BUILD", place / "_build")
    monkeypatch.setattr(devices, "TABLE", place / "devices.csv")
    assert app.main(shlex.split(command)[1:]) == 0, capsys.readouterr().err
    assert capsys.readouterr().out.strip()


def test_the_scripts_of_the_readme_are_there() -> None:
    scripts = re.findall(r"\b(benchmarks/\w+\.py)", README)
    assert scripts and all((files.ROOT / script).is_file() for script in scripts)


def test_the_python_of_the_readme_runs() -> None:
    (block,) = re.findall(r"```python\n(.*?)```", README, re.DOTALL)
    names: dict[str, object] = {}
    exec(compile(block, "README.md", "exec"), names)
    assert len(names["images"]) == len(names["logits"]) == 1
    assert 0 < names["coverage"].share <= 1


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.relative_to(SOURCE).as_posix())
def test_the_examples_of_docstrings_are_true(path: Path) -> None:
    name = ".".join(path.relative_to(SOURCE).with_suffix("").parts).removesuffix(".__init__")
    failed, tried = doctest.testmod(importlib.import_module(name))
    assert tried and not failed
