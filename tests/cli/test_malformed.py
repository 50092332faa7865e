"""Over a thousand malformed inputs: each is taken for what it says, by a reading of its own, or refused in one line.

Inputs are drawn by seeds from valid ones: bytes are flipped, cut and put in, values take other types and sizes. What is
refused leaves no file behind, and nothing waits for ever.
"""

from __future__ import annotations

import copy
import csv
import io
import itertools
import json
import os
import random
import signal
import tomllib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from PIL import Image
from safetensors.torch import save_file

from helpers import detectors, world
from helpers.cli import app as command
from helpers.core import files
from helpers.core.errors import Failure, UsageError
from helpers.detectors import stream
from helpers.detectors import weights as checkpoints
from helpers.results import importing
from helpers.study import schema

LONGEST = 500  # characters of a message, beside the path of the file

#: Guards against a hang, in seconds: of computing, which a busy machine does not lengthen, and of waiting for a file.
COMPUTING, WAITING = 10, 120

#: What somebody may write where a TOML file has a value.
VALUES: list[Any] = [
    0, -1, 1, 10**6, 10**6 + 1, 2**31, 2**62, 2**63, -(2**63), 10**400, int("f" * 5000, 16), 0.0, -0.5, 0.5, 1e308,
    float("inf"), float("nan"), True, False, "", " ", "x", "a b", "real", "none", "native", "fp32", "FP32", "fp4 ",
    "ſd15", "sԁ15", "a\nb", "a\0b", "\x1b[31m", "\u202e", "é" * 300, "x" * 10**5, "../..", "/etc/passwd", "con", "a.",
    "jpeg:75", "{}", "%s", "{0.__class__}", [], [[]], [[[[[[]]]]]], ["fp32"], ["fp32", "fp32"], ["fp4", 4], [""],
    [1] * 999, {}, {"a": 1}, {"fp32": "fp32"}, [{}], [{"title": "x"}],
]  # fmt: skip


class Hang(BaseException):
    """Nothing catches it by accident."""


@contextmanager
def guarded() -> Iterator[None]:
    """Raise `Hang` where an input computes or waits for too long."""

    def stop(number: int, frame: Any) -> None:
        raise Hang(signal.Signals(number).name)

    before = {number: signal.signal(number, stop) for number in (signal.SIGPROF, signal.SIGALRM)}
    signal.setitimer(signal.ITIMER_PROF, COMPUTING)
    signal.alarm(WAITING)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0)
        signal.alarm(0)
        for number, handler in before.items():
            signal.signal(number, handler)


def is_line(message: str, path: Path | None = None) -> bool:
    """Whether this is one line that a person can read; a path of the test's own does not count."""
    return 0 < len(message.replace(str(path), "PATH")) < LONGEST and message.isprintable()


class Faults(list[str]):
    """What went wrong, so that one run tells all of it; each entry short."""

    def note(self, given: object, what: object) -> None:
        self.append(f"{str(given)[:200]!r}: {str(what)[:300]!r}")

    def none(self) -> None:
        assert not self, f"{len(self)} faults:\n" + "\n".join(self[:60])

    def outcome(self, read: Callable[..., Any], *arguments: Any, given: object, path: Path | None = None) -> Any:
        """What was read, or None where it was refused in one line; any other error is a fault."""
        try:
            with guarded():
                return read(*arguments)
        except (UsageError, Failure) as error:
            if not is_line(str(error), path):
                self.note(given, f"{len(str(error))} characters: {error}")
        except (Exception, Hang) as error:
            self.note(given, f"{type(error).__name__}: {error}")
        return None


def damaged(data: bytes, draw: random.Random) -> bytes:
    """The bytes with one to four of the accidents that befall files."""
    for _ in range(draw.randint(1, 4)):
        at, end = sorted(draw.randrange(len(data) + 1) for _ in range(2))
        some = bytes(draw.choices(b"\0\xff\xfe\r\n\t\"'[]{}=,#.-+09eE \x1b\x80", k=draw.randint(1, 4)))
        data = draw.choice([
            data[:at] + bytes([draw.randrange(256)]) + data[at + 1 :],
            data[:at] + some + data[at:],
            data[:at] + data[min(end, at + 40) :],
            data[:at] + data[at : at + 60] + data[at:],
            data[:end],
            b"\xef\xbb\xbf" + data,
            data.replace(b"\n", b"\r\n"),
        ]) or b" "  # fmt: skip
    return data


