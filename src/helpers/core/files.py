"""Where everything lies, in a checkout or an installed package; how files are read and written whole; their digests."""

from __future__ import annotations

import datetime
import hashlib
import json
import os
import re
import socket
import stat
import tomllib
import uuid
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from helpers.core.errors import Damaged, UsageError, shortened

if TYPE_CHECKING:
    import pandas as pd

__all__ = [
    "BOOK",
    "BUILD",
    "CARD",
    "MODELS",
    "NOTEBOOKS",
    "RESULTS",
    "ROOT",
    "STUDIES",
    "file_sha256",
    "probe",
    "read_csv",
    "now",
    "read_json",
    "read_parquet",
    "read_text",
    "read_toml",
    "regular",
    "replacing",
    "abandoned",
    "sweep",
    "temporary",
    "tree_sha256",
    "write_json",
    "write_parquet",
]

_PACKAGE = Path(__file__).resolve().parents[1]
#: A checkout, or where the package is installed without one, the folder of what its wheel brings along: studies, the
#: miniatures and the footprint's tables.
ROOT = _PACKAGE.parents[1] if (_PACKAGE.parents[1] / "pyproject.toml").is_file() else _PACKAGE / "_shipped"
MODELS = ROOT / "models"
STUDIES = ROOT / "studies"
RESULTS = ROOT / "results"
NOTEBOOKS = ROOT / "notebooks"
BOOK = ROOT / "book"
#: What is made anew: in a checkout, or without one where the command is called.
BUILD = (ROOT if ROOT != _PACKAGE / "_shipped" else Path.cwd()) / "_build"

#: Name of the file that describes a trained model.
CARD = "card.json"

#: The largest text that is read, in bytes: far more than anybody writes by hand.
TEXT_BYTES = 16 * 2**20
#: How deep its tables and lists may lie in each other.
TOML_DEPTH = 16


