"""A run from end to end with the shipped models: all cells, nothing twice, going on, sharing, and its verification."""

from __future__ import annotations

import hashlib
import json
import shutil

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from helpers import analysis, generators, world
from helpers.core import columns, files
from helpers.core.errors import Failure, UsageError
from helpers.images import sheets
from helpers.precision import audit
from helpers.runs import Source, Store, digests, make, merge, parse_share, plan, score, store, verify
from helpers.runs.stages import contact
from helpers.study import schema

IMAGES = 2


def quick(**changes):
    """The mini study with few steps, one training and one protocol: what is tested here does not depend on them."""
    loaded = schema.load("mini")
    settings = {key: value.model_copy(update={"steps": 3}) for key, value in loaded.generators.items()}
    # One image at a time: then an image made again is the same to the last bit.
    plain = {"protocols": ["plain"], "further": {}, "arms": {}}
    return loaded.model_copy(update={"generators": settings, "batch_size": 1, **plain, **changes})


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """The finished run of all cells: its study, folder and what the call did. Read only."""
    folder = tmp_path_factory.mktemp("run")
    return quick(), folder, make.run(quick(), folder, images=IMAGES, progress=False)


@pytest.fixture
def small(whole, tmp_path):
    """A copy of the SD3 part of the run at FP32 and FP4, to be damaged; `again` brings it up to date."""
    _, folder, _ = whole
    for kind in ("images", "parts"):
        for cell in ("sd3/fp32", "sd3/fp4", "real/128"):
            shutil.copytree(folder / kind / cell, tmp_path / kind / cell)

    def again(**changes):
        return make.run(quick(**changes), tmp_path, ["sd3"], ["fp32", "fp4"], IMAGES, progress=False)

    again()
    return tmp_path, again


def scores(folder):
    table = pd.read_parquet(folder / "scores.parquet")
    return table.sort_values(["generator", "precision", "size", "detector", "index"]).reset_index(drop=True)


def times(folder):
    return {path: path.stat().st_mtime_ns for path in folder.rglob("[!.]*") if path.is_file()}


def test_every_cell_has_its_images_and_scores(whole):
    loaded, folder, done = whole
    cells, table = pd.read_parquet(folder / "cells.parquet"), scores(folder)
    assert len(cells) == 24 and (cells["images"] + cells["rejected"] == IMAGES).all()
    assert done.made == cells["images"].sum() + 3 * IMAGES
    for row in cells.itertuples():
        chosen = table[(table["generator"] == row.generator) & (table["precision"] == row.precision)]
        assert len(chosen) == len(loaded.detectors) * row.images
    real = table[table["generator"] == "real"]
    assert set(real["size"]) == {64, 96, 128} and len(real) == 3 * len(loaded.detectors) * IMAGES
    assert set(real["precision"]) == set(real["arm"]) == {"none"}
    assert set(table["protocol"]) == {"plain"} and set(table["weights"]) == {"mini"}
    assert ((table["label"] == 0) == (table["generator"] == "real")).all()
    assert table["logit"].dtype == np.float64 and np.isfinite(table["logit"]).all()
    for name in ("scores.parquet", "cells.parquet"):
        declared, found = columns.TABLES[name], pd.read_parquet(folder / name)
        assert tuple(found) == tuple(key for key in declared.names if key != "note")  # which imports alone have
        columns.check(declared, found, name)


def test_cells_say_what_was_quantized(whole):
    cells = pd.read_parquet(whole[1] / "cells.parquet").set_index(["generator", "precision"])
    assert (cells.xs("fp32", level=1)["coverage"] == 0).all()
    assert (cells.drop("fp32", level=1)["coverage"] > 0).all()
    assert (cells[["seconds_load", "seconds_quantize", "seconds_per_image", "peak_memory_mb"]] > 0).all().all()
    for key in generators.GENERATORS:
        parts = json.loads(cells.loc[(key, "fp4"), "component_coverage"])
        assert set(parts) == ({"denoiser", "t5"} if generators.GENERATORS[key].t5 else {"denoiser"})
        assert parts["denoiser"]["share"] == cells.loc[(key, "fp4"), "coverage"]
        sizes = [
            json.loads(cells.loc[(key, p), "component_coverage"])["denoiser"]["bytes_after"]
            for p in ("fp16", "fp8", "fp4")
        ]
        assert sizes[1] > sizes[2]