def toml(value: Any) -> str:
    """A value in TOML, tables inline."""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, int):
        return str(value) if abs(value) < 10**1000 else hex(value)
    if isinstance(value, float):
        return repr(value)
    if isinstance(value, str):
        return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")
    if isinstance(value, list):
        return f"[{', '.join(map(toml, value))}]"
    return "{" + ", ".join(f"{toml(key)} = {toml(item)}" for key, item in value.items()) + "}"


def document(table: dict[str, Any]) -> str:
    return "".join(f"{toml(key)} = {toml(value)}\n" for key, value in table.items())


def places(table: dict[str, Any], above: tuple[str, ...] = ()) -> list[tuple[str, ...]]:
    """The path of every key of nested tables."""
    here = [(*above, key) for key in table]
    inside = [(key, item) for key, item in table.items() if isinstance(item, dict)]
    return here + [place for key, item in inside for place in places(item, (*above, key))]


def changes(table: dict[str, Any], draw: random.Random) -> Iterator[str]:
    """The table with a key changed, dropped, doubled, misspelt or put elsewhere, without end."""
    while True:
        changed = copy.deepcopy(table)
        for _ in range(draw.choice([1, 1, 1, 2])):
            *above, last = draw.choice(places(changed))
            inside = changed
            for key in above:
                inside = inside[key]
            what = draw.randrange(10)
            if what == 0:
                del inside[last]
            elif what == 1:
                inside[draw.choice([last + "s", last.upper(), "", "\0", "x" * 1000, "é", "a.b"])] = inside.pop(last)
            elif what == 2:
                inside[last] = copy.deepcopy(changed)
            elif what == 3 and isinstance(inside[last], list) and inside[last]:
                inside[last] = inside[last] * 2
            else:
                inside[last] = copy.deepcopy(draw.choice(VALUES))
        yield document(changed)


DEEP = [
    "a = " + "[" * 10**5, "a" + ".a" * 5000 + " = 1", "a = " + "{a = " * 5000, "[" + "a." * 5000 + "a]",
    "seed = " + "9" * 5000, "seed = 0x" + "f" * 5000, "x" * 10**6, '"' + "x" * 10**6 + '" = 1', "\ufeff\ufeff",
    "seed = 1979-05-27", "seed = 25:00:00", "[[name]]", "name = '''", "[arms]\nx = 1\n[arms.x]\n", "\0", "",
]  # fmt: skip


def texts(valid: str, count: int, seed: int) -> Iterator[bytes]:
    """Malformed versions of a TOML file: of depth and size, of changed keys, of damaged bytes."""
    draw = random.Random(seed)
    changed = changes(tomllib.loads(valid), draw)
    for number in range(count):
        if number < len(DEEP):
            yield DEEP[number].encode()
        elif number % 3:
            yield next(changed).encode("utf-8", "surrogatepass")
        else:
            yield damaged(valid.encode(), draw)


def plain(model: Any) -> Any:
    """What of a checked file was written in it, without what is the default."""
    return model.model_dump(exclude_unset=True, mode="python")


def same(found: Any, written: Any) -> bool:
    """Equal, where 1 and 1.0 are one number and True is none."""
    if isinstance(written, dict):
        alike = isinstance(found, dict) and found.keys() == written.keys()
        return alike and all(same(found[key], written[key]) for key in found)
    if isinstance(written, list):
        return isinstance(found, list) and len(found) == len(written) and all(map(same, found, written))
    return found == written and isinstance(found, bool) == isinstance(written, bool)


MINI = (files.STUDIES / "mini.toml").read_text(encoding="utf-8")
FULL = (files.STUDIES / "full.toml").read_text(encoding="utf-8")
MAP = (files.STUDIES / "maps" / "public-scores.toml").read_text(encoding="utf-8")


