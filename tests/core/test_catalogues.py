"""Catalogues: keys and their nearest, rows of other packages, and that no catalogue needs torch."""

import re
import subprocess
import sys
import textwrap

import pandas as pd
import pytest
import torch
from PIL import Image
from safetensors.torch import save_file

from helpers.core import files
from helpers.core.errors import Failure, UsageError
from helpers.core.registry import Registry
from helpers.detectors.catalogue import DETECTORS, WIDTHS, of_kind
from helpers.generators.catalogue import GENERATORS
from helpers.paper.pages import setup
from helpers.precision.catalogue import PRECISIONS

LIGHT = (
    "helpers.detectors.catalogue", "helpers.generators.catalogue", "helpers.precision.catalogue", "helpers.study",
    "helpers.results", "helpers.analysis", "helpers.claims", "helpers.charts", "helpers.paper.page", "helpers.cli",
)  # fmt: skip


def python(code, path=None):
    """What a fresh interpreter prints, with the folder `path` among those of installed packages."""
    code = (f"import sys; sys.path.append({str(path)!r})\n" if path else "import sys\n") + textwrap.dedent(code)
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def installed(folder, name, points, **modules):
    """A package in a folder as an installer leaves it: modules and the entry points of its metadata."""
    about = folder / f"{name}-1.0.dist-info"
    about.mkdir(parents=True)
    (about / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n")
    (about / "entry_points.txt").write_text("\n".join(f"[{group}]\n{lines}\n" for group, lines in points.items()))
    (folder / name).mkdir()
    for module, text in {"__init__": "", **modules}.items():
        (folder / name / f"{module}.py").write_text(textwrap.dedent(text))
    return folder


def test_what_only_reads_catalogues_needs_no_torch():
    """None of them in one interpreter; the modules that brought it, and so all after the first, are told."""
    load = "importlib.import_module(name); 'torch' in sys.modules and print(name)"
    assert python(f"import importlib\nfor name in {LIGHT}: {load}") == ""


@pytest.mark.parametrize(
    "catalogue, wrong, right",
    [(DETECTORS, "r50-tf", "r50_tf"), (GENERATORS, "sd-15", "sd15"), (PRECISIONS, "fp-4", "fp4")],
)
def test_an_unknown_key_is_told_with_the_nearest_one(catalogue, wrong, right):
    with pytest.raises(UsageError, match=rf"no \w+ '{wrong}' \(nearest: '{right}'\); one of \w+, "):
        catalogue[wrong]
    assert wrong not in catalogue and catalogue.get(wrong) is None and catalogue.title(wrong) == wrong
    assert right in catalogue and catalogue.title(right) == catalogue[right].title
    assert None not in catalogue and [] not in catalogue


def test_a_catalogue_keeps_its_order_and_refuses_to_be_changed():
    fruit = Registry("fruit", {"pear": 1, "apple": 2})
    assert (list(fruit), len(fruit), dict(fruit)) == (["pear", "apple"], 2, {"pear": 1, "apple": 2})
    with pytest.raises(TypeError):
        fruit["plum"] = 3


def test_every_row_says_what_others_read():
    assert set(of_kind("end-to-end")) | set(of_kind("frozen backbone")) == {
        k for k, row in DETECTORS.items() if row.published
    }
    assert all(set(row.preprocess) == set(WIDTHS) for row in DETECTORS.values())
    assert all(0 < row.linear_share < 1 and row.size % 8 == 0 for row in GENERATORS.values())
    # Scales: 4 bytes to 64 weights, or 2 in 16 bits; a zero point is one number more.
    assert {key: row.bits_with_scales for key, row in PRECISIONS.items()} == {
        "fp32": 32, "fp16": 16, "bf16": 16, "fp8": 8, "fp8_e5m2": 8, "int8": 8, "fp4": 4.5, "nf4": 4.5, "int4": 4.25,
        "int4_affine": 4.5, "int3": 3.25, "int2": 2.25, "w4a4": 4.25,
        # One byte to 32 (MX specification) or 16; two to 32; GGUF's block of 144 bytes to 256.
        "mxfp4": 4.25, "nvfp4": 4.5, "q8_0": 8.5, "q4_0": 4.5, "q4_k": 4.5,
    }  # fmt: skip


def test_the_row_of_another_package_is_loaded_when_it_is_asked_for(tmp_path, monkeypatch):
    points = {
        "test.fruit": "fig = basket.rows:FIG\npear = basket.rows:FIG\nno-key = basket.rows:FIG\nbad = basket.no:X"
    }
    monkeypatch.syspath_prepend(installed(tmp_path, "basket", points, rows="FIG = 'blue'"))
    fruit = Registry("fruit", {"pear": "green"}, "test.fruit", str)
    with pytest.warns(UserWarning) as caught:
        assert list(fruit) == ["pear", "bad", "fig"]
    assert sorted(str(one.message) for one in caught) == [
        "package basket: fruit 'no-key' is left out: no key of small letters, digits and _",
        "package basket: fruit 'pear' is left out: taken",
    ]
    assert "basket.rows" not in sys.modules and fruit["fig"] == "blue" and fruit["pear"] == "green"
    with pytest.raises(Failure, match="fruit bad: package basket cannot be loaded: ModuleNotFoundError"):
        fruit["bad"]
    with pytest.raises(Failure, match="fruit fig: package basket gives a str for its row"):
        Registry("fruit", {"pear": 1, "bad": 2}, "test.fruit", int)["fig"]


DETECTOR = {
    "rows": """
        from helpers.detectors.catalogue import IMAGENET, Entry, Preprocess

        MINE = Entry("Mine", "end-to-end", "nowhere", "CC0", "brightness.network", {
            "full": Preprocess("native", *IMAGENET)})
    """,
    "network": """
        import torch

        class Network(torch.nn.Module):
            def __init__(self):
                super().__init__()
                self.scale = torch.nn.Parameter(torch.ones(1))

            def maps(self, x):
                return x

            def head(self, features):
                return self.scale * features.sum(1)

            def forward(self, x):
                return self.head(self.maps(x).mean((2, 3)))

        def build(width):
            return Network()
    """,
}


def test_a_detector_of_another_package_is_seen_by_grid_and_detect(tmp_path):
    place = installed(tmp_path, "brightness", {"quantdetect.detectors": "mine = brightness.rows:MINE"}, **DETECTOR)
    (tmp_path / "weights").mkdir()
    save_file({"scale": torch.tensor([2.0])}, tmp_path / "weights" / "mine.safetensors")
    study = (files.STUDIES / "full.toml").read_text(encoding="utf-8")
    study = study.replace('detectors = ["npr", ', 'detectors = ["mine", "npr", ')
    assert '"mine"' in study
    (tmp_path / "study.toml").write_text(study, encoding="utf-8")
    for name, level in (("dark", 0), ("light", 255)):
        Image.new("RGB", (16, 16), (level,) * 3).save(tmp_path / f"{name}.png")
    said = python(
        f"""
        from helpers import cli
        assert cli.main(["grid", {str(tmp_path / "study.toml")!r}]) == 0 and "torch" not in sys.modules
        assert cli.main(["detect", {str(tmp_path / "dark.png")!r}, {str(tmp_path / "light.png")!r}, "--detectors",
            "mine", "--weights", {str(tmp_path / "weights")!r}, "--out", {str(tmp_path / "scores.csv")!r}]) == 0
        from helpers import detectors
        try:
            detectors.load("mine")  # which `train mini` does not know
        except Exception as error:
            print(error)
        """,
        place,
    )
    assert "mine.safetensors: its package is no part of this one, so name its file or folder" in said
    table = pd.read_csv(tmp_path / "scores.csv").set_index(["path"])
    # The mean and the deviation of ImageNet, by hand: a black image is -2.118, -2.036 and -1.804.
    expected = {"dark.png": 2 * (-2.1179 - 2.0357 - 1.8044), "light.png": 2 * (2.2489 + 2.4286 + 2.6400)}
    assert {place.rpartition("/")[2]: logit for place, logit in table.mine_logit.items()} == pytest.approx(
        expected, abs=1e-3
    )


ROWS = """
    from helpers.generators.catalogue import Entry as Generator
    from helpers.images.perturbations import Kind
    from helpers.precision.catalogue import SYMMETRIC, Entry as Precision

    MINE = Generator("Mine", "DiT", "PixArtAlphaPipeline")
    INT5 = Precision("INT5", 5, "integers -15 to 15", SYMMETRIC, 64, 1, module="more.int5")
    DIM = Kind("dimmed to {}", "FACTOR", 0.1, 1, False, lambda image, amount, _: image.point(lambda x: int(x * amount)))
"""


def test_generators_precisions_and_perturbations_come_from_packages_too(tmp_path):
    points = {
        "quantdetect.generators": "mine = more.rows:MINE", "quantdetect.precisions": "int5 = more.rows:INT5",
        "quantdetect.perturbations": "dim = more.rows:DIM",
    }  # fmt: skip
    said = python(
        """
        from helpers.analysis.perturbed import title
        from helpers.analysis.words import named
        from helpers.images import perturbations
        from helpers.study import schema
        study = schema.load("full").model_dump(mode="json")
        study["generators"] = {"mine": study["generators"]["sd3"]}
        study |= {"precisions": ["fp32", "int5"], "arms": {}, "perturbations": None}
        row = schema.expected(schema.Study.model_validate(study))[1]
        print(row["title"], row["bytes"], named("int5"), title("dim:0.5"), perturbations.parse("dim:0.5").name)
        print("torch" in sys.modules)
        """,
        installed(tmp_path, "more", points, rows=ROWS),
    )
    assert said.splitlines() == ["Mine None INT5 dimmed to 0.5 dim:0.5", "False"]


@pytest.mark.parametrize("key", ["common", "sd16"])
def test_a_generator_of_another_package_has_no_miniature(tmp_path, key):
    place = installed(tmp_path, "more", {"quantdetect.generators": f"{key} = more.rows:MINE"}, rows=ROWS)
    said = python(
        """
        from helpers.generators.catalogue import GENERATORS
        from helpers.mini.families import FAMILIES
        print(*GENERATORS)
        print(*FAMILIES)
        """,
        place,
    )
    assert said.splitlines() == [f"sd15 sd21 sdxl sd3 sd35 flux1 {key}", "sd15 sd21 sdxl sd3 sd35 flux1"]


def test_the_methods_page_prints_the_table_of_formats():
    cells = [re.sub("<[^>]*>", "", cell) for cell in re.findall("<td.*?</td>", setup.formats().data)]
    printed = {cells[place + 1]: cells[place : place + 7] for place in range(0, len(cells), 7)}
    assert list(printed) == list(PRECISIONS)
    quantiles, of = "16 quantiles of a normal distribution, -1 to 1", "QLoRA, arXiv 2305.14314"
    row = ["NF4", "nf4", "4", "4.5", f"{quantiles}; 1 scale for each block of 64", "bitsandbytes", of]
    assert printed["nf4"] == row
    assert all(len(row[-1]) > 3 for row in printed.values())  # each says who defines it
    assert printed["w4a4"][4].endswith("; inputs of layers: INT4, each token in groups of 64")
    assert "2411.05007" in printed["w4a4"][-1]
    assert "```{glue} formats" in (files.BOOK / "methods.md").read_text(encoding="utf-8")