def test_quantized_images_are_other_images_of_the_same_scene(whole):
    """FP16 hardly differs from FP32, FP4 differs more, and both differ less than another prompt does."""
    folder = whole[1] / "images" / "sd3"
    read = lambda level, i: np.asarray(Image.open(folder / level / f"000{i}.png"), dtype=float)  # noqa: E731
    apart = {level: np.abs(read(level, 0) - read("fp32", 0)).mean() for level in ("fp16", "fp8", "fp4")}
    assert apart["fp16"] < apart["fp4"] and 0 < apart["fp8"]
    assert apart["fp4"] < np.abs(read("fp32", 1) - read("fp32", 0)).mean()


def test_digests_are_of_the_pixels(whole):
    _, folder, _ = whole
    table = scores(folder)
    row = table[(table["generator"] == "flux1") & (table["precision"] == "fp8")].iloc[0]
    pixels = np.asarray(Image.open(folder / f"images/flux1/fp8/{row['index']:04d}.png"))
    header = f"{pixels.shape[1]}x{pixels.shape[0]} RGB\n".encode()
    assert row["image_sha256"] == hashlib.sha256(header + pixels.tobytes()).hexdigest()


def test_real_images_are_the_renders_of_the_prompts(whole):
    pixels = np.asarray(Image.open(whole[1] / "images/real/96/0001.png"))
    np.testing.assert_array_equal(pixels, world.render(world.SPLITS["test"] + 1, 96))


def test_the_manifest_vouches_for_the_tables(whole):
    loaded, folder, _ = whole
    manifest = json.loads((folder / "manifest.json").read_text())
    for name, digest in manifest["files"].items():
        assert hashlib.sha256((folder / name).read_bytes()).hexdigest() == digest
    assert manifest["study_digest"] == loaded.digest()
    assert manifest["images_per_cell"] == IMAGES
    assert schema.Study.model_validate(manifest["study"]) == loaded


def test_a_second_call_does_nothing(whole):
    loaded, folder, _ = whole
    before = times(folder)
    assert make.run(loaded, folder, images=IMAGES, progress=False).nothing
    assert times(folder) == before


def test_damage_is_mended_to_the_same_scores(small):
    folder, again = small
    before, images = scores(folder), folder / "images/sd3"
    (images / "fp32/0000.png").unlink()
    (images / "fp32/0001.png").write_bytes((images / "fp32/0001.png").read_bytes()[:200])
    shutil.copy(images / "fp4/0000.png", images / "fp4/0001.png")
    (folder / "parts/real/128/0000.parquet").unlink()
    done = again()
    assert done.made == 3
    pd.testing.assert_frame_equal(scores(folder), before)
    assert again().nothing


def test_an_interrupted_run_goes_on(small, monkeypatch, tmp_path_factory):
    reference = scores(small[0])
    folder, calls, sample = tmp_path_factory.mktemp("stopped"), [], generators.sample

    def stopping(*arguments, **options):
        calls.append(1)
        if len(calls) == 4 + 2:  # two are for the audit
            raise KeyboardInterrupt
        return sample(*arguments, **options)

    monkeypatch.setattr(generators, "sample", stopping)
    loaded = quick()
    with pytest.raises(KeyboardInterrupt):
        make.run(loaded, folder, ["sd3"], ["fp32", "fp4"], IMAGES, progress=False)
    assert not (folder / "scores.parquet").exists()
    assert not list(folder.rglob(".tmp-*"))
    done = make.run(loaded, folder, ["sd3"], ["fp32", "fp4"], IMAGES, progress=False)
    assert done.made == 1 + IMAGES  # one image was left, and the renders
    pd.testing.assert_frame_equal(scores(folder), reference)


