"""Anybody's scores as a study: what goes out as CSV comes back the same, labels are corrected, mistakes are told."""

from __future__ import annotations

import json
import re
import tomllib

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from helpers import analysis, cli, importing, paths
from helpers.errors import UsageError
from helpers.mini import world

MINI = paths.RESULTS / "mini"
PUBLIC = paths.STUDIES / "maps" / "public-scores.toml"


def rows(**changed):
    """Scores of three prompts by one detector at FP32 and FP4, and three reals, as somebody else may write them."""
    frame = pd.DataFrame(
        {
            "model": ["StableDiffusion3"] * 6 + ["photo"] * 3,
            "bits": ["32"] * 3 + ["4"] * 3 + [""] * 3,
            "prompt": ["cat", "dog", "owl"] * 3,
            "seed": ["1", "2", "3"] * 3,
            "is_fake": ["fake"] * 6 + ["real"] * 3,
            "detector": ["npr"] * 9,
            "logit": [2.0, 1.0, 3.0, 1.0, -1.0, 2.5, -2.0, -1.0, -3.0],
        }
    )
    return frame.assign(**changed)


MAP = """
pair_by = ["prompt", "seed"]
[columns]
generator = "model"
precision = "bits"
label = "is_fake"
[values.generator]
StableDiffusion3 = "sd3"
[values.precision]
32 = "fp32"
4 = "fp4"
[values.label]
fake = "1"
real = "0"
"""


def imported(tmp_path, frame, text=MAP):
    frame.to_csv(tmp_path / "scores.csv", index=False)
    (tmp_path / "map.toml").write_text(text)
    mapping = importing.read_map(tmp_path / "map.toml")
    return importing.import_scores(tmp_path / "scores.csv", tmp_path / "out", mapping)


def test_the_archive_comes_back_from_csv_as_it_was(tmp_path):
    stored = pd.read_parquet(MINI / "scores.parquet")
    part = stored[(stored.protocol == "plain") & stored.generator.isin(["sd3", "flux1", "real"])]
    part = part[part["index"] < 100]
    part.to_csv(tmp_path / "scores.csv", index=False)
    done = importing.import_scores(tmp_path / "scores.csv", tmp_path / "out")
    back = pd.read_parquet(tmp_path / "out" / "scores.parquet")
    assert done.kept == done.read == len(part) and done.dropped == [] and done.unpaired == {}
    pd.testing.assert_frame_equal(back, part.reset_index(drop=True)[list(back)], check_dtype=False, check_exact=True)
    (tmp_path / "there").mkdir()
    part.to_parquet(tmp_path / "there" / "scores.parquet")
    (tmp_path / "there" / "manifest.json").write_text(json.dumps({"study": {"weights": "mini"}}))
    ours, theirs = analysis.load(tmp_path / "out"), analysis.load(tmp_path / "there")
    for table in (analysis.cells, analysis.shifts, analysis.arms.spreads):
        names = [name for name in table(ours) if name != "arm_title"]
        pd.testing.assert_frame_equal(table(ours)[names], table(theirs)[names])


def test_columns_words_and_pairs_are_mapped(tmp_path):
    done = imported(tmp_path, rows())
    study = analysis.load(tmp_path / "out")
    shift = analysis.shifts(study).iloc[0]
    assert (study.scale, study.baseline, done.cells) == ("full", "fp32", 2)
    assert (shift.generator, shift.precision, shift.n) == ("sd3", "fp4", 3)
    assert shift["shift"] == pytest.approx((-1.0 - 2.0 - 0.5) / 3)  # cat with cat, whatever the order of rows
    assert (shift.lost, shift.gained) == (1, 0)
    assert analysis.cells(study).reals.tolist() == [3, 3]
    assert np.isnan(pd.read_parquet(tmp_path / "out" / "cells.parquet").coverage).all()


def test_pairs_do_not_depend_on_the_order_of_rows(tmp_path):
    imported(tmp_path, rows())
    first = analysis.shifts(analysis.load(tmp_path / "out"))
    imported(tmp_path, rows().iloc[::-1])
    pd.testing.assert_frame_equal(first, analysis.shifts(analysis.load(tmp_path / "out")))


def test_a_study_says_its_baseline(tmp_path):
    text = 'baseline = "fp16"\n' + MAP.replace('32 = "fp32"', '32 = "fp16"')
    imported(tmp_path, rows(), text)
    study = analysis.load(tmp_path / "out")
    assert study.baseline == "fp16" and analysis.shifts(study).precision.tolist() == ["fp4"]
    assert set(analysis.arms.differences(study).precision) == {"fp4"}
    assert analysis.load(MINI, ["sd3"]).baseline == "fp32"


