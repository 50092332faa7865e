"""Runs in several processes and in Ray: the same bytes as in one, whoever is killed, and nothing left behind.

Images are noise (tests/noisy.py), so that a run takes a second; what takes time is that workers import PyTorch.
"""

from __future__ import annotations

import multiprocessing.forkserver
import os
import random
import shutil
import signal
import socket
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from types import SimpleNamespace

import noisy
import pytest

from helpers.cli import app
from helpers.core.errors import Failure, UsageError
from helpers.runs import Shard, Source, audit, finished, lock, make, plan, sources
from helpers.runs.executors import local, worker
from helpers.runs.executors import ray as executors_ray
from helpers.runs.executors.desk import Desk
from helpers.runs.executors.staff import Staff, staff
from helpers.runs.shares import contiguous
from helpers.study import schema

run, contents, sound, settings = noisy.own.run, noisy.own.contents, noisy.own.sound, noisy.own.settings
#: Kills at random moments; `benchmarks` has none, so more of them are asked for here: KILLS=20.
KILLS = int(os.environ.get("KILLS", "4"))
LINUX = pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """What one process makes. Read only; all tests of this file make noise."""
    folder = tmp_path_factory.mktemp("whole")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sources, "open_source", noisy.own.Noise)
        patch.setattr(audit, "QuantizationAudit", noisy.own.NoAudit)
        run(folder)
        local._starting("cpu")
        multiprocessing.forkserver.ensure_running()  # it imports meanwhile
        yield folder


@pytest.fixture
def working(whole: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., make.Done]:
    """Run the study in a folder with two workers that do as a function of tests/noisy.py."""

    def call(folder: Path, how: Callable[..., object] = noisy.produced, **more: object) -> make.Done:
        with monkeypatch.context() as patch:
            patch.setattr(make, "_produced", how)
            return make.run(settings(), folder, **{"workers": 2, "progress": False, **more})

    return call


def clean(folder: Path) -> bool:
    """Whether nothing is left of workers."""
    return not [*folder.glob(".worker*"), *folder.glob(".tmp-*")] and lock.workers(folder) == []


# Processes


def test_two_workers_make_what_one_makes(tmp_path, whole, working):
    done, alone = working(tmp_path), run(tmp_path / "alone")
    assert done == alone and done.made == 3 * noisy.own.IMAGES
    shutil.rmtree(tmp_path / "alone")
    assert sound(tmp_path, whole) and clean(tmp_path) and run(tmp_path).nothing
    assert len(set((tmp_path / noisy.PIDS).read_text().split())) == 2
    assert working(tmp_path).nothing


def test_the_work_of_a_killed_worker_goes_to_the_other(tmp_path, whole, working):
    done = working(tmp_path, noisy.dying)
    assert len(done.notes) == 1 and "ended before its work" in done.notes[0]
    assert (tmp_path / ".died").exists() and sound(tmp_path, whole) and clean(tmp_path)


def test_where_each_worker_is_killed_the_run_says_so_and_goes_on(tmp_path, whole, working):
    with pytest.raises(Failure, match="no worker is left.* call again"):
        working(tmp_path, noisy.doomed)
    assert 0 < len(list(tmp_path.rglob("*.png"))) < 3 * noisy.own.IMAGES
    working(tmp_path)
    assert sound(tmp_path, whole) and clean(tmp_path)


def forked(call: Callable[[], object]) -> int:
    """A process that does this; its workers come from this one's server, which has imported all."""
    pid = os.fork()
    if not pid:
        multiprocessing.forkserver._forkserver.ensure_running = lambda: None
        signal.signal(signal.SIGINT, signal.default_int_handler)  # ignored where the tests run in the background
        status = 1
        try:
            done = call()
            status = done if isinstance(done, int) else 0
        finally:
            os._exit(status)
    return pid


def when(true: Callable[[], object]) -> object:
    """What becomes true, waited for."""
    until = time.monotonic() + 120
    while not (found := true()):
        assert time.monotonic() < until
        time.sleep(0.01)
    return found


