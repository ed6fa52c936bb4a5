"""Plain folders go in as a shard and come out as a folder, a row per picture."""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np
import pytest

from frontalbench import folders, images, tables
from frontalbench.errors import BadInput


def _save(path: Path, value: int) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(images.encode_png(np.full((8, 8, 3), value, np.uint8)))


def test_pictures_come_back_under_their_names_with_a_row_each(tmp_path: Path) -> None:
    source = tmp_path / "in"
    _save(source / "ann" / "1.png", 10)
    _save(source / "ann" / "1.jpg", 20)  # a PNG by content, and the same stem
    _save(source / "bob" / "نام ’x’.png", 30)
    (source / "bob" / "broken.jpg").write_bytes(b"\xff\xd8\xff nothing")
    (source / ".hidden.png").write_bytes(b"x")
    (source / "notes.txt").write_text("not a picture")
    with folders.as_shard(source) as (shard, _):
        assert folders.unpack(shard, tmp_path / "out") == {"ok": 3, "unreadable": 1}
    rows = {row["image_id"]: row for row in csv.DictReader((tmp_path / "out" / "rows.csv").open(encoding="utf-8"))}
    assert len(rows) == 4
    assert rows["bob/broken.jpg"]["status"] == "unreadable"
    assert rows["bob/broken.jpg"]["detail"]
    values = {name: images.decode((tmp_path / "out" / row["file"]).read_bytes())[0, 0, 0] for name, row in rows.items() if row["file"]}
    assert values == {"ann/1.png": 10, "ann/1.jpg": 20, "bob/نام ’x’.png": 30}
    assert {row["identity"] for row in rows.values()} == {"ann", "bob"}


def test_a_pattern_chooses_files_and_nothing_found_is_an_error(tmp_path: Path) -> None:
    _save(tmp_path / "a.png", 1)
    _save(tmp_path / "b.webp", 2)
    assert [p.name for p in folders.pictures_in(tmp_path, "*.png")] == ["a.png"]
    with pytest.raises(BadInput, match=r"\*\.gif"):
        folders.pictures_in(tmp_path, "*.gif")
    with pytest.raises(BadInput, match="not a folder"):
        folders.pictures_in(tmp_path / "nowhere")


def test_nothing_is_written_outside_the_folder(tmp_path: Path) -> None:
    row = {"image_id": "../outside.png", "identity": "x", "role": "probe", "status": "ok", "detail": "", "image": b"x"}
    table = tmp_path / "t.parquet"
    tables.write(table, tables.from_rows([row], tables.FRONTALS))
    with pytest.raises(BadInput, match="outside"):
        folders.unpack(table, tmp_path / "out")
    assert not (tmp_path / "outside.png").exists()


def test_beside_puts_the_photo_left_of_the_view(tmp_path: Path) -> None:
    _save(tmp_path / "in" / "a.png", 10)
    with folders.as_shard(tmp_path / "in") as (shard, temporary):
        other = temporary / "other.parquet"
        row = {"image_id": "a.png", "identity": "a", "role": "probe", "status": "ok", "detail": ""}
        row["image"] = images.encode_png(np.full((16, 16, 3), 200, np.uint8))
        tables.write(other, tables.from_rows([row], tables.FRONTALS))
        folders.unpack(other, tmp_path / "out", beside=shard)
    pair = images.decode((tmp_path / "out" / "a.png").read_bytes())
    assert pair.shape == (16, 32, 3)
    assert (pair[:, :16] == 10).all()
    assert (pair[:, 16:] == 200).all()
