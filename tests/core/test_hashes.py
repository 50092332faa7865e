"""Digests that are remembered: computed once, in a process and beside a run, and never of a file that has changed."""

from __future__ import annotations

import hashlib
import os
import time

import pytest

from helpers.core import files, hashes


@pytest.fixture
def counted(monkeypatch):
    """The files that are read."""
    read, of = [], hashes.file_sha256
    monkeypatch.setattr(hashes, "_KNOWN", {})
    monkeypatch.setattr(hashes, "file_sha256", lambda path: read.append(os.path.basename(path)) or of(path))
    return read


def old(path, content, age=60.0):
    """A file that was written a while ago; its ctime cannot be set, so the clock of the module is ahead."""
    path.write_bytes(content)
    then = time.time() - age
    os.utime(path, (then, then))
    return path


@pytest.fixture
def later(monkeypatch):
    """Let files count as old at once."""
    monkeypatch.setattr(hashes, "RACY", -1.0)


def test_a_file_is_read_once(tmp_path, counted, later):
    file = old(tmp_path / "a", b"weights")
    assert {hashes.known_sha256(file) for _ in range(3)} == {hashlib.sha256(b"weights").hexdigest()}
    (tmp_path / "link").symlink_to(file)  # as the hub's cache has them
    assert hashes.known_sha256(tmp_path / "link") == hashlib.sha256(b"weights").hexdigest()
    assert counted == ["a"]


@pytest.mark.parametrize("same_time", [False, True])
def test_a_change_is_noticed_even_of_the_same_size_and_time(tmp_path, counted, later, same_time):
    file = old(tmp_path / "a", b"weights")
    before = file.stat()
    hashes.known_sha256(file)
    time.sleep(0.02)  # the clock of the file system
    file.write_bytes(b"other w")
    if same_time:
        os.utime(file, ns=(before.st_atime_ns, before.st_mtime_ns))  # as `cp -p` does
    assert hashes.known_sha256(file) == hashlib.sha256(b"other w").hexdigest()


def test_a_file_that_may_still_be_written_is_read_again(tmp_path, counted):
    (tmp_path / "a").write_bytes(b"1")
    hashes.known_sha256(tmp_path / "a")
    hashes.known_sha256(tmp_path / "a")
    assert counted == ["a", "a"]


def test_large_files_are_remembered_beside_a_run(tmp_path, counted, later, monkeypatch):
    monkeypatch.setattr(hashes, "WORTH", 4)
    run, model = tmp_path / "run", tmp_path / "model"
    for folder in (run, model):
        folder.mkdir()
    old(model / "large", b"12345"), old(model / "small", b"1")

    def digest():
        with hashes.remembering(run):
            return files.tree_sha256(model, of_file=hashes.known_sha256)

    assert digest() == files.tree_sha256(model)
    assert set(map(os.path.basename, files.read_json(run / hashes.FILE))) == {"large"}
    hashes._KNOWN.clear()  # another process
    counted.clear()
    assert digest() == files.tree_sha256(model) and counted == ["small"]
    for damage in (b"", b"[]", b'{"x": 3}', b'{"x": ["a", "b"]}', b'{"x": [["1"], {}]}', b"\xff"):
        (run / hashes.FILE).write_bytes(damage)
        hashes._KNOWN.clear()
        assert digest() == files.tree_sha256(model)
    old(model / "large", b"54321")
    assert digest() == files.tree_sha256(model)


def test_a_folder_that_is_not_there_is_not_made(tmp_path, counted, later, monkeypatch):
    monkeypatch.setattr(hashes, "WORTH", 0)
    with hashes.remembering(tmp_path / "run"):
        hashes.known_sha256(old(tmp_path / "a", b"1"))
    assert not (tmp_path / "run").exists()
