"""Anybody's scores as a study: what goes out as CSV comes back the same, labels are corrected, mistakes are told."""

from __future__ import annotations

import io
import json
import os
import re
import tomllib
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import synthetic
from PIL import Image
from scipy import special

from helpers import analysis, claims, world
from helpers.analysis import controls, public_study
from helpers.analysis.cells import mean_change
from helpers.cli import app as command
from helpers.core import files
from helpers.core.errors import UsageError
from helpers.paper import sentences
from helpers.paper.pages import heatmap
from helpers.results import importing

MINI = files.RESULTS / "mini"
PUBLIC = files.STUDIES / "maps" / "public-scores.toml"


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
    part = part[part["index"] < 100].astype({"logit": np.float64})
    part.to_csv(tmp_path / "scores.csv", index=False)
    done = importing.import_scores(tmp_path / "scores.csv", tmp_path / "out")
    back = pd.read_parquet(tmp_path / "out" / "scores.parquet")
    assert done.kept == done.read == len(part) and done.dropped == [] and done.unpaired == {}
    pd.testing.assert_frame_equal(back, part.reset_index(drop=True)[list(back)], check_dtype=False, check_exact=True)
    (tmp_path / "there").mkdir()
    part.to_parquet(tmp_path / "there" / "scores.parquet")
    (tmp_path / "there" / "manifest.json").write_text(json.dumps({"study": {"weights": "mini"}}))
    ours, theirs = analysis.load(tmp_path / "out"), analysis.load(tmp_path / "there")
    for table in (analysis.cells, analysis.shifts, controls.spreads):
        names = [name for name in table(ours) if name != "arm_title"]
        pd.testing.assert_frame_equal(table(ours)[names], table(theirs)[names])


def test_columns_words_and_pairs_are_mapped(tmp_path):
    done = imported(tmp_path, rows())
    study = analysis.load(tmp_path / "out")
    shift = analysis.shifts(study).iloc[0]
    assert (study.scale, study.baseline, done.cells) == ("unknown", "fp32", 2)
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
    assert set(controls.differences(study).precision) == {"fp4"}
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
    assert command.main(["detect", str(tmp_path / "images"), "--detectors", "npr,clip_d", "--out", scores]) == 0
    assert command.main(["import-scores", scores, "--map", str(tmp_path / "map.toml"), "--out", out]) == 0
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
    assert command.main(["import-scores", scores, "--map", str(tmp_path / "map.toml"), "--out", out]) == 0
    said = capsys.readouterr().out
    assert "1 rows left out: no number for the logit of sd3 fp4 clip_d\n" in said and "6 of 8 rows, 2 cells" in said
    assert analysis.load(out).dropped == {"sd3 fp32 clip_d": 1, "sd3 fp4 clip_d": 1}


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
    spread = controls.spreads(study).iloc[0]
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
        (rows(model="{x}"), MAP, r"line 2 and 5 more like it: no generator '\{x\}'"),
        (rows(model="x" * 100_000), MAP, r"no generator 'x+ \.\.\.'; say in"),
        (rows(logit=[1.0] * 4 + [np.inf] + [0.0] * 4), MAP, r"line 6: logit 'inf' by npr is not a finite number"),
        (rows(logit=["2"] * 8 + ["{x}"]), MAP, r"line 10: logit '\{x\}' by npr is not a finite number"),
        (rows(logit=["2"] * 8 + ["1_0"]), MAP, r"line 10: logit '1_0' by npr is not a finite number"),
        (rows(logit=["2"] * 8 + ["1e400"]), MAP, r"line 10: logit '1e400' by npr is not a finite number"),
        (rows(logit=["2"] * 8 + ["-1e51"]), MAP, r"line 10: logit '-1e51' by npr is beyond 3.4e\+38"),
        (rows(logit=[""] * 9), MAP, r"no row has a number for a logit"),
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
        (
            rows(),
            MAP + "[pattern]\ncolumn = 'model'\nregex = '(?P<a>x)(y)'",
            r"regex: a group has no name, which \(\?:",
        ),
        (rows(), MAP + "[pattern]\ncolumn = 'model'\nregex = '(?P<a>x)|(?P<a>y)'", r"regex: two groups have one name"),
        (rows(), MAP + "[[wide]]\ncolumn = 'NPR'\ndetector = 'npr'", r"no column 'NPR'.*which \[\[wide\]\] names"),
        (rows(), MAP + "[[wide]]\ncolumn = 'a'\ndetector = 'nrp'", r"wide\[0\].detector: no such value 'nrp'"),
        (rows(), MAP + "[logit]\nscale = 'percent'", r"logit.scale: no such value 'percent'"),
        (rows(), "logit.scale = 'probability'\n" + MAP, r"line 2 .*: logit '2.0' by npr is not from 0 to 1"),
        (rows(), "scale = 'probability'\n" + MAP, r"scale: no such value 'probability' .*full, unknown"),
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
    assert command.main(words) == 0
    said = capsys.readouterr().out
    assert "3 rows left out: blurred" in said and "6 of 9 rows, 2 cells" in said
    assert pd.read_csv(tmp_path / "summary.csv").generator.tolist() == ["sd3", "all", "all"]
    assert command.main([*words[:1], str(tmp_path / "absent.csv"), "--out", str(tmp_path / "out")]) == 2
    assert "absent.csv: cannot be read: No such file" in capsys.readouterr().err
    (tmp_path / "scores.xlsx").write_bytes(b"")
    assert command.main([*words[:1], str(tmp_path / "scores.xlsx"), "--out", str(tmp_path / "out")]) == 2
    assert "give a .csv or .parquet" in capsys.readouterr().err


