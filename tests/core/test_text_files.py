"""Text that a user names: read whole, or refused in one line; never waited for."""

from __future__ import annotations

import os

import pytest

from helpers.core import files
from helpers.core.errors import UsageError, nearest, readable, shortened


def refused(read, path, said):
    with pytest.raises(UsageError, match=said) as told:
        read(path, "a TOML map")
    assert "\n" not in str(told.value) and str(told.value).endswith("; name a TOML map")
    assert len(str(told.value)) < 600


def test_text_is_read_with_or_without_a_byte_order_mark(tmp_path):
    (tmp_path / "a.toml").write_bytes(b"\xef\xbb\xbftitle = 'caf\xc3\xa9'")
    assert files.read_text(tmp_path / "a.toml", "a TOML map") == "title = 'café'"
    assert files.read_toml(tmp_path / "a.toml", "a TOML map") == {"title": "café"}


def test_what_is_no_regular_file_is_refused_at_once(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    refused(files.read_text, tmp_path / "pipe", "a pipe or a device, not a file")
    refused(files.read_text, "/dev/zero", "a pipe or a device, not a file")
    refused(files.read_text, tmp_path, "a folder, not a file")
    refused(files.read_text, tmp_path / "absent", "absent: cannot be read: No such file")
    refused(files.read_text, tmp_path / ("x" * 5000), "cannot be read: File name too long")
    refused(files.read_text, "a\0b", "cannot be read: embedded null")


def test_text_that_is_too_large_or_not_utf8_is_refused(tmp_path):
    with open(tmp_path / "large", "wb") as file:
        file.truncate(files.TEXT_BYTES + 1)
    refused(files.read_text, tmp_path / "large", "larger than 16 MB")
    (tmp_path / "latin").write_bytes("café".encode("latin-1"))
    refused(files.read_text, tmp_path / "latin", "not UTF-8 text")


@pytest.mark.parametrize(
    "text",
    [
        "a = ", "a = 1\na = 2", f"a = {'9' * 5000}", "a = " + "[" * 100_000, "a" + ".a" * 1000 + " = 1", 'a = "\0"',
        "a = 1e", "\0", "a = 'x" * 50_000,
    ],
)  # fmt: skip
def test_text_that_is_not_toml_is_refused_in_one_line(tmp_path, text):
    (tmp_path / "a.toml").write_text(text)
    refused(files.read_toml, tmp_path / "a.toml", "not valid TOML")


def test_what_a_message_quotes_is_short():
    assert readable("a\ud800\udc00b") == r"a\ud800\udc00b" and readable("caf\udce9\x1b") == r"caf\xe9\x1b"
    assert readable("\ud83d\udce9") == r"\ud83d\udce9" and shortened("x\udfff") == r"x\udfff"
    assert shortened("a\nb") == "a b" and len(shortened("x" * 10**6)) == 120
    assert nearest("x" * 10**5 + "y", ["x" * 10**5, "short"]) == f" (nearest: '{'x' * 116} ...')"
