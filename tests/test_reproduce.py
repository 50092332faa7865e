"""The commands of the page on reproducing, each typed as it stands there, where the studies are tiny.

What differs from a reader's call is said here and nowhere else: the studies (`STUDY`), their models (`pixart`), the
device (`DEVICE`), the steps of a training (`FEW`), and what a book is of (`book`): one notebook, and its pages are not
compiled, for tests/paper does that. What the README's table has too, and takes seconds, test_examples.py types.
"""

from __future__ import annotations

import json
import os
import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Callable, Collection, Iterator
from concurrent.futures import Future
from contextlib import contextmanager
from pathlib import Path

import nbformat
import numpy as np
import pandas as pd
import pytest
import synthetic
from PIL import Image, ImageFilter
from recorded import record
from test_examples import ROWS

from helpers import world
from helpers.cli import app
from helpers.core import device, files
from helpers.mini.training import detectors as training
from helpers.mini.training import miniatures
from helpers.paper import build, contents
from helpers.paper.contents import Job
from helpers.results import devices
from helpers.runs import Shard, parse_share, verify
from helpers.runs.executors import worker as executors
from helpers.runs.executors.staff import Staff, staff

PAGE = (files.BOOK / "reproduce.md").read_text(encoding="utf-8")
COMMANDS = re.findall(r"^\$ (.+)$", PAGE, re.MULTILINE)
#: In place of each shipped study: one generator, whose miniature is here, at two precisions, two images each.
STUDY = """
name = "NAME"
scale = "mini"
images_per_cell = 2
precisions = ["fp32", "fp4"]
detectors = ["npr"]
batch_size = 1
prompts = { kind = "world" }
generators = { sd15 = { checkpoint = "sd15", size = 64, steps = 2, guidance = 3.0 } }
"""
SCORES = 6  # of such a study by its one detector: two images a cell, and two reals
DEVICE = (r"--device cuda:\d", "--device cpu")
FEW = training.Recipe(steps=24, rate=3e-3, every=12, pairs=6, probe=4)
#: A book is of this notebook.
NOTEBOOK = "notebooks/06_legacy_sd15"

Typed = Callable[[str], str]


def of_section(target: str) -> list[str]:
    """The commands below a target of the page, up to the next heading."""
    _, _, after = PAGE.partition(f"({target})=\n")
    assert after, target
    return re.findall(r"^\$ (.+)$", re.split(r"(?m)^##+ ", after)[1], re.MULTILINE)


def beginning(*words: str) -> list[str]:
    """The page's commands that begin so."""
    return [command for command in COMMANDS if shlex.split(command)[: len(words)] == list(words)]


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A checkout as the commands see one: studies of its own, nothing made, this one's notebooks and maps."""
    (tmp_path / "studies").mkdir()
    for name in ("mini", "mini-confirmation", "mini-denoisers-s1", "full"):
        (tmp_path / "studies" / f"{name}.toml").write_text(STUDY.replace("NAME", name), encoding="utf-8")
    for name in ("rules.toml", "maps", "prompts"):
        if (files.STUDIES / name).exists():
            (tmp_path / "studies" / name).symlink_to(files.STUDIES / name)
    (tmp_path / "notebooks").symlink_to(files.NOTEBOOKS)
    for name, folder in {"STUDIES": "studies", "RESULTS": "results", "BUILD": "_build"}.items():
        monkeypatch.setattr(files, name, tmp_path / folder)
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def planned(book: None, monkeypatch: pytest.MonkeyPatch) -> list[Job]:
    """What a book would run, where no notebook is: that takes seconds each, and every book runs the same ones."""
    jobs: list[Job] = []

    @contextmanager
    def started(those: Collection[Job], *_: object) -> Iterator[Iterator[Job]]:
        jobs.extend(those)
        yield iter(())

    monkeypatch.setattr(build, "_started", started)
    return jobs


@pytest.fixture
def book(monkeypatch: pytest.MonkeyPatch) -> None:
    """A book is of one notebook, which is really run, and its pages are what was executed."""

    def staged(source: Path, _results: Path) -> None:
        (source / "_static").mkdir()
        (source / "_static" / "heatmap.png").write_bytes(b"picture")

    def compiled(source: Path, scratch: Path) -> None:
        for page in ["index", *contents.pages()]:
            file, executed = scratch / "_build" / "html" / f"{page}.html", source / f"{page}.ipynb"
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(executed.read_text(encoding="utf-8") if executed.is_file() else page, encoding="utf-8")

    monkeypatch.setattr(build, "notebooks", lambda: [files.ROOT / f"{NOTEBOOK}.ipynb"])
    monkeypatch.setattr(build, "_stage", staged)
    monkeypatch.setattr(build, "_compile", compiled)