@contextmanager
def replacing(path: str | os.PathLike[str]) -> Iterator[Path]:
    """Yield a temporary path beside `path`; it takes `path`'s place in one step, or is deleted on failure.

    The folder is made where it is missing. The temporary name keeps the suffix, for writers that go by it, and tells
    the machine and the process that writes it, so that `sweep` knows what a killed one has left.
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    beside = temporary(path)
    try:
        yield beside
        beside.replace(path)
    finally:
        beside.unlink(missing_ok=True)


def temporary(path: str | os.PathLike[str]) -> Path:
    """A new name beside `path`, with its suffix, that tells the machine and the process that it is made by."""
    path = Path(path)
    return path.with_name(f".tmp-{_host()}-{os.getpid()}-{uuid.uuid4().hex[:8]}{path.suffix}")


def abandoned(path: Path) -> bool:
    """Whether a process of this machine that is no more has made this `temporary`."""
    found = _TEMPORARY.match(path.name)
    return found is not None and found["host"] == _host() and not _alive(int(found["pid"]))


def sweep(folder: str | os.PathLike[str]) -> list[Path]:
    """Delete what killed writers of this machine have left below a folder; returns what was deleted.

    A temporary of a living process, or of another machine that shares the folder, is left alone.
    """
    swept = []
    for path in Path(folder).rglob(".tmp-*"):
        if abandoned(path) and not path.is_dir():
            path.unlink(missing_ok=True)
            swept.append(path)
    return swept


_TEMPORARY = re.compile(r"\.tmp-(?P<host>[0-9a-f]{8})-(?P<pid>\d{1,10})-[0-9a-f]{8}(\.|$)")


def _host() -> str:
    # Hashed, for names of machines are of any length and any letters. Containers of one name count their processes
    # apart (on Linux, where that can be told).
    try:
        counting = os.readlink("/proc/self/ns/pid")
    except OSError:
        counting = ""
    return hashlib.sha256(f"{socket.gethostname()}{counting}".encode()).hexdigest()[:8]


def _alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except OSError:  # somebody else's process
        return True
    return True


def probe(out: str | os.PathLike[str]) -> None:
    """Make sure, before any work, that the file `out` can be written; its folder is made where it is missing.

    Raises:
        UsageError: it is a folder, or its place does not take files.
    """
    out = Path(out)
    if os.path.isdir(out):  # pathlib's raises for a name that is too long
        raise UsageError(f"{out}: a folder; name a file in it")
    # The name itself may be what cannot be written (too long), so it is tried too, where that costs no file.
    trial = temporary(out) if os.path.lexists(out) else out
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
        trial.touch(exist_ok=False)
        trial.unlink()
    except (OSError, ValueError) as error:
        why = getattr(error, "strerror", None) or error
        raise UsageError(f"{shortened(out)}: nothing can be written there: {why}; name another place") from None


def regular(path: str | os.PathLike[str], what: str) -> Path:
    """The path of a file that the user named; `what` says what it should be ("a TOML map").

    Raises:
        UsageError: there is none, or it is a folder, a pipe or a device, from which reading might never end.
    """
    try:
        mode = os.stat(path).st_mode
    except (OSError, ValueError) as error:
        why = getattr(error, "strerror", None) or str(error)
        raise UsageError(f"{shortened(path)}: cannot be read: {why}; name {what}") from None
    if not stat.S_ISREG(mode):
        kind = "a folder" if stat.S_ISDIR(mode) else "a pipe or a device"
        raise UsageError(f"{shortened(path)}: {kind}, not a file; name {what}")
    return Path(path)


def read_text(path: str | os.PathLike[str], what: str) -> str:
    """The text of a UTF-8 file that the user named, without a byte order mark; `what` says what it should be.

    Raises:
        UsageError: it is no regular file, cannot be read, is not UTF-8, or is larger than `TEXT_BYTES`.
    """
    path = regular(path, what)
    if path.stat().st_size > TEXT_BYTES:
        raise UsageError(f"{path}: larger than {TEXT_BYTES // 2**20} MB; name {what}")
    try:
        return path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        why = "not UTF-8 text" if isinstance(error, UnicodeDecodeError) else error.strerror or error
        raise UsageError(f"{path}: cannot be read: {why}; name {what}") from None


def read_toml(path: str | os.PathLike[str], what: str) -> dict[str, Any]:
    """The tables of a TOML file that the user named; `what` says what it should be ("a TOML map").

    Raises:
        UsageError: as `read_text`, or it is not TOML, or is nested deeper or has longer numbers than Python takes.
    """
    text = read_text(path, what)
    try:
        found = tomllib.loads(text)
        if _deeper(found, TOML_DEPTH):  # dotted keys nest without brackets
            raise RecursionError
    except RecursionError:
        raise UsageError(f"{path}: not valid TOML: nested too deeply; name {what}") from None
    except ValueError as error:
        raise UsageError(f"{path}: not valid TOML: {_line(error)}; name {what}") from None
    return found


def _deeper(value: Any, depth: int) -> bool:
    inner = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    return depth < 0 or any(_deeper(part, depth - 1) for part in inner)


def read_json(path: str | os.PathLike[str]) -> dict[str, Any]:
    """The object in a JSON file.

    Raises:
        Damaged: it is missing or cannot be read, is not JSON, or holds anything but an object.
    """
    try:
        if not Path(path).is_file():  # a pipe would be waited for
            raise FileNotFoundError(2, "no such file")
        found = json.loads(Path(path).read_text(encoding="utf-8"))
    except OSError as error:
        raise Damaged(f"{path}: cannot be read: {error.strerror or error}") from None
    except (ValueError, RecursionError) as error:
        raise Damaged(f"{path}: not JSON: {_line(error)}") from None
    if not isinstance(found, dict):
        raise Damaged(f"{path}: it holds a JSON {type(found).__name__} where an object is due")
    return found


def read_parquet(path: str | os.PathLike[str], columns: Iterable[str] = (), words: Sequence[str] = ()) -> pd.DataFrame:
    """The table in a Parquet file; with `columns` it must have those, and may have more.

    Of the columns `words` those that hold text come as categories, twice as fast where the same words stand in millions
    of rows.

    Raises:
        Damaged: it is missing or cannot be read, is not Parquet, or lacks a column.
    """
    import pandas as pd

    try:
        if not Path(path).is_file():
            raise FileNotFoundError(2, "no such file")
        frame = pd.read_parquet(path, read_dictionary=list(words))
    except OSError as error:
        raise Damaged(f"{path}: cannot be read: {error.strerror or _line(error)}") from None
    except Exception as error:  # pyarrow's errors on foreign bytes have no common base
        raise Damaged(f"{path}: not a readable Parquet table: {_line(error)}") from None
    return _with_columns(frame, path, columns)


def read_csv(path: str | os.PathLike[str], columns: Iterable[str] = ()) -> pd.DataFrame:
    """The table in a CSV file of this project's own; with `columns` it must have those, and may have more.

    Raises:
        Damaged: it is missing or cannot be read, is not such a table, or lacks a column.
    """
    import pandas as pd

    try:
        if not Path(path).is_file():
            raise FileNotFoundError(2, "no such file")
        frame = pd.read_csv(path)
    except OSError as error:
        raise Damaged(f"{path}: cannot be read: {error.strerror or _line(error)}") from None
    except ValueError as error:  # pandas' errors of parsing and of decoding are such
        raise Damaged(f"{path}: not a readable CSV table: {_line(error)}") from None
    return _with_columns(frame, path, columns)


def _with_columns(frame: pd.DataFrame, path: str | os.PathLike[str], columns: Iterable[str]) -> pd.DataFrame:
    missing = [name for name in columns if name not in frame]
    if missing:
        raise Damaged(f"{path}: it lacks the column {missing[0]!r}")
    return frame


def now() -> str:
    """The time, to the second, as files state it (ISO 8601, UTC)."""
    return datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds")


def write_json(value: Any, path: str | os.PathLike[str]) -> None:
    """Write a JSON file in one step."""
    with replacing(path) as temporary:
        temporary.write_text(json.dumps(value, indent=1) + "\n", encoding="utf-8")


#: Bytes of a column's dictionary in a stored table, beyond which every value is stored again (pyarrow's own: 1 MiB).
_DICTIONARY = 1 << 28


def write_parquet(frame: pd.DataFrame, path: str | os.PathLike[str]) -> None:
    """Write a table in one step.

    A dictionary may be as large as it comes: beside hundreds of thousands of scores, the images' digests stand once.
    """
    with replacing(path) as temporary:
        frame.to_parquet(temporary, index=False, compression="zstd", dictionary_pagesize_limit=_DICTIONARY)


def _line(error: Exception) -> str:
    return " ".join(str(error).split())[:160] or type(error).__name__


def file_sha256(path: str | os.PathLike[str]) -> str:
    """SHA-256 (hex) of a file's bytes."""
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def tree_sha256(*places: str | os.PathLike[str], of_file: Callable[[str | os.PathLike[str]], str] = file_sha256) -> str:
    """SHA-256 (hex) over names and contents of files and of folders' files, hidden ones and cards left out.

    A model's card describes it and changes nothing that it makes.

    A place that does not exist counts by its name: a hub id stands for itself. `of_file` gives a file's own digest.
    """
    total = hashlib.sha256()
    for place in map(Path, places):
        for file in sorted(place.rglob("*")) if place.is_dir() else [place]:
            if file.is_file() and not file.name.startswith(".") and file.name != CARD:
                name = file.relative_to(place).as_posix() if place.is_dir() else file.name
                total.update(f"{name} {of_file(file)}\n".encode())
        if not place.exists():
            total.update(f"{place}\n".encode())
    return total.hexdigest()
