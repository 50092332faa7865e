"""To add a detector, a generator, a precision, a perturbation, a claim, a figure or a page takes one row or one file.

A copy of the package gets one of each and nothing else; grid, run, detect and what a report is made of must see it.
"""

import json
import os
import shutil
import subprocess
import sys
import textwrap

import nbformat
import pandas as pd
import pytest
import torch
from PIL import Image
from safetensors.torch import save_file

from helpers.core import files

#: File of the package -> the line before which a row is put, and the row.
ROWS = {
    "detectors/catalogue.py": (
        '    },\n    group="quantdetect.detectors"',
        """
        "darkness": Entry(
            title="Darkness", kind="end-to-end", source="nowhere", terms="CC0", module="helpers.detectors.darkness",
            preprocess=_NATIVE,
        ),
        """,
    ),
    "generators/catalogue.py": (
        '    },\n    group="quantdetect.generators"',
        """
        "sd16": Entry(title="SD1.6", family="UNet, epsilon", pipeline="StableDiffusionPipeline", loading=_UNCHECKED),
        """,
    ),
    "precision/catalogue.py": (
        '    },\n    group="quantdetect.precisions"',
        """
        "int5": Entry("INT5", 5, "integers -15 to 15", SYMMETRIC, BLOCK, 1, module="helpers.precision.int5"),
        """,
    ),
    "images/perturbations.py": (
        '    },\n    group="quantdetect.perturbations"',
        """
        "dim": Kind(
            "dimmed to {}", "FACTOR", 0.1, 1, False, lambda image, amount, _: image.point(lambda x: int(x * amount))
        ),
        """,
    ),
}

FILES = {
    "detectors/darkness.py": """
        import torch

        class Network(torch.nn.Module):
            def __init__(self):
                super().__init__()
                self.scale = torch.nn.Parameter(torch.ones(1))

            def maps(self, x):
                return x

            def head(self, features):
                return -self.scale * features.sum(1)

            def forward(self, x):
                return self.head(self.maps(x).mean((2, 3)))

        def build(width):
            return Network()
    """,
    "precision/int5.py": """
        import torch

        def rounded(weight):
            numbers = torch.nn.functional.pad(weight.flatten(), (0, -weight.numel() % 64)).view(-1, 64)
            scale = numbers.abs().amax(1, keepdim=True) / 15
            codes = torch.where(scale > 0, numbers / scale, 0).round()
            return (codes * scale).flatten()[: weight.numel()].view(weight.shape)

        ROUNDED = {"int5": rounded}
    """,
    "claims/deck/c12.py": """
        from helpers.analysis.stats.metrics import Interval
        from helpers.claims.claim import Claim, World
        from helpers.claims.rule import Finding

        def judge(results):
            images = float(results.scores["index"].nunique())
            return Finding("supported", "There are images.", {"images": Interval(images, images, images)}, "images")

        CLAIM = Claim(
            id="C12", part="", words="There is something to see.", short="Something to see", quantity="images",
            rule="One counts.", margins=(), page="13_bars", anchor="bars", judge=judge, true_world=World(),
            false_world=World(), headline=True,
        )
    """,
    "charts/bars.py": """
        import altair as alt

        __all__ = ["bars"]

        def bars(cells):
            return alt.Chart(cells).mark_bar().encode(x="generator_title:N", y="tpr:Q")
    """,
}

PAGE = {
    "parameters": 'results = "results/mini"\ngenerators = []\nprecisions = []\ndetectors = []',
    "hide-input": (
        "from helpers import analysis, charts, claims\nfrom helpers.paper import page\n"
        "found = page.setup(results, generators, precisions, detectors)\n"
        'outcomes = claims.evaluate(found, "C12")\n'
        'page.glue_figure("bars", charts.bars(analysis.cells(found)))\n'
        'page.answer(found, outcomes, "C12")'
    ),
}

STUDY = """
name = "one"
scale = "mini"
images_per_cell = 2
precisions = ["fp32", "int5"]
detectors = ["darkness"]
arm = "rounding"
prompts = { kind = "world" }
generators = { sd16 = { checkpoint = "sd15", size = 64, steps = 2, guidance = 3.0 } }
perturbations = { names = ["dim:0.5"], precisions = ["int5"], images = 2 }
"""


