"""Public ladders of pictures: measures against closed forms, the stored table against a second measurement of the same
pictures, sentences on tables whose answer is known.
"""

from __future__ import annotations

import json
import os
import statistics
from dataclasses import astuple
from math import isnan, log10, sqrt
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from helpers import charts
from helpers.analysis import ladder_images, real_ladders
from helpers.core import files
from helpers.images import spectra
from helpers.paper.pages import ladders

FOLDER = Path(
    os.environ.get("QUANTDETECT_LADDERS") or files.ROOT.parent / "shared" / "data" / "ladders"
)  # the pictures, which are not stored here
AT_HAND = (FOLDER / "manifest.csv").is_file()


@pytest.fixture(scope="module")
def stored() -> pd.DataFrame:
    return real_ladders.pairs()


def table(*rows: dict) -> pd.DataFrame:
    """Pairs of U-Nets at 4 bits of a ladder each, but for what a row says."""
    usual = {
        "model": "SDXL", "family": "unet", "role": "rung", "bits": 4.5, "technique": "GGUF q4_0",
        "quantized": "weights", "psnr_db": 18.0, "high_db": -1.0, "power_db": -1.0, "npr_change": -0.1,
        "residual_change": -0.1, "source": "a/b", "licence": "MIT", "baseline_sha256": "base",
    }  # fmt: skip
    named = [usual | {"ladder": f"l{place}", "sha256": f"s{place}"} | row for place, row in enumerate(rows)]
    return real_ladders.grouped(pd.DataFrame(named))


def null(**row) -> dict:
    return {"role": "null", "bits": 16, "quantized": "nothing", "technique": "float16"} | row


# Measures


def test_psnr_of_a_constant_error_is_its_closed_form():
    image = np.full((8, 12, 3), 100.0)
    assert ladder_images.psnr(image + 16, image) == pytest.approx(20 * log10(255 / 16))
    assert ladder_images.psnr(image, image) == np.inf


def test_the_level_of_white_noise_is_that_of_its_exponential_power():
    """|FFT|^2 of noise is exponential about its mean; the mean of its logarithm is lower by Euler's constant."""
    rng = np.random.default_rng(3)
    noise = rng.normal(128, 10, (256, 256))
    window = (np.sin(np.pi * np.arange(256) / 255) ** 4).sum() ** 2  # of the squares of a symmetric Hann window
    expected = 10 * log10((10 / 255) ** 2 * window) - 10 * np.euler_gamma / np.log(10)
    assert ladder_images.high_level(noise) == pytest.approx(expected, abs=0.1)
    assert ladder_images.high_level(128 + (noise - 128) * 2) - ladder_images.high_level(noise) == pytest.approx(
        20 * log10(2)
    )


def test_the_residual_of_stripes_is_their_height_and_of_a_ramp_nothing():
    stripes = np.tile([0.0, 40.0], (64, 48))  # columns in turn: six of nine neighbours have the other level
    assert ladder_images.residual_median(stripes) == 40
    assert ladder_images.residual_median(np.tile(np.arange(48.0), (64, 1))) == 0


def test_npr_energy_takes_pictures_that_are_no_squares():
    rng = np.random.default_rng(4)
    small = rng.integers(0, 256, (1, 21, 40, 3)).astype(float)
    assert spectra.npr_energy(small.repeat(2, axis=1).repeat(2, axis=2))[0] == 0
    stripes = np.tile(np.array([0.0, 255.0])[None, None, :, None], (1, 20, 30, 3))  # half the pixels differ by 255
    for pixels in (stripes, stripes.swapaxes(1, 2), stripes[:, :, :-1]):  # an odd last column is left out
        assert spectra.npr_energy(pixels)[0] / 255 == pytest.approx(sqrt(0.5))


# The stored table


