"""A run's folder under what happens to folders: kills, damage, copies, strangers' files, other runs, other studies.

Images are noise drawn from the cell's name and the index, so that a run takes a second; scores are NPR's.
"""

from __future__ import annotations

import errno
import hashlib
import json
import os
import shutil
import signal
import subprocess
import sys
import threading
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from PIL import Image

from helpers import detectors, generators
from helpers.cli import app as cli
from helpers.core import columns, files
from helpers.core.errors import Failure, UsageError
from helpers.detectors import detector
from helpers.generators import sampling
from helpers.results import results
from helpers.runs import Source, Store, audit, digests, finished, lock, make, plan, sources, verify
from helpers.runs.batches import short_of_memory
from helpers.runs.overview import overview
from helpers.runs.shard import state_of
from helpers.runs.stages import perturbed
from helpers.study import rules, schema

SHARD, IMAGES = 2, 4
FP4 = Source("sd15", "fp4", "native", 64, 1)
TABLES = ("scores", "spectra", "patterns", "distances", "counterfactuals", "perturbed")


def settings(**changes):
    """SD1.5 at FP32 and FP4 and its renders, four images in shards of two, one detector, one perturbation."""
    loaded = schema.load("mini")
    sample = schema.Perturbations(names=["jpeg:75"], precisions=["fp32", "fp4"], images=3)
    few = {"generators": {"sd15": loaded.generators["sd15"]}, "precisions": ["fp32", "fp4"], "detectors": ["npr"]}
    plain = {"protocols": ["plain"], "further": {}, "arms": {}, "perturbations": sample}
    sizes = {"shard_size": SHARD, "images_per_cell": IMAGES, "batch_size": 1}
    return loaded.model_copy(update=few | plain | sizes | changes)


class Noise:
    """Noise in place of a pipeline's images."""

    def __init__(self, recipe, device="cpu"):
        self.source, self.record = recipe.source, {}
        self.words = f"{recipe.folder} {recipe.seed}"

    def model(self):
        return "noise"

    def load(self):
        self.record = {"seconds_load": 0.0, "seconds_quantize": 0.0, "peak_memory_mb": 1.0, "device": "cpu"}

    def make(self, indices):
        return [self.image(index) for index in indices]

    def image(self, index):
        seed = int(hashlib.sha256(f"{self.words} {index}".encode()).hexdigest()[:8], 16)
        size = self.source.size
        return Image.fromarray(np.random.default_rng(seed).integers(0, 256, (size, size, 3), dtype=np.uint8))

    def check(self, image):
        return None


class NoAudit:
    """In place of the audit of a cell's weights."""

    def __init__(self, *arguments):
        pass

    def audit(self, recipe, source):
        return False

    def columns(self, recipe):
        return {"coverage": 1.0}


@pytest.fixture(autouse=True)
def _noise(monkeypatch):
    monkeypatch.setattr(sources, "open_source", Noise)
    monkeypatch.setattr(audit, "QuantizationAudit", NoAudit)


def run(folder, share=None, **changes):
    return make.run(settings(**changes), folder, shard=share, progress=False)


def contents(folder):
    """Bytes of everything that does not tell the time."""
    files = [path for path in folder.rglob("[!.]*") if path.suffix in (".png", ".parquet") and path.stem != "cells"]
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in files}


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """A finished run that nothing happened to. Read only."""
    folder = tmp_path_factory.mktemp("whole")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sources, "open_source", Noise)
        patch.setattr(audit, "QuantizationAudit", NoAudit)
        run(folder)
    return folder


@pytest.fixture
def folder(whole, tmp_path):
    """A copy of it, to be damaged."""
    return shutil.copytree(whole, tmp_path / "run")


def sound(folder, whole):
    """Whether the folder holds what a run holds that nothing happened to, and its manifest vouches for it."""
    listed = json.loads((folder / "manifest.json").read_text())["files"]
    assert listed == {name: files.file_sha256(folder / name) for name in listed}
    assert set(listed) == {"cells.parquet", *(f"{name}.parquet" for name in TABLES)}
    assert not list(folder.rglob(".tmp-*"))
    assert contents(folder) == contents(whole)
    return True


def test_scores_are_the_detectors_own_in_double_precision(whole):
    table = pd.read_parquet(whole / "scores.parquet")
    images = [Noise(plan.resolve(settings()).recipes[FP4]).image(index) for index in range(IMAGES)]
    logits = detectors.load("npr").score(images).astype(np.float64)
    found = table[table["precision"] == "fp4"].set_index("index")["logit"]
    assert found.dtype == np.float64
    np.testing.assert_allclose(found.sort_index(), logits, rtol=1e-5)
    for name in ("counterfactuals", "perturbed"):
        assert pd.read_parquet(whole / f"{name}.parquet")["logit"].dtype == np.float64


# Kills


class Killed(BaseException):
    """As SIGKILL: nothing that would clear up after an error does."""


def killing(monkeypatch, at, renamed, end=Killed):
    """Let the writing of the `at`-th file end in `end`, before or after it takes its place."""
    calls, dead = [], subprocess.Popen([sys.executable, "-c", ""])
    dead.wait()

    @contextmanager
    def replacing(path):
        path = Path(path)
        path.parent.mkdir(parents=True, exist_ok=True)
        calls.append(path)
        temporary = path.with_name(f".tmp-{files._host()}-{dead.pid}-{len(calls):08x}{path.suffix}")
        yield temporary
        if len(calls) == at and not renamed:
            raise end
        temporary.replace(path)
        if len(calls) == at:
            raise end

    for module in ("helpers.core.files", "helpers.runs.stages.cache"):
        monkeypatch.setattr(f"{module}.replacing", replacing)
    return calls