def test_shares_make_the_whole(small, tmp_path_factory):
    reference, folder = scores(small[0]), tmp_path_factory.mktemp("shares")
    for part in ((1, 2), (2, 2)):
        make.run(quick(), folder, ["sd3"], ["fp32", "fp4"], IMAGES, part, progress=False)
    pd.testing.assert_frame_equal(scores(folder), reference)


def test_a_share_that_ends_while_another_merges_is_not_lost(small, monkeypatch):
    folder, again = small
    before, tables, merged = scores(folder), merge._scores_table, []
    part, aside = folder / "parts/sd3/fp4/0000.json", folder / "aside"
    part.rename(aside)

    def meanwhile(*arguments):
        table = tables(*arguments)
        if not merged:
            aside.rename(part)  # the other share's last part appears after this one has read the parts
        merged.append(len(table))
        return table

    monkeypatch.setattr(merge, "_scores_table", meanwhile)
    make.run(quick(), folder, ["sd3"], ["fp32"], IMAGES, progress=False)
    assert merged == [len(before) - len(quick().detectors) * IMAGES, len(before)]
    pd.testing.assert_frame_equal(scores(folder), before)


def test_a_table_that_its_manifest_disowns_is_written_again(small):
    folder, again = small
    before = scores(folder)
    before.iloc[1:].to_parquet(folder / "scores.parquet")
    assert again().merged
    pd.testing.assert_frame_equal(scores(folder), before)


def test_more_images_keep_those_there(small):
    folder, _ = small
    before = times(folder / "images")
    done = make.run(quick(), folder, ["sd3"], ["fp32"], IMAGES + 1, progress=False)
    assert done.made == 2  # one fake, one render
    assert before.items() <= times(folder / "images").items()


def test_other_settings_make_the_cell_again_and_say_so(small):
    folder, again = small
    done = again(seed=7)
    assert any("sd3/fp4" in note and "made again" in note for note in done.notes)
    assert done.made >= 2 * IMAGES


def test_rejected_images_are_kept_apart_named_and_not_scored(small, monkeypatch, tmp_path_factory):
    folder = tmp_path_factory.mktemp("rejects")
    sample = generators.sample
    blank = lambda *a, **k: [Image.new("RGB", (128, 128)) for _ in sample(*a, **k)]  # noqa: E731
    monkeypatch.setattr(generators, "sample", blank)
    done = make.run(quick(), folder, ["sd3"], ["fp4"], IMAGES, progress=False)
    assert done.rejected == IMAGES
    row = pd.read_parquet(folder / "cells.parquet").iloc[0]
    assert (row["images"], row["rejected"], row["rejected_why"]) == (0, IMAGES, "0: blank; 1: blank")
    assert len(list((folder / "images/sd3/fp4/rejected").glob("*.png"))) == IMAGES
    assert set(scores(folder)["generator"]) == {"real"}
    assert make.run(quick(), folder, ["sd3"], ["fp4"], IMAGES, progress=False).nothing