def toml_cases(read: Callable[..., Any], valid: str, count: int, seed: int, folder: Path) -> int:
    """Read malformed versions of a file; what is accepted holds what Python's own reader finds. How many were."""
    accepted, file, faults = 0, folder / "given.toml", Faults()
    for text in texts(valid, count, seed):
        file.write_bytes(text)
        found = faults.outcome(read, file, given=text, path=file)
        if found is not None:
            accepted += 1
            lines = text.decode("utf-8-sig").replace("\r\n", "\n").replace("\r", "\n")
            if not same(plain(found), tomllib.loads(lines)):
                faults.note(text, plain(found))
    faults.none()
    assert list(folder.iterdir()) == [file]
    return accepted


@pytest.mark.parametrize("valid", [MINI, FULL], ids=["mini", "full"])
def test_studies(tmp_path: Path, valid: str) -> None:
    assert toml_cases(schema.load, valid, 280, 1, tmp_path) < 200


def test_maps(tmp_path: Path) -> None:
    assert toml_cases(importing.read_map, MAP, 220, 2, tmp_path) < 150


def scores() -> list[dict[str, str]]:
    """Three images of SD3 at FP32 and FP4 and three reals, by two detectors."""
    sources = [("sd3", "fp32", "1"), ("sd3", "fp4", "1"), ("real", "none", "0")]
    return [
        {
            "generator": generator, "precision": precision, "index": str(index), "label": label, "detector": detector,
            "logit": repr(8 * float(label) - index - number / 4),
        }
        for generator, precision, label in sources
        for index in range(3)
        for number, detector in enumerate(("npr", "clip_d"))
    ]  # fmt: skip


CELLS = [
    "", " ", "nan", "NaN", "inf", "-inf", "1e39", "1e309", "-1", "1.5", "1e30", "2.0", "9223372036854775808",
    "9" * 5000, "x", "None", "true", "1,5", "0x10", "1_000", "٣", "a\0b", "\x1b[2J", "{", "{place}", "%s", "real",
    "none", "fp5", "FP32", "sd33", "npr ", "\u202e", "é" * 500, "x" * 10**5, '"', "1\n2", "1e-320", "-0.0", "3.14",
]  # fmt: skip


def written(rows: list[dict[str, Any]]) -> bytes:
    text = io.StringIO()
    table = csv.DictWriter(text, list(dict.fromkeys(key for row in rows for key in row)))
    table.writeheader()
    table.writerows(rows)
    return text.getvalue().encode("utf-8", "surrogatepass")


def tables(count: int, seed: int) -> Iterator[tuple[str, bytes]]:
    """Malformed tables of scores: suffix and bytes."""
    draw = random.Random(seed)
    for number in range(count):
        rows = scores()
        row, column = draw.choice(rows), draw.choice(list(rows[0]))
        kind = number % 6
        if kind == 0:
            row[column] = draw.choice(CELLS)
        elif kind == 1:
            value = draw.choice(CELLS)
            rows = [each | {column: value} for each in rows]
        elif kind == 2:
            rows = draw.choice([
                [{k: v for k, v in each.items() if k != column} for each in rows],
                [{k.upper() if k == column else k: v for k, v in each.items()} for each in rows],
                [*rows, row], [], rows[:1], [each for each in rows if each["label"] == "1"],
                [each | {draw.choice(CELLS): "1"} for each in rows],
            ])  # fmt: skip
        if kind < 3:
            yield ".csv", written(rows)
        elif kind == 3:
            yield ".csv", damaged(written(rows), draw)
        else:
            frame = pd.DataFrame(rows).astype({"index": "int64", "label": "int8", "logit": "float64"})
            if kind == 4:
                value = draw.choice([None, [1, 2], {"a": 1}, b"\xff", 2**63, 1e39, "x", True, float("nan"), "é"])
                frame[column] = pd.Series([value] * len(frame), dtype=object)
            file = io.BytesIO()
            try:
                frame.to_parquet(file)
            except (ValueError, TypeError, OverflowError):  # a table that cannot be made
                continue
            yield ".parquet", file.getvalue() if kind == 4 else damaged(file.getvalue(), draw)


def read_apart(suffix: str, data: bytes) -> dict[tuple[str, ...], float] | None:
    """The scores of a table by a reading of its own: (generator, precision, index, detector) -> logit."""
    if suffix == ".csv":
        rows = list(csv.DictReader(io.StringIO(data.decode("utf-8-sig"), newline="")))
    else:
        rows = pd.read_parquet(io.BytesIO(data)).to_dict("records")
    found = {}
    for row in rows:
        try:
            logit = float(row["logit"])
        except ValueError:  # a word for no score
            continue
        real = row["generator"] == "real" if "label" not in row else not float(row["label"])
        source = ("real", "none") if real else (str(row["generator"]), str(row["precision"]))
        found[*source, str(int(float(row["index"]))), str(row["detector"])] = logit
    return found


