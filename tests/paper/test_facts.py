"""What a study has is asked by the roles of its arms, whatever they are called."""

from __future__ import annotations

import json
import re
import shutil

import pytest
import synthetic

from helpers import analysis
from helpers.analysis import controls
from helpers.paper import contact, numbers
from helpers.paper.facts import FACTS, has
from helpers.paper.pages import setup


@pytest.fixture
def ladder(tmp_path):
    """A study of one generator whose arm `batch` is its ladder, with contact sheets of it."""
    folder = synthetic.write(tmp_path / "study", images=5, generators=("sd3",), placebo=0.1, contact=True)
    shutil.copy(folder / "contact" / "sd3.webp", folder / "contact" / "sd3-batch.webp")
    manifest = json.loads((folder / "manifest.json").read_text())
    manifest["study"]["arms"]["batch"]["role"] = "ladder"
    (folder / "manifest.json").write_text(json.dumps(manifest), encoding="utf-8")
    return folder


def test_an_arm_is_known_by_its_role(ladder):
    study = analysis.load(ladder)
    renamed = analysis.load(synthetic.renamed_arm(ladder, "batch", "steps"))
    assert list(renamed.arms) == ["steps"] and controls.scored_arms(study).keys() == {"batch"}
    for found in (study, renamed):
        assert {name for name in FACTS if has(found, name)} >= {"reals", "arms"} and not has(found, "seeds")
        assert not any("The null control changes nothing" in said for said in setup.controls_note(found))
    assert [file.name for file in contact.sheets(renamed, "ladder").values()] == ["sd3-steps.webp"]


def test_a_role_that_no_arm_has_is_not_the_main_arm(ladder):
    study = analysis.load(ladder)
    assert [file.name for file in contact.sheets(study).values()] == ["sd3.webp"]
    assert contact.sheets(study, "seed") == {} and study.arm_of("") == ""


def test_the_rows_of_a_sheet_are_named_as_the_study_has_them(ladder, monkeypatch):
    shown = []
    monkeypatch.setattr(contact, "display", lambda html: shown.append(html.data))
    contact.show_sheets(analysis.load(ladder, precisions=["fp32", "fp4"]))
    contact.show_sheets(analysis.load(ladder), "ladder")
    names = [re.findall(r"<li>(.*?)</li>", figure) for figure in shown]
    assert names == [["FP32", "FP16", "FP8", "FP4"], ["FP32"]]
    assert all("Contact sheet of SD3: the same prompts, rows FP32" in figure for figure in shown)


def test_each_sheet_is_a_figure_of_its_own_with_a_number(ladder, monkeypatch, tmp_path):
    shown = []
    monkeypatch.setattr(contact, "display", lambda html: shown.append(html.data))
    contact.show_sheets(analysis.load(ladder))
    contact.show_sheets(analysis.load(ladder), "ladder")
    (tmp_path / "page.html").write_text("".join(shown), encoding="utf-8")
    called = numbers.number(tmp_path, ["page"])
    assert called == {"fig-contact-sd3": "Figure 1", "fig-contact-sd3-batch": "Figure 2"}
    assert ">Figure 2</span> SD3: the same prompts" in (tmp_path / "page.html").read_text(encoding="utf-8")
