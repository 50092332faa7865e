"""Reals from a folder of photographs: which files are taken, what is made of them, and a run on them to its figures."""

import json
import shutil

import numpy as np
import pandas as pd
import pytest
from PIL import Image
from sklearn.metrics import roc_auc_score

from helpers import analysis, cli, results, world
from helpers.core import files
from helpers.core.errors import Failure, UsageError
from helpers.images.perturbations import compressed
from helpers.paper.pages import setup
from helpers.runs import make, photographs, plan, verify
from helpers.study import schema

IMAGES, LEAST = 8, 128

STUDY = """
name = "photographed"
scale = "mini"
images_per_cell = 8
seed = 1000
precisions = ["fp32", "fp4"]
detectors = ["npr"]
protocols = ["plain", "shared", "aligned"]
coverage = "linear"

[prompts]
kind = "world"

[reals]
kind = "folder"
path = "camera"
licence = "made by this test, CC0"

[generators]
sd15 = { checkpoint = "sd15", size = 64, steps = 2, guidance = 3.0 }
"""


def photograph(seed: int, width: int, height: int) -> Image.Image:
    edge = max(width, height)
    return Image.fromarray(world.render(7_000_000 + seed, edge + edge % 2)).crop((0, 0, width, height))


@pytest.fixture(scope="module")
def study(tmp_path_factory):
    """A study file beside its folder: nine photographs that will do, one of them turned by EXIF, and five others."""
    folder = tmp_path_factory.mktemp("photographed")
    camera = folder / "camera"
    (camera / "deeper").mkdir(parents=True)
    for seed, size in enumerate([(192, 128), (128, 192), (160, 160), (256, 144), (130, 300), (129, 128), (200, 140)]):
        photograph(seed, *size).save(camera / f"{seed}.jpg", quality=90)
    photograph(7, 150, 170).save(camera / "deeper" / "7.png")
    turned = Image.Exif()
    turned[0x0112] = 6
    photograph(8, 192, 130).save(camera / "turned.jpg", quality=92, exif=turned)
    shutil.copy(camera / "3.jpg", camera / "deeper" / "again.jpg")
    photograph(9, 400, 127).save(camera / "narrow.jpg")
    (camera / "cut.jpg").write_bytes((camera / "0.jpg").read_bytes()[:2500])
    (camera / "list.txt").write_text("names")
    (camera / ".hidden").write_text("nobody's")
    (folder / "study.toml").write_text(STUDY, encoding="utf-8")
    return folder / "study.toml"


@pytest.fixture(scope="module")
def done(study, tmp_path_factory):
    """A finished run of the study: its folder and what the call did. Read only."""
    out = tmp_path_factory.mktemp("run")
    return out, make.run(schema.load(study), out, progress=False)


def taken(study, count=IMAGES, seed=1000, folder=None):
    return photographs.choose(folder or study.parent / "camera", count, LEAST, seed)


def changed(study, old, new):
    assert old in STUDY
    path = study.with_name("changed.toml")
    path.write_text(STUDY.replace(old, new, 1), encoding="utf-8")
    return path


# What is taken


def test_the_folders_photographs_are_taken_once_each_and_the_rest_is_named(study):
    found = taken(study, 9)
    assert {one.name for one in found.photographs} - {"3.jpg", "deeper/again.jpg"} == {
        *(f"{seed}.jpg" for seed in (0, 1, 2, 4, 5, 6)), "deeper/7.png", "turned.jpg",
    }  # fmt: skip
    sizes = {one.name: (one.format, one.width, one.height) for one in found.photographs}
    assert sizes["turned.jpg"] == ("JPEG", 130, 192) and sizes["deeper/7.png"] == ("PNG", 150, 170)
    assert found.left_out["smaller"] == 1 and found.left_out["there twice"] == 1
    named = [line for line in found.notes if "cut.jpg" in line or "list.txt" in line]
    assert any("list.txt: not an image" in line for line in named) and all("\n" not in line for line in named)


