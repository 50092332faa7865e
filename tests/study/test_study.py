"""Study files: what the shipped ones hold, and what each mistake in one is answered with."""

import os

import pytest

from helpers.core import files
from helpers.core.errors import UsageError, nearest
from helpers.detectors.catalogue import DETECTORS, published
from helpers.generators.catalogue import GENERATORS
from helpers.mini.training import miniatures
from helpers.study import schema

MINI = (files.STUDIES / "mini.toml").read_text(encoding="utf-8")


def changed(folder, old, new):
    """A copy of the mini study with the first `old` replaced by `new`."""
    assert old in MINI
    path = folder / "changed.toml"
    path.write_text(MINI.replace(old, new, 1), encoding="utf-8")
    return path


@pytest.mark.parametrize("name", ["mini", "full"])
def test_a_shipped_study_is_the_decks_grid(name):
    shipped = schema.load(name)
    assert shipped.name == shipped.scale == name
    assert [(cell.generator, cell.precision) for cell in shipped.cells()] == [
        (generator, precision)
        for generator in ("sd15", "sd21", "sdxl", "sd3", "sd35", "flux1")
        for precision in ("fp32", "fp16", "fp8", "fp4")
    ]
    assert [key for key in shipped.detectors if published(key)] == [key for key in DETECTORS if published(key)]
    assert shipped.images_per_cell == 500


def test_the_shipped_studies_differ_in_scale_and_keep_margins_and_seeds():
    mini, full = schema.load("mini"), schema.load("full")
    assert mini.margins == full.margins
    assert mini.seed == full.seed
    ratio = {settings.size / mini.generators[key].size for key, settings in full.generators.items()}
    assert ratio == {8.0}  # 512 : 768 : 1024 as 64 : 96 : 128


def test_the_full_study_has_the_published_settings():
    generators = schema.load("full").generators
    assert {key: (own.size, own.steps, own.guidance) for key, own in generators.items()} == {
        "sd15": (512, 50, 7.5),
        "sd21": (768, 25, 7.5),
        "sdxl": (1024, 50, 5.0),
        "sd3": (1024, 28, 7.0),
        "sd35": (1024, 40, 4.5),
        "flux1": (1024, 28, 3.5),
    }


def test_prompts_are_paired_by_index():
    mini, full = schema.load("mini"), schema.load("full")
    for shipped in (mini, full):
        assert shipped.prompts_for(5)[:3] == shipped.prompts_for(3)
    assert len(set(full.prompts_for(500))) == 500
    with pytest.raises(UsageError, match="500"):
        full.prompts_for(501)


def test_the_mini_prompts_are_the_captions_of_the_test_scenes():
    from helpers import world

    first = world.SPLITS["test"]
    assert schema.load("mini").prompts_for(4) == [world.caption(world.scene(first + i)) for i in range(4)]


