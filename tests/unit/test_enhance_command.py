"""The command on a folder and on a shard: images before and after, and what its rows.csv says."""

from __future__ import annotations

import csv
import sys
from pathlib import Path

import numpy as np
import pytest

from frontalbench import images, status, tables
from frontalbench.commands import enhance
from frontalbench.images import RGB
from frontalbench.plain import folders, unpacking
from tests.unit.test_corrections import portrait


@pytest.fixture
def frontals(tmp_path: Path) -> Path:
    """Two images as a frontalizer leaves them, one photograph of which it made none, and a file that is no image."""
    photographs = tmp_path / "photographs"
    for name, brightness in (("ann/1.jpg", 0), ("ann/2.jpg", 20), ("bob/1.jpg", 40)):
        (photographs / name).parent.mkdir(parents=True, exist_ok=True)
        (photographs / name).write_bytes(images.encode_png(_portrait(brightness)))
    with folders.as_shard(photographs) as (shard, temporary):
        rows = tables.read(shard, tables.IMAGES).to_pylist()
        made = [{key: row[key] for key in ("image_id", "identity", "role", "status", "detail", "image")} for row in rows]
        made[2].update(status=status.NO_FACE, detail="no face above 0.5", image=None)
        tables.write(temporary / "frontals.parquet", tables.from_rows(made, tables.FRONTALS))
        unpacking.unpack(temporary / "frontals.parquet", tmp_path / "frontals", source=shard, frontalizer="tddfa")
    return tmp_path / "frontals"


def _portrait(brightness: int) -> RGB:
    smooth = portrait(marked=False)
    rough = np.random.default_rng(brightness).normal(brightness, 12, smooth.shape)  # something to sharpen
    return np.clip(smooth + rough, 0, 255).astype(np.uint8)


def _run(monkeypatch: pytest.MonkeyPatch, *arguments: str | Path) -> int:
    monkeypatch.setattr(sys, "argv", ["enhance.py", *map(str, arguments)])
    return enhance.main()


def _rows(folder: Path) -> dict[str, dict[str, str]]:
    with (folder / "rows.csv").open(newline="", encoding="utf-8") as handle:
        return {row["image_id"]: row for row in csv.DictReader(handle)}


def _image(path: Path) -> RGB:
    return images.decode(path.read_bytes())


def test_before_and_after_hold_the_same_names_and_every_failure(frontals: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    out, both = frontals.parent / "sharp", frontals.parent / "both"
    _run(monkeypatch, "--chain", "sharp", "--in", frontals, "--out", out, "--before_after", both)
    for name in ("ann/1.png", "ann/2.png"):
        assert np.array_equal(_image(both / "before" / name), _image(frontals / name))
        assert np.array_equal(_image(both / "after" / name), _image(out / name))
        assert not np.array_equal(_image(out / name), _image(frontals / name))
    before, after = _rows(both / "before"), _rows(both / "after")
    assert [row["status"] for row in before.values()] == [row["status"] for row in after.values()] == [status.OK, status.OK, status.NO_FACE]
    assert {row["enhancement"] for row in before.values()} == {""} and {row["enhancement"] for row in after.values()} == {"sharp"}
    assert {row["photo"] for row in after.values()} == {"ann/1.jpg", "ann/2.jpg", "bob/1.jpg"}
    assert {row["frontalizer"] for row in after.values()} == {"tddfa"}


def test_before_and_after_of_a_shard_say_what_lies_between_them(frontals: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = frontals.parent
    with folders.as_shard(frontals) as (shard, _):
        rows = [{key: row[key] for key in tables.FRONTALS.names if key in row} for row in tables.read(shard, tables.IMAGES).to_pylist()]
        tables.write(folder / "in.parquet", tables.from_rows(rows, tables.FRONTALS))
    _run(
        monkeypatch,
        "--chain",
        "sharp+sharp",
        "--after",
        "sharp",
        "--in",
        folder / "in.parquet",
        "--out",
        folder / "out.parquet",
        "--before_after",
        folder / "both",
    )
    assert {row["enhancement"] for row in _rows(folder / "both" / "after").values()} == {"sharp"}
    assert (folder / "both" / "before" / "ann" / "1.png").is_file()


def test_a_folder_enhanced_twice_says_the_whole_chain(frontals: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    once, twice = frontals.parent / "once", frontals.parent / "twice"
    _run(monkeypatch, "--chain", "sharp+deblock", "--in", frontals, "--out", once)
    _run(monkeypatch, "--chain", "denoise", "--in", once, "--out", twice)
    assert {row["enhancement"] for row in _rows(twice).values()} == {"sharp+deblock+denoise"}
    with folders.as_shard(twice) as (shard, _):
        assert set(folders.enhancements_of(shard).values()) == {"sharp+deblock+denoise"}
        assert set(folders.frontalizers_of(shard).values()) == {"tddfa"}


def test_a_list_of_an_earlier_version_has_no_enhancement(frontals: Path) -> None:
    lines = (frontals / "rows.csv").read_text(encoding="utf-8").splitlines()
    (frontals / "rows.csv").write_text("\n".join(line.rpartition(",")[0] for line in lines) + "\n", encoding="utf-8")
    with folders.as_shard(frontals) as (shard, _):
        assert folders.enhancements_of(shard) == {}
        assert set(folders.frontalizers_of(shard).values()) == {"tddfa"}