@pytest.fixture
def typed(place: Path, capsys: pytest.CaptureFixture[str]) -> Typed:
    """Type a command of `quantdetect`, with what stands in for a GPU; what it says."""

    def call(command: str) -> str:
        name, *words = shlex.split(re.sub(*DEVICE, command))
        assert name == "quantdetect"
        status = app.main(words)
        said = capsys.readouterr()
        assert status == 0, (command, said.err)
        return said.out

    return call


def images(folder: Path, count: int, size: int = 96, blur: float = 0.0, ending: str = "png") -> Path:
    """Renders of the miniature world, as they are or blurred."""
    folder.mkdir(parents=True)
    for seed in range(count):
        image = Image.fromarray(world.render(seed + int(1000 * blur), size))
        image.filter(ImageFilter.GaussianBlur(blur)).save(folder / f"{seed}.{ending}")
    return folder


def executed(page: Path) -> str:
    """What a notebook's cells show, as plain text."""
    cells = nbformat.read(page, as_version=4).cells
    return "\n".join(
        output.get("data", {}).get("text/plain", "") for cell in cells for output in cell.get("outputs", [])
    )


def of_results(jobs: list[Job]) -> Path:
    """The results that the notebooks of a book are run on."""
    (name,) = {job.parameters["results"] for job in jobs}
    return Path(name)


def told(place: Path) -> str:
    """What the book in a place's _build tells."""
    return executed(place / "_build" / "html" / f"{NOTEBOOK}.html")