@pytest.mark.parametrize("renamed", [False, True])
def test_a_run_that_is_killed_at_any_file_goes_on_to_the_same_bytes(tmp_path, whole, monkeypatch, renamed):
    with monkeypatch.context() as patch:
        calls = killing(patch, 0, renamed)
        run(tmp_path / "counted")
    assert len(calls) > 40
    # One run dies again and again, ever further on, until it is through.
    kills, at = 0, 1
    while True:
        with monkeypatch.context() as patch:
            killing(patch, at, renamed)
            try:
                run(tmp_path / "run")
                break
            except Killed:
                kills, at = kills + 1, at % 7 + 3
    assert kills > 8
    assert sound(tmp_path / "run", whole) and run(tmp_path / "run").nothing


WORKING = """
import sys, time
from pathlib import Path
from helpers.core.files import replacing
from helpers.runs import lock
folder = Path(sys.argv[1])
with lock.working(folder), replacing(folder / "parts/sd15/fp4/0000.json") as temporary:
    temporary.write_text("{")
    print("works", flush=True)
    time.sleep(600)
"""


def test_a_killed_process_leaves_its_lock_and_its_temporaries_to_nobody(folder, whole):
    with subprocess.Popen([sys.executable, "-c", WORKING, folder], stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout.readline() == "works\n"
        with pytest.raises(Failure, match=rf"another run works there \(process {process.pid}\)"):
            run(folder)
        os.kill(process.pid, signal.SIGKILL)
    assert len(list(folder.rglob(".tmp-*"))) == 1
    assert run(folder).nothing and sound(folder, whole)


#: Runs in processes of their own, killed at random moments of the time that a whole one takes, in one folder. They are
#: forked from one that has imported all and computed nothing, for importing is what takes time.
KILLED = """
import os, random, signal, sys, time
from pathlib import Path
import test_run_folder as own
own.sources.open_source, own.audit.QuantizationAudit = own.Noise, own.NoAudit
def start(folder):
    if not (pid := os.fork()):
        own.run(folder)
        os._exit(0)
    return pid
folder, draw, began = Path(sys.argv[1]), random.Random(22), time.monotonic()
assert os.waitpid(start(folder / "timed"), 0)[1] == 0
took = time.monotonic() - began
for _ in range(6):
    pid = start(folder / "killed")
    time.sleep(draw.uniform(0, took))
    os.kill(pid, signal.SIGKILL)
    os.waitpid(pid, 0)
"""


def test_a_run_that_is_killed_at_random_moments_goes_on_to_the_same_bytes(tmp_path, whole):
    own = {"PYTHONPATH": os.pathsep.join([str(Path(__file__).parent), *sys.path]), "OMP_NUM_THREADS": "1"}
    subprocess.run([sys.executable, "-c", KILLED, tmp_path], check=True, env=os.environ | own)
    run(tmp_path / "killed")
    assert sound(tmp_path / "killed", whole)


@pytest.mark.parametrize("at", [1, 3, 6])
def test_a_disk_that_is_full_ends_the_run_and_nothing_is_recorded_that_was_not_written(
    tmp_path, whole, monkeypatch, at
):
    save, calls = Store.save, []

    def full(*arguments, **options):
        calls.append(1)
        if len(calls) >= at:
            raise OSError(errno.ENOSPC, "No space left on device", "0000.png")
        save(*arguments, **options)

    with monkeypatch.context() as patch:
        patch.setattr(Store, "save", full)
        with pytest.raises(OSError, match="No space left on device"):
            run(tmp_path)
    assert len(calls) == at  # nothing is tried behind it
    for path in (tmp_path / "parts").rglob("[!.]*.json"):
        for index in json.loads(path.read_text())["images"]:
            assert (
                tmp_path / "images" / path.parent.relative_to(tmp_path / "parts") / f"{int(index):04d}.png"
            ).is_file()
    run(tmp_path)
    assert sound(tmp_path, whole)


def test_a_living_writers_temporary_is_left_alone_and_a_dead_ones_is_swept(folder):
    dead = subprocess.Popen([sys.executable, "-c", ""])
    dead.wait()
    own = folder / f"parts/.tmp-{files._host()}-{os.getpid()}-00000000.json"
    left = folder / f"parts/sd15/fp4/.tmp-{files._host()}-{dead.pid}-00000000.json"
    other = folder / f"parts/.tmp-00000000-{dead.pid}-00000000.json"  # another machine's
    for path in (own, left, other):
        path.write_text("{")
    assert run(folder).nothing
    assert own.exists() and other.exists() and not left.exists()


# Other runs


def test_a_second_run_is_refused_and_names_the_first(folder):
    with lock.working(folder), pytest.raises(Failure, match=rf"process {os.getpid()}\)"):
        run(folder)
    with lock.working(folder), pytest.raises(Failure, match="another run works there"):
        run(folder, (1, 2))
    with lock.working(folder, (1, 2)):
        with pytest.raises(Failure, match=rf"process {os.getpid()}\)"):
            run(folder)
        with pytest.raises(Failure, match=rf"process {os.getpid()}\)"):
            run(folder, (1, 2))
        assert run(folder, (2, 2)).nothing
        (folder / ".lock-2-of-2").write_text("999999999")  # as of a share that was killed
        with pytest.raises(Failure, match=rf"process {os.getpid()}\)"):
            run(folder)
    (folder / ".lock").write_text("999999999")  # and of a run that was
    with lock.working(folder, (1, 2)), pytest.raises(Failure, match=rf"process {os.getpid()}\)"):
        run(folder)
    assert run(folder).nothing


def test_a_call_that_leaves_nothing_to_do_is_remembered_until_something_changes(folder):
    study = settings()
    call = finished.asked(study)

    def left() -> bool:
        return finished.stands(folder, study, call) is None

    assert left()  # a copy is looked through once
    run(folder)
    assert not left()
    damaged = next(folder.glob("images/sd15/fp4/*.png"))
    before = damaged.stat()
    damaged.write_bytes(bytes(before.st_size))
    os.utime(damaged, ns=(before.st_atime_ns, before.st_mtime_ns))  # as rsync keeps times
    assert left()
    run(folder)
    assert not left()
    (folder / "parts" / "sd15" / "fp4" / "notes.json").write_text("{}")
    assert run(folder).notes and left()  # what is said of a folder is said again
    run(folder, images_per_cell=IMAGES + 1)
    assert left()


def test_a_share_remembers_nothing_for_others_go_on(tmp_path):
    run(tmp_path, (1, 1))
    assert finished.stands(tmp_path, settings(), finished.asked(settings())) is None
    assert not (tmp_path / finished.FILE).exists()


def test_shares_side_by_side_make_the_whole(tmp_path, whole):
    failed = []

    def share(i):
        try:
            run(tmp_path, (i, 3))
        except BaseException as error:
            failed.append(error)

    threads = [threading.Thread(target=share, args=(i,)) for i in (1, 2, 3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not failed and sound(tmp_path, whole) and run(tmp_path).nothing


def test_a_share_waits_with_its_results_for_one_that_writes_them(tmp_path, monkeypatch):
    scored, produce = threading.Event(), make.produce
    monkeypatch.setattr(make, "produce", lambda *arguments: (produce(*arguments), scored.set())[0])
    thread = threading.Thread(target=run, args=(tmp_path, (1, 2)))
    (tmp_path).mkdir(exist_ok=True)
    with lock.merging(tmp_path):
        thread.start()
        assert scored.wait(60)
        assert not (tmp_path / "manifest.json").exists()
    thread.join()
    assert (tmp_path / "manifest.json").exists()


# Damage


def known(folder, start=SHARD):
    """The state of a shard of FP4 as it is taken from the folder, and what is noted of the folder."""
    store = Store(folder)
    state = state_of(plan.resolve(settings()), store, plan.Shard(FP4, start, start + SHARD), "noise")
    return state, store.notes


def changed(path, **changes):
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))


@pytest.mark.parametrize(
    "text", ["[]", "null", "3", "{", "", "[" * 100_000, '{"a": ' + "9" * 5_000 + "}", '{"study": 3}']
)
def test_a_part_of_another_shape_is_named_and_forgotten(folder, text):
    (folder / "parts/sd15/fp4/0002.json").write_text(text)
    state, notes = known(folder)
    assert state.missing() == [2, 3] and not state.rejected and not state.scorings
    assert len(notes) == 1 and "sd15/fp4/0002.json" in notes[0] and notes[0].endswith("made again")


@pytest.mark.parametrize(
    "changes",
    [
        {"images": 3},
        {"images": {"x": {"sha256": "0", "seconds": 1}}},
        {"images": {"2": {"sha256": 5, "seconds": 1}}},
        {"images": {"0": {"sha256": "0", "seconds": 1}}},  # an index of the shard before
        {"rejected": {"4": "blank"}},
        {"rejected": []},
        {"record": []},
        {"record": {"peak_memory_mb": []}},
        {"scorings": {"npr/mini/plain": {}}},
        {"shard": 5},
        {"shard": "sd15/fp4/0000"},
    ],
)
def test_a_part_with_foreign_values_is_named_and_forgotten(folder, changes):
    changed(folder / "parts/sd15/fp4/0002.json", **changes)
    state, notes = known(folder)
    assert state.missing() == [2, 3] and not state.rejected and not state.scorings
    assert len(notes) == 1 and "sd15/fp4/0002.json" in notes[0] and notes[0].endswith("made again")


def test_damage_of_every_kind_at_once_is_mended_to_the_same_bytes(folder, whole):
    (folder / "parts/sd15/fp4/0002.json").write_text("[]")
    changed(folder / "parts/sd15/fp4/0000.json", images=3)
    (folder / "parts/sd15/fp32/0000.parquet").write_bytes(b"PAR1")
    pd.DataFrame({"a": [1]}).to_parquet(folder / "perturbed/sd15/fp4.parquet")
    (folder / "images/sd15/fp32/0003.png").unlink()
    os.mkfifo(folder / "images/sd15/fp32/0003.png")
    (folder / "images/sd15/fp32/0002.png").write_bytes(b"no image")
    (folder / "manifest.json").write_text("null")
    done = run(folder)
    assert done.made == IMAGES + 2 and len(done.notes) == 5 and sound(folder, whole)


#: What a run keeps, place by place: patterns of files below its folder.
PLACES = (
    "images/sd15/fp4/*.png", "images/real/64/*.png", "parts/sd15/fp4/*.json", "parts/sd15/fp4/*.parquet",
    "parts/real/64/*.json", "parts/spectra/**/*.parquet", "parts/patterns/**/*.parquet", "parts/distances/**/*.parquet",
    "parts/counterfactuals/**/*.parquet", "perturbed/**/*.parquet", "gallery/**/*.webp", "gallery/index.json",
    "contact/*", "*.parquet", "manifest.json", "scored.json", ".finished.json",
)  # fmt: skip


def shown(folder):
    """Bytes of the pictures that a run shows, and what its gallery's index says."""
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in (folder / "gallery").rglob("*.*")}


