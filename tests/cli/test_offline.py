"""No command reaches another machine: seen in every Python, and in every library by a network that ends here."""

from __future__ import annotations

import socket
import sys

import offline
import pytest
from PIL import Image

from helpers import world

STUDY = """
name = "tiny"
scale = "mini"
images_per_cell = 2
seed = 1
precisions = ["fp32", "fp8"]
detectors = ["npr", "r50_nodown", "r50_tf", "clip_d"]
shard_size = 2
[prompts]
kind = "world"
[generators]
sd15 = { checkpoint = "sd15", size = 64, steps = 2, guidance = 3.0 }
"""

COMMANDS = """
import sys, time
from helpers import cli
folder = sys.argv[1]
for words in (
    "grid {0}/tiny.toml",
    "run {0}/tiny.toml --out {0}/run",
    "verify {0}/tiny.toml --results {0}/run --images 1",
    "detect {0}/a.png --out {0}/a.csv",
    "import-scores {0}/run/scores.parquet --out {0}/theirs",
    "footprint --checkpoints sd15 --precisions fp16 --out {0}/footprint.csv",
):
    status = cli.main(words.format(folder).split())
    assert status == 0, words
time.sleep(3)  # libraries send what they have gathered by timers, seconds after they began
"""

#: Attempts of a Python library and of the C library's own resolver, which is what other languages use.
STRAYS = """
import ctypes, socket
for attempt in (
    lambda: socket.socket().connect(("192.0.2.1", 80)),
    lambda: socket.getaddrinfo("host.invalid", 80),
    lambda: socket.socket(socket.AF_INET, socket.SOCK_DGRAM).sendto(b"a", ("192.0.2.2", 9)),
):
    try:
        attempt()
    except OSError as error:
        print(error)
ctypes.CDLL(None).getaddrinfo(b"host.invalid", b"80", None, ctypes.byref(ctypes.c_void_p()))
import os
os.environ.pop("OFFLINE_LOG")
try:
    socket.create_connection(("192.0.2.3", 443), timeout=5)
except OSError as error:
    print(error)
with socket.create_server(("127.0.0.1", 0)) as server:
    socket.create_connection(server.getsockname()).close()
"""


def test_who_tries_is_seen(tmp_path):
    done, tried, sent = offline.attempts([sys.executable, "-c", STRAYS], tmp_path)
    assert done.returncode == 0, done.stderr
    assert [line.split(" by ")[0] for line in tried] == [
        "socket.connect 192.0.2.1", "socket.getaddrinfo host.invalid", "socket.sendto 192.0.2.2"
    ]  # fmt: skip
    if offline.namespaces():
        assert any(line.endswith(" 53") for line in sent)
        assert {line for line in sent if not line.endswith(" 53")} == {"tcp 192.0.2.3 443"}


def test_who_tries_in_this_process_is_seen(tmp_path):
    with offline.refused(tmp_path / "tried.txt"), pytest.raises(PermissionError, match="host.invalid"):
        socket.getaddrinfo("host.invalid", 80)
    assert len(offline.lines(tmp_path / "tried.txt")) == 1


def test_commands_reach_nobody(tmp_path):
    Image.fromarray(world.render(0, 64)).save(tmp_path / "a.png")
    (tmp_path / "tiny.toml").write_text(STUDY)
    done, tried, sent = offline.attempts([sys.executable, "-c", COMMANDS, str(tmp_path)], tmp_path)
    assert done.returncode == 0, done.stderr[-2000:]
    assert tried == []
    if not offline.namespaces():
        pytest.skip("no Python tried; what other libraries send is not seen: no network namespaces for this user")
    assert sent == []