def test_tables_of_scores(tmp_path: Path) -> None:
    tried, accepted, faults = 0, 0, Faults()
    for number, (suffix, data) in enumerate(tables(240, 3)):
        file, out = tmp_path / f"given{suffix}", tmp_path / f"out{number}"
        file.write_bytes(data)
        done = faults.outcome(importing.import_scores, file, out, given=data, path=file)
        tried += 1
        if done is None:
            if out.exists() and list(out.rglob("*")):
                faults.note(data, f"left {list(out.rglob('*'))}")
            continue
        accepted += 1
        kept = pd.read_parquet(out / "scores.parquet")
        keys = zip(kept.generator, kept.precision, kept["index"].astype(str), kept.detector, strict=True)
        found, wanted = dict(zip(keys, kept.logit.astype(float), strict=True)), read_apart(suffix, data)
        if done.kept + sum(count for _, count in done.dropped) != done.read or len(found) != done.kept:
            faults.note(data, f"{done.read} read, {done.dropped} dropped, {done.kept} kept, {len(found)} there")
        other = {key: (logit, wanted.get(key)) for key, logit in found.items() if wanted.get(key) != logit}
        if other:
            faults.note(data, f"stored and in the file: {other}")
    faults.none()
    assert tried >= 200 and accepted < tried // 2


WORDS = ["", " ", ",", "x", "-1", "a,,b", "sd33", "fp5", "é", "\x1b[31m", "a\nb", "../..", "x" * 10**5, "\udcff", "{}"]
NUMBERS = ["", "0", "-1", "x", "1.5", "1e3", "nan", "9" * 5000, "0x1", " "]
FILES = ["", "/nowhere/x", ".", "/dev/zero", "x" * 5000, "a\0b", "PIPE", "NOTES", "TABLE", "\udcff"]


