"""Records of readers' devices: what is right comes in once, what is wrong is told in one line, and times are compared
within rounds."""

from __future__ import annotations

import copy
import datetime
import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from recorded import record
from scipy import stats

from helpers.analysis import devices as analysed
from helpers.analysis.words import named
from helpers.cli import app as command
from helpers.core import files
from helpers.core.errors import Damaged, UsageError
from helpers.paper.pages import devices as page
from helpers.results import devices


def written(folder: Path, name: str, value: Any) -> Path:
    file = folder / name
    file.write_text(value if isinstance(value, str) else json.dumps(value), encoding="utf-8")
    return file


def table(tmp_path: Path, *records: dict[str, Any]) -> pd.DataFrame:
    given = [written(tmp_path, f"{place}.json", one) for place, one in enumerate(records)]
    devices.import_devices(given, tmp_path / "devices.csv")
    return devices.read(tmp_path / "devices.csv")


def test_the_table_is_not_written_over_a_record(tmp_path: Path) -> None:
    mine = written(tmp_path, "a.json", record())
    before = Path(mine).read_bytes()
    with pytest.raises(UsageError, match=r"a.json: the table is written as .csv"):
        devices.import_devices([mine], mine)
    assert Path(mine).read_bytes() == before


def test_a_record_comes_in_once_and_whole(tmp_path: Path) -> None:
    mine, other = written(tmp_path, "a.json", record()), written(tmp_path, "b.json", record(seed=1, processors=8))
    out = tmp_path / "deep" / "devices.csv"
    assert devices.import_devices([mine, mine], out) == devices.Added(new=1, known=0, timings=14)
    assert devices.import_devices([other, mine], out) == devices.Added(new=1, known=1, timings=28)
    before = out.read_bytes()
    assert devices.import_devices([mine], out).new == 0 and out.read_bytes() == before
    rows = devices.read(out)
    assert list(rows) == list(devices.COLUMNS) and set(rows.processors) == {2, 8}
    own = rows[(rows.processors == 2) & (rows.task == "image")]
    given = record()["images"]
    assert list(own.seconds) == pytest.approx([image["seconds"] for image in given], abs=1e-4)
    assert list(own.bytes) == [image["bytes"] for image in given]


def test_a_day_that_has_not_come_is_refused_and_one_that_has_is_shown(tmp_path: Path) -> None:
    today = datetime.datetime.now(datetime.UTC).date()
    ahead = written(tmp_path, "ahead.json", record() | {"recorded": str(today + datetime.timedelta(days=3))})
    with pytest.raises(UsageError, match="ahead.json: .*has not come yet; set the device's clock"):
        devices.read_record(ahead)
    days = ["2026-11-02", str(today)]
    both = table(tmp_path, *(record() | {"recorded": day} for day in days))
    assert all(f"processors ({day})" in page.show(both).data for day in days)


WRONG = {
    "format": ("none of our doing", "format: no such value"),
    "recorded": ("26.11.2026", "is no day; write it as 2026-11-30"),
    "device.browser": ("<script>", "device.browser"),
    "device.system": ("Linus", "(nearest: 'Linux')"),
    "device.processors": (0, "device.processors: 0 should be greater than or equal to 1"),
    "device.mobile": ("no", "device.mobile"),
    "device.host": ("mine.example", "device.host: unknown key"),
    "images.0.model": ("sd33", "images[0].model: no such value 'sd33' (nearest: 'sd3')"),
    "images.0.precision": ("fp5", "images[0].precision"),
    "images.0.seconds": (math.inf, "images[0].seconds"),
    "images.1.seconds": (-1, "images[1].seconds"),
    "images.0.bytes": (1.5, "images[0].bytes"),
    "images.0.round": (None, "images[0].round"),
    "verdicts.0.model": ("nrp", "verdicts[0].model"),
    "images": ([], "images"),
}


@pytest.mark.parametrize("place", WRONG)
def test_what_is_wrong_is_told_in_one_line(tmp_path: Path, place: str, capsys: pytest.CaptureFixture[str]) -> None:
    value, said = WRONG[place]
    wrong: Any = copy.deepcopy(record())
    *way, last = [int(part) if part.isdigit() else part for part in place.split(".")]
    inner = wrong
    for part in way:
        inner = inner[part]
    inner[last] = value
    file, good, out = (
        written(tmp_path, "wrong.json", wrong),
        written(tmp_path, "good.json", record()),
        tmp_path / "d.csv",
    )
    assert command.main(["import-device", str(good), str(file), "--out", str(out)]) == 2
    error = capsys.readouterr().err
    assert said in error and error.startswith(f"quantdetect: {file}") and error.count("\n") == 1
    assert not out.exists()