@pytest.fixture(scope="module")
def checkout(tmp_path_factory):
    """A checkout with one of each added, the weights of one miniature and those of the new detector."""
    root = tmp_path_factory.mktemp("checkout")
    package = root / "src" / "helpers"
    shutil.copytree(files.ROOT / "src" / "helpers", package, ignore=shutil.ignore_patterns("__pycache__"))
    for name, (before, row) in ROWS.items():
        text = (package / name).read_text(encoding="utf-8")
        assert text.count(before) == 1
        added = textwrap.indent(textwrap.dedent(row).strip("\n"), " " * 8)
        (package / name).write_text(text.replace(before, f"{added.rstrip()}\n{before}"), encoding="utf-8")
    for name, text in FILES.items():
        (package / name).write_text(textwrap.dedent(text), encoding="utf-8")
    _page(root)
    shutil.copy(files.ROOT / "pyproject.toml", root)  # by which a checkout is told from an installed package
    shutil.copytree(files.MODELS / "mini" / "sd15", root / "models" / "mini" / "sd15")
    (root / "models" / "mini" / "detectors").mkdir()
    weights = root / "models" / "mini" / "detectors" / "darkness.safetensors"
    save_file({"scale": torch.tensor([2.0])}, weights, {"detector": "darkness", "width": "mini"})
    (root / "results").symlink_to(files.RESULTS)
    (root / "studies").symlink_to(files.STUDIES)
    (root / "study.toml").write_text(STUDY, encoding="utf-8")
    Image.new("RGB", (16, 16), (255,) * 3).save(root / "white.png")
    return root


def _page(root):
    """A notebook and its line in the table of contents."""
    (root / "notebooks").mkdir()
    kernel = {"name": "python3", "language": "python", "display_name": "Python 3"}
    book = nbformat.v4.new_notebook(metadata={"kernelspec": kernel})
    for tag, source in PAGE.items():
        book.cells.append(nbformat.v4.new_code_cell(source, metadata={"tags": [tag]}))
    nbformat.write(book, root / "notebooks" / "13_bars.ipynb")
    (root / "book").mkdir()
    contents = (files.ROOT / "_toc.yml").read_text(encoding="utf-8")
    line = "      - file: notebooks/11_perturbations\n"
    assert line in contents
    (root / "_toc.yml").write_text(contents.replace(line, f"{line}      - file: notebooks/13_bars\n"), encoding="utf-8")


def python(checkout, code):
    """What a fresh interpreter says that finds the package in that checkout, in the checkout."""
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(code)], cwd=checkout, capture_output=True, text=True, timeout=600,
        env=os.environ | {"PYTHONPATH": str(checkout / "src")},
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_the_grid_shows_them(checkout):
    said = python(checkout, 'from helpers import cli; raise SystemExit(cli.main(["grid", "study.toml"]))')
    rows = [line.split()[:3] for line in said.splitlines() if line.startswith("sd16")]
    assert rows == [["sd16", "fp32", "2"], ["sd16", "int5", "2"]]
    assert any(line.startswith("darkness") and " yes " in line for line in said.splitlines())


def test_a_picture_is_detected_by_the_new_detector_after_the_new_perturbation(checkout):
    command = ["detect", "white.png", "--detectors", "darkness", "--perturb", "dim:0.5", "--out", "scores.csv"]
    python(checkout, f"from helpers import cli; raise SystemExit(cli.main({command}))")
    row = pd.read_csv(checkout / "scores.csv").iloc[0]
    # Half of white is level 127; with ImageNet's means and deviations that is .0570, .1877 and .4090.
    assert row.darkness_logit == pytest.approx(-2 * (0.0570 + 0.1877 + 0.4090), abs=1e-3)


def test_a_run_has_them_and_a_page_tells_of_them(checkout):
    said = python(
        checkout,
        """
        import json
        from pathlib import Path
        from helpers import analysis, charts, claims, cli, results
        from helpers.analysis import perturbed
        from helpers.paper import claim_lists, contents, execution

        assert cli.main(["run", "study.toml", "--out", "made"]) == 0
        found = results.load("made")
        page = next(notebook for notebook in contents.notebooks() if notebook.stem == "13_bars")
        execution.execute(page, "page.ipynb", {"results": "made", "generators": ["sd16"], "detectors": ["darkness"]})
        print(json.dumps({
            "titles": [found.titles(kind) for kind in ("generator", "precision", "detector")],
            "perturbed": perturbed.what(perturbed.perturbation_effects(found)),
            "coverage": found.cells.set_index("precision").coverage["int5"],
            "verdict": claims.evaluate(found, "C12")[0].verdict,
            "lists": [
                text in listed.data
                for text, listed in (
                    ("There is something to see.", claim_lists.contents()),
                    ("Something to see", claim_lists.headlines(found, claims.evaluate(found))),
                )
            ],
            "page": [word in Path("page.ipynb").read_text(encoding="utf-8") for word in ("Something to see:", "SD1.6")],
            "pages": "notebooks/13_bars" in contents.pages(),
        }))
        """,
    )
    found = json.loads(said.splitlines()[-1])
    assert found["titles"] == [{"sd16": "SD1.6"}, {"fp32": "FP32", "int5": "INT5"}, {"darkness": "Darkness"}]
    assert found["perturbed"] == "dimmed to 0.5"
    assert found["coverage"] > 0.1 and found["verdict"] == "supported" and found["lists"] == [True, True]
    assert found["page"] == [True, True] and found["pages"]