def lines() -> list[list[str]]:
    """Wrong command lines; PIPE, NOTES and TABLE stand for a pipe, a text and a JSON list."""
    names = [word for word in WORDS if word != "x" * 10**5] + ["x" * 10**5]
    shares = ["", "1", "1/", "0/1", "2/1", "1/0", "-1/2", "a/b", "1/2/3", "²/²", "9" * 5000 + "/2", "1.0/2"]
    devices = ["", "cuda:²", "cuda:-1", "cuda:99999999999999999999", "CUDA", "mps", "cuda:", "cuda:98", "cpu:x"]
    odd = [*names, "jpeg:٧٥", "jpeg:7_5", "blur:nan", "jpeg:" + "9" * 5000]
    made = ["--out", "OUT/x.safetensors"]
    asked = [
        *(["grid", word] for word in names + FILES if word != "."),
        *(["run", word, "--out", "OUT"] for word in names + FILES if word != "."),
        *(["run", "mini", "--generators", word, "--out", "OUT"] for word in names),
        *(["run", "mini", "--precisions", word, "--out", "OUT"] for word in names),
        *(["run", "mini", "--arms", word, "--out", "OUT"] for word in names),
        *(["run", "mini", "--images", word, "--out", "OUT"] for word in NUMBERS),
        *(["run", "mini", "--shard", word, "--out", "OUT"] for word in shares),
        *(["run", "mini", "--device", word, "--out", "OUT"] for word in devices),
        *(["run", "mini", "--executor", word, "--out", "OUT"] for word in names),
        *(["detect", word, "--detectors", "npr"] for word in ["", "/nowhere/x", "x" * 5000, "a\0b", "*.nothing"]),
        *(["detect", "IMAGE", "--detectors", word] for word in names),
        *(["detect", "IMAGE", "--perturb", word] for word in odd),
        *(["detect", "IMAGE", "--detectors", "npr", "--device", word] for word in devices),
        *(["detect", "IMAGE", "--detectors", "npr", "--weights", word] for word in FILES if word not in (".", "")),
        *(["import-scores", word, "--out", "OUT"] for word in FILES),
        *(["import-device", word, "--out", "OUT"] for word in FILES),
        *(["import-scores", "GOOD", "--map", word, "--out", "OUT"] for word in FILES),
        *(["report", "--results", word, "--out", "OUT"] for word in ["", "/nowhere", "x" * 5000, "a\0b", "NOTES"]),
        *(["report", "--out", "OUT", "-p", *words] for words in [
            [""], ["threshold"], ["threshold", ""], ["threshold", "x"], ["threshold", "1" * 400], ["threshold", "nan"],
            ["threshold", "1e999"], ["threshold", "[" * 10**4], ["threshold", "(" * 10**5], ["treshold", "0"],
            ["results", "/nope"], ["detectors", "nrp"], ["detectors", ","], ["detectors", "[1]"], ["detectors", "{}"],
            ["protocol", "plane"], ["protocol", "[]"], ["generators", "{'sd3': 1}"], ["generators", "x" * 10**5],
            ["x" * 10**5, "1"], ["live", "1"], ["threshold", "0x" + "f" * 5000],
        ]),
        *(["verify", "mini", "--images", word] for word in NUMBERS),
        *(["verify", "mini", "--arms", word] for word in names),
        *(["verify", "mini", "--results", word] for word in ["", "/nowhere", "x" * 5000, "a\0b", "."]),
        *(["verify", "mini", "--out", word] for word in ["", ".", "/dev/null/x", "x" * 5000, "a\0b"]),
        *(["footprint", "--checkpoints", word] for word in names),
        *(["footprint", "--precisions", word] for word in names),
        *(["footprint", "--device", word] for word in devices),
        *(["footprint", "--out", word] for word in ["", ".", "/dev/null/x", "x" * 5000, "a\0b"]),
        *(["train", "mini", word] for word in names),
        *(["train", "detector", word, "--real", ".", "--fake", ".", *made] for word in names),
        *(["train", "detector", "npr", "--real", word, "--fake", ".", *made] for word in ["", "/nowhere"]),
        *(["train", "detector", "npr", "--real", ".", "--fake", ".", "--out", word] for word in ["", "x.pt"]),
        *([word] for word in names), ["run", "mini", "x"], ["--nothing"], ["grid", "--nothing"], ["train", "x"],
    ]  # fmt: skip
    return asked