@pytest.mark.parametrize("text", ["", "{", "[]", "null", "1", '"x"', "[" * 100_000, "{}", "\x00"])
def test_what_is_no_record_is_told_in_one_line(tmp_path: Path, text: str, capsys: pytest.CaptureFixture[str]) -> None:
    file = written(tmp_path, "odd.json", text)
    assert command.main(["import-device", str(file), "--out", str(tmp_path / "d.csv")]) == 2
    error = capsys.readouterr().err
    assert error.count("\n") == 1 and "odd.json" in error


def test_an_image_twice_is_refused(tmp_path: Path) -> None:
    twice = record()
    twice["images"].append(twice["images"][0])
    with pytest.raises(UsageError, match="sd15 fp32 in round 1 stands there twice"):
        devices.read_record(written(tmp_path, "twice.json", twice))


def test_a_table_that_is_none_is_damaged(tmp_path: Path) -> None:
    (tmp_path / "devices.csv").write_text("a,b\n1,2\n", encoding="utf-8")
    with pytest.raises(Damaged, match="lacks the column 'device'"):
        devices.read(tmp_path / "devices.csv")


def test_ratios_are_of_the_same_round(tmp_path: Path) -> None:
    rows = analysed.ratios(table(tmp_path, record(0.5, rounds=4)))
    assert list(rows.precision) == ["fp4"] and list(rows.generators) == [2] and list(rows.rounds) == [4]
    # Rounds differ by up to twice, their ratios by the digits that are kept alone.
    assert rows.ratio[0] == pytest.approx(0.5, abs=1e-3) and rows.ratio_high[0] - rows.ratio_low[0] < 2e-3


def test_the_interval_of_a_ratio_is_students(tmp_path: Path) -> None:
    own, ratios = record(1.0, rounds=4), [0.9, 1.1, 1.3, 1.0]
    for image in own["images"]:
        image["seconds"] = 1.0 if image["precision"] == "fp32" else ratios[image["round"] - 1]
    rows = analysed.ratios(table(tmp_path, own))
    logs = np.log(ratios)
    low, high = stats.t.interval(0.95, 3, loc=logs.mean(), scale=stats.sem(logs))
    assert (rows.ratio[0], rows.ratio_low[0], rows.ratio_high[0]) == pytest.approx(np.exp([logs.mean(), low, high]))


@pytest.mark.parametrize(("ratio", "said"), [(0.5, "quantization saves time"), (2.0, "quantization costs time")])
def test_sentences_follow_the_times(tmp_path: Path, ratio: float, said: str) -> None:
    text = page.saving(table(tmp_path, record(ratio, rounds=4)))
    assert f"With Firefox 142 on Linux, 2 processors, {said}" in text and f"{named('fp4')} takes {ratio:.2f}" in text


def test_one_round_has_no_interval_and_says_so(tmp_path: Path) -> None:
    text = page.saving(table(tmp_path, record(0.5, rounds=1)))
    assert "no change of time shows" in text and "interval unknown" in text


def test_what_was_not_tried_is_named(tmp_path: Path) -> None:
    nobody = devices.read(tmp_path / "none.csv")
    assert page.saving(nobody) == page.NOT_MEASURED and page.show(nobody) is None and page.detectors(nobody) is None
    assert page.tried(nobody) == (
        f"{page.TRIED} No whole measurement was kept yet. Not tried: Chrome, Edge, Safari and any phone or tablet."
    )
    phone = table(tmp_path, record(), record(browser="Safari 18", system="iOS", mobile=True))
    said = page.tried(phone)
    assert "Firefox 142 on Linux" in said and said.endswith("Not tried: Chrome and Edge.")
    assert "Firefox 142 on Linux" in page.show(phone).data and "0.100" in page.detectors(phone).data


def test_sizes_stand_in_order_within_each_device(tmp_path: Path) -> None:
    def sized(seed: int, **device: Any) -> dict[str, Any]:
        given = record(seed=seed, **device)
        sizes = [{**row, "pixels": pixels} for pixels in (64, 128, 96) for row in given["verdicts"]]
        return given | {"verdicts": sizes}

    found = analysed.verdicts(table(tmp_path, sized(0), sized(1, browser="Chrome 150")))
    assert list(found.pixels) == [64, 64, 96, 96, 128, 128] * 2
    assert found.device.nunique() == 2 and (found.device != found.device.shift()).sum() == 2
    assert list(found.model[:2]) == ["npr", "clip_d"]


def test_the_shipped_table_is_one(tmp_path: Path) -> None:
    rows = devices.read()
    assert set(rows.columns) == set(devices.COLUMNS)
    assert rows.empty or devices.TABLE.is_relative_to(files.RESULTS)
