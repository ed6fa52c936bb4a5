"""fetch_weights.py as a person and as a rule call it."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from tests.unit.weightkit import ROOT, TOY, Server, make_card, new_project, serving, sha, weight_entry

SCRIPT = ROOT / "workflow" / "scripts" / "fetch_weights.py"


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    return new_project(tmp_path / "project", monkeypatch)


@pytest.fixture
def server() -> Server:
    with serving() as running:
        running.files["/toy.onnx"] = TOY
        yield running


def call(*arguments: object) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, str(SCRIPT), *map(str, arguments)], capture_output=True, text=True, timeout=600, check=False)


@pytest.mark.slow
def test_fetching_prints_where_the_files_are(project: Path, server: Server) -> None:
    make_card(project, {"url": f"{server.url}/toy.onnx"})
    done = call("--card", "toy", "--only-fetch")
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout == f"backbone/toy\tmodel\t{project}/weights/{sha(TOY)[:16]}-toy.onnx\n"


@pytest.mark.slow
def test_the_receipt_is_the_same_on_every_machine(project: Path, server: Server, tmp_path: Path) -> None:
    card = make_card(project, {"url": f"{server.url}/toy.onnx"})
    for name in ("a", "b"):
        assert call("--kind", "backbone", "--card", "toy", "--receipt", tmp_path / name, "--allow-missing").returncode == 0
    text = (tmp_path / "a").read_text()
    assert text == (tmp_path / "b").read_text() and str(tmp_path) not in text
    assert json.loads(text) == {
        "card": "toy",
        "kind": "backbone",
        "status": "ok",
        "digest": card.digest(),
        "files": [{"card": "toy", "key": "model", "file": "toy.onnx", "sha256": sha(TOY)}],
        "reason": "",
    }


@pytest.mark.slow
def test_missing_weights_end_in_the_receipt_or_in_exit_code_2(project: Path, server: Server, tmp_path: Path) -> None:
    make_card(project, {"url": f"{server.url}/toy.onnx"}, name="used", kind="landmarks")
    entry = weight_entry({"url": f"{server.url}/gone"}, data=b"own", file="own.onnx")
    make_card(project, weights={"model": entry}, uses=["used"], params={"dimension": 512})
    receipt = tmp_path / "sub" / "r.json"
    done = call("--card", "toy", "--receipt", receipt, "--allow-missing")
    assert done.returncode == 0 and done.stderr.startswith("warning: backbone toy: weight file own.onnx") and "HTTP 404" in done.stderr
    written = json.loads(receipt.read_text())
    assert written["status"] == "missing" and [each["card"] for each in written["files"]] == ["used"]
    assert written["reason"].startswith("weight file own.onnx (3 bytes, sha256") and "fetch_weights.py --from FILE" in written["reason"]
    assert "\n" not in written["reason"] and str(tmp_path) not in written["reason"]
    done = call("--card", "toy")
    assert (
        done.returncode == 2 and done.stderr.startswith("error: backbone toy: weight file own.onnx") and len(done.stderr.splitlines()) == 1
    )


@pytest.mark.slow
def test_a_file_at_hand_is_taken(project: Path, tmp_path: Path) -> None:
    make_card(project)
    (tmp_path / "whatever").write_bytes(TOY)
    done = call("--from", tmp_path / "whatever")
    assert done.returncode == 0 and (project / "weights" / f"{sha(TOY)[:16]}-toy.onnx").is_file()
    (tmp_path / "whatever").write_bytes(b"x")
    done = call("--from", tmp_path / "whatever", "--card", "toy")
    assert done.returncode == 2 and "belongs to no weight" in done.stderr


def test_the_list_shows_every_card(project: Path) -> None:
    make_card(project)
    make_card(project, name="front", kind="frontalizer", weights={}, uses=["toy"])
    done = call("--list")
    assert done.returncode == 0
    rows = [line.split() for line in done.stdout.splitlines()[2:]]
    assert rows == [["backbone", "toy", "toy.onnx", "0.0", "MIT", "absent"], ["frontalizer", "front", "-", "MIT", "uses", "toy"]]


@pytest.mark.slow
def test_a_file_with_terms_of_its_own_is_listed_and_missed_with_them(project: Path) -> None:
    make_card(project, params={"dimension": 512}, weights={"model": weight_entry() | {"terms": "register at its makers"}})
    assert "register at its makers" in call("--list").stdout
    receipt = project / "receipt.json"
    done = call("--card", "toy", "--receipt", receipt, "--allow-missing")
    assert done.returncode == 0 and "no source] (register at its makers)" in receipt.read_text()


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ([], "name cards with --card"),
        (["--card", "a", "b", "--receipt", "x"], "--receipt is for one --card"),
        (["--card", "toy", "--allow-missing"], "--allow-missing is for --receipt"),
        (["--card", "tyo"], "did you mean 'toy'?"),
        (["--from", "nowhere"], "nowhere: no such file"),
    ],
)
def test_wrong_use_is_exit_code_2_and_no_stack_trace(project: Path, arguments: list[str], said: str) -> None:
    make_card(project)
    done = call(*arguments)
    assert done.returncode == 2 and said in done.stderr and "Traceback" not in done.stderr