#: The summary that came with the pictures, measured by a second, separate implementation: pairs, ladders, how many lose
#: and gain fine detail, least, median and most change of it in dB, and of PSNR in dB.
SECOND = {
    "coarse": (24, 11, 12, 12, (-3.03, 0.09, 4.11), (12.5, 17.3, 22.4)),
    "coarse U-Net": (7, 3, 3, 4, (-3.03, 0.24, 4.00), (13.9, 15.0, 17.1)),
    "coarse transformer": (17, 8, 9, 8, (-2.50, -0.07, 4.11), (12.5, 18.6, 22.4)),
    "5 to 6 bits": (11, 9, 0, 11, (0.06, 0.45, 1.96), (12.5, 17.2, 21.9)),
    "8 bits": (7, 7, 4, 3, (-1.02, -0.10, 1.60), (23.0, 26.6, 31.7)),
    "nulls": (22, 15, 14, 8, (-1.93, -0.19, 3.82), (13.4, 21.5, 45.3)),
    "nulls U-Net": (13, 9, 9, 4, (-1.93, -0.84, 3.82), (13.4, 15.5, 22.1)),
    "nulls transformer": (9, 6, 5, 4, (-1.18, -0.06, 1.23), (21.1, 30.6, 45.3)),
}


@pytest.mark.parametrize("name", SECOND)
def test_the_stored_table_says_what_a_second_measurement_does(stored, name):
    group, _, kind = name.partition(" ") if not name[0].isdigit() else (name, "", "")
    of = {"coarse": real_ladders.coarse, "nulls": real_ladders.nulls}
    rows = of[group](stored, kind) if group in of else stored[stored.group == group]
    pairs, count, lose, gain, high, psnr = SECOND[name]
    assert (len(rows), rows.ladder.nunique()) == (pairs, count)
    assert ((rows.high_db < 0).sum(), (rows.high_db > 0).sum()) == (lose, gain)
    for column, expected, rounding in (("high_db", high, 0.0051), ("psnr_db", psnr, 0.051)):
        found = (rows[column].min(), rows[column].median(), rows[column].max())
        # The README gives transformers in two lines, whose medians are not that of both.
        places = (0, 2) if name == "coarse transformer" else (0, 1, 2)
        assert [found[at] for at in places] == pytest.approx([expected[at] for at in places], abs=rounding)


def test_every_stored_pair_has_its_source_its_licence_and_pictures_of_its_own(stored):
    assert real_ladders.faults(stored).empty
    assert stored.source.str.contains("/").all() and stored["commit"].str.fullmatch(r"[0-9a-f]{40}").all()
    assert set(stored.licence) == {"MIT", "Apache-2.0", "BSD-3-Clause"} and stored.source.nunique() == 9
    assert set(stored.role) == {"rung", "null"} and not stored.isna().any().any()
    assert not ((stored.ladder == "sd14-sdcpp") & stored.technique.isin(["GGUF q8_0", "GGUF q5_1"])).any()


def test_a_rung_with_the_bytes_of_another_or_of_its_baseline_is_found():
    twins = table({"ladder": "a", "sha256": "x"}, {"ladder": "a", "sha256": "x"}, {"ladder": "a"}, {"sha256": "x"})
    assert real_ladders.faults(twins).index.tolist() == [0, 1]
    unchanged = table({"ladder": "a", "sha256": "base"}, {"ladder": "a"}, {"psnr_db": np.inf})
    assert real_ladders.faults(unchanged).index.tolist() == [0, 2]
    # A null that is the baseline of a rung is no fault.
    assert real_ladders.faults(
        table(null(ladder="a", sha256="n"), {"ladder": "a", "baseline_sha256": "n"})
    ).empty  # fmt: skip


@pytest.mark.slow
@pytest.mark.skipif(not AT_HAND, reason="the pictures of the public ladders are not at hand: no shared/data/ladders")
def test_the_stored_table_is_measured_again_from_the_pictures(tmp_path, stored):
    measured = ladder_images.measure(FOLDER)
    said = pd.read_csv(FOLDER / "manifest.csv", keep_default_na=False)
    assert [files.file_sha256(FOLDER / name) for name in said.file] == said.sha256.tolist()
    rung = said.role != "baseline"
    assert measured.psnr_db[rung].to_numpy() == pytest.approx(said.psnr_db[rung].astype(float).to_numpy(), abs=0.0051)
    assert measured.residual_median.to_numpy() == pytest.approx(said.residual_median.to_numpy(), abs=1e-4)
    assert measured.npr_energy.to_numpy() == pytest.approx(said.npr_energy.to_numpy(), abs=1e-5)
    again = ladder_images.summary(measured)
    high = said.high_db[rung].astype(float).to_numpy()
    assert again.high_db.to_numpy() == pytest.approx(high, abs=0.0011)
    again.to_csv(tmp_path / "ladders.csv", index=False)
    pd.testing.assert_frame_equal(real_ladders.pairs(tmp_path / "ladders.csv"), stored, atol=2e-3)


