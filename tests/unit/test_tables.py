"""Tables appear whole or not at all, refuse damage, and compare by content."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from frontalbench import tables
from frontalbench.errors import BadInput
from frontalbench.files import atomic
from frontalbench.upkeep import checkup


def _row(name: str, image: bytes | None = b"x" * 100, word: str = "ok") -> dict[str, object]:
    return {"image_id": name, "identity": "p", "role": "probe", "status": word, "detail": "", "seconds": 0.5, "image": image}


def test_an_interrupted_write_leaves_the_old_file_and_nothing_else(tmp_path: Path) -> None:
    target = tmp_path / "t.parquet"
    atomic.write_text(target, "old")
    with pytest.raises(RuntimeError), tables.Writer(target, tables.FRONTALS, {}) as writer:
        writer.add([_row("a")])
        raise RuntimeError("killed")
    assert target.read_text() == "old"
    assert [p.name for p in tmp_path.iterdir()] == ["t.parquet"]


def test_rows_come_back_as_written_in_batches(tmp_path: Path) -> None:
    target = tmp_path / "t.parquet"
    rows = [_row(f"{i:04d}", bytes([i % 256]) * 5000) for i in range(1200)]
    with tables.Writer(target, tables.FRONTALS, {"stage": "test"}, group_bytes=100_000) as writer:
        writer.add(rows)
    back = [row for batch in tables.iterate(target, tables.FRONTALS, batch=50) for row in batch]
    assert [(r["image_id"], r["image"]) for r in back] == [(r["image_id"], r["image"]) for r in rows]
    assert writer.counts == {"ok": 1200}
    assert tables.provenance(target) == {"stage": "test"}


def test_rows_out_of_order_are_a_bug(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="out of order"), tables.Writer(tmp_path / "t.parquet", tables.FRONTALS, {}) as writer:
        writer.add([_row("b"), _row("a")])
    with pytest.raises(ValueError, match="out of order"), tables.Writer(tmp_path / "t.parquet", tables.FRONTALS, {}) as writer:
        writer.add([_row("a"), _row("a")])


@pytest.mark.parametrize("damage", ["truncate", "flip", "empty", "text"])
def test_a_damaged_table_is_named_in_one_line(tmp_path: Path, damage: str) -> None:
    target = tmp_path / "t.parquet"
    with tables.Writer(target, tables.FRONTALS, {}) as writer:
        writer.add([_row(f"{i:03d}", np.random.default_rng(i).bytes(500)) for i in range(100)])
    data = bytearray(target.read_bytes())
    if damage == "truncate":
        data = data[: len(data) // 2]
    elif damage == "flip":
        data[len(data) // 2] ^= 0x10
    elif damage == "empty":
        data = bytearray()
    else:
        data = bytearray(b"image_id,status\n")
    target.write_bytes(bytes(data))
    with pytest.raises(BadInput) as error:
        for _ in tables.iterate(target, tables.FRONTALS):
            pass
    assert str(target) in str(error.value)
    assert "\n" not in str(error.value)


def test_a_table_of_another_stage_is_refused(tmp_path: Path) -> None:
    target = tmp_path / "t.parquet"
    tables.write(target, pa.table({"image_id": ["a"], "score": [1.0]}))
    with pytest.raises(BadInput, match="another stage"):
        tables.read(target, tables.CROPS)


def test_content_digest_ignores_provenance_and_seconds_and_sees_values(tmp_path: Path) -> None:
    def digest(name: str, row: dict[str, object], record: dict[str, object], group: int) -> str:
        with tables.Writer(tmp_path / name, tables.FRONTALS, record, group_bytes=group) as writer:
            writer.add([row, _row("z")])
        return tables.content_digest(tmp_path / name)

    first = digest("a", _row("a"), {"time": 1}, 1)
    assert digest("b", {**_row("a"), "seconds": 9.0}, {"time": 2}, 10_000) == first
    assert digest("c", _row("a", b"y"), {"time": 1}, 1) != first


def test_embeddings_keep_null_rows_as_zero(tmp_path: Path) -> None:
    schema = tables.embeddings_schema(3)
    rows = [
        {"image_id": "a", "identity": "p", "role": "probe", "status": "ok", "detail": "", "embedding": [0.0, 1.0, 0.0]},
        {"image_id": "b", "identity": "p", "role": "probe", "status": "no_face", "detail": ""},
        {"image_id": "c", "identity": "p", "role": "probe", "status": "ok", "detail": "", "embedding": [1.0, 0.0, 0.0]},
    ]
    tables.write(tmp_path / "e.parquet", tables.from_rows(rows, schema))
    matrix = tables.embedding_matrix(tables.read(tmp_path / "e.parquet", schema))
    assert matrix.tolist() == [[0, 1, 0], [0, 0, 0], [1, 0, 0]]


def test_shards_concatenate_in_image_order(tmp_path: Path) -> None:
    for shard, names in (("0", ["a", "d"]), ("1", ["b", "c"])):
        with tables.Writer(tmp_path / shard, tables.FRONTALS, {"shard": shard}) as writer:
            writer.add([_row(name) for name in names])
    table = tables.concatenate([tmp_path / "0", tmp_path / "1"], tables.FRONTALS, ["image_id", "status"])
    assert table.column("image_id").to_pylist() == ["a", "b", "c", "d"]


def test_reading_in_batches_holds_a_row_group_and_not_the_file(tmp_path: Path) -> None:
    target = tmp_path / "t.parquet"
    with tables.Writer(target, tables.FRONTALS, {}, group_bytes=1 << 20) as writer:
        for i in range(60):
            writer.add([_row(f"{i:03d}", np.random.default_rng(i).bytes(500_000))])
    before, most = pa.total_allocated_bytes(), 0
    for _ in tables.iterate(target, tables.FRONTALS, batch=4):
        most = max(most, pa.total_allocated_bytes() - before)
    assert most < target.stat().st_size / 3


SMALL = pa.schema([("image_id", pa.string()), ("status", pa.string()), ("vector", pa.list_(pa.float32(), 3))])


def small_table(path: Path, how: str) -> None:
    """Four rows in two row groups, by one of the two roads into a file."""
    rows = [{"image_id": f"{i}", "status": "ok", "vector": [1.0, 2.0, float(i)] if i != 2 else None} for i in range(4)]
    record = {"stage": "test", "inputs": {"a.parquet": "0" * 64}}
    if how == "write":
        tables.write(path, tables.from_rows(rows, SMALL), record, row_group_size=2)
    else:
        with tables.Writer(path, SMALL, record, group_bytes=0) as writer:
            writer.add(rows)
            writer.note_run({"work_seconds": 1.5})


@pytest.mark.parametrize("how", ["write", "writer"])
@pytest.mark.parametrize("damage", ["bits", "1", "64", "512", "cut"])
@pytest.mark.parametrize("step", [11, pytest.param(1, marks=pytest.mark.slow)])
def test_damage_at_every_place_of_a_table_is_found_or_met_by_nobody(tmp_path: Path, how: str, damage: str, step: int) -> None:
    """Pages have checksums of Parquet's own; their headers, the footer and our records have to be guarded as well. ``step``: every place, or as many
    as a quick look takes."""
    path, copy = tmp_path / "whole.parquet", tmp_path / "damaged.parquet"
    small_table(path, how)
    data = path.read_bytes()

    def read(path: Path) -> tuple[object, ...]:
        return tables.read(path, SMALL).to_pydict(), tables.provenance(path), tables.run_record(path)

    wanted = read(path)
    places = range(0, len(data), step if damage in ("bits", "cut") else 3 * step)
    found = 0
    for place in places:
        changed = bytearray(data)
        if damage == "bits":
            changed[place] ^= 1 << place % 8
        elif damage == "cut":
            del changed[place:]
        else:
            changed[place : place + int(damage)] = bytes(len(changed[place : place + int(damage)]))
        copy.write_bytes(changed)
        try:
            seen = read(copy)
        except BadInput as error:
            assert str(error).startswith(f"{copy}: ") and "\n" not in str(error)
            found += 1
        else:
            assert seen == wanted, f"damage at byte {place} of {len(data)} is not found"
    assert found > len(places) / 2, "the rest meets bytes that nobody reads"


def test_a_table_without_a_seal_is_damaged(tmp_path: Path) -> None:
    pq.write_table(pa.table({"image_id": ["a"]}), tmp_path / "foreign.parquet")
    with pytest.raises(BadInput, match="no seal"):
        tables.read(tmp_path / "foreign.parquet")


@pytest.mark.parametrize("record", [b"null", b"[1]", b"{", b"7", b'{"inputs": 3}', b'{"inputs": {"a": null}}', b"\xff"])
def test_a_record_that_is_none_makes_a_sealed_table_a_damaged_one(tmp_path: Path, record: bytes) -> None:
    results = tmp_path / "results"
    results.mkdir()
    path = results / "x.parquet"
    table = pa.table({"a": [1]}).replace_schema_metadata({tables.METADATA_KEY: record, tables.RUN_KEY: record})
    with tables.replacing(path) as temporary:
        pq.write_table(table, temporary, write_page_checksum=True)
    with pytest.raises(BadInput, match=r"x\.parquet: its record of how it was made cannot be read; delete it") as caught:
        tables.provenance(path)
    assert "\n" not in str(caught.value)
    assert [(finding.word, finding.path) for finding in checkup.check(results)] == [("damaged", path)]
    assert checkup.mixed(results) == []