def test_verification_agrees_with_the_archive_and_not_with_another(small, tmp_path):
    folder, _ = small
    loaded = quick(generators={"sd3": quick().generators["sd3"]}, precisions=["fp32", "fp4"])
    results = tmp_path / "archive"
    make.run(loaded, results, images=IMAGES, progress=False)
    written = []
    for workers in (1, 2):  # what comes out does not depend on them
        report = verify.verify_archive(loaded, 1, results, tmp_path / "check.json", workers=workers, progress=False)
        written.append((tmp_path / "check.json").read_bytes())
    assert report["agree"] and json.loads(written[0]) == report and written[0] == written[1]
    assert report["machine"]["threads"] == 1
    archived = json.loads((results / "manifest.json").read_text())
    assert report["study_digest"] == archived["study_digest"]
    assert report["scores_sha256"] == archived["files"]["scores.parquet"]
    assert [row["precision"] for row in report["cells"]] == ["fp32", "fp4"]
    assert all(row["images"] == 1 and set(row["max_logit_diff"]) == set(loaded.detectors) for row in report["cells"])

    table = pd.read_parquet(results / "scores.parquet")
    table.loc[table["precision"] == "fp4", "logit"] += 5
    table.to_parquet(results / "scores.parquet")
    report = verify.verify_archive(loaded, 1, results, progress=False)
    assert [row["agree"] for row in report["cells"]] == [True, False] and not report["agree"]

    table[table["precision"] != "fp4"].to_parquet(results / "scores.parquet")
    with pytest.raises(Failure, match="sd3/fp4"):
        verify.verify_archive(loaded, 1, results, progress=False)
    with pytest.raises(UsageError, match="another study"):
        verify.verify_archive(quick(seed=1), 1, results, progress=False)


def test_verification_of_an_arm_is_of_its_cells_alone(tmp_path):
    mini, results = schema.load("mini"), tmp_path / "archive"
    arms = {"seed": mini.arms["seed"], "text": mini.arms["text"].model_copy(update={"precisions": ["fp4"]})}
    loaded = quick(generators={"sd3": quick().generators["sd3"]}, precisions=["fp32"], detectors=["npr"], arms=arms)
    make.run(loaded, results, images=1, progress=False)
    for asked, cells in [
        (None, [("native", "fp32")]),
        (["text"], [("text", "fp4")]),
        (["text", "seed", "native"], [("native", "fp32"), ("seed", "fp32"), ("text", "fp4")]),
    ]:
        report = verify.verify_archive(loaded, 1, results, arms=asked, workers=1, progress=False)
        assert [(row["arm"], row["precision"]) for row in report["cells"]] == cells and report["agree"]
        assert [row["size"] for row in report["real"]] == [128]

    table = pd.read_parquet(results / "scores.parquet")
    table.loc[table["arm"] == "text", "logit"] += 5
    table.to_parquet(results / "scores.parquet")
    apart = [verify.verify_archive(loaded, 1, results, arms=[arm], workers=1, progress=False) for arm in arms]
    assert [report["agree"] for report in apart] == [True, False]
    with pytest.raises(UsageError, match="ladder"):
        verify.verify_archive(loaded, 1, results, arms=["ladder"], progress=False)


def test_a_contact_sheet_shows_each_precision_in_a_row(tmp_path):
    loaded, kept = quick(precisions=["fp32", "fp4"]), Store(tmp_path)
    shades, known = {"fp32": 40, "fp4": 200}, {}
    for source in plan.sources(loaded, ["sd15"]):
        for index in range(sheets.COLUMNS):
            if source.label:
                shade = Image.new("RGB", (64, 64), (shades[source.precision],) * 3)
                kept.save(shade, source, index)
                known.setdefault(source, {})[index] = store.pixel_sha256(shade)
    assert contact.write_sheets(plan.resolve(loaded), kept, known) == ["sd15"]
    sheet = np.asarray(Image.open(tmp_path / "contact/sd15.webp"))
    assert sheet.shape == (2 * 128 + sheets.GAP, 8 * 128 + 7 * sheets.GAP, 3)
    assert abs(sheet[64, 64].mean() - 40) < 4 and abs(sheet[-64, -64].mean() - 200) < 4
    known[Source("sd15", "fp4", "native", 64, 1)][3] = "of other pixels"  # as where the file is a former study's
    assert (
        contact.write_sheets(plan.resolve(loaded), kept, known) == [] and not (tmp_path / "contact/sd15.webp").exists()
    )