# What is said of it


def test_the_dose_is_the_median_of_the_rungs_of_so_many_bits(stored):
    assert [real_ladders.real_dose(bits).psnr.estimate for bits in (8, 4)] == pytest.approx([26.55, 18.06])
    for bits in (8, 4):
        rows = stored[(stored.bits >= bits) & (stored.bits < bits + 1) & stored.quantized.str.contains("weights")]
        found = real_ladders.real_dose(bits)
        assert found.psnr.estimate == pytest.approx(statistics.median(rows.psnr_db))
        assert found.psnr.low < found.psnr.estimate < found.psnr.high
        assert (found.pairs, found.ladders) == (len(rows), rows.ladder.nunique())


def test_the_dose_leaves_out_other_parts_other_bits_and_other_networks():
    of = table(
        {"psnr_db": 10.0, "bits": 4.0}, {"psnr_db": 20.0, "bits": 4.5}, {"psnr_db": 30.0, "family": "dit"},
        {"psnr_db": 99.0, "bits": 5.0}, {"psnr_db": 99.0, "quantized": "vae"}, null(psnr_db=99.0, bits=4.0),
    )  # fmt: skip
    assert astuple(real_ladders.real_dose(4, table=of))[2:] == (3, 3)
    assert real_ladders.real_dose(4, table=of).psnr.estimate == 20
    assert real_ladders.real_dose(4, "U-Net", of).psnr.estimate == 15
    assert isnan(real_ladders.real_dose(4, "U-Net", of).psnr.low)  # of two ladders
    assert isnan(real_ladders.real_dose(3, table=of).psnr.estimate) and real_ladders.real_dose(3, table=of).pairs == 0
    assert ladders.dose(of[:0]) == "No picture has the deck's bits."


def spread(sign: float, count: int = 12) -> pd.DataFrame:
    """As many coarse MM-DiT rungs, that all change by about `sign`, or half of them either way where it is 0."""
    sizes = 1 + np.arange(count) / 50
    signs = np.full(count, sign) if sign else np.where(np.arange(count) % 2, 1, -1)
    return table(*(
        {"family": "mmdit", "high_db": step, "power_db": step, "npr_change": step / 10} for step in signs * sizes
    ))  # fmt: skip


@pytest.mark.parametrize(("sign", "said"), [(-1, "a fall"), (1, "a rise"), (0, "no common direction")])
def test_the_direction_follows_the_pictures(sign, said):
    of = spread(sign)
    found = real_ladders.evidence(of)
    lose, gain = (int((of.high_db * side > 0).sum()) for side in (-1, 1))
    for claim in ("C6", "C7"):
        assert f"{said}." in found[claim].sentence and (found[claim].n, found[claim].ladders) == (12, 12)
    assert f"lose fine detail in {lose} and gain in {gain}" in ladders.answer(of)
    assert "public repository (MIT)" in found["C6"].source and len(found["C7"].doubts) > 3


def test_the_other_format_of_the_deck_is_told_beside_the_coarse_ones(stored):
    """Two MM-DiT pictures at FP8, SD3.5's and FLUX's: the manifest's energies are .02092, .01779 and .02645, .02263."""
    change = 100 * statistics.median([0.01779 / 0.02092 - 1, 0.02263 / 0.02645 - 1])
    assert (
        f"At 8 bits it falls in 2 of 2 pictures (median \N{MINUS SIGN}{-change:.1f}\N{NO-BREAK SPACE}%)."
        in ladders.residual(stored)
    )
    of = pd.concat([spread(-1), table({"family": "mmdit", "bits": 8.0, "npr_change": 0.25, "ladder": "other"})])
    assert "At 8 bits it falls in 0 of 1 picture (median +25.0\N{NO-BREAK SPACE}%)." in ladders.residual(of)
    assert "At 8 bits" not in ladders.residual(spread(-1))