def test_the_book_is_checked_and_made(
    place: Path, planned: list[Job], typed: Typed, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`make book`, by make itself, in a folder where all is installed: the commands that it calls are typed here."""
    make, *_ = of_section("this-book")
    for name in ("Makefile", "pyproject.toml", "requirements.lock"):
        shutil.copy(files.ROOT / name, place)
    (place / ".venv" / "bin").mkdir(parents=True)
    for name in ("quantdetect", "python"):
        script = place / ".venv" / "bin" / name
        script.write_text(f'#!/bin/sh\necho "{name} $*" >> typed.txt\nmkdir -p _build\ntouch _build/live.json\n')
        script.chmod(0o755)
    (place / ".venv" / ".installed").touch()  # later than what says what is to be installed
    clean = {name: value for name, value in os.environ.items() if not name.startswith("MAKE")}
    done = subprocess.run(shlex.split(make), capture_output=True, text=True, env=clean)
    assert done.returncode == 0, done.stderr
    calls = (place / "typed.txt").read_text(encoding="utf-8").splitlines()
    *first, report = calls
    lab, check = sorted(first)  # they run side by side
    assert check.split()[1] == "verify" and report.split()[1] == "report"
    assert lab == "python -m helpers.lab --if-changed"  # tests/lab makes it
    typed("quantdetect run mini --out results/mini")
    monkeypatch.setattr(verify, "processors", lambda: 1)  # each process that makes images starts for seconds
    assert "agrees" in typed(check)
    assert json.loads((place / "_build" / "live.json").read_text(encoding="utf-8"))["agree"] is True
    assert "_build/html/index.html" in typed(report)
    assert of_results(planned) == place / "results" / "mini"


def test_the_tests_are_what_make_calls() -> None:
    """`make test` would begin this test again; what it would do is said."""
    _, command = of_section("this-book")
    words = [*shlex.split(command), "-n", "VENV=elsewhere"]
    done = subprocess.run(words, cwd=files.ROOT, capture_output=True, text=True)
    assert done.returncode == 0 and "/pytest" in done.stdout, done.stderr


def test_a_notebook_and_the_book_take_other_choices(place: Path, book: None, typed: Typed) -> None:
    notebook, report = of_section("with-other-choices")
    synthetic.write(place / "results" / "mini", synthetic.DECK, images=20)
    name, *words = shlex.split(notebook)
    run = subprocess.run([sys.executable, "-m", name, *words], capture_output=True, text=True)
    assert run.returncode == 0, run.stderr[-2000:]
    text = executed(place / words[1])
    assert "20 images per cell" in text and "1.5" in text and "NPR" in text and "CLIP-D" not in text
    typed(report)
    assert "20 images per cell" in told(place) and "R50_TF" not in told(place)
    source = (place / "_build" / "html" / f"{NOTEBOOK}.html").read_text(encoding="utf-8")
    assert "threshold = 1.5" in source and "CLIP-D" in source


def test_the_miniature_study_is_made_anew_and_told(place: Path, book: None, typed: Typed) -> None:
    grid, run, report = of_section("the-study-from-its-first-image")
    assert [line.split()[:3] for line in typed(grid).splitlines() if line.startswith("sd15")] == [
        ["sd15", "fp32", "2"], ["sd15", "fp4", "2"],
    ]  # fmt: skip
    assert f"{SCORES} scores" in typed(run)
    typed(report)
    assert "2 images per cell" in told(place)
    assert "nothing to do" in typed(run)  # as the page says of what is done


def test_own_images_are_scored_and_a_detector_trained_on_them(
    place: Path, typed: Typed, monkeypatch: pytest.MonkeyPatch
) -> None:
    score, train = of_section("with-your-own-images")
    images(place / "FOLDER", 2)
    images(place / "more" / "and" / "more", 1, ending="jpg")
    typed(score)
    table = pd.read_csv(place / "scores.csv")
    assert len(table) == 3 and set(table.perturbation) == {"jpeg:75"} and table.npr_logit.notna().all()
    images(place / "photos", 30)
    images(place / "generated", 30, blur=2)
    monkeypatch.setitem(training.RECIPES, "npr", FEW)
    assert "validation AUC" in typed(train)
    assert sorted(file.name for file in (place / "mine").iterdir()) == ["npr.csv", "npr.json", "npr.safetensors"]


def test_the_confirmation_is_made(place: Path, typed: Typed) -> None:
    (run,) = beginning("quantdetect", "run", "mini-confirmation")
    assert f"{SCORES} scores" in typed(run)
    assert (place / "results" / "mini-confirmation" / "scores.parquet").is_file()


def test_other_trainings_are_made(place: Path, typed: Typed, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[object] = []
    monkeypatch.setattr(miniatures, "train", asked.append)
    train, run = of_section("other-trainings")
    typed(train)
    assert asked == [["sd15-s1", "sd3-s1", "sd35-s1"]]
    assert f"{SCORES} scores" in typed(run)


def test_the_full_study_is_run_and_told(place: Path, planned: list[Job], typed: Typed) -> None:
    _, run, report = of_section("at-full-size")  # the first shows the checkpoints, and stands in README too
    assert f"{SCORES} scores" in typed(run)
    typed(report)
    assert of_results(planned) == place / "results" / "full"


def test_cards_are_held_against_the_study(place: Path, typed: Typed) -> None:
    for command in of_section("one-card"):
        assert typed(command).count("whole on the card") == 2


@pytest.fixture
def hired(monkeypatch: pytest.MonkeyPatch) -> list[Staff]:
    """Whose workers the commands ask for; what they do is done in this process. tests/runs has real ones."""
    asked: list[Staff] = []

    class Hand:
        number, lost = 1, ()

        def __init__(self, job: executors.Job) -> None:
            self.worker = executors.Worker(job, 1, "cpu")

        def start(self, shards: list[Shard]) -> Future[object]:
            done: Future[object] = Future()
            done.set_result(self.worker.do(shards))
            return done

        def rest(self) -> None:
            pass

    @contextmanager
    def hands(job: executors.Job, staff: Staff) -> Iterator[list[Hand]]:
        asked.append(staff)
        yield [Hand(job)]

    monkeypatch.setattr(Staff, "hired", property(lambda _: hands))
    monkeypatch.setattr(device, "require", lambda _: None)
    return asked


def scored(place: Path) -> int:
    """How many scores the full study has, whose folder is then taken away."""
    table = pd.read_parquet(place / "results" / "full" / "scores.parquet")
    shutil.rmtree(place / "results" / "full")
    return len(table)


def test_several_gpus_and_ray_make_the_study(place: Path, typed: Typed, hired: list[Staff]) -> None:
    gpus, _, ray = of_section("several-gpus")
    typed(gpus.replace("cuda:0,cuda:1", "cpu --workers 2"))
    assert hired.pop() == Staff("local", ("cpu", "cpu"), 2) and scored(place) == SCORES
    assert staff("local", gpus.split()[-1]).devices == ("cuda:0", "cuda:1")
    typed(ray)
    assert hired.pop() == Staff("ray", ("cpu",), None) and scored(place) == SCORES


def test_each_task_of_slurm_makes_its_share(place: Path, typed: Typed) -> None:
    """The script, by the shell, with each number that Slurm would give; what it calls is typed here."""
    _, sbatch, _ = of_section("several-gpus")
    name, file = sbatch.split()
    assert name == "sbatch"
    script = (files.ROOT / file).read_text(encoding="utf-8")
    first, last = map(int, re.search(r"--array=(\d+)-(\d+)", script).groups())
    quantdetect = place / "bin" / "quantdetect"
    quantdetect.parent.mkdir()
    quantdetect.write_text('#!/bin/sh\nprintf "%s\\n" "quantdetect $*"\n')
    quantdetect.chmod(0o755)
    shares = []
    for task in range(first, last + 1):
        given = os.environ | {"SLURM_ARRAY_TASK_ID": str(task), "PATH": f"{quantdetect.parent}:{os.environ['PATH']}"}
        done = subprocess.run(["bash", "-s"], input=script, capture_output=True, text=True, env=given, check=True)
        shares.append(parse_share(done.stdout.split()[-1]))
        typed(done.stdout.strip())
    assert shares == [(task, last) for task in range(1, last + 1)]
    assert scored(place) == SCORES


def pixart(folder: Path) -> None:
    """A tiny pipeline of the class of which the page adds one: random weights, text encoder and VAE of miniatures."""
    import diffusers
    import torch

    from helpers import generators

    sd3, sd15 = generators.load("sd3"), generators.load("sd15")
    torch.manual_seed(3)
    transformer = diffusers.PixArtTransformer2DModel(
        num_attention_heads=2, attention_head_dim=16, in_channels=4, out_channels=8, num_layers=2,
        cross_attention_dim=32, caption_channels=sd3.text_encoder_3.config.d_model, sample_size=8,
    )  # fmt: skip
    diffusers.PixArtAlphaPipeline(
        sd3.tokenizer_3, sd3.text_encoder_3, sd15.vae, transformer, diffusers.DPMSolverMultistepScheduler()
    ).save_pretrained(folder)


def test_another_generator_is_shown_and_run(place: Path, typed: Typed) -> None:
    grid, run = of_section("another-generator")
    (table,) = re.findall(r"```toml\n(\[generators\..*?)```", PAGE, re.DOTALL)
    head = (files.ROOT / "studies" / "full.toml").read_text(encoding="utf-8").partition("[generators.")[0]
    (place / "pixart.toml").write_text(head + table, encoding="utf-8")
    rows = [line.split()[:2] for line in typed(grid).splitlines() if line.startswith("pixart")]
    assert rows == [["pixart", precision] for precision in ("fp32", "fp16", "fp8", "fp4")]

    pixart(place / "checkpoint")
    small = {
        r'checkpoint = "[^"]+"': 'checkpoint = "checkpoint"', r"\bsize = \d+": "size = 64", "steps = 20": "steps = 2",
        "images_per_cell = 500": "images_per_cell = 2", r"(?s)\[reals\].*?(?=\[gen)": "", r'"released"': '"mini"',
        r"precisions = .*": 'precisions = ["fp32", "fp8"]', r"detectors = .*": 'detectors = ["npr"]',
        'dtype = "bfloat16"\n': "",
    }  # fmt: skip
    text = head + table
    for pattern, other in small.items():
        text, found = re.subn(pattern, other, text)
        assert found == 1, pattern
    (place / "pixart.toml").write_text(text, encoding="utf-8")
    assert "4 scores" in typed(f"{run} --device cpu")


def test_another_detector_is_installed_and_judges(place: Path) -> None:
    """In a process of its own, whose catalogue has the package; pip asks no index."""
    pytest.importorskip("hatchling")
    install, detect = of_section("another-detector")
    section = PAGE.partition("(another-detector)=")[2]
    about, rows, network = (block for _, block in re.findall(r"```(toml|python)\n(.*?)```", section, re.DOTALL)[:3])
    package = place / "my_package"
    (package / "my_package").mkdir(parents=True)
    (package / "pyproject.toml").write_text(about, encoding="utf-8")
    for name, text in (("__init__", ""), ("rows", rows), ("network", network)):
        (package / "my_package" / f"{name}.py").write_text(text, encoding="utf-8")
    name, *words = shlex.split(install)
    offline = ["--quiet", "--no-index", "--no-deps", "--no-build-isolation", "--target", "site"]
    done = subprocess.run([sys.executable, "-m", name, *words, *offline], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    images(place / "FOLDER", 2)
    code = f"""
        import torch
        from my_package.network import build
        from safetensors.torch import save_file
        network = build("full")
        torch.nn.init.zeros_(network.last.weight), torch.nn.init.constant_(network.last.bias, 2.5)
        save_file(network.state_dict(), "mine.safetensors")
        from helpers import cli
        raise SystemExit(cli.main({shlex.split(detect)[1:]}))
    """
    environment = os.environ | {"PYTHONPATH": os.pathsep.join([str(place / "site"), *sys.path])}
    lines = "\n".join(line.strip() for line in code.splitlines())
    done = subprocess.run([sys.executable, "-c", lines], capture_output=True, text=True, env=environment)
    assert done.returncode == 0, done.stderr
    assert pd.read_csv(place / "mine.csv").mine_logit.tolist() == [2.5, 2.5]


def scores(generator: str, precisions: list[str], detector: str, count: int = 12) -> pd.DataFrame:
    """A row an image: fakes at logit +2, one lower at each further precision."""
    rng = np.random.default_rng(5)
    cells = [
        pd.DataFrame({"precision": precision, "index": range(count), "logit": 2.0 - place + rng.normal(0, 1, count)})
        for place, precision in enumerate(precisions)
    ]
    return pd.concat(cells, ignore_index=True).assign(generator=generator, label=1, detector=detector)


def test_anybodys_scores_become_a_book(place: Path, planned: list[Job], typed: Typed) -> None:
    take, report, *_ = of_section("with-anybodys-scores")
    scores("sd15", ["fp32", "fp4"], "npr").to_csv(place / "scores.csv", index=False)
    assert "24 of 24 rows, 2 cells" in typed(take)
    typed(report)
    assert of_results(planned) == place / "results" / "theirs"


def test_a_public_study_is_read_by_its_map(place: Path, typed: Typed) -> None:
    (command,) = [command for command in beginning("quantdetect", "import-scores") if "--map" in command]
    words = ("StableDiffusion1.5", "StableDiffusion3", "StableDiffusion3.5")
    theirs = pd.concat([scores(word, ["fp16", "fp8", "fp4"], "NPR") for word in words])
    theirs = theirs.rename(columns={"precision": "precision_label", "index": "seed"})
    theirs.assign(mode="img2img", source_image=theirs.seed).to_csv(place / "FILE.csv", index=False)
    assert "108 of 108 rows, 9 cells" in typed(command.replace("FILE", "FILE.csv"))
    assert set(pd.read_csv(place / "effects.csv").precision) == {"int8", "nf4"}


def test_a_reader_s_device_comes_into_its_table(place: Path, typed: Typed, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(devices, "TABLE", place / "devices.csv")
    (command,) = beginning("quantdetect", "import-device")
    (place / command.split()[-1]).write_text(json.dumps(record()), encoding="utf-8")
    assert "devices.csv" in typed(command) and len(devices.read(place / "devices.csv"))


def test_the_miniatures_are_trained_from_nothing(typed: Typed, monkeypatch: pytest.MonkeyPatch) -> None:
    """It takes hours: that all are asked for is seen here, that each of the steps trains, in tests/mini."""
    asked: list[object] = []
    monkeypatch.setattr(miniatures, "train", asked.append)
    (command,) = (line for line in beginning("quantdetect", "train", "mini") if "sd15-s1" not in line)
    typed(command)
    assert asked == [None]


#: What these tests type, by the target below which it stands or the words that it begins with.
TARGETS = (
    "this-book", "with-other-choices", "the-study-from-its-first-image", "with-your-own-images", "at-full-size",
    "one-card", "other-trainings", "several-gpus", "another-generator", "another-detector", "with-anybodys-scores",
)  # fmt: skip
WORDS = (("run", "mini-confirmation"), ("train", "mini"), ("import-scores", "FILE"), ("import-device",))


def test_no_command_is_left_out() -> None:
    """What is neither typed here nor with the README's is what times real networks on a GPU, and the page says so."""
    typed = [command for target in TARGETS for command in of_section(target)]
    typed += [command for words in WORDS for command in beginning("quantdetect", *words)]
    left = set(COMMANDS) - set(typed) - {command for command, takes in ROWS if takes == "seconds"}
    assert left == {"quantdetect footprint --device cuda --out results/footprint/device.csv"}
    assert "times the networks on a GPU is only read" in PAGE