def test_a_broken_file_is_named_wherever_it_comes(study):
    """Its place is drawn, so of some seeds it comes before nine others have been taken, and of some after."""
    notes = [" ".join(taken(study, 9, seed).notes) for seed in range(12)]
    assert any("cut.jpg: " in line for line in notes)
    assert all("cut.jpg" not in {one.name for one in taken(study, 9, seed).photographs} for seed in range(3))


def test_more_images_keep_the_first_and_names_do_not_count(study, tmp_path):
    few, many = taken(study, 3), taken(study, 9)
    assert few.photographs == many.photographs[:3] and few.digest == many.digest
    for place, one in enumerate(many.photographs):
        shutil.copy(one.path, tmp_path / f"{99 - place}")
    again = taken(study, 9, folder=tmp_path)
    assert [one.sha256 for one in again.photographs] == [one.sha256 for one in many.photographs]
    assert [one.sha256 for one in taken(study, 9, seed=1).photographs] != [one.sha256 for one in many.photographs]


def test_another_file_is_another_digest(study, tmp_path):
    copy = tmp_path / "camera"
    shutil.copytree(study.parent / "camera", copy)
    photograph(20, 140, 140).save(copy / "new.png")
    assert taken(study, folder=copy).digest != taken(study).digest


@pytest.mark.parametrize("said", ["9 photographs of at least 128 px", "1 smaller", "broken", "10 images"])
def test_too_few_are_said_in_a_line(study, said):
    with pytest.raises(UsageError, match=said):
        taken(study, 10)


def test_no_folder_is_said_with_the_mend(tmp_path):
    with pytest.raises(UsageError, match=r"no folder .*take \[reals\] out"):
        photographs.choose(tmp_path / "none", 1, LEAST, 0)


# What is made of it


def test_the_central_square_is_kept():
    thirds = np.zeros((40, 120, 3), np.uint8)
    thirds[:, :40, 0] = thirds[:, 40:80, 1] = thirds[:, 80:, 2] = 200
    for image in (Image.fromarray(thirds), Image.fromarray(thirds.transpose(1, 0, 2))):
        assert np.asarray(photographs.squared(image, 20)).reshape(-1, 3).tolist() == [[0, 200, 0]] * 400


def test_detail_too_fine_for_the_size_is_averaged_and_not_folded():
    """A board of single pixels has its mean everywhere; every second pixel alone would be black or white."""
    board = (np.indices((128, 128)).sum(0) % 2 * 255).astype(np.uint8)
    small = np.asarray(photographs.squared(Image.fromarray(board).convert("RGB"), 32), float)
    assert np.abs(small - 127.5).max() < 3


def test_a_turned_photograph_is_shown_upright(tmp_path):
    """Orientation 6: the file's left column is the picture's top row."""
    stored = np.zeros((128, 128, 3), np.uint8)
    stored[:, :64, 0] = stored[:, 64:, 2] = 200
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.fromarray(stored).save(tmp_path / "a.jpg", quality=95, exif=exif)
    (one,) = photographs.choose(tmp_path, 1, 128, 0).photographs
    shown = np.asarray(photographs.open_square(one, 64), int)
    assert (shown[:28, :, 0] > 150).all() and (shown[36:, :, 2] > 150).all() and (shown[36:, :, 0] < 50).all()


def test_a_photograph_that_is_gone_is_named(tmp_path):
    Image.effect_noise((64, 64), 50).save(tmp_path / "a.png")
    (one,) = photographs.choose(tmp_path, 1, 32, 0).photographs
    one.path.unlink()
    with pytest.raises(Failure, match=r"a\.png: the file is gone"):
        photographs.open_square(one, 32)


def blocks(image: Image.Image) -> float:
    """How far steps between neighbours at one phase of a grid of 8 px exceed those at the others; 1 without a grid."""
    steps = np.abs(np.diff(np.asarray(image.convert("L"), float), axis=1)).mean(axis=0)
    phases = steps[:120].reshape(-1, 8).mean(axis=0)
    return float(phases.max() / np.median(phases))


