"""The files that make a checkout installable agree with each other, and none of them knows a machine."""

import importlib.metadata
import json
import re
import shutil
import subprocess
import tomllib

import pytest
import yaml
from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet
from pybtex.database import parse_string

import helpers
from helpers.core import files

PROJECT = tomllib.loads((files.ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
LOCK = (files.ROOT / "requirements.lock").read_text(encoding="utf-8").splitlines()
ENVIRONMENT = yaml.safe_load((files.ROOT / "environment.yml").read_text(encoding="utf-8"))


def wanted():
    extras = PROJECT["optional-dependencies"]
    chosen = [*PROJECT["dependencies"], *(line for key in extras for line in extras[key])]
    return sorted({requirement.name: requirement for requirement in map(Requirement, chosen)}.items())


def locked():
    pins = {}
    for requirement in map(Requirement, LOCK):
        pins.setdefault(requirement.name, []).extend(pin.version for pin in requirement.specifier)
    return pins


def test_the_lock_holds_plain_pins_only():
    odd = [line for line in LOCK if not re.fullmatch(r"[a-z0-9][a-z0-9.-]*==[\w.]+( ; [^@]+)?", line)]
    assert odd == []


@pytest.mark.parametrize("name, requirement", wanted())
def test_every_dependency_has_a_pin_that_satisfies_it(name, requirement):
    versions = locked().get(name, [])
    assert versions, f"{name} is not in requirements.lock: run make lock"
    assert all(requirement.specifier.contains(version, prereleases=True) for version in versions)


def test_what_npm_brings_is_pinned_and_names_no_host():
    package = json.loads((files.ROOT / "package.json").read_text(encoding="utf-8"))
    lock = json.loads((files.ROOT / "package-lock.json").read_text(encoding="utf-8"))["packages"]
    kinds = {kind: package[kind] for kind in ("dependencies", "devDependencies")}
    assert lock.pop("") == {"name": "quantdetect", **kinds}
    wanted = kinds["dependencies"] | kinds["devDependencies"]
    assert all(re.fullmatch(r"\d+(\.\d+)+", version) for version in wanted.values())
    assert {name: lock[f"node_modules/{name}"]["version"] for name in wanted} == wanted
    assert all("resolved" not in one and one["integrity"].startswith("sha512-") for one in lock.values())


def test_conda_installs_the_same():
    conda = [entry for entry in ENVIRONMENT["dependencies"] if isinstance(entry, str)]
    pip = next(entry["pip"] for entry in ENVIRONMENT["dependencies"] if isinstance(entry, dict))
    (python,) = [Requirement(entry.replace("=", "==", 1)) for entry in conda if entry.startswith("python")]
    assert all(SpecifierSet(PROJECT["requires-python"]).contains(pin.version) for pin in python.specifier)
    assert pip == ["-r requirements.lock", "-e ."]


def test_the_analysis_side_installs_without_torch():
    base = {Requirement(line).name for line in PROJECT["dependencies"]}
    models = {Requirement(line).name for line in PROJECT["optional-dependencies"]["models"]}
    assert {"torch", "diffusers", "transformers"} <= models and not base & models


def test_every_place_names_one_version_and_licence():
    citation = yaml.safe_load((files.ROOT / "CITATION.cff").read_text(encoding="utf-8"))
    assert citation["version"] == PROJECT["version"] == helpers.__version__
    assert citation["license"] == PROJECT["license"] == "Apache-2.0"
    assert "Apache License" in (files.ROOT / "LICENSE").read_text(encoding="utf-8")


def test_the_book_says_how_to_cite_as_the_citation_file_does():
    """The BibTeX of the conclusion, whose year is that of the book's copyright line: nothing was released yet."""
    citation = yaml.safe_load((files.ROOT / "CITATION.cff").read_text(encoding="utf-8"))
    (bibtex,) = re.findall(
        r"```bibtex\n(.*?)```", (files.BOOK / "conclusion.md").read_text(encoding="utf-8"), re.DOTALL
    )
    own, deck = parse_string(bibtex, "bibtex").entries.values()
    fields = own.fields
    assert (fields["title"], fields["version"]) == (citation["title"], citation["version"])
    assert fields["license"] == citation["license"] and own.type == citation["type"]
    assert [str(author) for author in own.persons["author"]] == [f"{{{of['name']}}}" for of in citation["authors"]]
    assert fields["year"] == yaml.safe_load((files.ROOT / "_config.yml").read_text(encoding="utf-8"))["copyright"]
    (source,) = citation["references"]
    assert deck.fields["title"] == source["title"]
    assert [str(author) for author in deck.persons["author"]] == [
        f"{of['family-names']}, {of['given-names']}" for of in source["authors"]
    ]


def test_notebooks_are_stored_without_outputs():
    for path in sorted(files.NOTEBOOKS.glob("*.ipynb")):
        cells = json.loads(path.read_text(encoding="utf-8"))["cells"]
        dirty = [cell["source"] for cell in cells if cell.get("outputs") or cell.get("execution_count")]
        assert dirty == [], f"{path.name}: run nbstripout"


def test_no_stored_text_names_a_path_of_a_machine():
    command = ["git", "ls-files", "--cached", "--others", "--exclude-standard", "-z"]
    output = subprocess.run(command, cwd=files.ROOT, capture_output=True, text=True, check=True).stdout
    machine = re.compile(rb"(?<![\w.])/(home|root|work|Users|tmp)/\w")
    kinds = (".py", ".toml", ".md", ".yml", ".ipynb", ".json", ".lock")
    texts = [files.ROOT / name for name in output.split("\0") if name.endswith(kinds)]
    assert len(texts) > 10
    assert [path.name for path in texts if path.is_file() and machine.search(path.read_bytes())] == []


def test_the_targets_of_the_readme_exist():
    readme = (files.ROOT / "README.md").read_text(encoding="utf-8")
    makefile = (files.ROOT / "Makefile").read_text(encoding="utf-8")
    targets = set(re.findall(r"\bmake (book|test|check|lock|train|clean)\b", readme))
    assert {"book", "test"} <= targets
    assert all(re.search(rf"^{target}:", makefile, re.MULTILINE) for target in targets)
    images = re.findall(r"!\[[^\]]+\]\(([^)]+)\)", readme)
    assert images and all((files.ROOT / image).is_file() for image in images)


def make(*words):
    """What make would do, for an environment that is not there."""
    command = [shutil.which("make") or pytest.skip("make is not installed"), "-n", "VENV=elsewhere", *words]
    return subprocess.run(command, cwd=files.ROOT, capture_output=True, text=True)


def test_without_cuda_torch_and_torchvision_come_from_one_place_and_nothing_of_cuda():
    usual, cpu = make("book").stdout, make("book", "EXTRA=cpu").stdout
    assert "--torch-backend cpu" in cpu and "--torch-backend" not in usual
    left_out = re.compile(re.search(r"grep -vE '([^']+)' requirements.lock", cpu)[1])
    assert not any(re.match(re.search(r"grep -vE '([^']+)'", usual)[1], line) for line in LOCK)
    gone = {Requirement(line).name for line in LOCK if left_out.match(line)}
    assert {"torch", "torchvision"} & gone == set() and len(gone) > 10
    # Nothing else that is installed asks for what is left out.
    for name in locked().keys() - gone - {"torch"}:
        try:
            asked = importlib.metadata.requires(name) or []
        except importlib.metadata.PackageNotFoundError:
            continue
        needed = {
            one.name for one in map(Requirement, asked) if one.marker is None or one.marker.evaluate({"extra": ""})
        }
        assert not needed & gone, name
    assert make("book", "EXTRA=gpu").returncode != 0


def test_before_any_test_and_commit_the_same_is_checked():
    hooks = yaml.safe_load((files.ROOT / ".pre-commit-config.yaml").read_text(encoding="utf-8"))["repos"][0]["hooks"]
    tools = {hook["entry"].split()[0].rpartition("/")[2] for hook in hooks}
    check = make("check").stdout
    assert tools == {"nbstripout", "ruff", "lint-imports", "mypy"}
    assert all(f"elsewhere/bin/{tool}" in check for tool in tools - {"nbstripout"})  # notebooks have a test, above
    assert make("test").stdout.find("lint-imports") < make("test").stdout.find("pytest")


def test_what_contributing_names_is_there():
    text = (files.ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
    named = re.findall(r"`((?:[\w.]+/)+[\w.]*)`", text)
    places = [name for name in named if not re.search(r"KEY|cNN", name)]
    assert len(places) > 15
    for name in places:
        assert any((root / name).exists() for root in (files.ROOT, files.ROOT / "src" / "helpers")), name
    assert len(re.findall(r"^## A (detector|generator|precision|claim|page)$", text, re.MULTILINE)) == 5