@pytest.mark.parametrize("file", sorted((files.STUDIES / "maps").glob("*.toml")), ids=lambda file: file.stem)
def test_every_shipped_map_is_a_map(file):
    assert importing.read_map(file).name == file.stem


def test_the_map_of_the_public_study_is_valid():
    mapping = importing.read_map(PUBLIC)
    assert mapping.baseline == "fp16" and mapping.values["precision"] == {"fp8": "int8", "fp4": "nf4"}
    assert all(rule.why for rule in (*mapping.drop, *mapping.correct)) and all(cell.note for cell in mapping.cells)


def maps():
    """The maps that the book prints."""
    text = (files.BOOK / "reproduce.md").read_text(encoding="utf-8")
    return re.findall(r"```toml\n(.*?)```", text.partition("## With anybody's scores")[2], re.DOTALL)


def test_the_maps_of_the_book_are_maps():
    assert len(maps()) == 3
    for block in maps():
        importing.Map.model_validate(tomllib.loads(block))


def lines(tmp_path, text, mapping=None, out="out"):
    """Import a table of ours, as text, and load it."""
    (tmp_path / "own.csv").write_text(text)
    (tmp_path / "own.toml").write_text(mapping or "")
    done = importing.import_scores(
        tmp_path / "own.csv", tmp_path / out, importing.read_map(tmp_path / "own.toml") if mapping else None
    )
    return done, analysis.load(tmp_path / out)


HEAD = "generator,precision,index,label,detector,logit\n"


def small(logits, reals, precisions=("fp32", "fp4"), detector="npr"):
    """A table of one generator with these logits (by precision) and reals, as text."""
    text = HEAD
    for precision, values in zip(precisions, logits, strict=True):
        text += "".join(f"sd3,{precision},{index},1,{detector},{value}\n" for index, value in enumerate(values))
    return text + "".join(f"real,none,{index},0,{detector},{value}\n" for index, value in enumerate(reals))


@pytest.mark.parametrize("scale", ["logit", "probability"])
def test_scores_that_differ_in_the_ninth_digit_stay_apart(tmp_path, scale):
    """As sklearn.metrics.roc_auc_score has it: every fake is above every real, so the AUC is 1."""
    fakes = ["0.999999997", "0.999999998"] * 5
    text = small([fakes, ["0.999999996", "0.999999997"] * 5], ["0.999999970", "0.999999971"] * 5)
    _, study = lines(tmp_path, text, f'[logit]\nscale = "{scale}"')
    assert analysis.cells(study).auc.tolist() == [1.0, 1.0]
    assert study.scores.logit.dtype == np.float64
    if scale == "logit":
        assert study.logits("npr", "sd3", "fp32").tolist() == [float(value) for value in fakes]