def test_command_lines(tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    """Each is a mistake: status 2, or 1 for what the system does not do, and one line that says so."""
    given = tmp_path / "given"
    given.mkdir()
    os.mkfifo(given / "PIPE")
    (given / "NOTES").write_text("not what was asked for")
    (given / "TABLE").write_text("[]")
    (given / "GOOD.csv").write_bytes(written(scores()))
    Image.fromarray(world.render(0, 64)).save(given / "IMAGE.png")
    monkeypatch.chdir(given)
    before = sorted(tmp_path.rglob("*"))
    stands = {"OUT": "../out", "OUT/x.safetensors": "../out/x.safetensors", "GOOD": "GOOD.csv", "IMAGE": "IMAGE.png"}
    faults = Faults()
    for words in lines():
        short = [word[:60] for word in words]
        status = faults.outcome(command.main, [stands.get(word, word) for word in words], given=short)
        said = capsys.readouterr()
        # The bars of work that came before a mistake was seen end in a return, and a help in a blank line.
        *_, line = said.err.replace("\r", "\n").strip().splitlines() or [""]
        if status is not None and (status not in (1, 2) or not line.startswith("quantdetect: ") or not is_line(line)):
            faults.note(short, (status, len(line), line))
        left = [path for path in sorted(tmp_path.rglob("*")) if path not in before and path.is_file()]
        if left:
            faults.note(short, f"left {left}")
            before += left
    faults.none()


def pictures(draw: random.Random) -> Iterator[tuple[str, bytes]]:
    """Odd picture files: suffix and bytes."""
    sound = Image.fromarray(world.render(3, 64))
    kinds = {"png": {}, "jpeg": {"quality": 90}, "webp": {"lossless": True}, "tiff": {}, "bmp": {}, "gif": {}}
    for number in range(84):
        kind = draw.choice(list(kinds))
        file = io.BytesIO()
        mode = draw.choice(["RGB", "L", "1", "P"]) if kind != "webp" and kind != "jpeg" else "RGB"
        sound.convert(mode).save(file, kind, **kinds[kind])
        data = file.getvalue()
        yield draw.choice([kind, "png", "txt"]), data if number % 7 == 0 else damaged(data, draw)
    for edge in ((1, 1), (7, 64), (64, 7), (8, 8), (9000, 8), (8, 9000)):
        file = io.BytesIO()
        Image.new("RGB", edge, "teal").save(file, "png")
        yield "png", file.getvalue()
    yield from [("png", b""), ("png", b"\x89PNG\r\n\x1a\n"), ("svg", b"<svg/>"), ("png", b"\0" * 10**6)]


def test_pictures(tmp_path: Path) -> None:
    """A file that Pillow reads as RGB has the logit of its pixels; any other has a reason in one line."""
    npr = detectors.load("npr", "mini")
    given = []
    for number, (suffix, data) in enumerate(pictures(random.Random(4))):
        given.append(tmp_path / f"{number}.{suffix}")
        given[-1].write_bytes(data)
    with guarded():
        seen = list(stream.judge(given, {"npr": npr}))
    assert [one.path for one in seen] == given
    scored = [one for one in seen if not one.error]
    for one in seen:
        if one.error:
            assert is_line(one.error) and not one.logits
    assert 12 <= len(scored) < len(seen) - 12
    for one in scored:
        assert set(one.logits) == {"npr"} and np.isfinite(one.logits["npr"])
        with Image.open(one.path) as image:
            if image.mode == "RGB" and not image.getexif():
                pixels = np.asarray(image.convert("RGB"))
                assert one.logits["npr"] == pytest.approx(npr.score([Image.fromarray(pixels)])[0], abs=1e-4)
    assert sorted(tmp_path.iterdir()) == sorted(given)


def weights(draw: random.Random) -> Iterator[tuple[str, Any]]:
    """Odd weights files: suffix and bytes, or what torch.save puts there."""
    state = {"a.weight": torch.arange(6.0).reshape(2, 3), "a.bias": torch.ones(2)}
    odd = [
        None, 1, "x", [], {}, [state], {"model": None}, {"model": {}}, {"model": {"model": {}}}, {1: torch.ones(1)},
        {"a": 1}, {"state_dict": [1]}, {"model": state, "epoch": 3}, {"module.a": torch.ones(1)}, {"": torch.ones(0)},
        {("a",): torch.ones(1)}, {"model": {2: torch.ones(1)}}, {b"a": torch.ones(1)}, {None: torch.ones(1)},
        torch.ones(3),
    ]  # fmt: skip
    yield from ((".pth", value) for value in odd)
    file = io.BytesIO()
    torch.save({"model": state}, file)
    for suffix, data in ((".pth", file.getvalue()), (".safetensors", None)):
        for _ in range(25):
            yield suffix, damaged(data, draw) if data else state
    yield from itertools.product((".pth", ".safetensors", ".bin"), (b"", b"\0" * 99, b"x", b"\xff" * 99))


def test_weights(tmp_path: Path) -> None:
    """What is read holds tensors by name alone, in the shapes that the file gives."""
    draw, tried, faults = random.Random(5), 0, Faults()
    for suffix, what in weights(draw):
        file = tmp_path / f"given{suffix}"
        if suffix == ".safetensors" and isinstance(what, dict):
            save_file(what, file)
            file.write_bytes(damaged(file.read_bytes(), draw))
        elif isinstance(what, bytes):
            file.write_bytes(what)
        else:
            torch.save(what, file)
        found = faults.outcome(checkpoints.read, file, given=what, path=file)
        tried += 1
        if found is not None and not (found and all(isinstance(k, str) for k in found)):
            faults.note(what, found)
        if found is not None and not all(isinstance(value, torch.Tensor) for value in found.values()):
            faults.note(what, found)
    faults.none()
    assert tried >= 80


def test_there_are_a_thousand() -> None:
    counts = [2 * 280, 220, sum(1 for _ in tables(240, 3)), len(lines()), 94, sum(1 for _ in weights(random.Random(5)))]
    assert sum(counts) >= 1000
    distinct = {tuple(words) for words in lines()}
    assert len(distinct) >= 150 and len(set(itertools.islice(texts(MINI, 280, 1), 280))) >= 250