def test_shards_cover_every_image_once_and_keep_their_bounds():
    sources = plan.sources(quick())
    assert len(sources) == 24 + 3
    assert len(plan.sources(quick(protocols=["plain", "aligned"]))) == 24 + 3 + 6  # a VAE's reals for each generator
    sixty = plan.resolve(quick(), 60)
    every = sixty.shards(sources)
    assert sum(len(shard.indices) for shard in every) == 27 * 60
    shared = [shard for i in (1, 2, 3, 4) for shard in sixty.shards(sources, (i, 4))]
    assert sorted(s.name for s in shared) == sorted(s.name for s in every)
    assert {s.name for s in every} <= {s.name for s in plan.resolve(quick(), 500).shards(sources)}
    assert len({shard.name for shard in every}) == len(every)


@pytest.mark.parametrize(
    ("precisions", "baseline", "lowest"),
    [
        (["fp32", "fp16", "fp8", "fp4"], "fp32", "fp4"),
        (["fp16", "int2", "nf4"], "fp16", "int2"),
        (["fp32", "nf4"], "nf4", "fp32"),
        (["fp32"], "fp32", None),
    ],
)
def test_the_lowest_precision_is_the_coarsest_but_the_baseline(precisions, baseline, lowest):
    assert plan.resolve(quick(precisions=precisions, baseline=baseline), 1).lowest == lowest


def test_a_recipe_says_all_that_makes_an_image():
    loaded = schema.load("mini")
    recipes = plan.resolve(loaded, 3).recipes
    ladder = recipes[Source("sd15", "int2", "ladder", 64, 1)]
    assert (ladder.way, ladder.coverage, ladder.steps) == ("rounding", "linear", loaded.generators["sd15"].steps)
    # All of the study's, so that an image that is there already keeps the words that it was made of.
    assert ladder.prompts == tuple(loaded.prompts_for(loaded.images_per_cell)) and ladder.images == 3
    assert recipes[Source("sd15", "fp32", "seed", 64, 1)].seed == 2000 and ladder.seed == 1000
    assert recipes[Source("real", "none", "none", 64, 0)].checkpoint is None
    with pytest.raises(UsageError, match="at least 1"):
        plan.resolve(loaded, 0)


def test_a_full_study_has_reals_where_it_names_photographs():
    full = schema.load("full")
    assert [source.folder for source in plan.sources(full) if not source.label] == ["real/512", "real/768", "real/1024"]
    assert all(source.label for source in plan.sources(full.model_copy(update={"reals": None})))


def test_a_run_without_its_photographs_says_so_before_any_work(tmp_path):
    full = schema.load("full")
    missing = full.reals.model_copy(update={"path": str(tmp_path / "none")})
    with pytest.raises(UsageError, match="reals: no folder .*none; put photographs there"):
        make.run(full.model_copy(update={"reals": missing}), tmp_path / "run", ["sd15"], ["fp32"], 1, progress=False)
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize("text", ["0/4", "5/4", "1", "a/b", "-1/2", ""])
def test_a_share_is_one_of_many(text):
    with pytest.raises(UsageError, match="I/N"):
        parse_share(text)


def test_a_word_the_study_lacks_is_named():
    loaded = schema.load("mini")
    with pytest.raises(UsageError, match="no generator 'sd4'.*nearest"):
        plan.sources(loaded, ["sd4"])
    with pytest.raises(UsageError, match="the study has no precision 'bf16'"):
        plan.sources(loaded, None, ["bf16"])
    with pytest.raises(UsageError, match="no arm 'laddr'.*nearest: 'ladder'"):
        plan.sources(loaded, arms=["laddr"])


def test_an_unreadable_image_is_no_image(tmp_path):
    kept, source = Store(tmp_path), Source("sd15", "fp32", "native", 64, 1)
    image = Image.fromarray(np.random.default_rng(0).integers(0, 256, (8, 8, 3), dtype=np.uint8))
    kept.save(image, source, 7)
    assert store.pixel_sha256(kept.open(source, 7)) == store.pixel_sha256(image)
    kept.image(source, 7).write_text("no image")
    assert kept.open(source, 7) is None and kept.open(source, 8) is None