def workers_of(folder: Path, caller: int) -> list[str]:
    return [one for one in lock.workers(folder) if int(one) != caller] if folder.is_dir() else []


def gone(pid: str | int) -> bool:
    try:
        os.kill(int(pid), 0)
    except ProcessLookupError:
        return True
    return Path(f"/proc/{pid}/stat").read_text().split()[2] == "Z"


def killed(caller: int, folder: Path, moment: float, of_workers: bool) -> bool:
    """Kill the caller, or one of its workers, at a moment (seconds) of its life; whether it was still alive."""
    if of_workers:
        when(lambda: workers_of(folder, caller) or gone(caller))
    time.sleep(moment)
    workers = workers_of(folder, caller)
    victim = int(workers[0]) if of_workers and workers else caller
    if gone(victim) or of_workers and not workers:
        return False
    os.kill(victim, signal.SIGKILL)
    return True


@LINUX
def test_kills_at_random_moments_change_no_byte(tmp_path, whole, working):
    """Now the caller is killed, now a worker; in between the folder is taken up as it is."""
    working(tmp_path / "before")  # so that there is a server
    began = time.monotonic()
    working(tmp_path / "timed")
    took, draw, kills = time.monotonic() - began, random.Random(22), Counter()
    folder = tmp_path / "killed"
    while kills.total() < KILLS:
        caller, of_workers = forked(partial(working, folder)), kills[True] < kills[False]
        kills[of_workers] += killed(caller, folder, draw.uniform(0, took / (4 if of_workers else 1)), of_workers)
        os.waitpid(caller, 0)
        if (folder / finished.FILE).exists():
            assert sound(folder, whole) and run(folder).nothing
            folder = tmp_path / f"killed-{kills.total()}"
    working(folder)
    assert sound(folder, whole) and clean(folder)
    print(f"kills of a caller: {kills[False]}, of a worker: {kills[True]}")


@LINUX
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_interruption_ends_all_workers_and_the_run_goes_on(tmp_path, whole, working, monkeypatch, capfd, number):
    folder = tmp_path / "run"
    study = settings()
    monkeypatch.setattr(schema, "load", lambda name: study)
    monkeypatch.setattr(make, "_produced", noisy.still)
    caller = forked(lambda: app.main(["run", "mini", "--out", str(folder), "--workers", "2"]))
    when(lambda: len(list(folder.rglob("*.png"))) >= 2)
    workers = lock.workers(folder)
    assert len(workers) == 2 and str(caller) not in workers
    with pytest.raises(Failure, match=rf"another run works there \(process {caller}\)"):
        run(folder)
    for pid in (caller, *workers) if number == signal.SIGINT else (caller,):  # a terminal tells all of them
        os.kill(int(pid), number)
    ended, status = when(lambda: (found := os.waitpid(caller, os.WNOHANG))[0] and found)
    assert ended == caller and os.waitstatus_to_exitcode(status) == 130
    assert capfd.readouterr().err.endswith("quantdetect: stopped; call it again to go on where it stopped\n")
    assert all(map(gone, workers))
    monkeypatch.undo()
    working(folder)
    assert sound(folder, whole) and clean(folder)


# Ray


def test_ray_starts_a_killed_worker_again_and_makes_the_same(tmp_path, whole, working, monkeypatch):
    """A real cluster of this machine, whose actors are two processes; one is killed by the system in the middle."""
    pytest.importorskip("ray")
    monkeypatch.delenv("RAY_ADDRESS", raising=False)
    monkeypatch.setenv("PYTHONPATH", str(Path(noisy.__file__).parent), prepend=os.pathsep)
    before = signal.getsignal(signal.SIGTERM)
    done = working(tmp_path, noisy.dying, executor="ray")
    assert done.notes == [] and (tmp_path / ".died").exists()
    assert len(set((tmp_path / noisy.PIDS).read_text().split())) == 3  # two, and one again
    assert sound(tmp_path, whole) and clean(tmp_path)
    assert signal.getsignal(signal.SIGTERM) == before