def test_float32_scores_and_a_threshold_are_compared_as_numbers(tmp_path):
    """.3 is not above .3 in any table; what float32 makes of .3 is above it."""
    _, study = lines(tmp_path, small([["0.3", "5"], ["0.3", "5"]], ["-1"]))
    assert analysis.cells(replace(study, threshold=0.3)).tpr.tolist() == [0.5, 0.5]
    frame = pd.read_parquet(tmp_path / "out" / "scores.parquet").astype({"logit": np.float32})
    frame.to_parquet(tmp_path / "out" / "scores.parquet")
    (tmp_path / "out" / "manifest.json").unlink()
    study = analysis.load(tmp_path / "out", threshold=0.3)
    assert study.logits("npr", "sd3", "fp32").tolist() == [float(np.float32(0.3)), 5.0]
    assert analysis.cells(study).tpr.tolist() == [1.0, 1.0]
    assert (study.logits("npr", "sd3", "fp32") > study.threshold).mean() == 1.0


def test_the_largest_number_is_kept_and_breaks_no_figure(tmp_path):
    _, study = lines(tmp_path, small([["3e38", "1"], ["1", "1"]], ["-1"]))
    assert study.logits("npr", "sd3", "fp32").tolist() == [3e38, 1.0]
    shift = analysis.shifts(study).iloc[0]
    assert shift["shift"] == pytest.approx(-1.5e38) and np.isfinite([shift.shift_low, shift.shift_high]).all()
    assert np.isfinite(analysis.cells(study)[["auc", "mean_logit", "balanced"]]).all(axis=None)


@pytest.mark.parametrize(
    "given", ["9223372036854775808", "1e30", "-1", "1.5", "1e999", "nan", "", "x", "1_0", "9" * 5000]
)
def test_an_index_that_no_whole_number_holds_is_refused(tmp_path, given):
    with pytest.raises(UsageError, match=r"line 2.*: index '.*' is not a whole number from 0 to 9223372036854775807"):
        lines(tmp_path, HEAD + f"sd3,fp32,{given},1,npr,3\nreal,none,1,0,npr,-1\n")
    with pytest.raises(UsageError, match="size '.*' is not a whole number"):
        lines(tmp_path, HEAD.replace("logit", "logit,size") + f"sd3,fp32,0,1,npr,3,{given or 'y'}\n")


def test_an_index_is_a_number_however_it_is_written(tmp_path):
    text = HEAD + "".join(
        f"sd3,{precision},{index},1,npr,3\n"
        for precision, words in (
            ("fp32", ("1.0", "007", "1e3", "9223372036854775807")),
            ("fp4", ("01", "7", "1000.0", "5")),
        )
        for index in words
    )
    _, study = lines(tmp_path, text)
    assert study.logits("npr", "sd3", "fp32").index.tolist() == [1, 7, 1000, 2**63 - 1]
    assert study.logits("npr", "sd3", "fp4").index.tolist() == [1, 5, 7, 1000]
    with pytest.raises(UsageError, match="line 3: the same image and detector as line 2"):
        lines(tmp_path, HEAD + "sd3,fp32,7,1,npr,3\nsd3,fp32,007,1,npr,4\n")


ASKED = (
    "all scores by {} lie in 0 to 1, as probabilities do: say in a map, under [logit], "
    'scale = "probability" or "logit"; until then figures at a threshold stay unknown'
)
#: What rests on verdicts, and what on the order of scores or on their size.
AT_THRESHOLD = {"cells": ["tpr", "tnr", "balanced"], "shifts": ["change", "changed", "lost", "gained", "p", "score"]}
BY_ORDER = {"cells": ["auc", "ap", "eer", "tpr_at_1", "calibrated"], "shifts": ["shift", "standard"]}