ANOTHER = b'{"files": 3, "images": [], "prompts": 3, "generators": {"sd15": 3}, "at": []}'


@pytest.mark.parametrize("damage", ["truncated", "another shape"])
def test_damage_in_every_place_is_mended_to_the_same_bytes(folder, whole, damage):
    before, damaged = shown(whole), 0
    for place in PLACES if damage == "truncated" else [place for place in PLACES if place.endswith(".json")]:
        found = list(folder.glob(place))
        for path in found:
            path.write_bytes(path.read_bytes()[: path.stat().st_size // 2] if damage == "truncated" else ANOTHER)
        damaged += len(found)
        run(folder)
        assert sound(folder, whole) and shown(folder) == before, place
    assert damaged > (30 if damage == "truncated" else 6) and run(folder).nothing


def test_a_full_disk_at_any_file_leaves_none_that_looks_whole_and_the_run_goes_on(tmp_path, whole, monkeypatch):
    failed, at = 0, 1
    while True:
        with monkeypatch.context() as patch:
            killing(patch, at, False, OSError(errno.ENOSPC, os.strerror(errno.ENOSPC)))
            try:
                run(tmp_path)
                break
            except OSError as error:
                assert error.errno == errno.ENOSPC
                failed, at = failed + 1, at % 9 + 5
    assert failed > 5 and sound(tmp_path, whole) and run(tmp_path).nothing


class Odd(Noise):
    """Noise, but image by image what a pipeline gives that fails: undefined pixels, black, one shade, noise."""

    def check(self, image):
        return generators.check(image)

    def image(self, index):
        shape = (self.source.size, self.source.size, 3)
        smooth = np.broadcast_to(np.linspace(0, 1, shape[0])[:, None, None], shape)
        odd = [np.full(shape, np.nan), np.zeros(shape), np.full(shape, 0.4), np.random.default_rng(0).random(shape)]
        return sampling._image(odd[index] if self.source.label and index < len(odd) else smooth)


def test_images_that_do_not_count_are_counted_with_the_reason_of_each(tmp_path, monkeypatch):
    monkeypatch.setattr(sources, "open_source", Odd)
    done = run(tmp_path, images_per_cell=5, precisions=["fp4"], baseline="fp4", perturbations=None)
    assert (done.made, done.rejected) == (1 + 5, 4)
    (cell,) = pd.read_parquet(tmp_path / "cells.parquet").to_dict("records")
    assert (cell["images"], cell["rejected"]) == (1, 4)
    assert cell["rejected_why"] == "0: undefined pixels; 1: blank; 2: blank; 3: noise"
    scores = pd.read_parquet(tmp_path / "scores.parquet")
    assert set(scores[scores.label == 1]["index"]) == {4}
    assert len(list((tmp_path / "images/sd15/fp4/rejected").glob("*.png"))) == 4


def copied(folder, of, to, *kinds):
    """Copy one shard's files over another's of the same size."""
    for kind in kinds:
        if kind == "images":
            for index in range(SHARD):
                source, start = to.rsplit("/", 1)
                target = folder / f"images/{source}/{int(start) + index:04d}.png"
                other, first = of.rsplit("/", 1)
                shutil.copy(folder / f"images/{other}/{int(first) + index:04d}.png", target)
        else:
            shutil.copy(folder / f"parts/{of}.{kind}", folder / f"parts/{to}.{kind}")


@pytest.mark.parametrize("of", ["sd15/fp32/0000", "sd15/fp4/0002"])
@pytest.mark.parametrize("kinds", [("json",), ("json", "images"), ("json", "images", "parquet")])
def test_a_copied_part_is_told_by_what_it_says_of_itself(folder, whole, of, kinds):
    copied(folder, of, "sd15/fp4/0000", *kinds)
    done = run(folder)
    assert done.made == SHARD and any("of another shard" in note for note in done.notes)
    assert sound(folder, whole)


@pytest.mark.parametrize("of", ["sd15/fp32/0000", "sd15/fp4/0002", "real/64/0000"])
def test_copied_scores_are_made_again(folder, whole, of):
    copied(folder, of, "sd15/fp4/0000", "parquet")
    done = run(folder)
    assert done.made == 0 and done.scored >= SHARD and sound(folder, whole)
    assert any("fp4/0000.parquet: scores of another shard; made again" in note for note in done.notes)


def older(path):
    """As former versions wrote a part: a digest of the study for the recipe's, no name of its shard, logits in single
    precision.
    """
    known = json.loads(path.read_text())
    del known["shard"], known["recipe"]
    known["study"] = f"{settings().digest()}/{SHARD}"
    path.write_text(json.dumps(known))
    scores = pd.read_parquet(path.with_suffix(".parquet"))
    scores.astype({"logit": "float32"}).to_parquet(path.with_suffix(".parquet"))


def test_a_former_versions_folder_holds(folder, whole):
    for path in (folder / "parts").glob("*/*/0*.json"):
        older(path)
    (folder / "scores.parquet").unlink()  # merged again from the parts
    done = run(folder)
    assert (done.made, done.notes) == (0, [])
    pd.testing.assert_frame_equal(
        pd.read_parquet(folder / "scores.parquet"), pd.read_parquet(whole / "scores.parquet"), check_exact=True
    )


@pytest.mark.parametrize("kinds", [("json",), ("json", "images"), ("json", "images", "parquet")])
def test_a_former_versions_copied_part_is_made_again(folder, whole, kinds):
    older(folder / "parts/sd15/fp32/0000.json")
    copied(folder, "sd15/fp32/0000", "sd15/fp4/0000", *kinds)
    for suffix in ("json", "parquet"):
        shutil.copy(whole / f"parts/sd15/fp32/0000.{suffix}", folder / f"parts/sd15/fp32/0000.{suffix}")
    done = run(folder)
    assert done.made == SHARD and any("fp4/0000" in note for note in done.notes) and sound(folder, whole)


def tables(frame):
    """Parquet tables under a part's name that are not the part, `frame`."""
    yield pd.DataFrame({"a": [1]})
    yield frame.assign(index=frame["index"].astype(str))
    yield frame.assign(index=frame["index"] + 0.5)
    yield frame.assign(logit="high")
    yield frame.assign(image_sha256=[[1]] * len(frame))
    yield pd.concat([frame, frame])
    yield frame.assign(logit=np.nan)


@pytest.mark.parametrize("which", range(7))
def test_a_foreign_table_under_a_parts_name_is_no_part(folder, which):
    for path in (folder / "parts/sd15/fp4/0000.parquet", folder / "perturbed/sd15/fp4.parquet"):
        list(tables(pd.read_parquet(path)))[which].to_parquet(path)
    state, notes = known(folder, 0)
    assert len(state.images) == SHARD and state.scores().empty and perturbed._kept(state.store, FP4).empty
    assert len(notes) == (0 if which == 6 else 2)  # a logit that is not finite counts as missing


def test_damaged_tables_are_written_again(folder, whole):
    (folder / "perturbed.parquet").write_bytes(b"damaged")
    run(folder)
    assert sound(folder, whole)
    for place, name in enumerate([*TABLES, "cells"]):
        (folder / f"{name}.parquet").write_bytes(b"damaged" * (place % 2))
    run(folder)
    assert sound(folder, whole)


def test_a_measured_part_of_other_things_is_made_again(folder, whole):
    found = []
    for kind in ("spectra/sd15/fp4", "patterns/sd15/fp4", "counterfactuals/sd15/fp4/sham"):
        found += (folder / "parts" / kind).iterdir()
        shutil.copy(next((folder / "parts" / kind.replace("fp4", "fp32")).iterdir()), found[-1])
    done = run(folder)
    assert all(any(path.name in note for note in done.notes) for path in found) and sound(folder, whole)


@pytest.mark.parametrize("text", ["[]", "null", "{", '{"files": 3}', '{"files": {"scores.parquet": 3}}', "{}"])
def test_a_damaged_manifest_is_written_again(folder, whole, text):
    (folder / "manifest.json").write_text(text)
    assert make.run(settings(), folder, progress=False).merged and sound(folder, whole)


def test_strangers_files_are_no_parts(folder, whole):
    strangers = [
        "notes.json",
        "0001.json",
        "00002.json",
        "2.json",
        ".0000-1a2b3c4d.json",
        "²².json",
        "9" * 40 + ".json",
    ]
    for name in strangers:
        (folder / "parts/sd15/fp4" / name).write_text("[]")
    (folder / "parts/spectra/sd15/fp4/.old-1a2b3c4d.parquet").write_text("")
    done = run(folder)
    assert done.nothing and sound_but_strangers(folder)
    named = [note for note in done.notes if "no part of this run" in note]
    assert len(named) == len(strangers) - 1  # hidden files are not spoken of
    assert all((folder / "parts/sd15/fp4" / name).exists() for name in strangers)


def sound_but_strangers(folder):
    listed = json.loads((folder / "manifest.json").read_text())["files"]
    return all(files.file_sha256(folder / name) == digest for name, digest in listed.items())


# Other studies, other versions


def test_a_folder_of_a_later_version_is_left_as_it_is(folder, capsys):
    held = manifest(folder)
    assert held["version"] == columns.VERSION
    files.write_json(held | {"version": columns.VERSION + 1}, folder / "manifest.json")
    (folder / ".finished.json").unlink()
    before = {path: path.read_bytes() for path in folder.rglob("*.*") if path.is_file()}
    for call in (
        lambda: run(folder),
        lambda: results.load(folder),
        lambda: verify.verify_archive(settings(), 1, folder),
    ):
        with pytest.raises(
            UsageError, match=r"manifest\.json: written by a later version .*; install that one"
        ) as raised:
            call()
        assert "\n" not in str(raised.value)
    assert {path: path.read_bytes() for path in folder.rglob("*.*") if path.is_file()} == before


@pytest.mark.parametrize("version", ["1", None, 0, True, 1.5, []])
def test_a_version_that_is_none_is_damage(folder, version):
    files.write_json(manifest(folder) | {"version": version}, folder / "manifest.json")
    with pytest.raises(Failure, match=r"manifest\.json: its version .* is no whole number"):
        results.load(folder)
    assert run(folder).merged and results.load(folder)


def test_a_folder_of_an_earlier_version_has_nothing_to_do(folder):
    held = manifest(folder)
    del held["version"]
    files.write_json(held, folder / "manifest.json")
    assert run(folder).nothing and "version" not in manifest(folder)


def test_nothing_of_a_former_study_is_vouched_for(folder):
    """Fewer precisions: no counterfactuals. No perturbations: no such table. Both files go."""
    run(folder, precisions=["fp32"], perturbations=None)
    listed = json.loads((folder / "manifest.json").read_text())["files"]
    assert set(listed) == {path.name for path in folder.glob("*.parquet")}
    tables = ("scores", "cells", "spectra", "patterns", "distances")
    assert set(listed) == {f"{name}.parquet" for name in tables}
    assert set(pd.read_parquet(folder / "spectra.parquet")["precision"]) == {"fp32", "none"}


def test_cells_of_a_former_study_are_left_out_and_said_to_be(folder):
    done = make.run(settings(seed=9), folder, precisions=["fp32"], progress=False)
    assert any("sd15/fp4" in note and "left out of the results" in note for note in done.notes)
    for name in ("scores", "spectra", "perturbed"):
        assert set(pd.read_parquet(folder / f"{name}.parquet")["precision"]) == {"fp32", "none"}
    assert not (folder / "counterfactuals.parquet").exists()


# Digests


def test_the_device_tells_images_apart():
    loaded = schema.load("mini")
    recipes = plan.resolve(loaded, 1).recipes
    cell, aligned = recipes[Source("sd3", "fp4", "native", 128, 1)], recipes[Source("real", "none", "sd3", 128, 0)]
    render = recipes[Source("real", "none", "none", 64, 0)]
    for recipe in (cell, aligned):
        assert digests.image_digest(recipe, "cuda") != digests.image_digest(recipe)
        assert digests.image_digest(recipe, "cuda:0") == digests.image_digest(recipe, "cuda:1")
    assert digests.image_digest(render, "cuda") == digests.image_digest(render)
    half = loaded.generators["sd3"].model_copy(update={"dtype": "float16"})
    lower = plan.resolve(loaded.model_copy(update={"generators": loaded.generators | {"sd3": half}}), 1)
    assert digests.image_digest(lower.recipes[cell.source], "cuda").endswith("/cuda/float16")
    assert digests.image_digest(lower.recipes[cell.source]) == digests.image_digest(cell)  # a CPU computes as it did


def _digests(loaded):
    return {source: recipe.digest for source, recipe in plan.resolve(loaded, 1).recipes.items()}


def test_what_concerns_other_sources_leaves_a_recipes_digest():
    mini = schema.load("mini")
    whole = _digests(mini)
    few = {key: settings for key, settings in mini.generators.items() if key in ("sd15", "sd3")}
    for changes in ({"generators": few}, {"arms": {}}, {"precisions": ["fp32", "fp4"]}, {"detectors": ["npr"]},
                    {"images_per_cell": 3}, {"baseline": "fp16"}, {"perturbations": None}):  # fmt: skip
        found = _digests(mini.model_copy(update=changes))
        assert found.items() <= whole.items()
    slower = few["sd3"].model_copy(update={"steps": 99})
    found = _digests(mini.model_copy(update={"generators": few | {"sd3": slower}}))
    changed = {source for source in found if found[source] != whole[source]}
    assert changed == {source for source in found if source.generator == "sd3"}


def test_each_setting_that_makes_an_image_counts_in_its_digest():
    mini = schema.load("mini")
    cell = Source("sd15", "fp4", "native", 64, 1)
    other = mini.generators["sd15"].model_copy
    grammar = schema.PromptSource(kind="grammar")
    changed = [{"seed": 5}, {"coverage": "all"}, {"components": ["denoiser"]}, {"prompts": grammar}]
    changed += [{"generators": {"sd15": other(update=one)}} for one in
                ({"steps": 99}, {"guidance": 1.5}, {"variant": "fp16"})]  # fmt: skip
    found = [_digests(mini.model_copy(update=changes))[cell] for changes in [{}, *changed]]
    assert len(set(found)) == len(found)
    arms = {source.arm: digest for source, digest in _digests(mini).items() if source.folder.startswith("sd15/fp32")}
    assert arms["native"] != arms["batch"]  # computed in other batches


def test_a_generator_added_makes_no_image_again(folder):
    """Also of a folder that an earlier version left: its records are brought up to date by the first call."""
    for path in (folder / "parts").glob("*/*/0*.json"):
        older(path)
    assert run(folder).made == 0
    both = {key: schema.load("mini").generators[key] for key in ("sd15", "sd21")}
    done = make.run(settings(generators=both), folder, ["sd15"], progress=False)
    assert (done.made, done.scored) == (0, 0) and not any("again" in note for note in done.notes)


def test_the_archives_digests_stay():
    manifest = json.loads((files.RESULTS / "mini/manifest.json").read_text())
    loaded = schema.load("mini")
    assert loaded.digest() == manifest["study_digest"]
    for scoring in plan.scorings(loaded)[3:5]:  # CLIP-D under `plain`, NPR under `shared`
        assert digests.scoring_digest(scoring) == manifest["models"][f"scorings/{scoring.key}"]


def test_a_run_that_goes_on_elsewhere_mixes_nothing(folder, monkeypatch):
    monkeypatch.setattr(make.score.Scorer, "expected", lambda *arguments: 0)
    done = make.run(settings(), folder, device="cuda", progress=False)
    assert done.made == 2 * IMAGES  # all fakes; a render is the same everywhere
    assert any("another device" in note for note in done.notes)


def test_a_run_that_goes_on_in_another_type_mixes_nothing(folder, monkeypatch):
    monkeypatch.setattr(make.score.Scorer, "expected", lambda *arguments: 0)
    typed = schema.load("mini").generators["sd15"].model_copy(update={"dtype": "bfloat16"})
    make.run(settings(), folder, device="cuda", progress=False)
    done = make.run(settings(generators={"sd15": typed}), folder, device="cuda", progress=False)
    assert done.made == IMAGES  # FP4's: FP32 is computed in itself whatever the study says
    assert make.run(settings(generators={"sd15": typed}), folder, device="cuda:1", progress=False).made == 0


def test_another_backbone_makes_scores_stale(tmp_path):
    shutil.copy(detectors.weights_path("npr", "mini"), tmp_path / "npr.safetensors")
    torch.save({"fc.weight": torch.zeros(1, 4), "fc.bias": torch.zeros(1)}, tmp_path / "clip_d.pth")
    backbone = tmp_path / "open_clip_model.safetensors"
    backbone.write_bytes(b"one")
    loaded = settings(weights=str(tmp_path), detectors=["npr", "clip_d"])
    before = [digests.scoring_digest(scoring) for scoring in plan.scorings(loaded)]
    backbone.write_bytes(b"another")
    after = [digests.scoring_digest(scoring) for scoring in plan.scorings(loaded)]
    assert before[0] == after[0] and before[1] != after[1]


def test_a_cell_is_scored_before_the_next_one_is_made(tmp_path, monkeypatch):
    there = []

    class Watched(Noise):
        def load(self):
            there.append(sorted(path.parent.name for path in tmp_path.glob("parts/sd15/*/*.parquet")))
            super().load()

    monkeypatch.setattr(sources, "open_source", Watched)
    run(tmp_path)
    shards = IMAGES // SHARD
    assert there[:2] == [[], ["fp32"] * shards] and there[-1] == sorted(["fp32", "fp4"] * shards)


# What cannot be made


class Small(Noise):
    """Memory for a pipeline's two images at a time, or as many as `ROOM` says of its cell."""

    ROOM: dict[str, int] = {}
    ERROR = torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB")

    def make(self, indices):
        if self.source.label and len(indices) > self.ROOM.get(self.source.folder, 2):
            raise self.ERROR
        return super().make(indices)


def small(monkeypatch, error=Small.ERROR, **room):
    monkeypatch.setattr(sources, "open_source", Small)
    monkeypatch.setattr(Small, "ROOM", {name.replace("_", "/", 1).replace("_", "-"): n for name, n in room.items()})
    monkeypatch.setattr(Small, "ERROR", error)


@pytest.mark.parametrize(
    ("error", "short"),
    [
        (Small.ERROR, True),
        (MemoryError(), True),
        (RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried to allocate 9 bytes"), True),
        (RuntimeError("CUDA error: out of memory"), True),
        (RuntimeError("CUDA error: no kernel image is available"), False),
        (ValueError("out of memory"), False),
    ],
)
def test_errors_that_say_that_there_is_no_memory(error, short):
    assert short_of_memory(error) is short


def test_a_batch_that_memory_is_too_small_for_is_made_in_halves(tmp_path, whole, monkeypatch):
    small(monkeypatch, sd15_fp4=1)
    done = run(tmp_path, shard_size=4, batch_size=4)
    assert not done.failed and {path: data for path, data in contents(tmp_path).items() if path.endswith(".png")} == {
        path: data for path, data in contents(whole).items() if path.endswith(".png")
    }
    sizes = {level: record(tmp_path, level)["batch_size"] for level in ("fp32", "fp4")}
    assert sizes == {"fp32": 2, "fp4": 1}
    assert "sd15/fp4: memory was too small for 4 images at once; made 1 at once" in done.notes


def record(folder, level):
    return json.loads((folder / f"parts/sd15/{level}/0000.json").read_text())["record"]


def test_batches_that_an_arm_is_about_are_not_halved(tmp_path, monkeypatch):
    small(monkeypatch)
    arm = schema.Arm(title="of three", precisions=["fp4"], images=3, batch_size=3)
    done = run(tmp_path, arms={"three": arm}, shard_size=4)
    assert list(done.failed) == ["sd15/fp4-three"] and "arm 'three' is about" in done.failed["sd15/fp4-three"]
    assert not (tmp_path / "images/sd15/fp4-three").exists()


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (Small.ERROR, "memory is too small for one image"),
        (RuntimeError("no kernel image is available"), "RuntimeError: no kernel image is available"),
    ],
)
def test_a_cell_that_cannot_be_made_is_noted_and_the_rest_goes_on(tmp_path, whole, monkeypatch, error, said):
    with monkeypatch.context() as patch:
        small(patch, error, sd15_fp4=0)
        done = run(tmp_path)
        assert list(done.failed) == ["sd15/fp4"] and done.failed["sd15/fp4"].startswith(said)
        assert not done.nothing and any(said in note for note in done.notes)
        assert manifest(tmp_path)["failed"] == done.failed == Store(tmp_path).failures([FP4])
        scores = pd.read_parquet(tmp_path / "scores.parquet")
        assert set(scores.precision) == {"fp32", "none"}  # merged without it
        assert overview(settings(), tmp_path).failed == done.failed
    assert run(tmp_path).made == IMAGES and sound(tmp_path, whole)  # tried again
    assert "failed" not in manifest(tmp_path) and not list((tmp_path / "failed").rglob("*.json"))


def test_a_failure_of_a_cell_that_the_study_no_longer_has_is_not_told(tmp_path, monkeypatch):
    small(monkeypatch, sd15_fp4=0)
    assert list(run(tmp_path).failed) == ["sd15/fp4"]
    less = settings(precisions=["fp32"])
    assert not make.run(less, tmp_path, progress=False).failed
    assert "failed" not in manifest(tmp_path) and not overview(less, tmp_path).failed
    assert Store(tmp_path).failures([FP4])  # for whoever asks for it again


def test_a_run_ends_with_the_cells_named_that_it_could_not_make(tmp_path, monkeypatch, capsys):
    small(monkeypatch, sd15_fp4=0)
    study = settings()
    monkeypatch.setattr(schema, "load", lambda name: study)
    assert cli.main(["run", "mini", "--out", str(tmp_path)]) == 1
    told = capsys.readouterr()
    assert "sd15/fp4: not made: memory is too small" in told.out
    assert "quantdetect: not made: sd15/fp4; see above why" in told.err
    assert cli.main(["grid", "mini", "--out", str(tmp_path)]) == 0
    assert "not made: sd15/fp4: memory is too small" in capsys.readouterr().err


def test_a_model_that_is_missing_keeps_no_other_cell(tmp_path, monkeypatch):
    class Missing(Noise):
        def model(self):
            if self.source.precision == "fp32":
                raise UsageError("sd15: no diffusers pipeline in 'x'; name another")
            return super().model()

    monkeypatch.setattr(sources, "open_source", Missing)
    done = run(tmp_path)
    assert done.failed == {"sd15/fp32": "sd15: no diffusers pipeline in 'x'; name another"}
    assert len(list((tmp_path / "images/sd15/fp4").glob("*.png"))) == IMAGES


@pytest.mark.parametrize("error", [OSError(28, "No space left on device"), ModuleNotFoundError("bitsandbytes")])
def test_what_would_keep_every_cell_ends_the_run(tmp_path, monkeypatch, error):
    small(monkeypatch, error, sd15_fp32=0)
    with pytest.raises(type(error)):
        run(tmp_path)
    assert not list((tmp_path / "failed").rglob("*.json")) and not (tmp_path / "manifest.json").exists()


@pytest.mark.parametrize("text", ["[]", "", '{"why": 3}'])
def test_a_damaged_note_of_a_failure_is_none(tmp_path, text):
    store = Store(tmp_path)
    store.fail(FP4, "no memory")
    assert store.failures([FP4]) == {"sd15/fp4": "no memory"} and store.notes == ["sd15/fp4: not made: no memory"]
    (tmp_path / "failed/sd15/fp4.json").write_text(text)
    assert not store.failures([FP4])


# What ends a run


def test_a_logit_that_is_not_finite_ends_the_run_with_its_image_named(tmp_path, monkeypatch):
    score = detector.score

    def undefined(*arguments):
        logits = score(*arguments)
        logits[-1] = np.nan
        return logits

    monkeypatch.setattr(detector, "score", undefined)
    with pytest.raises(Failure, match=r"images/sd15/fp32/0001\.png: npr \(weights mini\)"):
        run(tmp_path)
    assert not (tmp_path / "scores.parquet").exists() and not list(tmp_path.rglob("*.parquet"))


def test_a_place_that_takes_no_files_is_refused_before_any_work(tmp_path, monkeypatch):
    (tmp_path / "file").write_text("")
    monkeypatch.setattr(make, "produce", lambda *arguments: pytest.fail("work was begun"))
    for name in ("file", "n" * 300):
        with pytest.raises(UsageError, match="name another place"):
            run(tmp_path / name)


def test_a_full_disk_leaves_no_file_that_looks_whole(tmp_path, whole, monkeypatch):
    written, save = [], Image.Image.save

    def full(image, path, **options):
        save(image, path, **options)
        written.append(path)
        if len(written) == 6:
            Path(path).write_bytes(Path(path).read_bytes()[:50])
            raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(Image.Image, "save", full)
        with pytest.raises(OSError, match="No space left"):
            run(tmp_path)
    assert len(list(tmp_path.rglob("*.png"))) == 5 and not list(tmp_path.rglob(".tmp-*"))
    run(tmp_path)
    assert sound(tmp_path, whole)


def manifest(folder):
    return json.loads((folder / "manifest.json").read_text())


def own_rules(folder):
    """A file of rules with another margin."""
    text = (files.STUDIES / rules.FILE).read_text(encoding="utf-8")
    (folder / "own.toml").write_text(text.replace("drop = { value = 0.05", "drop = { value = 0.1"), encoding="utf-8")
    return str(folder / "own.toml")


def test_a_manifest_has_the_rules_and_their_digest(folder):
    held = manifest(folder)
    assert held["rules"]["digest"] == files.file_sha256(files.STUDIES / rules.FILE)
    assert rules.of_manifest(held) == rules.shipped()
    assert held["scored"]["rules"] == held["rules"]["digest"] and held["scored"]["at"] <= held["created"]
    assert run(folder).nothing


def test_rules_of_later_are_taken_and_cannot_pass_for_those_of_before(folder, tmp_path):
    before = manifest(folder)
    done = run(folder, rules=own_rules(tmp_path))
    assert done.merged and (done.made, done.scored) == (0, 0)
    after = manifest(folder)
    assert rules.of_manifest(after).limits()["drop"] == 0.1
    assert after["scored"] == before["scored"] and after["scored"]["rules"] != after["rules"]["digest"]
    assert after["files"] == before["files"]


def test_an_archive_alone_still_knows_when_it_was_scored(folder, tmp_path):
    (folder / "scored.json").unlink()
    assert Store(folder).begun("other") == manifest(folder)["scored"]


def test_scores_of_an_earlier_version_are_as_old_as_their_manifest_and_knew_no_rules(folder):
    (folder / "scored.json").unlink()
    held = manifest(folder) | {"created": "2026-01-01T00:00:00+00:00"}
    del held["rules"], held["scored"]
    files.write_json(held, folder / "manifest.json")
    run(folder)
    assert manifest(folder)["scored"] == {"at": "2026-01-01T00:00:00+00:00", "rules": None}
    assert manifest(folder)["rules"]["digest"] == rules.shipped().digest


def test_images_that_nothing_scored_do_not_count(tmp_path, monkeypatch):
    monkeypatch.setattr(make.score.Scorer, "expected", lambda *arguments: 0)
    for stage in ("spectra", "distances", "filtered"):
        monkeypatch.setattr(getattr(make, stage), "write", lambda *arguments, **more: False)
    monkeypatch.setattr(make.perturbed, "score", lambda *arguments: 0)
    run(tmp_path)
    (tmp_path / "scored.json").unlink()
    held = manifest(tmp_path)
    del held["scored"]
    files.write_json(held, tmp_path / "manifest.json")
    assert Store(tmp_path).begun("these")["rules"] == "these"


@pytest.mark.parametrize(
    ("other", "of"),
    [("mini-confirmation", {"confirms": "mini"}), ("mini-denoisers-s1", {"retrains": "mini"}), ("a-study-of-mine", {})],
)
@pytest.mark.parametrize("turned", [False, True])
def test_every_study_has_a_folder_of_its_own(folder, other, of, turned):
    first, second = ("mini", other) if turned else (other, "mini")
    held = manifest(folder)
    held["study"] |= {"name": first} | (of if first != "mini" else {})
    files.write_json(held, folder / "manifest.json")
    named = {"name": second} | (of if second != "mini" else {})
    before = manifest(folder)
    with pytest.raises(UsageError, match=rf"holds the run of '{first}', and {second} .*--out"):
        make.run(settings(**named), folder, progress=False)
    assert manifest(folder) == before