def test_without_ray_its_executor_says_how_to_have_it(tmp_path, working, monkeypatch):
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(UsageError, match=r"pip install 'quantdetect\[models,ray\]'"):
        working(tmp_path, executor="ray")


@pytest.mark.parametrize("address", ["127.0.0.1:{}", "ray://127.0.0.1:{}", "127.0.0.1:99999", "no.such.host.invalid:1"])
def test_where_nothing_answers_is_said_at_once(tmp_path, working, monkeypatch, address):
    ray = SimpleNamespace(init=lambda *_, **__: pytest.fail("Ray would wait"))
    monkeypatch.setitem(sys.modules, "ray", ray)
    with socket.socket() as bound:  # nobody listens there
        bound.bind(("127.0.0.1", 0))
        monkeypatch.setenv("RAY_ADDRESS", address.format(bound.getsockname()[1]))
        with pytest.raises(UsageError, match="RAY_ADDRESS='.*': nothing answers there: .*; name a cluster's head"):
            working(tmp_path, executor="ray")
    assert clean(tmp_path)


@pytest.mark.parametrize("error", [ValueError("Invalid address format: x"), RuntimeError("Version\nmismatch")])
def test_what_ray_says_of_an_address_is_one_line(tmp_path, working, monkeypatch, error):
    def init(*_: object, **__: object) -> None:
        raise error

    monkeypatch.setitem(sys.modules, "ray", SimpleNamespace(init=init))
    monkeypatch.setenv("RAY_ADDRESS", "x")
    with pytest.raises(UsageError, match=f"^RAY_ADDRESS='x': {' '.join(str(error).split())}$"):
        working(tmp_path, executor="ray")


def test_an_actor_that_ray_ends_as_memory_runs_out_is_lost():
    ray = pytest.importorskip("ray")
    assert issubclass(ray.exceptions.ActorDiedError, executors_ray._lost(ray))
    assert issubclass(ray.exceptions.OutOfMemoryError, executors_ray._lost(ray))
    assert not issubclass(ray.exceptions.RayTaskError, executors_ray._lost(ray))


def test_a_worker_that_sees_another_folder_says_so(tmp_path, working):
    job, beside = (worker.Job(plan.resolve(settings()), tmp_path, {}, lambda *_: "made") for _ in range(2))
    with job.shown():
        with beside.shown():  # another share
            assert [worker.Worker(one, 1, "cpu").do([]) for one in (job, beside)] == ["made", "made"]
        assert worker.Worker(job, 2, "cpu").do([]) == "made"
        (tmp_path / job.token).unlink()  # as on another machine
        with pytest.raises(Failure, match=rf"{tmp_path}: worker 3 does not see this folder; name one by --out"):
            worker.Worker(job, 3, "cpu").do([])


# Who does what


@pytest.mark.parametrize(
    ("given", "wanted"),
    [
        ({}, Staff("local", ("cpu",), None)),
        ({"workers": 2}, Staff("local", ("cpu", "cpu"), 2)),
        ({"device": "cuda:0, cuda:1"}, Staff("local", ("cuda:0", "cuda:1"), None)),
        ({"device": "cuda", "executor": "ray"}, Staff("ray", ("cuda",), None)),
        ({"executor": "rya"}, r"no executor 'rya' \(nearest: 'ray'\); use local or ray"),
        ({"device": "cpu,cuda"}, "one kind"),
        ({"device": "cuda:0,cuda:0"}, "different ones"),
        ({"device": "cuda,cuda:0"}, "different ones"),
        ({"device": "cuda:1,cuda:01"}, "different ones"),
        ({"workers": 0}, "0 workers: give at least one"),
        ({"workers": -1, "executor": "ray"}, "-1 workers: give at least one"),
        ({"device": "cuda:0,cuda:1", "workers": 3}, "3 workers: each of 2 devices has one"),
        ({"device": "cuda:0", "executor": "ray"}, "write cuda"),
    ],
)
def test_a_call_says_who_works(given, wanted):
    if isinstance(wanted, Staff):
        assert staff(**given) == wanted and wanted.here == (wanted.executor == "local" and len(wanted.devices) == 1)
    else:
        with pytest.raises(UsageError, match=wanted):
            staff(**given)