def unsaid(images=20):
    """NPR's probabilities, of which the map says nothing, on SD1.5 and SD3: of reals under .2, of fakes from .3 on."""
    text = HEAD
    for generator in ("sd15", "sd3"):
        for precision, least in (("fp32", 0.5), ("fp4", 0.3)):
            values = (f"{least + i / (3 * images):.4f}" for i in range(images))
            text += "".join(f"{generator},{precision},{i},1,npr,{value}\n" for i, value in enumerate(values))
    return text + "".join(f"real,none,{i},0,npr,{i / (5 * images):.4f}\n" for i in range(images))


def tables_of(study):
    return {"cells": analysis.cells(study, resamples=100), "shifts": analysis.shifts(study, resamples=100)}


def test_scores_of_which_nobody_says_the_scale_have_no_figure_at_a_threshold(tmp_path):
    done, study = lines(tmp_path, unsaid())
    assert done.notes == [ASKED.format("npr")]
    assert json.loads((tmp_path / "out" / "manifest.json").read_text())["study"]["unsaid"] == ["npr"]
    found = tables_of(study)
    for name, frame in found.items():
        assert frame[AT_THRESHOLD[name]].isna().all(axis=None) and frame[BY_ORDER[name]].notna().all(axis=None)
    # Every fake lies above every real, and all above the calibrated threshold but for FP4's lowest.
    assert (found["cells"][["auc", "ap"]] == 1).all(axis=None) and (found["cells"].eer == 0).all()
    assert found["shifts"]["shift"].tolist() == pytest.approx([-0.2, -0.2])
    for frame, names in (
        (controls.spreads(study), ["changed", "tpr", "tpr_before"]),
        (analysis.conditions(study), ["tpr_fp32", "tpr_fp4"]),
        (public_study.summary(study), ["tpr", "tpr_before", "tnr", "change", "lost", "p", "p_holm"]),
        (public_study.study_effects(study, ["fp4"]), ["change", "lost", "gained", "p"]),
    ):
        assert len(frame) and frame[names].isna().all(axis=None)
    assert set(analysis.densities(study).scale) == {"logit"} and analysis.densities(study).threshold.isna().all()


def test_a_threshold_that_is_given_is_on_the_scores_own_scale(tmp_path):
    lines(tmp_path, unsaid())
    study = analysis.load(tmp_path / "out", threshold=0.5)
    assert study.unsaid == ("npr",) and study.unjudged == ()
    found = tables_of(study)
    # Of .5, .5 + 1/60 ... all but the first lie above .5, of .3, .3 + 1/60 ... those from .3 + 13/60 on.
    assert found["cells"].tpr.tolist() == [19 / 20, 7 / 20] * 2 and (found["cells"].tnr == 1).all()
    assert found["shifts"].change.tolist() == pytest.approx([-12 / 20] * 2)
    assert found["shifts"].score.isna().all()  # a probability is no logit, whatever the threshold
    assert "probabilities" not in sentences.scale_note(study)
    assert set(analysis.densities(study).threshold) == {0.5}


def test_claims_on_such_scores_say_why_they_cannot_be_tested(tmp_path):
    _, study = lines(tmp_path, unsaid(40))
    told = {outcome.claim.key: outcome for outcome in claims.evaluate(study)}
    why = "This study cannot say: whether the scores by NPR are logits or probabilities is not said."
    for key in ("C3", "C4", "C4_size", "C10"):
        assert told[key].verdict == "not testable" and told[key].answer == why, key
    assert told["C7"].verdict == "supported"  # a shift in standard deviations needs no threshold
    calibrated = claims.by_condition(study).set_index(["condition", "key"]).loc["plain, calibrated threshold"]
    assert calibrated.verdict["C3"] == "contradicted" and calibrated.estimate["C3"] == 1.0
    assert why[len("This study cannot say: whether ") : -1] in heatmap.overview(study).sentence
    for outcome in told.values():
        assert not re.search(r"\bnan\b", outcome.answer)
    note = sentences.scale_note(study)
    assert "All scores by NPR lie in 0 to 1" in note and 'scale = "probability" or "logit"' in note


