"""Shards and fingerprints: what changes them, what does not; limits; the cache."""

from __future__ import annotations

import json
import os
import shutil
import threading
import time
from pathlib import Path

import pytest

from frontalbench import status
from frontalbench.datasets import listing
from frontalbench.datasets.filecache import MISSING, FileCache
from frontalbench.errors import BadConfig
from tests.unit import datasetkit as kit


def people(root: Path, number: int = 12, images: int = 3) -> Path:
    for person in range(number):
        for index in range(images):
            kit.put(root / f"P_{person:02d}" / f"P_{person:02d}_{index + 1:04d}.jpg", kit.jpeg(person * 10 + index))
    return root


def test_shards_cut_a_dataset_into_whole_identities_and_list_alone_what_they_list_together(tmp_path: Path) -> None:
    card = kit.card("lfw", people(tmp_path / "lfw"), shards=4)
    assert listing.shards(card) == ["0000", "0001", "0002", "0003"]
    whole = listing.list_members(card)
    parts = [listing.list_members(card, shard=shard) for shard in listing.shards(card)]
    assert sorted(m for part in parts for m in part) == whole
    assert all(m.shard == shard for shard, part in zip(listing.shards(card), parts, strict=True) for m in part)
    assert len({(m.identity, m.shard) for m in whole}) == 12
    assert sum(bool(part) for part in parts) >= 3


def test_one_more_image_changes_one_shard(tmp_path: Path) -> None:
    root = people(tmp_path / "lfw")
    card = kit.card("lfw", root, shards=4)
    before = listing.fingerprints(card, cache=FileCache(None, root))
    kit.put(root / "P_03" / "P_03_0009.jpg", kit.jpeg(99))
    after = listing.fingerprints(card, cache=FileCache(None, root))
    assert [shard for shard in before if before[shard] != after[shard]] == [
        next(m.shard for m in listing.list_members(card) if m.identity == "P_03")
    ]
    assert after == {shard: listing.shard_fingerprint(card, root, shard, FileCache(None, root)) for shard in after}


def test_content_counts_and_neither_place_nor_time(tmp_path: Path) -> None:
    root = people(tmp_path / "lfw")
    card = kit.card("lfw", root, shards=2)
    before = listing.fingerprints(card, cache=FileCache(tmp_path / "cache.json", root))
    moved = tmp_path / "elsewhere" / "lfw"
    shutil.copytree(root, moved)
    for path in moved.rglob("*.jpg"):
        os.utime(path, (1, 1))
    assert listing.fingerprints(card, moved, FileCache(tmp_path / "cache.json", moved)) == before
    target = moved / "P_00" / "P_00_0001.jpg"
    data = bytearray(target.read_bytes())
    data[-3] ^= 1  # same size
    target.write_bytes(bytes(data))
    assert listing.fingerprints(card, moved, FileCache(tmp_path / "cache.json", moved)) != before


def test_pose_of_one_recording_changes_the_shard_of_the_same_person_s_other_recording(tmp_path: Path) -> None:
    root = kit.biwi_tree(tmp_path / "biwi", sequences=22, frames=5, start=-1.0)
    card = kit.card("biwi", root, roles={"exclude_frames": 0})
    before = listing.fingerprints(card, cache=FileCache(None, root))
    owner = next(m for m in listing.list_members(card) if m.subject == "M01" and m.role == "reference")
    other = "22" if owner.sequence == "07" else "07"
    (root / "hpdb" / owner.sequence / owner.image_id.split("/")[1].replace("_rgb.png", "_pose.txt")).unlink()
    for file in (root / "hpdb" / owner.sequence).glob("*_pose.txt"):
        file.write_bytes(kit.pose_text(50.0))
    after = listing.fingerprints(card, cache=FileCache(None, root))
    assert {shard for shard in before if before[shard] != after[shard]} == {"0006", "0021"}
    assert next(m for m in listing.list_members(card) if m.subject == "M01" and m.role == "reference").sequence == other


def test_limit_keeps_a_fixed_choice_and_counts_the_rest(tmp_path: Path) -> None:
    card = kit.card("lfw", people(tmp_path / "lfw"), shards=3)
    limited = card.with_options({"limit": 4})
    members = listing.list_members(limited)
    kept = {m.identity for m in members if m.status == status.OK}
    assert len(members) == 36 and len(kept) == 4
    assert {m.role for m in members if m.status == status.NOT_USED} == {"unused"}
    assert {m.identity for m in listing.list_members(card.with_options({"limit": 5})) if m.status == status.OK} > kept
    assert kept != {m.identity for m in listing.list_members(limited.with_options({"select": {"seed": 7}})) if m.status == status.OK}
    assert sorted(m for shard in listing.shards(limited) for m in listing.list_members(limited, shard=shard)) == members
    few = listing.list_members(card.with_options({"select": {"images_per_identity": 2}}))
    assert sum(m.status == status.OK for m in few) == 24


def test_images_left_out_do_not_rerun_anything_when_they_change(tmp_path: Path) -> None:
    root = people(tmp_path / "lfw", 4)
    card = kit.card("lfw", root, shards=1, limit=2)
    before = listing.fingerprints(card, cache=FileCache(None, root))
    unused = next(m for m in listing.list_members(card) if m.status == status.NOT_USED)
    Path(unused.path).write_bytes(b"changed")
    assert listing.fingerprints(card, cache=FileCache(None, root)) == before


