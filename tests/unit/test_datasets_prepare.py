"""Stage prepare: one row per file with its own bytes, whatever is wrong with it; the command line."""

from __future__ import annotations

import hashlib
import io
import os
import subprocess
import sys
import tarfile
import time
import tracemalloc
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from frontalbench import datasets, status, tables
from frontalbench.datasets import download, listing
from frontalbench.datasets.card import DatasetCard
from frontalbench.errors import BadInput, Unreadable
from frontalbench.stages import checking, prepare
from tests.unit import datasetkit as kit


def test_every_listed_file_becomes_a_row_with_its_own_bytes(tmp_path: Path) -> None:
    root = tmp_path / "own"
    good = kit.put(root / "ann" / "GT" / "good.jpg", kit.jpeg(1, (40, 30)))
    kit.put(root / "ann" / "Angle" / "wrong_name.jpg", kit.image(2, (9, 7)))
    kit.put(root / "ann" / "Angle" / "empty.jpg", b"")
    kit.put(root / "ann" / "Angle" / "text.png", b"hello")
    kit.put(root / "ann" / "Angle" / "half.jpg", kit.jpeg(3)[:40])
    (root / "ann" / "Angle" / "gone.jpg").symlink_to(root / "nowhere")
    os.mkfifo(root / "ann" / "Angle" / "pipe.jpg")
    huge = io.BytesIO()
    Image.new("1", (20000, 20000)).save(huge, "PNG")
    kit.put(root / "ann" / "Angle" / "huge.png", huge.getvalue())
    card = kit.card("folder", root, shards=1)
    report = prepare.prepare_shard(card, None, "0000", tmp_path / "out.parquet")
    rows = {row["image_id"]: row for row in tables.read(tmp_path / "out.parquet", tables.IMAGES).to_pylist()}
    assert len(rows) == report.counts.images == 8
    row = rows["ann/GT/good.jpg"]
    assert row["image"] == good.read_bytes()
    assert row["sha256"] == hashlib.sha256(good.read_bytes()).hexdigest()
    assert (row["width"], row["height"], row["status"], row["role"], row["subject"]) == (40, 30, "ok", "reference", "ann")
    assert (rows["ann/Angle/wrong_name.jpg"]["width"], rows["ann/Angle/wrong_name.jpg"]["status"]) == (9, "ok")
    broken = {i.rsplit("/", 1)[1]: row["detail"] for i, row in rows.items() if row["status"] == status.UNREADABLE}
    assert set(broken) == {"empty.jpg", "text.png", "half.jpg", "gone.jpg", "pipe.jpg", "huge.png"}
    assert broken["empty.jpg"] == "empty file"
    assert broken["pipe.jpg"] == "not a regular file"
    assert "No such file" in broken["gone.jpg"]
    assert "pixels" in broken["huge.png"]
    assert all(row["image"] is None for row in rows.values() if row["status"] != "ok")
    assert report.counts.statuses == {"ok": 2, "unreadable": 6}


