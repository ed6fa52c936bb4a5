"""What the tests of cards and weights share: a throw-away project, its cards, and a web server that misbehaves on demand."""

from __future__ import annotations

import contextlib
import hashlib
import io
import shutil
import tarfile
import threading
import zipfile
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
import yaml

from frontalbench.catalogue import cards

ROOT = Path(__file__).resolve().parents[2]
TOY = bytes(range(256)) * 40
"""The bytes of the toy weight, 10,240 of them."""


def sha(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def new_project(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A project without cards in ``folder``; the environment points at it, at no mirror, and at the default store."""
    (folder / "config" / "models").mkdir(parents=True)
    shutil.copytree(ROOT / "config" / "schemas", folder / "config" / "schemas")
    monkeypatch.setenv("FRONTALBENCH_HOME", str(folder))
    monkeypatch.delenv("FRONTALBENCH_WEIGHTS", raising=False)
    monkeypatch.delenv("FRONTALBENCH_STORE", raising=False)
    return folder


def weight_entry(*sources: dict[str, Any], data: bytes = TOY, file: str = "toy.onnx") -> dict[str, Any]:
    return {"file": file, "bytes": len(data), "sha256": sha(data), "sources": list(sources)}


def card_data(name: str = "toy", kind: str = "backbone", **changes: Any) -> dict[str, Any]:
    data: dict[str, Any] = {
        "name": name,
        "kind": kind,
        "family": "arcface_onnx",
        "title": "A toy",
        "weights": {"model": weight_entry()},
        "licence": {"code": "MIT", "weights": "MIT"},
        "verified": {"level": "none"},
    }
    return data | changes


def write_card(project: Path, name: str = "toy", kind: str = "backbone", **changes: Any) -> Path:
    path = project / "config" / "models" / cards.FOLDERS[kind] / f"{name}.yaml"
    path.parent.mkdir(exist_ok=True)
    path.write_text(yaml.safe_dump(card_data(name, kind, **changes), sort_keys=False))
    return path


def make_card(project: Path, *sources: dict[str, Any], name: str = "toy", kind: str = "backbone", **changes: Any) -> cards.ModelCard:
    """A card with the toy weight from ``sources`` (or whatever ``weights`` says)."""
    changes.setdefault("weights", {"model": weight_entry(*sources)})
    return cards.load(write_card(project, name, kind, **changes))


def make_zip(path: Path, members: dict[str, bytes]) -> Path:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in members.items():
            archive.writestr(name, data)
    return path


def make_tgz(path: Path, members: dict[str, bytes]) -> Path:
    with tarfile.open(path, "w:gz") as archive:
        for name, data in members.items():
            info = tarfile.TarInfo(name)
            info.size = len(data)
            archive.addfile(info, io.BytesIO(data))
    return path


def make_wheel(folder: Path, name: str, version: str, members: dict[str, bytes]) -> Path:
    """A wheel that pip accepts."""
    info = f"{name}-{version}.dist-info"
    files = dict(members)
    files[f"{info}/METADATA"] = f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n".encode()
    files[f"{info}/WHEEL"] = b"Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
    files[f"{info}/RECORD"] = b""
    folder.mkdir(parents=True, exist_ok=True)
    return make_zip(folder / f"{name}-{version}-py3-none-any.whl", files)


class Server:
    """A loopback web server: ``files`` by path; what goes wrong is set per test. ``seen``: (path, Range header) of every request."""

    def __init__(self) -> None:
        self.files: dict[str, bytes] = {}
        self.types: dict[str, str] = {}
        self.ranges = True
        self.drops: list[int] = []  # the next answers break off after so many bytes of their body
        self.statuses: list[int] = []  # the next answers have these statuses and no body
        self.seen: list[tuple[str, str | None]] = []
        self.url = ""


@contextlib.contextmanager
def serving() -> Iterator[Server]:
    server = Server()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            wanted = self.headers.get("Range")
            server.seen.append((self.path, wanted))
            if server.statuses:
                return self._answer(server.statuses.pop(0), b"", {})
            data = server.files.get(self.path)
            if data is None:
                return self._answer(404, b"", {})
            headers = {"Content-Type": server.types.get(self.path, "application/octet-stream")}
            start = int(wanted.removeprefix("bytes=").rstrip("-")) if wanted and server.ranges else 0
            if start and start >= len(data):
                return self._answer(416, b"", {"Content-Range": f"bytes */{len(data)}"})
            if start:
                headers["Content-Range"] = f"bytes {start}-{len(data) - 1}/{len(data)}"
            return self._answer(206 if start else 200, data[start:], headers)

        def _answer(self, status: int, body: bytes, headers: dict[str, str]) -> None:
            self.send_response(status)
            for key, value in headers.items():
                self.send_header(key, value)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            if body and server.drops:
                self.wfile.write(body[: server.drops.pop(0)])
                self.close_connection = True
            else:
                self.wfile.write(body)

        def log_message(self, *_: Any) -> None:
            """Quiet."""

    http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.url = f"http://127.0.0.1:{http.server_address[1]}"
    thread = threading.Thread(target=http.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    try:
        yield server
    finally:
        http.shutdown()
        http.server_close()
        thread.join()


def without_networks(monkeypatch: pytest.MonkeyPatch) -> None:
    """Networks stay as they are made: for a test of another file of a card, which is read after them."""
    from frontalbench.networks import checkpoints

    monkeypatch.setattr(checkpoints, "load", lambda path, **how: {})
    monkeypatch.setattr(checkpoints, "fill", lambda module, state, path: None)