def age(root: Path) -> None:
    past = time.time_ns() - 10**10
    for path in root.rglob("*"):
        os.utime(path, ns=(past, past))


def test_cache_is_believed_while_size_and_time_stay_and_survives_damage(tmp_path: Path) -> None:
    root = people(tmp_path / "lfw", 2)
    age(root)
    file = root / "P_00" / "P_00_0001.jpg"
    place = tmp_path / "cache.json"
    cache = FileCache(place, root)
    digest = cache.sha256(str(file))
    cache.save()
    info = file.stat()
    file.write_bytes(b"x" * info.st_size)
    os.utime(file, ns=(info.st_atime_ns, info.st_mtime_ns))
    assert FileCache(place, root).sha256(str(file)) == digest  # not opened again: size and time are the same
    os.utime(file, ns=(info.st_atime_ns, info.st_mtime_ns + 1))
    assert FileCache(place, root).sha256(str(file)) != digest
    for damage in (
        b"",
        b"{",
        b"[]",
        b'{"version": 2, "files": 3}',
        b'{"version": 0, "files": {}}',
        b'{"version":2,"files":{"P_00/P_00_0001.jpg":7}}',
    ):
        place.write_bytes(damage)
        assert len(FileCache(place, root).sha256(str(file))) == 64
    assert FileCache(place, root).sha256(str(root / "nothing")) == MISSING
    unwritable = FileCache(tmp_path / "lfw" / "P_00" / "P_00_0001.jpg" / "cache.json", root)
    unwritable.sha256(str(file))
    unwritable.save()


def test_a_file_changed_this_moment_is_not_believed_next_time(tmp_path: Path) -> None:
    root = people(tmp_path / "lfw", 1, 1)
    file = root / "P_00" / "P_00_0001.jpg"
    cache = FileCache(tmp_path / "cache.json", root)
    before = cache.sha256(str(file))
    info = file.stat()
    file.write_bytes(b"y" * info.st_size)
    os.utime(file, ns=(info.st_atime_ns, info.st_mtime_ns))  # within one tick of the clock
    assert cache.sha256(str(file)) != before


def test_readers_and_writers_at_once_leave_a_whole_cache(tmp_path: Path) -> None:
    root = people(tmp_path / "lfw", 6)
    age(root)
    card = kit.card("lfw", root, shards=6)
    place = tmp_path / "cache.json"
    wanted = listing.fingerprints(card, cache=FileCache(None, root))
    wrong: list[str] = []
    whole: list[int] = []

    def work(shard: str) -> None:
        for _ in range(4):
            if listing.shard_fingerprint(card, root, shard, FileCache(place, root)) != wanted[shard]:
                wrong.append(shard)
            if place.exists():
                whole.append(json.loads(place.read_text())["version"])

    threads = [threading.Thread(target=work, args=(shard,)) for shard in wanted]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong
    assert set(whole) == {2} and len(whole) >= 12
    assert json.loads(place.read_text())["version"] == 2
    assert not list(tmp_path.glob(".cache*"))


def test_shards_follow_from_the_number_of_used_images_where_the_card_leaves_them_open(tmp_path: Path) -> None:
    root = people(tmp_path / "mine", number=3)
    card = kit.card("folder", root)
    assert card.data["shards"] == "auto"
    assert listing.with_shards(card).shards == 1
    assert listing.with_shards(kit.card("folder", root, shards=3)).shards == 3
    assert listing.with_shards(kit.card("folder", root, shards="auto")).shards == 1
    assert listing.with_shards(kit.card("folder", tmp_path / "gone")).shards == 1
    with pytest.raises(BadConfig, match="shards"):
        kit.card("folder", root, shards="many")


def test_shards_are_counted_without_what_the_card_leaves_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(listing, "PER_SHARD", 8)
    root = people(tmp_path / "mine", number=12, images=3)
    assert listing.with_shards(kit.card("folder", root)).shards == 4
    assert listing.with_shards(kit.card("folder", root, limit=6)).shards == 2
    whole = listing.with_shards(kit.card("folder", root))
    assert sum(len(listing.list_members(whole, shard=shard)) for shard in listing.shards(whole)) == 36


def test_the_number_of_shards_grows_in_steps_of_two() -> None:
    assert [listing.shards_for(n) for n in (0, 1, 399, 799, 800, 1599, 1600, 13_000, 1_000_000)] == [1, 1, 1, 1, 2, 2, 4, 32, 64]


def test_a_pipe_or_a_device_under_an_images_name_does_not_hold_up_the_plan(tmp_path: Path) -> None:
    root = people(tmp_path / "lfw", 2)
    os.mkfifo(root / "P_00" / "P_00_0009.jpg")
    (root / "P_01" / "P_01_0009.jpg").symlink_to("/dev/zero")
    cache = FileCache(None, root)
    made: list[dict[str, str]] = []
    thread = threading.Thread(target=lambda: made.append(listing.fingerprints(kit.card("lfw", root), cache=cache)), daemon=True)
    thread.start()
    thread.join(60)
    assert made, "still reading"
    assert cache.sha256(str(root / "P_00" / "P_00_0009.jpg")) == MISSING


def test_a_number_of_shards_or_people_is_written_without_a_point(tmp_path: Path) -> None:
    root = people(tmp_path / "lfw", 2)
    for options in ({"shards": 2.0}, {"limit": 1.0}):
        with pytest.raises(BadConfig, match=r"whole number|not allowed|does not fit"):
            kit.card("lfw", root).with_options(options)
