"""What the archive says beside the lab: the main arm's shares, and single logits of weights that were rounded."""

from __future__ import annotations

import json
from pathlib import Path

import pandas as pd
import synthetic

from helpers import analysis
from helpers.analysis import archived

#: Logits of the ladder's images, all alike, by format.
LADDER = {"fp4": -9.0, "int8": 1.0, "int4": 2.0, "int2": -3.0}


def with_ladder(folder: Path) -> Path:
    """A study of SD3 with a ladder of four formats, of which its main arm has one."""
    synthetic.write(folder, images=20, generators=("sd3",))
    scores = pd.read_parquet(folder / "scores.parquet")
    low = scores[(scores.label == 1) & (scores.precision == "fp4")]
    rungs = [low.assign(arm="ladder", precision=key, logit=logit) for key, logit in LADDER.items()]
    pd.concat([scores, *rungs]).to_parquet(folder / "scores.parquet")
    manifest = json.loads((folder / "manifest.json").read_text(encoding="utf-8"))
    arm = {"title": "ladder", "role": "ladder", "precisions": list(LADDER), "images": 20, "way": "rounding"}
    manifest["study"]["arms"] = {"ladder": arm}
    (folder / "manifest.json").write_text(json.dumps(manifest), encoding="utf-8")
    return synthetic.vouch(folder)


def test_shares_are_the_main_arms_and_the_ladders_where_it_has_none(tmp_path: Path) -> None:
    found = analysis.load(with_ladder(tmp_path / "study"))
    shares = archived.shares(found).set_index(["precision", "detector"])
    assert set(shares.index.get_level_values("precision")) == {*synthetic.PRECISIONS, *LADDER}
    own = found.logits("npr", "sd3", "fp4")
    assert shares.loc[("fp4", "npr"), "tpr"] == (own > 0).mean() > 0.5
    assert [shares.loc[(key, "npr"), "tpr"] for key in ("int8", "int4", "int2")] == [1.0, 1.0, 0.0]
    assert set(shares.n) == {20}


def test_single_logits_are_those_of_rounded_weights(tmp_path: Path) -> None:
    found = analysis.load(with_ladder(tmp_path / "study"))
    rows = archived.logits(found, [0, 7]).set_index(["precision", "detector", "index"]).logit
    assert [rows[key, "clip_d", 7] for key in LADDER] == list(LADDER.values())
    assert rows["fp32", "npr", 0] == found.logits("npr", "sd3", "fp32")[0]
    assert set(rows.index.get_level_values("index")) == {0, 7}