def test_a_detector_whose_scale_is_not_said_leaves_the_figures_of_the_others(tmp_path):
    base = np.linspace(-1, 1, 40)  # half of them above 0, and at FP4 all
    others = "".join(
        f"{generator},{precision},{i},1,r50_nodown,{value}\n"
        for generator in ("sd15", "sd3")
        for precision, values in (("fp32", base), ("fp4", base + 2))
        for i, value in enumerate(values)
    ) + "".join(f"real,none,{i},0,r50_nodown,{-i - 0.5}\n" for i in range(40))
    _, mixed = lines(tmp_path, unsaid(40) + others)
    _, alone = lines(tmp_path, HEAD + others, out="alone")
    assert mixed.unjudged == ("npr",)
    for name, frame in tables_of(mixed).items():
        own = frame[frame.detector == "r50_nodown"].reset_index(drop=True)
        pd.testing.assert_frame_equal(own, tables_of(alone)[name], check_dtype=False)
        assert frame[frame.detector == "npr"][AT_THRESHOLD[name]].isna().all(axis=None)
    assert mean_change(mixed, ["r50_nodown"]) == mean_change(alone, ["r50_nodown"])
    assert np.isnan(mean_change(mixed, mixed.detectors).estimate)
    told = {outcome.claim.key: outcome for outcome in claims.evaluate(mixed)}
    both = {outcome.claim.key: outcome for outcome in claims.evaluate(alone)}
    assert (told["C4"].verdict, both["C4"].verdict) == ("contradicted", "contradicted")
    start = "Not all of it is known: whether the scores by NPR are logits or probabilities is not said. "
    assert told["C4"].answer == start + both["C4"].answer
    for said in (heatmap.overview(mixed).sentence, *(outcome.answer for outcome in told.values())):
        assert not re.search(r"\bnan\b", said)


def test_scores_near_1_keep_their_order_without_a_map(tmp_path):
    """As sklearn.metrics.roc_auc_score has it: every fake is above every real, so the AUC is 1."""
    text = small([["0.999999997", "0.999999998"] * 5, ["0.999999996", "0.999999997"] * 5], ["0.999999970"] * 10)
    done, study = lines(tmp_path, text)
    assert done.notes == [ASKED.format("npr")] and analysis.cells(study).auc.tolist() == [1.0, 1.0]


def test_probabilities_are_asked_about(tmp_path):
    text = small([["0.3", "0.8"], ["0.3", "0.7"]], ["0.1", "0.2"])
    done, study = lines(tmp_path, text)
    assert done.notes == [ASKED.format("npr")] and study.unsaid == study.unjudged == ("npr",)
    assert study.logits("npr", "sd3", "fp32").tolist() == [0.3, 0.8]
    done, study = lines(tmp_path, text, '[logit]\nscale = "logit"')
    assert done.notes == [] and study.unjudged == () and analysis.cells(study).tpr.tolist() == [1.0, 1.0]
    done, study = lines(tmp_path, text, '[logit]\nscale = "probability"')
    assert done.notes == ["scores by npr are probabilities, made logits"]
    cell = analysis.cells(study).iloc[0]
    assert (cell.tpr, cell.tnr) == (0.5, 1.0)  # of .3 and .8 one is above a half, of .1 and .2 none
    assert special.expit(study.logits("npr", "sd3", "fp32")).tolist() == pytest.approx([0.3, 0.8], rel=1e-15)


def test_one_detector_may_print_probabilities_and_another_logits(tmp_path):
    text = (
        small([["3", "1"], ["3", "1"]], ["-1"]) + small([["0.9", "0.8"]] * 2, ["0.2"], detector="clip_d")[len(HEAD) :]
    )
    done, study = lines(tmp_path, text)
    assert done.notes == [ASKED.format("clip_d")] and study.unjudged == ("clip_d",)
    found = analysis.cells(study).set_index(["detector", "precision"])
    assert found.tpr["npr"].tolist() == [1.0, 1.0] and found.tpr["clip_d"].isna().all()
    assert found.auc.tolist() == [1.0] * 4
    _, study = lines(tmp_path, text, '[logit]\nscale = "probability"\ndetectors = ["clip_d"]')
    assert study.logits("npr", "sd3", "fp4").tolist() == [3.0, 1.0]
    assert study.logits("clip_d", "sd3", "fp4").tolist() == pytest.approx([np.log(9), np.log(4)])