MISTAKES = {
    "a perturbation that is none": (
        '"jpeg:95"',
        '"jpg:95"',
        r"perturbations.names: no perturbation 'jpg'.*nearest: 'jpeg'",
    ),
    "a precision of perturbations": ('precisions = ["fp32", "fp4"]', 'precisions = ["int8"]', r"'int8' is none of the"),
    "a perturbation out of range": ('"blur:2"', '"blur:200"', r"perturbations.names: .*'blur:200'.*from 0.1 to 20"),
    "a key of perturbations": ('names = ["jpeg', 'nmes = ["jpeg', r"perturbations.nmes: unknown key.*nearest: 'names'"),
    "key of a generator": ("steps = 20", "stpes = 20", r"generators\.sd15\.stpes: unknown key .*'steps'"),
    "generator": ("sd35 =", "sd36 =", r"generators\.sd36: no such key 'sd36' \(nearest: 'sd3"),
    "key at the top": ("images_per_cell", "image_per_cell", r"image_per_cell: unknown .*'images_per_cell'"),
    "precision": ('"fp8"', '"f8"', r"precisions\[2\]: no such value 'f8' \(nearest: 'fp8'\)"),
    "detector": ('"clip_d"', '"clip-d"', r"detectors\[3\]: no such value 'clip-d' \(nearest: 'clip_d'\)"),
    "nothing like it": ('"linear"', '"xyz"', r"coverage: no such value 'xyz' \(one of: linear, all\)"),
    "too small": ("steps = 20", "steps = 0", r"generators\.sd15\.steps: 0 should be .*nearest: 1\)"),
    "off the grid": ("size = 96", "size = 99", r"generators\.sd21\.size: 99 .*multiple of 8 \(nearest: 96\)"),
    "margins of its own": (
        "[prompts]",
        "[margins]\ndrop = 0.1\n\n[prompts]",
        r"toml: margins: .* copy of studies/rules\.toml",
    ),
    "rules that are not there": ('"rules.toml"', '"mine/rules.toml"', r"rules: .*rules\.toml"),
    "type": ("seed = 1000", 'seed = "one"', r"seed: 'one' should be a valid integer"),
    "not a number": ("guidance = 3.0", "guidance = nan", r"generators\.sd15\.guidance: nan"),
    "missing": ("size = 64, ", "", r"generators\.sd15\.size: missing"),
    "twice": ('"fp8"', '"fp4"', r"precisions: 'fp4' .*more than once"),
    "none": ('["fp32", "fp16", "fp8", "fp4"]', "[]", r"precisions: \[\] should have at least 1 item, not 0"),
    "a blank in the name": ('name = "mini"', 'name = "my study"', r"name: 'my study' should match pattern"),
    "syntax": ("seed = 1000", "seed 1000", r"not valid TOML: .*line 6"),
    "a baseline that is not run": (
        'weights = "mini" ',
        'baseline = "bf16"\nweights = "mini" ',
        r"baseline: 'bf16' is none of",
    ),
    "a generator of an arm": (
        '["sd15", "sd21", "sdxl"]',
        '["sd15", "sd36"]',
        r"arms\.all\.generators: 'sd36' is none of the study's generators",
    ),
    "no generator of an arm": (
        '["sd15", "sd21", "sdxl"]',
        "[]",
        r"arms\.all\.generators: \[\] should .*at least 1 item",
    ),
    "twice in an arm": ('["fp8_e5m2", "nf4"', '["nf4", "nf4"', r"arms\.ladder_all\.precisions: 'nf4' .*more than once"),
    "no component of an arm": ('["vae"]', "[]", r"arms\.vae\.components: \[\] should .*at least 1 item"),
    "one perturbation in two spellings": (
        '"jpeg:95"',
        '"jpeg:75.0"',
        r"perturbations\.names: 'jpeg:75' .*more than once",
    ),
    "no perturbation": ('"jpeg:95"', '"none"', r"perturbations\.names: 'none' is what scores\.parquet holds"),
    "digits of another script": ('"jpeg:95"', '"jpeg:٩٥"', r"perturbations\.names: .*whole number from 1 to 100"),
    "a training of nobody": (
        'mini-s4 = ["npr", "r50_nodown", "r50_tf", "clip_d"]',
        "mini-s4 = []",
        r"further\.mini-s4: \[\] should .*at least 1",
    ),
    "a training twice": ("mini-s1 =", "mini =", r"further: 'mini' and weights have one label, mini; rename one"),
    "a training named as one of a protocol": (
        "mini-s1 =",
        "mini-aligned =",
        r"and weights have one label, mini-aligned",
    ),
    "blanks around a label": ("mini-s1 =", '" mini-s1" =', r"further\.' mini-s1': .*without blanks at its ends"),
    "a path for captions": (
        'kind = "world"',
        'kind = "world"\npath = "a.txt"',
        r"prompts: path is for prompts of kind 'file'",
    ),
    "a miniature above": (
        '"sd15", size',
        '"../../../etc", size',
        r"generators\.sd15\.checkpoint: .* no folder in models/mini",
    ),
    "a miniature anywhere": (
        '"sd15", size',
        '"/etc", size',
        r"generators\.sd15\.checkpoint: '/etc' is no folder in models/mini",
    ),
    "no miniature": ('"sd15", size', '".", size', r"generators\.sd15\.checkpoint: '\.' is no folder in models/mini"),
    "a control character": (
        '"sd15", size',
        '"sd15\\u0000", size',
        r"generators\.sd15\.checkpoint: 'sd15\\x00': .*control",
    ),
    "a name of a device": ('name = "mini"', 'name = "Con.1"', r"name: 'Con\.1': not every system takes a folder"),
    "a name that ends in a dot": ('name = "mini"', 'name = "mini."', r"name: 'mini\.': not every system"),
    "a name too long for a folder": ('name = "mini"', f'name = "{"m" * 300}"', r"name: 'mmm.* at most 100 characters"),
    "a long value": ('"linear" ', f'"{"x" * 10**6}" ', r"coverage: no such value 'xxx.*x' \(one of: linear, all\)$"),
    "a number of thousands of digits": (
        "seed = 1000 ",
        f"seed = 0x{'f' * 5000} ",
        r"seed: a value of type int that is too",
    ),
    "a batch of everything": ("batch_size = 5 ", f"batch_size = {10**30} ", r"batch_size: 10+ should be .*1000000"),
    "no prompt file named": ('kind = "world"', 'kind = "file"', r"prompts: path is missing"),
}