def of_mini(images: int = 100) -> plan.Plan:
    """The mini study with more images: six generators at four precisions, and reals."""
    loaded = schema.load("mini")
    return plan.resolve(loaded.model_copy(update={"arms": {}, "further": {}, "protocols": ["plain"]}), images)


def handed_out(of: plan.Plan, shards: list[Shard], workers: int) -> list[list[list[Shard]]]:
    """What each worker gets where the one that has worked least asks next."""
    desk, busy = Desk(of, shards, workers), [0] * workers
    got: list[list[list[Shard]]] = [[] for _ in range(workers)]
    while not desk.empty:
        worker = busy.index(min(busy))
        got[worker].append(desk.take(worker))
        assert got[worker][-1]
        busy[worker] += sum(map(of.cost, got[worker][-1]))
    return got


@pytest.mark.parametrize("workers", [1, 2, 3, 5, 12])
def test_workers_keep_their_generator_and_end_together(workers):
    of = of_mini()
    shards = of.shards(of.recipes)
    got = handed_out(of, shards, workers)
    assert sorted(one.name for mine in got for piece in mine for one in piece) == sorted(one.name for one in shards)
    cost = [sum(of.cost(one) for piece in mine for one in piece) for mine in got]
    assert max(cost) <= 1.15 * sum(cost) / workers
    # A generator is loaded again only where one worker cannot end it in time.
    loads = sum(len({of.recipes[one.source].generator for piece in mine for one in piece}) for mine in got)
    assert loads <= 7 + 2 * workers


def test_a_lone_cell_is_cut_and_what_is_given_back_goes_out_again():
    of = of_mini()
    cell = Source("sd15", "fp4", "native", 64, 1)
    desk = Desk(of, of.shards([cell]), 2)
    first = desk.take(1)
    assert [one.start for one in first] == [0, 25][: len(first)] and not desk.empty
    desk.give_back(1, first)
    again = [one for _ in range(4) for one in desk.take(2)]
    assert [one.start for one in again] == [0, 25, 50, 75] and desk.empty and desk.take(2) == []


def test_shares_are_of_whole_cells_until_there_are_more_of_them_than_cells():
    of = of_mini()
    for count in (2, 4, 8, 27):
        shares = [of.shards(of.recipes, (index, count)) for index in range(1, count + 1)]
        cells = [{shard.source for shard in share} for share in shares]
        assert all(cells) and sum(map(len, cells)) == len(of.recipes) == 27
        generators = [{of.recipes[one].generator for one in share} for share in cells]
        assert sum(map(len, generators)) <= 7 + count
    most = [of.shards(of.recipes, (index, 200)) for index in range(1, 201)]
    assert sum(map(len, most)) == 27 * 4 and max(map(len, most)) == 1


def best(weights: list[int], count: int) -> int:
    """The least largest sum of `count` contiguous parts, by trying all of them."""
    if count == 1:
        return sum(weights)
    ends = range(len(weights) + 1)
    return min(max(sum(weights[:end]), best(weights[end:], count - 1)) for end in ends)


def test_work_is_cut_as_evenly_as_can_be():
    draw = random.Random(3)
    for _ in range(60):
        weights, count = [draw.randint(0, 9) for _ in range(draw.randint(1, 8))], draw.randint(1, 5)
        parts = contiguous(weights, count)
        assert [place for part in parts for place in part] == list(range(len(weights))) and len(parts) == count
        assert max(sum(weights[place] for place in part) for part in parts) == best(weights, count)
        assert sum(map(bool, parts)) == min(count, len(weights))