@pytest.mark.parametrize(("shrink", "low", "high"), [(1, 0.9, 1.0), (2, 0.35, 0.65)])
def test_a_shrink_of_two_takes_the_grid_of_a_jpeg_away(shrink, low, high):
    """Compressed against never compressed, brought to one size alike: told apart at shrink 1, not at 2."""
    large = [photograph(seed, 128 * shrink, 128 * shrink) for seed in range(30)]
    sides = [large, [compressed(image, 75) for image in large]]
    found = [[blocks(photographs.squared(image, 128)) for image in side] for side in sides]
    assert low <= roc_auc_score([0] * 30 + [1] * 30, np.concatenate(found)) <= high


# The study file


def test_reals_are_renders_in_a_mini_study_and_none_in_a_full_one_unless_it_says_so(study):
    mini = schema.load("mini")
    assert mini.reals_kind == "world" and "reals" not in mini.model_dump()
    said = mini.model_copy(update={"reals": schema.Reals(kind="world")})
    assert said.digest() == mini.digest() == schema.load("mini").digest()
    assert plan.resolve(said, 2).recipes == plan.resolve(mini, 2).recipes
    loaded = schema.load(study)
    assert (loaded.reals_kind, loaded.reals_folder, loaded.reals_least) == ("folder", study.parent / "camera", 128)
    full = schema.load("full")
    assert full.reals_kind == "folder" and full.reals_least == 2048
    assert full.model_copy(update={"reals": None}).reals_kind is None


MISTAKES = {
    "no path": ('path = "camera"\n', "", "reals: path is missing"),
    "no licence": ('licence = "made by this test, CC0"\n', "", "reals: licence is missing"),
    "a path of renders": ('kind = "folder"', 'kind = "world"', "path is for reals of kind 'folder', not 'world'"),
    "a word": ('kind = "folder"', 'kind = "folders"', "reals.kind.*nearest: 'folder'"),
    "a key": ("licence", "license", "reals.license: unknown key.*'licence'"),
    "too small a shrink": ('path = "camera"', 'path = "camera"\nshrink = 0.5', "reals.shrink"),
}


@pytest.mark.parametrize("mistake", MISTAKES)
def test_a_mistake_is_answered_in_a_line(study, mistake):
    old, new, said = MISTAKES[mistake]
    with pytest.raises(UsageError, match=said):
        schema.load(changed(study, old, new))


def test_renders_are_no_reals_of_a_full_study(tmp_path):
    text = (files.STUDIES / "full.toml").read_text(encoding="utf-8").partition("[reals]\n")[0]
    own = '[reals]\nkind = "world"\n[generators.sd15]\ncheckpoint = "a/b"\nsize = 512\nsteps = 5\nguidance = 1.0\n'
    (tmp_path / "study.toml").write_text(text + own, encoding="utf-8")
    with pytest.raises(UsageError, match=r"reals\.kind: 'world' is what miniatures"):
        schema.load(tmp_path / "study.toml")


def test_the_grid_says_what_the_reals_are(study, capsys):
    def said(name):
        assert cli.main(["grid", str(name)]) == 0
        (line,) = [line for line in capsys.readouterr().out.splitlines() if line.startswith("reals:")]
        return line

    assert "renders" in said("mini") and "8 images of 64 px" in said(study) and "made by this test, CC0" in said(study)
    gone = said(changed(study, 'path = "camera"', 'path = "nowhere"'))
    assert "nowhere" in gone and "missing; put 8 or more, 128 px or more on the shorter side" in gone
    assert "too few" in said(changed(study, "images_per_cell = 8", "images_per_cell = 50"))
    assert "2048 px or more" in said("full")


# A run


def test_a_run_has_photographs_of_the_generators_size_without_loss(study, done):
    out, call = done
    chosen = taken(study)
    assert call.made == 2 * IMAGES + 2 * IMAGES  # two cells, the photographs, and those that passed the VAE
    for index, one in enumerate(chosen.photographs):
        with Image.open(out / f"images/real/64/{index:04d}.png") as image:
            assert image.format == "PNG" and image.size == (64, 64)
            np.testing.assert_array_equal(np.asarray(image), np.asarray(photographs.open_square(one, 64)))
    assert len(list((out / "images/real/64-sd15").glob("*.png"))) == IMAGES
    assert any("list.txt" in note for note in call.notes)