@pytest.mark.parametrize("old, new, answer", MISTAKES.values(), ids=MISTAKES)
def test_a_mistake_names_its_place_its_value_and_the_mend_in_one_line(tmp_path, old, new, answer):
    path = changed(tmp_path, old, new)
    with pytest.raises(UsageError, match=answer) as caught:
        schema.load(path)
    assert str(caught.value).startswith(f"{path}: ")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("old, new, answer", MISTAKES.values(), ids=MISTAKES)
def test_a_mistake_is_told_in_a_line_that_can_be_read(tmp_path, old, new, answer):
    path = changed(tmp_path, old, new)
    with pytest.raises(UsageError) as caught:
        schema.load(path)
    assert len(str(caught.value).removeprefix(str(path))) < 400 and str(caught.value).isprintable()


def test_a_miniature_behind_a_link_is_not_one_of_the_repository(tmp_path, monkeypatch):
    (tmp_path / "models" / "mini" / "own").mkdir(parents=True)
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "models" / "mini" / "link").symlink_to(tmp_path / "elsewhere")
    monkeypatch.setattr(files, "MODELS", tmp_path / "models")
    only = MINI.replace('checkpoint = "sd', 'checkpoint = "own/../own').replace('"flux1", size', '"own", size')
    for name, refused in (("own", False), ("link", True)):
        file = tmp_path / "study.toml"
        text = "\n".join(line for line in only.splitlines() if "own/.." not in line).replace('"own"', f'"{name}"')
        text = text.replace('generators = ["sd15", "sd21", "sdxl"]', "")
        file.write_text(text, encoding="utf-8")
        if refused:
            with pytest.raises(UsageError, match="'link' is no folder in models/mini"):
                schema.load(file)
        else:
            assert schema.load(file).keys == ("flux1",)


def test_a_pipe_or_a_device_is_no_study_and_no_prompts(tmp_path):
    os.mkfifo(tmp_path / "pipe.toml")
    for place in (tmp_path / "pipe.toml", "/dev/zero", tmp_path):
        with pytest.raises(UsageError, match="name a TOML study file"):
            schema.load(place)
    for place in ("pipe.toml", "/dev/zero", "."):
        with pytest.raises(UsageError, match="name a UTF-8 file of prompts"):
            schema.load(changed(tmp_path, 'kind = "world"', f'kind = "file"\npath = "{place}"'))


def test_an_arm_of_generators_that_the_study_lacks(tmp_path):
    path = changed(tmp_path, 'sd15 = { checkpoint = "sd15", size = 64, steps = 20, guidance = 3.0 }', "")
    with pytest.raises(UsageError, match=r"arms\.all\.generators: 'sd15' is none of the study's generators: sd21, "):
        schema.load(path)


def test_no_seed_of_any_image_leaves_what_a_table_holds(tmp_path):
    path = changed(tmp_path, "seed = 1000", f"seed = {2**62 - 1}")
    path.write_text(path.read_text().replace("images_per_cell = 500", "images_per_cell = 1000000"))
    loaded = schema.load(path)
    assert loaded.seed + loaded.images_per_cell - 1 < 2**63  # of 64 bits with a sign
    with pytest.raises(UsageError, match="seed: .* should be less than"):
        schema.load(changed(tmp_path, "seed = 1000", f"seed = {2**62}"))


def test_a_study_cannot_ask_for_more_prompts_than_the_grammar_has(tmp_path):
    path = changed(tmp_path, 'kind = "world"', 'kind = "grammar"')
    path.write_text(path.read_text().replace("images_per_cell = 500", "images_per_cell = 501"))
    with pytest.raises(UsageError, match="the grammar has 500.*ask for fewer"):
        schema.load(path)


