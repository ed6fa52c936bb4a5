"""Downloads over a loopback server that drops, lies and changes."""

from __future__ import annotations

import socket
from pathlib import Path

import pytest

from frontalbench.weights import download
from frontalbench.weights.faults import SourceFault
from tests.unit.weightkit import TOY, Server, serving, sha


@pytest.fixture
def server() -> Server:
    with serving() as running:
        running.files["/toy.onnx"] = TOY
        yield running


def get(server: Server, part: Path, data: bytes = TOY, path: str = "/toy.onnx") -> None:
    download.fetch(server.url + path, part, len(data), sha(data), pause=0.01)


def test_a_file_arrives_with_progress(server: Server, tmp_path: Path) -> None:
    seen: list[tuple[str, int, int | None]] = []
    download.fetch(f"{server.url}/toy.onnx", tmp_path / "toy.part", len(TOY), sha(TOY), progress=lambda *state: seen.append(state))
    assert (tmp_path / "toy.part").read_bytes() == TOY
    assert seen[-1] == ("toy.onnx", len(TOY), len(TOY))


def test_an_interrupted_download_goes_on_where_it_stopped(server: Server, tmp_path: Path) -> None:
    (tmp_path / "part").write_bytes(TOY[:4000])
    get(server, tmp_path / "part")
    assert (tmp_path / "part").read_bytes() == TOY
    assert server.seen == [("/toy.onnx", "bytes=4000-")]


def test_a_server_without_ranges_starts_anew(server: Server, tmp_path: Path) -> None:
    server.ranges = False
    (tmp_path / "part").write_bytes(TOY[:4000])
    get(server, tmp_path / "part")
    assert (tmp_path / "part").read_bytes() == TOY


def test_connections_dropped_in_the_middle_are_taken_up_again(server: Server, tmp_path: Path) -> None:
    server.files["/toy.onnx"] = data = TOY * 20
    server.drops = [100_000, 50_000, 0, 40_000]
    get(server, tmp_path / "part", data)
    assert (tmp_path / "part").read_bytes() == data
    starts = [int(header.removeprefix("bytes=").rstrip("-")) if header else 0 for _, header in server.seen]
    assert len(starts) == 5 and starts == sorted(starts) and starts[1] > 80_000 and starts[4] > 140_000


def test_a_server_that_always_drops_is_given_up_and_the_beginning_kept(server: Server, tmp_path: Path) -> None:
    server.files["/toy.onnx"] = data = TOY * 20
    server.drops = [100_000, 0, 0, 0, 0, 0]
    with pytest.raises(SourceFault, match="ended early"):
        get(server, tmp_path / "part", data)
    kept = (tmp_path / "part").read_bytes()
    assert len(kept) > 80_000 and data.startswith(kept)


def test_a_wrong_beginning_is_thrown_away_and_loaded_anew(server: Server, tmp_path: Path) -> None:
    (tmp_path / "part").write_bytes(b"?" * 4000)
    get(server, tmp_path / "part")
    assert (tmp_path / "part").read_bytes() == TOY
    assert [header for _, header in server.seen] == ["bytes=4000-", None]


def test_a_complete_beginning_needs_no_request(server: Server, tmp_path: Path) -> None:
    (tmp_path / "part").write_bytes(TOY)
    get(server, tmp_path / "part")
    assert server.seen == []


def test_a_beginning_longer_than_the_file_is_thrown_away(server: Server, tmp_path: Path) -> None:
    (tmp_path / "part").write_bytes(TOY + b"more")
    get(server, tmp_path / "part")
    assert (tmp_path / "part").read_bytes() == TOY


def test_wrong_bytes_of_the_right_length_are_refused_and_removed(server: Server, tmp_path: Path) -> None:
    server.files["/toy.onnx"] = TOY[::-1]
    with pytest.raises(SourceFault, match="another file: sha256"):
        get(server, tmp_path / "part")
    assert not (tmp_path / "part").exists()


@pytest.mark.parametrize("wrong", [TOY + b"x", TOY[:-1]])
def test_another_length_is_refused(server: Server, tmp_path: Path, wrong: bytes) -> None:
    server.files["/toy.onnx"] = wrong
    with pytest.raises(SourceFault, match="bytes instead of 10,240"):
        get(server, tmp_path / "part")
    assert not (tmp_path / "part").exists() or (tmp_path / "part").stat().st_size < len(TOY)


def test_a_web_page_is_not_taken_for_the_file(server: Server, tmp_path: Path) -> None:
    server.types["/toy.onnx"] = "text/html; charset=utf-8"
    with pytest.raises(SourceFault, match="web page"):
        get(server, tmp_path / "part")


def test_a_passing_fault_of_the_server_is_tried_again(server: Server, tmp_path: Path) -> None:
    server.statuses = [503, 429]
    get(server, tmp_path / "part")
    assert len(server.seen) == 3


def test_a_missing_file_is_not_tried_again(server: Server, tmp_path: Path) -> None:
    with pytest.raises(SourceFault, match="HTTP 404"):
        get(server, tmp_path / "part", path="/other")
    assert len(server.seen) == 1


def test_no_connection_is_said_at_once_and_the_host_remembered(tmp_path: Path) -> None:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    hosts: set[str] = set()
    for words in ("refused", "as before"):
        with pytest.raises(SourceFault, match=words):
            download.fetch(f"http://127.0.0.1:{port}/a", tmp_path / "part", 1, sha(b"1"), unreachable=hosts)
    assert hosts == {f"127.0.0.1:{port}"}


def test_without_a_known_hash_nothing_old_is_believed(server: Server, tmp_path: Path) -> None:
    (tmp_path / "part").write_bytes(b"old")
    download.fetch(f"{server.url}/toy.onnx", tmp_path / "part", None, None)
    assert (tmp_path / "part").read_bytes() == TOY