def test_probabilities_of_0_and_1_are_ties_at_the_ends(tmp_path):
    text = small([["1", "1.0", "0.9999999999999999"], ["0.5", "1", "0"]], ["0", "1e-30", "1e-300"])
    done, study = lines(tmp_path, text, '[logit]\nscale = "probability"')
    assert done.notes[1] == "5 probabilities by npr are exactly 0 or 1, so tied at that end"
    base, reals = study.logits("npr", "sd3", "fp32").tolist(), study.reals("npr", "sd3").tolist()
    assert base == pytest.approx([53 * np.log(2)] * 3)  # the largest float64 below 1 is 1 - 2 ** -53
    assert reals == pytest.approx([-300 * np.log(10), -30 * np.log(10), -300 * np.log(10)])
    assert reals[0] == reals[2] == study.logits("npr", "sd3", "fp4")[2]


def test_rows_without_a_number_are_left_out_and_counted(tmp_path):
    text = small([["2", "3", "nan", ""], ["2", "NA", "-1", "4"]], ["-1", "NaN", "-2", "-3"])
    done, study = lines(tmp_path, text)
    counted = {"real none npr": 1, "sd3 fp32 npr": 2, "sd3 fp4 npr": 1}
    assert done.dropped == [(f"no number for the logit of {cell}", count) for cell, count in counted.items()]
    assert (done.read, done.kept, study.dropped) == (12, 8, counted)
    assert analysis.shifts(study).n.tolist() == [1]
    assert json.loads((tmp_path / "out" / "manifest.json").read_text())["imported"]["unscored"] == counted


def test_a_wide_table_with_names_of_its_own(tmp_path):
    """The shipped map, on what it says of itself: Windows paths, probabilities, two detectors and their trainings."""
    text = "path,NPR score,CLIP score\n"
    for place, (one, two) in {
        "sd3\\fp32\\0": (0.9, 0.6), "sd3/fp32/1": (0.8, 0.7), "sd3\\fp4\\0": (0.6, 0.6), "sd3/fp4/1": (0.4, ""),
        "real/none/0": (0.1, 0.2), "real\\none\\1": (0.2, 0.1),
    }.items():  # fmt: skip
        text += f"gen/{place}.png,{one},{two}\n"
    done, study = lines(tmp_path, text, (files.STUDIES / "maps" / "wide-probabilities.toml").read_text())
    assert (done.read, done.kept, study.dropped) == (12, 11, {"sd3 fp4 clip_d": 1})
    assert study.detectors == ("npr", "clip_d")
    assert study.trainings == {"npr": "progan", "clip_d": "latent-diffusion"}
    assert special.expit(study.logits("npr", "sd3", "fp4")).tolist() == pytest.approx([0.6, 0.4])
    assert special.expit(study.logits("clip_d", "sd3", "fp32")).tolist() == pytest.approx([0.6, 0.7])
    assert study.scale == "unknown"


def test_every_detector_is_read_in_its_own_training(tmp_path):
    """Neither label is the study's alone: the rarer one does not make its detector vanish, nor rows count twice."""
    text = HEAD.replace("logit", "logit,weights")
    for detector, weights, shift in (("npr", "v1.2", 0), ("clip_d", "openai", 1), ("clip_d", "v1.2-s1", 5)):
        for precision in ("fp32", "fp4"):
            count = 2 if weights == "v1.2-s1" else 4
            text += "".join(f"sd3,{precision},{i},1,{detector},{i + shift},{weights}\n" for i in range(count))
        text += f"real,none,0,0,{detector},{-2 + shift},{weights}\n"
    _, study = lines(tmp_path, text)
    assert study.trainings == {"npr": "v1.2", "clip_d": "openai"}
    assert analysis.cells(study).groupby("detector").n.first().to_dict() == {"clip_d": 4, "npr": 4}
    assert study.logits("clip_d", "sd3", "fp4").tolist() == [1, 2, 3, 4] and len(study.reals("clip_d", "sd3")) == 1
    assert controls.spreads(study).n.tolist() == [4, 4]
    assert public_study.summary(study).n.dropna().tolist() == [4, 4, 4, 4, 8]
    found = analysis.conditions(study)
    assert list(zip(found.detector, found.weights, strict=True)) == [
        ("npr", "v1.2"), ("clip_d", "openai"), ("clip_d", "v1.2-s1"),
    ]  # fmt: skip
    other = analysis.load(tmp_path / "out", weights="v1.2-s1")
    assert other.detectors == ("clip_d",) and other.logits("clip_d", "sd3", "fp4").tolist() == [5, 6]
    with pytest.raises(
        UsageError, match=r"weights: no 'opemai' \(nearest: 'openai'\); the study has openai, v1.2, v1.2-s1"
    ):
        analysis.load(tmp_path / "out", weights="opemai")