def test_names_of_files_are_taken_apart(tmp_path):
    """What `quantdetect detect` writes holds paths; a pattern reads generator, precision and index from them."""
    frame = pd.DataFrame({"path": ["a/sd3/fp32/0007.png", "a/sd3/fp4/0007.png", "notes"], "logit": [1.0, 3.0, 0.0]})
    text = """
    constants = { detector = "npr" }
    [pattern]
    column = "path"
    regex = '(?P<generator>\\w+)/(?P<precision>\\w+)/(?P<index>\\d+)\\.png$'
    """
    with pytest.raises(UsageError, match=r"scores.csv, line 4: path does not match the pattern"):
        imported(tmp_path, frame, text)
    done = imported(tmp_path, frame, text + '[[drop]]\nwhen = { path = ["notes"] }\nwhy = "not an image"')
    assert done.dropped == [("not an image", 1)]
    assert done.notes == ["no real images for npr: TNR and AUC stay unknown"]
    assert analysis.shifts(analysis.load(tmp_path / "out"))["shift"].tolist() == [2.0]


def test_a_folder_of_images_becomes_a_study(tmp_path, capsys):
    """Detect, then import with the pattern that the book prints: the folders of a run are understood as they are."""
    for name, scene in (("sd3/fp32/0000", 1), ("sd3/fp4/0000", 1), ("real/64/0000", 2), ("real/64/0001", 3)):
        place = tmp_path / "images" / f"{name}.png"
        place.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(world.render(world.SPLITS["test"] + scene, 64)).save(place)
    block = next(b for b in maps() if "[pattern]" in b)
    (tmp_path / "map.toml").write_text(block)
    scores, out = str(tmp_path / "scores.csv"), str(tmp_path / "out")
    assert cli.main(["detect", str(tmp_path / "images"), "--detectors", "npr,clip_d", "--out", scores]) == 0
    assert cli.main(["import-scores", scores, "--map", str(tmp_path / "map.toml"), "--out", out]) == 0
    assert "8 of 8 rows, 2 cells" in capsys.readouterr().out  # four files, two detectors
    study = analysis.load(out)
    shift = analysis.shifts(study).iloc[0]
    assert (shift.generator, shift.precision, shift.n, shift["shift"]) == ("sd3", "fp4", 1, 0.0)  # the same picture
    assert analysis.cells(study).reals.tolist() == [2] * 4 and set(study.scores.weights) == {"mini"}
    judged = pd.read_csv(scores).set_index("path")
    again = study.logits("clip_d", "sd3", "fp4").iloc[0]
    assert again == pytest.approx(judged.clip_d_logit[str(tmp_path / "images/sd3/fp4/0000.png")], abs=1e-6)
    lines = (tmp_path / "scores.csv").read_text().replace(f"{judged.clip_d_logit.iloc[2]}", "nan")
    (tmp_path / "scores.csv").write_text(lines)
    assert cli.main(["import-scores", scores, "--map", str(tmp_path / "map.toml"), "--out", out]) == 2
    assert "line 4 and 1 more like it: logit 'nan' is not a finite number" in capsys.readouterr().err


def test_labels_are_corrected_and_cells_described(tmp_path):
    text = (
        MAP
        + """
    [[correct]]
    when = { bits = ["4"], model = ["StableDiffusion3"] }
    set = { precision = "fp32", arm = "placebo" }
    why = "nothing was quantized"
    [arms.placebo]
    title = "null control"
    [[cells]]
    generator = "sd3"
    precision = "fp32"
    arm = "placebo"
    coverage = 0.0
    note = "loaded twice"
    """
    )
    imported(tmp_path, rows(), text)
    study = analysis.load(tmp_path / "out")
    spread = analysis.arms.spreads(study).iloc[0]
    assert study.precisions == ("fp32",) and (spread.arm_title, spread.precision) == ("null control", "fp32")
    cells = pd.read_parquet(tmp_path / "out" / "cells.parquet").set_index("arm")
    assert (cells.coverage["placebo"], cells.note["placebo"]) == (0.0, "loaded twice")
    told = json.loads((tmp_path / "out" / "manifest.json").read_text())["imported"]
    assert told["correct"][0]["why"] == "nothing was quantized" and told["rows"] == 9


def test_what_has_no_twin_is_counted(tmp_path):
    frame = rows().assign(seed=["1", "2", "3", "1", "9", "8", "1", "2", "3"])
    assert imported(tmp_path, frame).unpaired == {"sd3 fp4 native": 2}
    assert analysis.shifts(analysis.load(tmp_path / "out")).n.tolist() == [1]