def test_the_manifest_says_which_files_the_reals_are(study, done):
    said = json.loads((done[0] / "manifest.json").read_text())
    chosen = taken(study)
    assert [row["sha256"] for row in said["reals"]["photographs"]] == [
        files.file_sha256(one.path) for one in chosen.photographs
    ]
    assert said["study"]["reals"]["licence"] == "made by this test, CC0"
    assert said["reals"]["left_out"]["smaller"] == 1 and str(study.parent) not in json.dumps(said)


def test_the_results_have_auc_tnr_and_a_calibrated_threshold(done):
    found = results.load(done[0])
    cells = analysis.cells(found).set_index("precision")
    table = pd.read_parquet(done[0] / "scores.parquet")
    table = table[(table.protocol == "plain") & (table.detector == "npr")]
    real = table[(table.label == 0) & (table.arm == "none")]
    for precision in ("fp32", "fp4"):
        fake = table[(table.label == 1) & (table.precision == precision)]
        both = pd.concat([fake, real])
        assert len(real) == len(fake) == IMAGES
        assert cells.auc[precision] == pytest.approx(roc_auc_score(both.label, both.logit))
        assert cells.tnr[precision] == pytest.approx((real.logit <= 0).mean())
        assert np.isfinite(cells.calibrated_at[precision]) and 0 <= cells.calibrated[precision] <= 1
    assert {"plain", "shared", "aligned"} == set(found.counts.protocol)
    for protocol in ("shared", "aligned"):
        assert analysis.cells(found.under(protocol)).auc.notna().all()


def test_the_page_says_what_the_reals_are_and_what_is_left(study, done, tmp_path):
    said = setup.reals(results.load(done[0]))
    formats = pd.Series([one.format for one in taken(study).photographs]).value_counts()
    for part in ("8 photographs (made by this test, CC0)", "1 smaller", f"{formats['JPEG']} JPEG", "16 fakes 16 PNG"):
        assert part in said, said
    assert "shrink of 2 and more takes" in said and "under shared both" in said
    other = schema.load(changed(study, 'path = "camera"', 'path = "camera"\nshrink = 1.0'))
    other = other.model_copy(update={"precisions": ["fp32"], "protocols": ["plain"]})
    make.run(other, tmp_path, images=2, progress=False)
    less = setup.reals(results.load(tmp_path))
    assert "2 photographs" in less and "was not scored" in less


def test_nothing_is_made_twice_and_fewer_images_forget_none(study, done):
    out, loaded = done[0], schema.load(study)
    before = json.loads((out / "manifest.json").read_text())["reals"]
    assert make.run(loaded, out, progress=False).nothing
    assert make.run(loaded, out, images=2, progress=False).nothing
    assert json.loads((out / "manifest.json").read_text())["reals"] == before


def test_an_archive_of_photographs_is_verified(study, done):
    outcome = verify.verify_archive(schema.load(study), 2, done[0], progress=False)
    assert outcome["agree"] and [row["size"] for row in outcome["real"]] == [64]


def test_another_photograph_makes_the_reals_anew_and_leaves_the_fakes(study, done, tmp_path):
    copy = tmp_path / "study"
    shutil.copytree(study.parent, copy)
    out = tmp_path / "run"
    shutil.copytree(done[0], out)
    for seed in range(30, 34):
        photograph(seed, 140, 140).save(copy / "camera" / f"{seed}.png")
    call = make.run(schema.load(copy / "study.toml"), out, progress=False)
    assert call.made == 2 * IMAGES and any("real/64" in note for note in call.notes)


@pytest.mark.parametrize(
    ("scale", "labels", "said"),
    [("mini", (1, 1), "no real images"), ("full", (0, 1), "does not say"), ("mini", (0, 1), "renders of the mini")],
)
def test_reals_of_another_origin_are_called_what_they_are(scale, labels, said):
    sources = [("sd3", "fp32", "native") if label else ("real", "none", "none") for label in labels]
    frame = pd.DataFrame(sources, columns=["generator", "precision", "arm"]).assign(
        label=labels, index=range(2), logit=0.5, protocol="plain", size=128, detector="npr", weights="mini"
    )
    assert said in setup.reals(results.from_frame(frame, manifest={"study": {"scale": scale}}))
