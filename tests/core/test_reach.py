"""Which sources code reaches: small packages whose imports are known, and what Python itself loads of this one."""

from __future__ import annotations

import hashlib
import json
import subprocess
import sys
from pathlib import Path

import pytest

from helpers.core import files, reach
from helpers.paper import contents

#: A package with a room of plain modules, one that imports when it is asked, and one that lists its own folder.
PACKAGE = {
    "__init__.py": "",
    "plain/__init__.py": "",
    "plain/first.py": "from __future__ import annotations\nfrom package.plain.second import x\n",
    "plain/second.py": "def f():\n    from package.plain import third\n",
    "plain/third.py": "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    import package.plain.fourth\n",
    "plain/fourth.py": "",
    "plain/table.csv": "a,b",
    "beside/__init__.py": "",
    "beside/one.py": "from ..plain import fourth\n",
    "lazy/__init__.py": '_WHERE = {"one": ("a", "b"), "two": ("c",)}\n',
    "lazy/one.py": "a = b = 1\n",
    "lazy/two.py": "c = 1\n",
    "listed/__init__.py": 'import importlib\nimportlib.import_module(f"{__name__}.one")\n',
    "listed/one.py": "",
    "named/__init__.py": "",
    "named/rows.py": 'ROW = "package.plain.fourth"\n',
    "named/ask.py": "import importlib\nfrom package.named import rows\nimportlib.import_module(rows.ROW)\n",
}


@pytest.fixture
def package(tmp_path: Path) -> Path:
    for name, source in PACKAGE.items():
        file = tmp_path / "package" / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(source)
    return tmp_path / "package"


@pytest.mark.parametrize(
    ("code", "modules"),
    [
        ("import json", []),
        ("from package.plain import first", ["plain/first", "plain/second", "plain/third"]),
        ("def later():\n    import package.plain.fourth", ["plain/fourth"]),
        ("from package.beside.one import x", ["beside/__init__", "beside/one", "plain/fourth"]),
        ("from package.lazy import c", ["lazy/__init__", "lazy/two"]),
        ("from package import lazy", ["lazy/__init__", "lazy/one", "lazy/two"]),
        ("import package.listed", ["listed/__init__", "listed/one"]),
        ("import package.named.rows", ["named/__init__", "named/rows"]),
        ("import package.named.ask", ["named/__init__", "named/ask", "named/rows", "plain/fourth"]),
    ],
)
def test_imports_are_followed(package: Path, code: str, modules: list[str]) -> None:
    found = reach.Sources(package).reached(code)
    plain = {"plain/__init__.py", "plain/table.csv"} if any("plain" in name for name in modules) else set()
    wanted = {f"{name}.py" for name in modules} | plain | ({"__init__.py"} if modules else set())
    assert set(found) == wanted
    assert all(digest == hashlib.sha256((package / name).read_bytes()).hexdigest() for name, digest in found.items())


def test_only_what_is_reached_changes_what_is_found(package: Path) -> None:
    code = "from package.plain import first"
    before = reach.Sources(package)
    (package / "plain/fourth.py").write_text("x = 1\n")
    (package / "lazy/one.py").write_text("a = b = 2\n")
    after = reach.Sources(package)
    assert after.reached(code) == before.reached(code) and after.digest != before.digest
    (package / "plain/third.py").write_text("x = 1\n")
    assert reach.Sources(package).reached(code) != before.reached(code)
    table = reach.Sources(package).reached(code)
    (package / "plain/table.csv").write_text("a,c")
    assert reach.Sources(package).reached(code) != table


def test_all_that_python_loads_for_a_notebook_is_reached() -> None:
    """The imports of a notebook executed: every module of this package that is then loaded counts."""
    file = files.NOTEBOOKS / "09_claims.ipynb"
    code = contents.code(file)
    imports = "\n".join(line for line in code.splitlines() if line.startswith(("import ", "from ")))
    ask = "import json, sys\nprint(json.dumps([m.__file__ for n, m in sys.modules.items() if n.startswith('helpers')]))"
    done = subprocess.run([sys.executable, "-c", f"{imports}\n{ask}"], capture_output=True, text=True, check=True)
    loaded = {Path(path).relative_to(reach.PACKAGE).as_posix() for path in json.loads(done.stdout.splitlines()[-1])}
    assert len(loaded) > 50 and loaded <= set(reach.Sources().reached(code))


def test_a_digest_depends_on_names_and_bytes_and_not_on_order(tmp_path: Path) -> None:
    assert reach.key({"a": 1, "b": [2]}) == reach.key({"b": [2], "a": 1}) != reach.key({"a": 1, "b": [3]})
    (tmp_path / "x").mkdir()
    (tmp_path / "x" / "file").write_text("1")
    (tmp_path / "x" / ".hidden").write_text("1")
    found = reach.held(tmp_path / "x", tmp_path / "absent")
    assert found == {str(tmp_path / "x/file"): files.file_sha256(tmp_path / "x/file"), str(tmp_path / "absent"): ""}