@pytest.mark.parametrize(
    ("frame", "text", "said"),
    [
        (rows(model="StableDiffusion9"), MAP, r"line 2 and 5 more like it: no generator 'StableDiffusion9'"),
        (rows(bits=["32"] * 5 + ["5"] + [""] * 3), MAP, r"line 7: no precision '5'.*\[values.precision\]"),
        (rows(detector="nrp"), MAP, r"no detector 'nrp' \(nearest: 'npr'\)"),
        (rows(is_fake=["fake"] * 8 + ["?"]), MAP, r"line 10: label is not 1 \(fake\) or 0 \(real\)"),
        (rows(logit=[1.0] * 4 + [np.inf] + [0.0] * 4), MAP, r"line 6: logit 'inf' is not a finite number"),
        (rows(logit=["1"] * 8 + ["{x}"]), MAP, r"line 10: logit '\{x\}' is not a finite number"),
        (rows(logit=["1"] * 8 + [""]), MAP, r"line 10: logit '' is not a finite number"),
        (rows(seed="1", prompt=["cat", "dog", "cat"] * 3), MAP, r"line 4 and 2 more like it: the same .* as line 2"),
        (rows(), MAP.replace('"bits"', '"bit"'), r"no column 'bit' \(nearest: 'bits'\)"),
        (rows(), MAP.replace('"prompt", ', '"promt", '), r"no column 'promt' \(nearest: 'prompt'\)"),
        (rows(), MAP.replace("pair_by", "pair"), r"pair: unknown key .*nearest: 'pair_by'"),
        (
            rows(),
            MAP + '[values.detektor]\na = "b"',
            r"values.detektor: no such key 'detektor' \(nearest: 'detector'\)",
        ),
        (rows(), MAP + '[[drop]]\nwen = {}\nwhy = "x"', r"drop\[0\].wen: unknown key .*nearest: 'when'"),
        (rows(), 'baseline = "fp16"' + MAP, r"no fakes at the baseline fp16.*one of fp32, fp4"),
        (rows(), MAP + '[[drop]]\nwhen = { detector = ["npr"] }\nwhy = "x"', r"leaves out every row"),
        (rows(), MAP.replace('pair_by = ["prompt", "seed"]', ""), r"no column 'index' .*, which pairs"),
        (rows(), MAP + '[constants]\narm = "other"', r"no fakes in the arm 'native'.*it has other"),
        (rows(), MAP + '[[cells]]\ngenerator = "sd3"\nprecision = "fp8"', r"sd3 fp8 native, which has no rows"),
        (rows(), MAP + "[pattern]\ncolumn = 'model'\nregex = '('", r"pattern.regex: .*mend the expression"),
        (rows(), MAP + "[pattern]\ncolumn = 'model'\nregex = 'x'", r"pattern.regex: it names no group"),
    ],
)
def test_a_mistake_is_one_line_with_its_place_and_mend(tmp_path, frame, text, said):
    with pytest.raises(UsageError, match=said) as told:
        imported(tmp_path, frame, text)
    assert "\n" not in str(told.value)
    assert not (tmp_path / "out").exists()


def test_the_command_reports_what_it_did_and_refuses_in_one_line(tmp_path, capsys):
    rows().to_csv(tmp_path / "scores.csv", index=False)
    (tmp_path / "map.toml").write_text(MAP + '[[drop]]\nwhen = { prompt = ["owl"] }\nwhy = "blurred"')
    words = ["import-scores", str(tmp_path / "scores.csv"), "--map", str(tmp_path / "map.toml")]
    words += ["--out", str(tmp_path / "out"), "--summary", str(tmp_path / "summary.csv")]
    assert cli.main(words) == 0
    said = capsys.readouterr().out
    assert "3 rows left out: blurred" in said and "6 of 9 rows, 2 cells" in said
    assert pd.read_csv(tmp_path / "summary.csv").generator.tolist() == ["sd3", "all", "all"]
    assert cli.main([*words[:1], str(tmp_path / "absent.csv"), "--out", str(tmp_path / "out")]) == 2
    assert "absent.csv: no such file" in capsys.readouterr().err
    (tmp_path / "scores.xlsx").write_bytes(b"")
    assert cli.main([*words[:1], str(tmp_path / "scores.xlsx"), "--out", str(tmp_path / "out")]) == 2
    assert "give a .csv or .parquet" in capsys.readouterr().err


def test_the_map_of_the_public_study_is_valid():
    mapping = importing.read_map(PUBLIC)
    assert mapping.baseline == "fp16" and mapping.values["precision"] == {"fp8": "int8", "fp4": "nf4"}
    assert all(rule.why for rule in (*mapping.drop, *mapping.correct)) and all(cell.note for cell in mapping.cells)


def maps():
    """The maps that the book prints."""
    text = (paths.BOOK / "reproduce.md").read_text(encoding="utf-8")
    return re.findall(r"```toml\n(.*?)```", text, re.DOTALL)


def test_the_maps_of_the_book_are_maps():
    assert len(maps()) == 2
    for block in maps():
        importing.Map.model_validate(tomllib.loads(block))