def test_an_unknown_study_names_the_nearest():
    with pytest.raises(UsageError, match=r"no study 'mni' \(nearest: 'mini'\); name one of full, mini"):
        schema.load("mni")
    with pytest.raises(UsageError, match="no study 'elsewhere/x.toml'"):
        schema.load("elsewhere/x.toml")


def test_prompts_from_a_file_are_its_lines_beside_the_study(tmp_path):
    (tmp_path / "lines.txt").write_text("a café\n\n  a river  \na hill\n", encoding="utf-8")
    path = changed(tmp_path, 'kind = "world"', 'kind = "file"\npath = "lines.txt"')
    with pytest.raises(UsageError, match="lines.txt: 3 prompts, 500 images"):
        schema.load(path)
    path.write_text(path.read_text().replace("images_per_cell = 500", "images_per_cell = 3"))
    own = schema.load(path)
    assert own.prompts_for(3) == ["a café", "a river", "a hill"]
    before = own.digest()
    (tmp_path / "lines.txt").write_text("a café\na river\na lake\n", encoding="utf-8")
    assert schema.load(path).digest() != before


@pytest.mark.parametrize(
    "old, new",
    [
        ("steps = 20", "steps = 21"),
        ("guidance = 3.0", "guidance = 2.0"),
        ("size = 64", "size = 72"),
        ("seed = 1000", "seed = 1001"),
        ('"linear"', '"all"'),
        ('["denoiser", "t5"]', '["denoiser"]'),
        ('kind = "world"', 'kind = "grammar"'),
    ],
)
def test_the_digest_follows_what_determines_the_images(tmp_path, old, new):
    assert schema.load(changed(tmp_path, old, new)).digest() != schema.load("mini").digest()


@pytest.mark.parametrize(
    "old, new",
    [
        ("images_per_cell = 500", "images_per_cell = 5"),
        ('["npr", "r50_nodown", "r50_tf", "clip_d"]', '["npr"]'),
        ('"jpeg:95", ', ""),
        ("shard_size = 25", "shard_size = 5"),
        ('["denoiser", "t5"]', '["t5", "denoiser"]'),
    ],
)
def test_the_digest_ignores_what_does_not(tmp_path, old, new):
    assert schema.load(changed(tmp_path, old, new)).digest() == schema.load("mini").digest()


def test_an_arm_changes_what_it_names_and_the_main_arm_stays():
    mini = schema.load("mini")
    bare = mini.model_copy(update={"arms": {}})
    assert mini.digest() == bare.digest()
    digests = {name: mini.digest(name) for name in mini.arms}
    assert len(set(digests.values()) | {mini.digest()}) == len(mini.arms) + 1
    assert (mini.setting("seed", "native"), mini.setting("seed", "seed")) == (1000, 2000)
    assert mini.setting("seed", "vae") == 1000
    assert (mini.setting("way", "ladder"), mini.setting("way", "vae")) == ("rounding", "native")
    assert mini.setting("components", "all") == mini.components and mini.setting("coverage", "all") == "all"
    assert min(mini.images_of(cell.arm, 500) for cell in mini.arm_cells()) >= 100
    assert mini.images_of("vae", 500) == 100 and mini.images_of("native", 500) == 500
    assert mini.images_of("ladder", 7) == 7


def test_the_controls_of_the_mini_study_are_all_there():
    """A null control, other seeds, the VAE alone, the text encoders alone, convolutions, and a ladder for everyone."""
    mini = schema.load("mini")
    cells = {(cell.arm, cell.generator, cell.precision) for cell in mini.arm_cells()}
    for key in GENERATORS:
        assert {("batch", key, "fp32"), ("seed", key, "fp32"), ("vae", key, "fp4"), ("text", key, "fp4")} <= cells
        ladder = {precision for arm, generator, precision in cells if (arm, generator) == ("ladder", key)}
        assert ladder >= {"int8", "fp8", "q8_0", "fp4", "nf4", "nvfp4", "mxfp4", "int4", "q4_0", "q4_k", "int3", "int2"}
        unet = key in ("sd15", "sd21", "sdxl")
        assert (("all", key, "fp4") in cells) == (("ladder_all", key, "fp4") in cells) == unet
        assert {("w4a4", key, "int4"), ("w4a4", key, "w4a4")} <= cells
    counts = {cell: mini.images_of(cell.arm, 500) for cell in mini.arm_cells()}
    for cell, images in counts.items():  # where a dose may be matched, all trainings look at as many as in the main arm
        assert images == 500 or cell.precision not in mini.arms[cell.arm].further