def test_a_models_digest_changes_with_its_files(tmp_path):
    (tmp_path / "a").mkdir()
    (tmp_path / "a/x").write_text("1")
    before = files.tree_sha256(tmp_path / "a")
    (tmp_path / "a/.hidden").write_text("2")
    assert files.tree_sha256(tmp_path / "a") == before
    (tmp_path / "a/x").write_text("2")
    assert files.tree_sha256(tmp_path / "a") != before


def test_weights_and_handling_count_in_a_scorings_digest():
    loaded = quick(protocols=["plain", "shared"])
    before = {scoring.key: digests.scoring_digest(scoring) for scoring in plan.scorings(loaded)}
    assert len(before) == len(set(before.values())) == 2 * len(loaded.detectors)
    harder = quick(protocols=["plain", "shared"], shared_level=5)
    for scoring in plan.scorings(harder):
        same = digests.scoring_digest(scoring) == before[scoring.key]
        assert same == (scoring.protocol == "plain")


def test_a_card_describes_a_model_and_does_not_change_it(tmp_path):
    (tmp_path / "x").write_text("1")
    before = files.tree_sha256(tmp_path)
    (tmp_path / files.CARD).write_text("{}")
    assert files.tree_sha256(tmp_path) == before


ARMS = {
    "batch": schema.Arm(title="null", precisions=["fp32"], images=4, batch_size=2),
    "seed": schema.Arm(title="seed", precisions=["fp32"], images=1, seed=7),
    "vae": schema.Arm(title="vae", precisions=["fp4"], images=1, components=["vae"], coverage="all"),
    "ladder": schema.Arm(title="ladder", precisions=["fp8", "int3", "int2"], images=1, way="rounding"),
}


def test_arms_change_what_they_say_and_no_more(tmp_path):
    loaded = quick(arms=ARMS, precisions=["fp32", "fp8"], detectors=["npr"])
    done = make.run(loaded, tmp_path, ["sd15"], images=3, progress=False)
    assert done.made == 2 * 3 + 3 + 1 + 1 + 3 + 3  # the main arm, the four others, the renders
    pixels = lambda cell, i=0: np.asarray(Image.open(tmp_path / f"images/sd15/{cell}/000{i}.png"), np.int16)  # noqa: E731
    fp32 = [pixels("fp32", i) for i in range(3)]
    assert all(np.abs(pixels("fp32-batch", i) - fp32[i]).max() <= 1 for i in range(3))
    assert np.abs(pixels("fp32-seed") - fp32[0]).mean() > 1
    assert 0 < np.abs(pixels("fp4-vae") - fp32[0]).mean() < np.abs(pixels("fp32-seed") - fp32[0]).mean()
    assert np.abs(pixels("fp8-ladder") - pixels("fp8")).max() <= 1  # rounding is what the native layers compute
    cells = pd.read_parquet(tmp_path / "cells.parquet").set_index(["arm", "precision"])
    assert cells["images"].to_dict() == {
        ("native", "fp32"): 3, ("native", "fp8"): 3, ("batch", "fp32"): 3, ("seed", "fp32"): 1, ("vae", "fp4"): 1,
        ("ladder", "fp8"): 1, ("ladder", "int3"): 1, ("ladder", "int2"): 1,
    }  # fmt: skip
    errors = cells["weight_error"]
    assert errors["native", "fp32"] == errors["batch", "fp32"] == errors["seed", "fp32"] == 0
    assert errors["native", "fp8"] == pytest.approx(errors["ladder", "fp8"], rel=1e-6)
    assert errors["ladder", "fp8"] < errors["ladder", "int3"] < errors["ladder", "int2"]
    assert list(json.loads(cells.loc[("vae", "fp4"), "component_coverage"])) == ["vae"]
    assert cells.loc[("vae", "fp4"), "output_error"] > 0.01 and cells.loc[("vae", "fp4"), "coverage"] > 0.9
    assert set(scores(tmp_path)["arm"]) == {"native", "batch", "seed", "vae", "ladder", "none"}
    assert make.run(loaded, tmp_path, ["sd15"], images=3, progress=False).nothing
    assert not (tmp_path / "contact").exists()  # eight images make a sheet