def parquet(tmp_path, frame, **options):
    frame.to_parquet(tmp_path / "own.parquet", **options)
    importing.import_scores(tmp_path / "own.parquet", tmp_path / "out")
    return analysis.load(tmp_path / "out")


@pytest.mark.parametrize("index", [["index"], ["generator", "index"], ["precision", "detector", "index"]])
def test_the_index_of_a_pandas_table_is_columns_too(tmp_path, index):
    frame = pd.read_csv(io.StringIO(small([["3", "1.5"], ["3", "1"]], ["-1"])))
    study = parquet(tmp_path, frame.set_index(index))
    assert study.logits("npr", "sd3", "fp32").tolist() == [3.0, 1.5] and len(study.scores) == 5


def test_an_index_that_only_counts_is_read_by_its_name(tmp_path):
    frame = pd.DataFrame({"generator": "sd3", "precision": "fp32", "label": 1, "detector": "npr", "logit": [3.0, 1.5]})
    frame.index = pd.RangeIndex(5, 9, 2, name="index")
    assert parquet(tmp_path, frame).logits("npr", "sd3", "fp32").index.tolist() == [5, 7]


def test_numbers_of_a_parquet_are_exact(tmp_path):
    """uint64 beyond int64 is refused; a blank beside a large index does not round it; float32 is itself in float64."""
    frame = pd.DataFrame({"generator": "sd3", "precision": "fp32", "label": 1, "detector": "npr"}, index=range(2))
    frame = frame.assign(logit=np.array([0.3, 5], np.float32), index=pd.array([2**53 + 1, 2], "Int64"))
    assert parquet(tmp_path, frame).logits("npr", "sd3", "fp32").to_dict() == {
        2**53 + 1: float(np.float32(0.3)),
        2: 5.0,
    }
    lone = frame.assign(index=pd.array([2**53 + 1, None], "Int64"), logit=[4.0, np.nan])
    assert parquet(tmp_path, lone).logits("npr", "sd3", "fp32").to_dict() == {2**53 + 1: 4.0}
    with pytest.raises(UsageError, match="row 1.*: index '9223372036854775808' is not a whole number"):
        parquet(tmp_path, frame.assign(index=np.array([2**63, 2**63 + 1], np.uint64)))


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", "it holds no rows"),
        (HEAD.encode(), "it holds no rows"),
        (HEAD.replace(",", ";").encode(), "its columns are separated by ';'; export it with commas"),
        (HEAD.replace(",", "\t").encode() + b"sd3\tfp32\t0\t1\tnpr\t2\n", r"separated by '\\t'"),
        (HEAD.encode() + b"sd3,fp32,0,1,npr\n", "line 2: 5 fields where the first line names 6"),
        (HEAD.encode() + b"\nsd3,fp32,0,1,npr,2,3\n", "line 3: 7 fields where the first line names 6"),
        (HEAD.encode() + b"sd3,fp32,0,1,npr,\0\n", "line 2: it holds a NUL character"),
        (HEAD.encode() + b'sd3,fp32,0,1,npr,"2\n', "line 2: not a readable row: unexpected end of data"),
        (HEAD.replace("label", "logit").encode() + b"sd3,fp32,0,1,npr,2\n", "two columns are called 'logit'"),
        (HEAD.encode("utf-16"), "not UTF-8 text; export it as CSV in UTF-8"),
        (b"\x1f\x8b" + bytes(range(256)), "not UTF-8 text"),
        (HEAD.encode() + b"x" * 200_000 + b",fp32,0,1,npr,2\n", "line 2: not a readable row: field larger than"),
    ],
)
def test_a_file_that_is_no_table_is_refused_in_one_line(tmp_path, content, said):
    (tmp_path / "own.csv").write_bytes(content)
    with pytest.raises(UsageError, match=said) as told:
        importing.import_scores(tmp_path / "own.csv", tmp_path / "out")
    assert "\n" not in str(told.value) and len(str(told.value)) < 600 and not (tmp_path / "out").exists()


