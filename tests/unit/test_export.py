"""Images for people: names that no file system minds, an index, nothing outside the folder."""

from __future__ import annotations

import csv
import hashlib
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from frontalbench import images, tables
from frontalbench.errors import BadInput
from frontalbench.plain import export
from tests.unit import figure_tables as made

IMAGE = images.encode_png(made.face(80, 10))
EVIL = [
    "../../etc/passwd",
    "/etc/passwd",
    "a\nb",
    "-rf",
    ".hidden",
    "..",
    "",
    "CON.txt",
    "a" * 300,
    "q\"uo'te",
    "C:\\x",
    "\u202egnp.exe",
    "Ünïcode",
    "ﷺ",
]


def _shard(path: Path, names: list[str]) -> Path:
    rows = [{"image_id": n, "identity": n[::-1], "role": "probe", "status": "ok", "detail": "", "image": IMAGE} for n in names]
    rows.append({"image_id": "zz", "identity": "zz", "role": "reference", "status": "unreadable", "detail": "broken", "image": None})
    tables.write(path, tables.from_rows(rows, tables.IMAGES))
    return path


def _index(folder: Path) -> list[dict[str, str]]:
    with (folder / export.INDEX).open(newline="", encoding="utf-8") as handle:
        return list(csv.DictReader(handle))


@given(st.text(max_size=80))
def test_safe_names_are_safe_and_stable(name: str) -> None:
    safe = export.safe_name(name)
    assert re.fullmatch(r"\w([\w.-]*[\w-])?", safe) and ".." not in safe and len(safe.encode()) <= 255
    assert safe == export.safe_name(name)


@given(st.text(max_size=30), st.text(max_size=30))
def test_different_names_never_meet(first: str, second: str) -> None:
    assert (export.safe_name(first).lower() == export.safe_name(second).lower()) == (first == second)


def test_evil_names_stay_in_the_folder_and_the_index_knows_them(tmp_path: Path) -> None:
    shard = _shard(tmp_path / "s.parquet", EVIL)
    out = tmp_path / "out"
    written = export.export(export.choose([shard], statuses=()), out)
    assert written == len(EVIL)
    assert {p for p in tmp_path.rglob("*") if p.is_file()} == {shard, out / export.INDEX, *(p for p in out.rglob("*.png"))}
    index = _index(out)
    assert {row["image_id"] for row in index} == {*EVIL, "zz"}
    for row in index:
        if row["file"]:
            assert hashlib.sha256((out / row["file"]).read_bytes()).digest() == hashlib.sha256(IMAGE).digest()
    assert [row["status"] for row in index if not row["file"]] == ["unreadable"]


def test_second_export_replaces_the_first(tmp_path: Path) -> None:
    out = tmp_path / "out"
    export.export(export.choose([_shard(tmp_path / "a.parquet", ["a", "b"])]), out)
    export.export(export.choose([_shard(tmp_path / "b.parquet", ["b"])]), out)
    assert [p.name for p in sorted(out.rglob("*.png"))] == [f"{export.safe_name('b')}.png"]
    assert len(list(out.iterdir())) == 2


def test_folder_of_somebody_else_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "mine.txt").write_text("keep")
    rows = export.choose([_shard(tmp_path / "s" / "a.parquet", ["a"])])
    with pytest.raises(BadInput, match=r"index\.csv"):
        export.export(rows, tmp_path)
    assert (tmp_path / "mine.txt").read_text() == "keep"


def test_a_file_that_the_index_does_not_know_is_kept(tmp_path: Path) -> None:
    out = tmp_path / "out"
    rows = export.choose([_shard(tmp_path / "a.parquet", ["a"])])
    export.export(rows, out)
    (out / "notes.txt").write_text("keep")
    with pytest.raises(BadInput, match=r"notes\.txt"):
        export.export(rows, out)
    assert (out / "notes.txt").read_text() == "keep"


def test_an_export_that_fails_leaves_the_old_one(tmp_path: Path) -> None:
    out = tmp_path / "out"
    export.export(export.choose([_shard(tmp_path / "a.parquet", ["a"])]), out)
    before = sorted(p.relative_to(out) for p in out.rglob("*"))
    rows = export.choose([_shard(tmp_path / "b.parquet", ["b"])])
    (tmp_path / "b.parquet").unlink()
    with pytest.raises(BadInput, match="not found"):
        export.export(rows, out)
    assert sorted(p.relative_to(out) for p in out.rglob("*")) == before
    assert sorted(p.name for p in tmp_path.iterdir()) == ["a.parquet", "out"], "no half folder is left"


def test_a_link_is_not_followed(tmp_path: Path) -> None:
    (tmp_path / "real").mkdir()
    (tmp_path / "out").symlink_to(tmp_path / "real")
    with pytest.raises(BadInput, match="not a folder"):
        export.export(export.choose([_shard(tmp_path / "a.parquet", ["a"])]), tmp_path / "out")


def test_limit_shows_many_people_and_roles_can_come_from_another_table(tmp_path: Path) -> None:
    files = made.write_run(tmp_path)
    shards = [p for p in files if "/images/" in str(p)]
    chosen = export.choose(shards, roles=["probe"], limit=6)
    assert len({row["identity"] for _, row in chosen}) == 6
    assert len({row["image_id"].split("/")[1] for _, row in chosen}) > 2, "different angles"
    assert [row["image_id"] for _, row in export.choose(shards, roles=["probe"], limit=6)] == [row["image_id"] for _, row in chosen]
    resolved = next(p for p in files if "similarity/toy/original" in str(p))
    rows: list[dict[str, Any]] = [
        {**row, "role": "reference" if row["image_id"] == "0/0" else "unused"} for row in made.similarity_rows("original")
    ]
    tables.write(resolved, tables.from_rows(rows, tables.SIMILARITY))
    assert [row["image_id"] for _, row in export.choose(shards, roles=["reference"], resolved=resolved)] == ["0/0"]


def test_png_option_gives_upright_png_of_any_source(tmp_path: Path) -> None:
    shard = tmp_path / "j.parquet"
    row = {
        "image_id": "j.jpg",
        "identity": "j",
        "role": "probe",
        "status": "ok",
        "detail": "",
        "image": images.encode_jpeg(made.face(80, 0)),
    }
    tables.write(shard, tables.from_rows([row], tables.IMAGES))
    export.export(export.choose([shard]), tmp_path / "plain")
    export.export(export.choose([shard]), tmp_path / "png", png=True)
    assert [p.suffix for f in ("plain", "png") for p in (tmp_path / f).rglob("j*/*")] == [".jpg", ".png"]


@pytest.mark.slow
def test_command_line_says_what_it_wrote(tmp_path: Path, project_root: Path) -> None:
    shard = _shard(tmp_path / "a.parquet", ["a", "b"])
    script = project_root / "workflow" / "scripts" / "export.py"
    call = [sys.executable, str(script), "--in", str(shard), "--out", str(tmp_path / "o"), "--status", "any", "--limit", "2"]
    done = subprocess.run(call, capture_output=True, text=True, check=False)
    assert done.returncode == 0 and done.stdout.startswith("2 images of 2 rows"), done.stderr