def test_a_confirmation_has_scenes_and_noise_of_its_own():
    """The study and its confirmation share neither a scene nor a seed, and differ in nothing else."""
    mini, again = schema.load("mini"), schema.load("mini-confirmation")
    count = mini.images_per_cell
    assert again.prompts_for(count) == mini.prompts_for(2 * count)[count:]
    assert not {mini.seed + i for i in range(count)} & {again.seed + i for i in range(again.images_per_cell)}
    beside = {"name", "seed", "prompts", "arms", "perturbations", "confirms"}
    assert mini.model_dump(exclude=beside) == again.model_dump(exclude=beside)
    assert mini.digest() != again.digest()


@pytest.mark.parametrize("again", [1, 2])
def test_other_trainings_of_generators_differ_from_the_study_in_nothing_else(again):
    mini, other = schema.load("mini"), schema.load(f"mini-denoisers-s{again}")
    beside = {"name", "generators", "arms", "perturbations", "retrains"}
    assert mini.model_dump(exclude=beside) == other.model_dump(exclude=beside)
    assert other.retrains == "mini" and set(other.keys) == {"sd15", "sd3", "sd35"}
    for key in other.keys:
        own, theirs = mini.generators[key], other.generators[key]
        assert theirs == own.model_copy(update={"checkpoint": f"{key}-s{again}"})
        assert f"{key}-s{again}" in miniatures.AGAIN


def test_an_arm_has_a_name_of_its_own(tmp_path):
    with pytest.raises(UsageError, match="an arm cannot be called 'sd3'; give it another name"):
        schema.load(changed(tmp_path, "[arms.batch]", "[arms.sd3]"))
    with pytest.raises(UsageError, match="arms.vae.componens: unknown key.*nearest: 'components'"):
        schema.load(changed(tmp_path, "[arms.vae]", '[arms.vae]\ncomponens = ["vae"]'))


def test_a_study_survives_being_written_down():
    mini = schema.load("mini")
    assert schema.Study.model_validate_json(mini.model_dump_json()) == mini


def test_expected_says_what_each_cell_needs():
    rows = {(row["generator"], row["precision"]): row for row in schema.expected(schema.load("full"))}
    assert len(rows) == 24
    assert rows["flux1", "fp4"]["source"] == "black-forest-labs/FLUX.1-dev"
    assert "gated" in rows["sd3", "fp32"]["terms"]
    assert rows["sd15", "fp32"]["bytes"] == 4 * 859_520_964
    # Linear layers only: FP4 keeps 4.5 of 32 bits of Flux (scales included) and leaves most of SD1.5 at 16 bits.
    assert rows["flux1", "fp4"]["bytes"] < 0.145 * rows["flux1", "fp32"]["bytes"]
    assert rows["sd15", "fp4"]["bytes"] > 0.35 * rows["sd15", "fp32"]["bytes"]
    mini = schema.expected(schema.load("mini"))
    assert {row["terms"] for row in mini} == {"in this repository"}
    assert mini[0]["source"] == str(files.MODELS / "mini" / "sd15")


def test_nearest_is_silent_where_nothing_is_alike():
    assert nearest("FP-4", ["fp32", "fp4"]) == " (nearest: 'fp4')"
    assert nearest("zebra", ["fp32", "fp4"]) == ""


def test_a_file_is_replaced_whole_or_not_at_all(tmp_path):
    path = tmp_path / "new" / "table.csv"
    with files.replacing(path) as temporary:
        temporary.write_text("one")
        assert temporary.suffix == ".csv" and not path.exists()
    assert path.read_text() == "one"
    with pytest.raises(RuntimeError), files.replacing(path) as temporary:
        temporary.write_text("half")
        raise RuntimeError
    assert path.read_text() == "one"
    assert list(path.parent.iterdir()) == [path]


def test_a_size_beyond_all_sizes_is_refused_in_one_line(tmp_path):
    huge = "0x" + "f" * 400
    with pytest.raises(UsageError, match="generators.sd21.size: .* should be a multiple of 8$") as raised:
        schema.load(changed(tmp_path, "size = 96", f"size = {huge}"))
    assert len(str(raised.value)) < 400 + len(str(tmp_path))