def test_beyond_the_nulls_is_counted_against_all_and_against_their_own_kind():
    of = table(
        {"high_db": -5.0}, {"high_db": 3.0}, {"high_db": -3.0, "family": "dit"}, {"high_db": 1.0, "family": "dit"},
        null(high_db=4.0), null(high_db=-2.0, family="mmdit"),
    )  # fmt: skip
    found = real_ladders.directions(of)
    assert (found.further, found.further_own, found.reach) == (1, 2, 4.0)
    assert (found.null_lose, found.null_gain) == (1, 1)
    said = "Of the 4 changes, those beyond the furthest of 2 pairs of the same weights (4.0 dB) number 1, those beyond"
    assert said in ladders.smoothing(of)
    bare = real_ladders.directions(of[of.role == "rung"])
    assert (bare.further, bare.further_own, bare.null_pairs) == (0, 0, 0) and isnan(bare.reach)
    assert "same weights" not in ladders.smoothing(of[of.role == "rung"])


def test_how_far_nulls_move_is_said_of_each_kind_of_network():
    of = table(
        {"psnr_db": 18.0}, {"psnr_db": 16.0}, null(psnr_db=15.0), null(psnr_db=22.0),
        {"psnr_db": 18.0, "family": "dit"}, null(psnr_db=40.0, family="dit"),
    )  # fmt: skip
    found = real_ladders.movement(of).set_index("kind")
    assert found.within.to_dict() == {"U-Net": 2, "transformer": 0}
    assert "can move a U-Net's picture as far as most" in ladders.nulls(of)
    assert "All 2 rungs of U-Nets" in ladders.nulls(of)
    assert "reach beyond" not in ladders.nulls(of)
    assert "can move no picture as far as most" in ladders.nulls(of[of.kind == "transformer"])
    assert ladders.nulls(of[of.role == "rung"]) == "No ladder has a picture of the same weights."


def test_an_interval_that_ends_beyond_what_was_seen_says_why():
    """That of the medians of the stored pictures of U-Nets does: 23.0 dB, of 22.1 at most; that of transformers not."""
    stored = real_ladders.pairs()
    moved = real_ladders.movement(stored).set_index("kind")
    assert (moved.psnr_high > moved.psnr_most).to_dict() == {"U-Net": True, "transformer": False}
    of_unets, _, of_transformers = ladders.nulls(stored).partition(" pictures by transformers")
    words = "in the median; an interval from 9 ladders is widened and may reach beyond what was seen."
    assert words in of_unets and "beyond" not in of_transformers


def test_a_step_is_taken_against_the_next_finer_and_the_next_coarser_rung():
    rungs = [("GGUF q5_0", 5.5, 9.0), ("GGUF q4_K", 4.5, 1.0), ("GGUF q4_0", 4.5, -2.0), ("GGUF q3_K", 3.4375, 3.0)]
    of = table(*({"ladder": "a", "technique": t, "bits": b, "high_db": h} for t, b, h in rungs))
    assert real_ladders.symmetric_steps(of).high_db.tolist() == [-2.0 - (1.0 + 3.0) / 2]
    assert "In 1 of 1 ladder" in ladders.steps(of)
    assert "No ladder" in ladders.steps(of[:2])


def test_a_table_without_coarse_rungs_says_nothing_of_the_claims():
    fine = table({"bits": 8.0}, null())
    assert real_ladders.evidence(fine) == {}
    assert "no picture at so few bits" in ladders.answer(fine) and "No picture" in ladders.residual(fine)


def test_the_stored_evidence_names_what_it_rests_on():
    found = real_ladders.evidence()
    assert (found["C6"].n, found["C6"].ladders, found["C7"].n) == (24, 11, 13)
    assert "9 public repositories" in found["C6"].source and "Stable Diffusion 3's" in found["C7"].doubts[1]
    assert all(of.interval.low < of.interval.estimate < of.interval.high for of in found.values())
    assert "By the mean power" in ladders.doubts(real_ladders.pairs())
    assert "By the mean power" not in ladders.doubts(spread(1))


def test_figures_hold_every_picture_and_say_what_they_show(stored):
    groups, dose = ladders.groups(stored), ladders.by_bits(stored)
    assert "70 public pictures of 31 ladders" in groups.description and "26.6 dB at 8 bits" in dose.description
    for chart, pictures in ((groups, 70), (dose, 65)):
        spec = chart.to_dict()
        assert pictures in [len(rows) for rows in spec["datasets"].values()] and "NaN" not in json.dumps(spec)
    one = table({}, null())
    for chart in (charts.ladder_dose(one, real_ladders.doses(one, [8, 4])), ladders.groups(one)):
        assert "transformer" not in chart.description
    assert "stable-diffusion.cpp" in ladders.sources(stored).data
    assert "48 pictures of 24 ladders" in ladders.what(stored)
