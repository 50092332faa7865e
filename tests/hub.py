"""A hub on this machine: the paths that the Hugging Face hub's library asks for, answered from a table of files."""

from __future__ import annotations

import hashlib
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import unquote, urlsplit

__all__ = ["Hub", "serving"]


def sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


@dataclass
class Hub:
    """Repositories by id: commit and files. `gated` are given to nobody, `asked` is every request's method and path.

    Of a file in `cut` the first answer ends after that many bytes; of one in `spoilt` the bytes are others than the
    hub says.
    """

    repos: dict[str, tuple[str, dict[str, bytes]]]
    gated: set[str] = field(default_factory=set)
    cut: dict[str, int] = field(default_factory=dict)
    spoilt: set[str] = field(default_factory=set)
    asked: list[str] = field(default_factory=list)
    address: str = ""

    def downloads(self) -> list[str]:
        """The names of the files whose bytes were asked for."""
        return [line.partition(" ")[2] for line in self.asked if line.startswith("GET ") and "/resolve/" in line]


@contextmanager
def serving(hub: Hub) -> Iterator[Hub]:
    """The hub, at its `address` while the block runs."""

    class Handler(_Handler):
        table = hub

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    hub.address = f"http://127.0.0.1:{server.server_address[1]}"
    try:
        yield hub
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


class _Handler(BaseHTTPRequestHandler):
    table: Hub
    protocol_version = "HTTP/1.1"

    def log_message(self, *arguments: Any) -> None:
        """Nothing on the screen."""

    def do_HEAD(self) -> None:
        self._answer(body=False)

    def do_GET(self) -> None:
        self._answer(body=True)

    def _answer(self, body: bool) -> None:
        path = unquote(urlsplit(self.path).path).lstrip("/")
        self.table.asked.append(f"{self.command} {path}")
        if path.startswith("api/models/"):
            repo, _, revision = path.removeprefix("api/models/").partition("/revision/")
            return self._listing(repo, revision, body)
        repo, _, rest = path.partition("/resolve/")
        revision, _, name = rest.partition("/")
        return self._file(repo, revision, name, body)

    def _listing(self, repo: str, revision: str, body: bool) -> None:
        if repo not in self.table.repos:
            return self._send(404, {"X-Error-Code": "RepoNotFound"}, b"{}", body)
        commit, files = self.table.repos[repo]
        if revision not in ("", "main", commit):
            return self._send(404, {"X-Error-Code": "RevisionNotFound"}, b"{}", body)
        siblings = [self._sibling(name, data) for name, data in files.items()]
        content = {"id": repo, "sha": commit, "siblings": siblings, "tags": [], "private": False}
        return self._send(200, {"Content-Type": "application/json"}, json.dumps(content).encode(), body)

    def _sibling(self, name: str, data: bytes) -> dict[str, Any]:
        found: dict[str, Any] = {"rfilename": name, "size": len(data), "blobId": hashlib.sha1(data).hexdigest()}
        if not name.endswith((".json", ".txt")):
            found["lfs"] = {"sha256": sha256(data), "size": len(data), "pointerSize": 130}
        return found

    def _file(self, repo: str, revision: str, name: str, body: bool) -> None:
        commit, files = self.table.repos.get(repo, ("", {}))
        if repo in self.table.gated:
            return self._send(403, {"X-Error-Code": "GatedRepo"}, b"", body)
        if name not in files:
            return self._send(404, {"X-Error-Code": "EntryNotFound", "X-Repo-Commit": commit}, b"", body)
        data, status = files[name], 200
        headers = {"ETag": f'"{sha256(data)}"', "X-Repo-Commit": commit, "Accept-Ranges": "bytes"}
        if name in self.table.spoilt and body:
            data = bytes(len(data))
        if (asked := self.headers.get("Range")) and body:
            start = int(asked.removeprefix("bytes=").partition("-")[0])
            headers["Content-Range"] = f"bytes {start}-{len(data) - 1}/{len(data)}"
            data, status = data[start:], 206
        return self._send(status, headers, data, body, self.table.cut.pop(name, None) if body else None)

    def _send(self, status: int, headers: dict[str, str], data: bytes, body: bool, cut: int | None = None) -> None:
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        if body:
            self.wfile.write(data[:cut])
        if cut is not None:
            self.close_connection = True