def test_other_files_are_refused_by_what_they_are(tmp_path):
    os.mkfifo(tmp_path / "pipe.csv")
    (tmp_path / "folder.parquet").mkdir()
    (tmp_path / "scores.csv.gz").write_bytes(b"")
    (tmp_path / "text.parquet").write_bytes(HEAD.encode())
    for name, said in {
        "pipe.csv": "a pipe or a device, not a file", "folder.parquet": "a folder, not a file",
        "scores.csv.gz": "cannot read '.gz'; unpack it, give", "text.parquet": "not a readable table",
    }.items():  # fmt: skip
        with pytest.raises(UsageError, match=said) as told:
            importing.import_scores(tmp_path / name, tmp_path / "out")
        assert "\n" not in str(told.value)
    with pytest.raises(UsageError, match="a pipe or a device, not a file; name a TOML map"):
        importing.read_map(tmp_path / "pipe.csv")


def test_a_table_as_spreadsheets_write_it(tmp_path):
    """A byte order mark, blanks around names, blank lines, quotes over two lines, a suffix in capitals."""
    text = (
        HEAD.replace(",", ", ").rstrip()
        + ',note\r\n\r\nsd3,fp32,0,1,npr,2,"a\r\nb"\r\n,,,,,,\r\nsd3,fp32,1,1,npr,x,\r\n'
    )
    (tmp_path / "OWN.CSV").write_bytes(b"\xef\xbb\xbf" + text.encode())
    with pytest.raises(UsageError, match="line 6: logit 'x' by npr"):
        importing.import_scores(tmp_path / "OWN.CSV", tmp_path / "out")
    (tmp_path / "OWN.CSV").write_bytes(b"\xef\xbb\xbf" + text.replace("npr,x", "npr,3").encode())
    assert importing.import_scores(tmp_path / "OWN.CSV", tmp_path / "out").kept == 2


def test_a_pattern_takes_time_by_the_length_of_the_text_alone(tmp_path):
    """An expression that backtracking needs 2 ** 5000 steps for."""
    frame = pd.DataFrame({"path": ["a" * 5000 + "!"], "logit": [3.0]})
    with pytest.raises(UsageError, match="path does not match the pattern"):
        imported(tmp_path, frame, "[pattern]\ncolumn = 'path'\nregex = '^(?P<index>(?:a+)+)$'")


@pytest.mark.parametrize(
    "text",
    ["x = " + "9" * 5000, "x = " + "[" * 5000 + "]" * 5000, "name = '\0'", "name = 'é'", "name" + ".a" * 30 + "=1"],
)
def test_a_map_of_any_shape_is_refused_in_one_line(tmp_path, text):
    (tmp_path / "map.toml").write_text(text)
    with pytest.raises(UsageError) as told:
        importing.read_map(tmp_path / "map.toml")
    assert "\n" not in str(told.value) and len(str(told.value)) < 700


def test_a_runs_results_are_not_written_over(tmp_path):
    folder = synthetic.write(tmp_path / "run", images=2, generators=("sd3",))
    before = (folder / "scores.parquet").read_bytes()
    with pytest.raises(UsageError, match="it holds the results of a run, which would be lost"):
        lines(tmp_path, small([["3"], ["2"]], ["-1"]), out="run")
    assert (folder / "scores.parquet").read_bytes() == before