def test_a_batch_made_again_is_the_same_batch(tmp_path):
    loaded = quick(arms=ARMS, precisions=["fp32"], detectors=["npr"])
    again = lambda: make.run(loaded, tmp_path, ["sd15"], arms=["batch"], progress=False)  # noqa: E731
    again()
    folder = tmp_path / "images/sd15/fp32-batch"
    before = {path.name: path.read_bytes() for path in folder.glob("*.png")}
    (folder / "0001.png").unlink()
    (folder / "0002.png").unlink()
    assert again().made == 2
    assert {path.name: path.read_bytes() for path in folder.glob("*.png")} == before


def test_a_cell_whose_native_layers_stray_is_refused_before_its_first_image(tmp_path, monkeypatch):
    monkeypatch.setattr(audit, "kernel_deviations", lambda *arguments: {"good": 1e-6, "bad.layer": 0.9})
    done = make.run(quick(detectors=["npr"]), tmp_path, ["sd15"], ["fp8"], 1, progress=False)
    assert done.failed["sd15/fp8"].startswith("denoiser.bad.layer differs from simulated quantization by 0.9")
    assert not list(tmp_path.rglob("sd15/**/*.png"))


def test_every_protocol_is_scored_with_its_own_training_and_reals(tmp_path, monkeypatch):
    # No aligned training is needed to see where its scores go: the plain weights stand in for it.
    load, where = score.detection.load, score.detection.weights_path
    monkeypatch.setattr(score.detection, "load", lambda name, weights, device: load(name, "mini"))
    monkeypatch.setattr(score.detection, "weights_path", lambda name, weights: where(name, "mini"))
    loaded = quick(protocols=["plain", "shared", "aligned"], further={"mini-s1": ["npr"]}, detectors=["npr"])
    make.run(loaded, tmp_path, ["sd3"], ["fp32", "fp4"], IMAGES, progress=False)
    scores = pd.read_parquet(tmp_path / "scores.parquet")
    counts = scores.groupby(["protocol", "weights", "generator", "precision", "arm"]).size().to_dict()
    fakes = {
        (protocol, weights, "sd3", precision, "native"): IMAGES
        for protocol, weights in (
            ("plain", "mini"),
            ("plain", "mini-s1"),
            ("shared", "mini"),
            ("aligned", "mini-aligned"),
        )
        for precision in ("fp32", "fp4")
    }
    reals = {
        (p, w, "real", "none", "none"): IMAGES for p, w in (("plain", "mini"), ("plain", "mini-s1"), ("shared", "mini"))
    }
    assert counts == fakes | reals | {("aligned", "mini-aligned", "real", "none", "sd3"): IMAGES}
    wide = scores[scores["generator"] == "sd3"].pivot_table(
        index=["precision", "index"], columns=["protocol", "weights"], values="logit"
    )
    assert (wide["plain", "mini"] == wide["plain", "mini-s1"]).all()
    assert (wide["plain", "mini"] == wide["aligned", "mini-aligned"]).all()
    assert (wide["plain", "mini"] != wide["shared", "mini"]).all()
    assert make.run(loaded, tmp_path, ["sd3"], ["fp32", "fp4"], IMAGES, progress=False).nothing
    aligned = analysis.load(tmp_path, protocol="aligned")
    assert len(aligned.reals("npr", "sd3")) == IMAGES and set(aligned.scores["weights"]) == {"mini-aligned"}
    plain = analysis.load(tmp_path)
    assert set(plain.scores["weights"]) == {"mini"} and len(plain.reals("npr", "sd3")) == IMAGES
    harder = loaded.model_copy(update={"shared_level": 9})
    done = make.run(harder, tmp_path, ["sd3"], ["fp32", "fp4"], IMAGES, progress=False)
    assert done.made == 0 and done.scored == 3 * IMAGES  # two cells and the renders, under `shared` alone