@pytest.mark.parametrize("group", [prepare.GROUP_BYTES, 20_000, 10])
def test_shards_together_hold_the_dataset_in_order_and_twice_gives_the_same_bytes(
    tmp_path: Path, group: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(prepare, "GROUP_BYTES", group)  # small: many row groups, and images larger than one
    root = tmp_path / "lfw"
    for person in range(60):
        for index in range(5):
            kit.put(root / f"P{person:02d}" / f"{index}.jpg", kit.jpeg(person * 5 + index))
    card = kit.card("lfw", root, shards=3)
    outs = [tmp_path / f"{shard}.parquet" for shard in datasets.shard_names(card)]
    seen = []
    for shard, out in zip(datasets.shard_names(card), outs, strict=True):
        prepare.prepare_shard(card, None, shard, out, progress=seen.append)
        prepare.prepare_shard(card, None, shard, tmp_path / "again.parquet")
        assert out.read_bytes() == (tmp_path / "again.parquet").read_bytes()
        ids = tables.read(out, tables.IMAGES, ["image_id"])["image_id"].to_pylist()
        assert ids == sorted(ids)
    whole = tables.concatenate(outs, tables.IMAGES)
    assert whole.num_rows == sum(seen) == 300
    assert all((root / row["source"]).read_bytes() == row["image"] for row in whole.select(["source", "image"]).to_pylist())
    assert datasets.duplicates(whole) == []
    assert tables.provenance(outs[0])["card_digest"] == card.digest()
    assert pq.read_metadata(outs[0]).num_rows == len(tables.read(outs[0]))


def test_images_left_out_are_rows_without_being_opened(tmp_path: Path) -> None:
    root = kit.biwi_tree(tmp_path / "biwi", sequences=2, frames=20, start=-3.0)
    card = kit.card("biwi", root, select={"identities": 1}, roles={"exclude_frames": 5})
    reports = [prepare.prepare_shard(card, None, shard, tmp_path / f"{shard}.parquet") for shard in ("0000", "0001", "0002")]
    whole = tables.concatenate([tmp_path / f"{shard}.parquet" for shard in ("0000", "0001", "0002")], tables.IMAGES)
    unused = [row for row in whole.to_pylist() if row["status"] == status.NOT_USED]
    assert whole.num_rows == 40 and len(unused) >= 20 + 8
    assert all(row["sha256"] == "" and row["image"] is None and row["detail"] for row in unused)
    assert [report.counts.images for report in reports] == [20, 20, 0]
    assert any("limit" in reason for report in reports for reason in report.left_out)


def test_an_error_while_writing_leaves_no_table(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    root = tmp_path / "lfw"
    kit.put(root / "P" / "1.jpg", kit.jpeg(1))

    def broken(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(prepare._Writer, "_write", broken)
    with pytest.raises(OSError, match="No space"):
        prepare.prepare_shard(kit.card("lfw", root, shards=1), None, "0000", tmp_path / "out" / "0000.parquet")
    assert list((tmp_path / "out").iterdir()) == []


def test_memory_does_not_grow_with_the_shard(tmp_path: Path) -> None:
    root = tmp_path / "lfw"
    data = kit.jpeg(1)
    for index in range(240):
        kit.put(root / "P" / f"{index:03d}.jpg", data + bytes(500_000) + b"%d" % index)
    card = kit.card("lfw", root, shards=1)
    tracemalloc.start()
    prepare.prepare_shard(card, None, "0000", tmp_path / "out.parquet")
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert (tmp_path / "out.parquet").stat().st_size > 120_000_000
    assert peak < 90_000_000


@pytest.mark.parametrize(
    "options",
    [{"progressive": True}, {"exif": b"Exif\0\0" + bytes(300)}, {"comment": b"c" * 1000}, {"quality": 5}, {"restart_marker_rows": 1}],
)
def test_header_size_of_unusual_jpeg_files(options: dict[str, object]) -> None:
    for mode in ("RGB", "L", "CMYK"):
        sink = io.BytesIO()
        Image.new(mode, (123, 45)).save(sink, "JPEG", **options)
        assert prepare.jpeg_size(sink.getvalue()) == (123, 45)


@given(st.binary(max_size=60), st.integers(0, 400), st.integers(0, 255))
def test_header_size_of_damaged_bytes_is_a_size_or_unreadable(noise: bytes, place: int, value: int) -> None:
    damaged = bytearray(kit.jpeg(1))
    damaged[min(place, len(damaged) - 1)] = value
    for data in (noise, b"\xff\xd8" + noise, bytes(damaged), bytes(damaged[:place])):
        try:
            width, height = prepare.header_size(data)
        except Unreadable as error:
            assert str(error)
        else:
            assert width > 0 and height > 0


def run(*arguments: str, root: Path, script: str = "prepare_dataset.py") -> subprocess.CompletedProcess[str]:
    script = str(root / "workflow" / "scripts" / script)
    return subprocess.run([sys.executable, script, *arguments], capture_output=True, text=True, cwd=root, check=False)


def test_a_look_at_a_folder_names_empty_files_and_counts_them(tmp_path: Path) -> None:
    root = tmp_path / "own"
    kit.put(root / "ann" / "1.jpg", kit.jpeg(1))
    for index in range(25):
        kit.put(root / "bob" / f"{index:02d}.jpg", b"")
    report = checking.check(kit.card("folder", root), cache=listing.FileCache(None, root)).report
    assert report.counts.statuses == {"ok": 1, "unreadable": 25}
    assert "bob/00.jpg: empty file" in report.problems and "5 more files are empty or cannot be read" in report.problems
    assert report.duplicates == ()


def test_a_look_at_a_folder_counts_an_image_that_cannot_be_decoded_as_unreadable(tmp_path: Path) -> None:
    root = tmp_path / "own"
    for place in range(3):
        kit.put(root / "ann" / f"{place}.jpg", kit.jpeg(place))
    whole = (root / "ann" / "1.jpg").read_bytes()
    (root / "ann" / "1.jpg").write_bytes(whole[: len(whole) // 2])
    card, cache = kit.card("folder", root), listing.FileCache(None, root)
    report = checking.check(card, cache=cache).report
    assert report.counts.statuses == {"ok": 2, "unreadable": 1}
    assert [line for line in report.problems if line.startswith("ann/1.jpg: ")]
    assert checking.check(card, cache=cache, pixels=False).report.counts.statuses == {"ok": 3}, "nobody looked"


def test_more_images_than_the_dataset_has_are_not_called_a_subset(tmp_path: Path) -> None:
    root = tmp_path / "aflw2000"
    card = kit.card("aflw2000", root)
    for index in range(card.data["expected"]["images"] + 1):
        kit.put(root / f"image{index:05d}.jpg", b"x")
    assert any(line.startswith("2,001 images found, 2,000 expected: something else lies") for line in listing.scan(card).problems)


def test_a_command_leaves_pandas_alone_until_a_frame_is_asked_for() -> None:
    main = """
import sys
from frontalbench import cli, tables
import pyarrow as pa
def main():
    table = tables.from_rows([{"image_id": "a", "yaw": 1.5}, {"image_id": "b"}], tables.POSE)
    assert "pandas" not in sys.modules
    frame = table.select(["yaw"]).to_pandas()
    assert frame["yaw"].isna().tolist() == [False, True]
    assert pa.array(frame["yaw"], from_pandas=True).null_count == 1
cli.run(main)
"""
    done = subprocess.run([sys.executable, "-c", main], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


@pytest.mark.slow
def test_command_checks_prepares_and_explains(tmp_path: Path, project_root: Path) -> None:
    root = tmp_path / "own"
    for name in ("ann", "bob"):
        kit.put(root / name / "GT" / "1.jpg", kit.jpeg(7))
        kit.put(root / name / "Angle" / "$(touch x); two\nlines.jpg", kit.jpeg(len(name)))
    checked = run("--dataset", "folder", "--root", str(root), "--check", root=project_root)
    assert checked.returncode == 0, checked.stderr
    assert "images: 4 (4 ok)" in checked.stdout and "references: 2; probes: 2" in checked.stdout
    assert "duplicate across people" in checked.stdout
    out = tmp_path / "out.parquet"
    options = f'{{"root": "{root}", "shards": 1}}'
    done = run("--dataset", "folder", "--options", options, "--shard", "0000", "--out", str(out), root=project_root)
    assert done.returncode == 0, done.stderr
    assert tables.read(out, tables.IMAGES).num_rows == 4
    wrong = run("--dataset", "folder", "--root", str(tmp_path / "no"), "--shard", "0000", "--out", str(out), root=project_root)
    assert wrong.returncode == 2 and wrong.stderr.count("\n") == 1 and wrong.stderr.startswith("error: ")
    beyond = run("--dataset", "folder", "--options", options, "--shard", "0001", "--out", str(out), root=project_root)
    assert beyond.returncode == 2 and "no shard '0001'" in beyond.stderr


def test_fetching_several_datasets_says_what_is_there_and_what_to_fetch_by_hand(tmp_path: Path, project_root: Path) -> None:
    roots = [str(tmp_path / "biwi"), str(tmp_path / "cfp"), str(project_root / "demo" / "synthetic")]
    found = run("--dataset", "biwi", "cfp", "synthetic", "--root", *roots, root=project_root, script="fetch_dataset.py")
    assert found.returncode == 2 and "already there, used as it is" in found.stdout
    errors = [line for line in found.stderr.splitlines() if line.startswith("error: ")]
    assert len(errors) == 2 and all(root in line for root, line in zip(roots, errors, strict=False))


class Server:
    """Gives files of a folder instead of a network."""

    def __init__(self, files: dict[str, bytes]) -> None:
        self.files = files

    def fetch(self, url: str, part: Path, size: int | None, expected: str | None, **_: object) -> None:
        from frontalbench.weights.faults import SourceFault

        if url not in self.files:
            raise SourceFault("no connection")
        part.parent.mkdir(parents=True, exist_ok=True)
        part.write_bytes(self.files[url])


def downloadable(root: Path, archive: bytes) -> DatasetCard:
    from dataclasses import replace

    card = kit.card("lfw", root)
    sources = [
        {
            "url": "https://example.org/lfw.tgz",
            "what": "lfw.tgz",
            "fetch": True,
            "unpack": "tar",
            "sha256": hashlib.sha256(archive).hexdigest(),
        },
        {
            "url": "https://example.org/pairs.txt",
            "what": "pairs.txt",
            "fetch": True,
            "to": "pairs.txt",
            "sha256": hashlib.sha256(b"1").hexdigest(),
        },
    ]
    return replace(card, data={**card.data, "sources": sources})


def tar_of(files: dict[str, bytes]) -> bytes:
    sink = io.BytesIO()
    with tarfile.open(fileobj=sink, mode="w:gz") as tar:
        for name, data in files.items():
            info = tarfile.TarInfo(name)
            info.size = len(data)
            tar.addfile(info, io.BytesIO(data))
    return sink.getvalue()


def test_download_unpacks_beside_and_leaves_a_folder_that_is_there_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    archive = tar_of({"lfw/A/A_0001.jpg": kit.jpeg(1)})
    card = downloadable(tmp_path / "data" / "lfw", archive)
    server = Server({"https://example.org/lfw.tgz": archive})
    monkeypatch.setattr("frontalbench.weights.download.fetch", server.fetch)
    with pytest.raises(BadInput, match=r"pairs\.txt: no connection; run it again to go on"):
        download.fetch(card)
    assert not card.root.exists()
    server.files["https://example.org/pairs.txt"] = b"1"
    root, done = download.fetch(card)
    assert done == ["lfw.tgz", "pairs.txt"]
    assert sorted(str(path.relative_to(root)) for path in root.rglob("*") if path.is_file()) == ["lfw/A/A_0001.jpg", "pairs.txt"]
    assert [path.name for path in (tmp_path / "data").iterdir()] == ["lfw"]
    before = {path: path.stat().st_mtime_ns for path in root.rglob("*")}
    time.sleep(0.01)
    assert download.fetch(card) == (root, [])
    assert {path: path.stat().st_mtime_ns for path in root.rglob("*")} == before


def link_to(target: str) -> bytes:
    sink = io.BytesIO()
    with tarfile.open(fileobj=sink, mode="w:gz") as tar:
        info = tarfile.TarInfo("lfw/evil.txt")
        info.type, info.linkname = tarfile.SYMTYPE, target
        tar.addfile(info)
    return sink.getvalue()


@pytest.mark.parametrize(
    "archive",
    [tar_of({"../../evil.txt": b"x"}), tar_of({"/tmp/evil.txt": b"x"}), link_to("../../../secret")],
    ids=["up", "absolute", "link"],
)
def test_download_refuses_an_archive_that_climbs_out(archive: bytes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    card = downloadable(tmp_path / "data" / "lfw", archive)
    monkeypatch.setattr("frontalbench.weights.download.fetch", Server({"https://example.org/lfw.tgz": archive}).fetch)
    with pytest.raises(BadInput, match="not a readable archive"):
        download.fetch(card)
    assert not list(tmp_path.rglob("evil.txt")) and not card.root.exists()


def test_datasets_without_a_direct_address_say_what_to_fetch_by_hand(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match=r"fetch it by hand from .*ethz.*kaggle.* and unpack it into"):
        download.fetch(kit.card("biwi", tmp_path / "biwi"))
