"""Layout ``video``: clips of every kind become frames with names, roles and sequences; damage is a row, a file that is no clip a line."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

av = pytest.importorskip("av", reason="the package av reads clips (constraints.txt); this environment was made before it was asked for")

from frontalbench import images, status, tables  # noqa: E402
from frontalbench.datasets import listing  # noqa: E402
from frontalbench.datasets.card import DatasetCard  # noqa: E402
from frontalbench.datasets.filecache import FileCache  # noqa: E402
from frontalbench.datasets.video import chosen  # noqa: E402
from frontalbench.errors import BadConfig, BadInput  # noqa: E402
from frontalbench.sequences import video  # noqa: E402
from frontalbench.sequences.order import by_number  # noqa: E402
from frontalbench.stages import checking, prepare  # noqa: E402
from tests.unit import datasetkit as kit  # noqa: E402
from tests.unit.test_sequences_video import image, write  # noqa: E402


def made(root: Path, **options: object) -> DatasetCard:
    return kit.card("video", root, shards=1, options={"every": 1, **options})


def clip(path: Path, frames: int = 12) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    return write(path, frames)


def rows_of(card: DatasetCard, out: Path) -> list[dict[str, object]]:
    prepare.prepare_shard(card, None, "0000", out)
    return list(tables.read(out, tables.IMAGES).to_pylist())


def shade(row: dict[str, object]) -> int:
    assert isinstance(row["image"], bytes)
    return round((float(images.decode(row["image"])[30:, 30:].mean()) - 20) / 15)


def test_a_clip_becomes_a_row_per_chosen_frame_with_its_own_image(tmp_path: Path) -> None:
    clip(tmp_path / "clips" / "ann" / "a.mp4")
    rows = rows_of(made(tmp_path / "clips", every=5), tmp_path / "out.parquet")
    assert [row["image_id"] for row in rows] == [f"ann/a.mp4/{k:06d}.png" for k in (0, 5, 10)]
    assert [shade(row) for row in rows] == [0, 5, 10]
    assert {
        (row["identity"], row["subject"], row["sequence"], row["role"], row["status"], row["width"], row["height"]) for row in rows
    } == {("ann", "ann", "ann/a.mp4", "auto", "ok", 64, 48)}


@pytest.mark.parametrize("ending", [".mov", ".mkv", ".webm", ".avi", ".gif"])
def test_every_kind_of_clip_is_listed_with_as_many_frames_as_it_shows(tmp_path: Path, ending: str) -> None:
    path = tmp_path / "clips" / "ann" / f"a{ending}"
    path.parent.mkdir(parents=True)
    if ending == ".gif":
        shades = [Image.fromarray(image(20 + 15 * k)) for k in range(5)]
        shades[0].save(path, save_all=True, append_images=shades[1:], duration=100)
    elif ending == ".avi":
        with av.open(str(path), "w") as container:
            stream = container.add_stream("mpeg4", rate=25, options={"qscale": "2", "bf": "2"})
            stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv420p"
            for k in range(5):
                container.mux(stream.encode(av.VideoFrame.from_ndarray(image(20 + 15 * k), format="rgb24")))
            container.mux(stream.encode())
    else:
        write(path, 5)
    assert [shade(row) for row in rows_of(made(tmp_path / "clips"), tmp_path / "out.parquet")] == list(range(5))


def test_people_roles_and_sequences_follow_the_folders(tmp_path: Path) -> None:
    root = tmp_path / "clips"
    clip(root / "ann" / "one" / "a.mp4", 2)
    clip(root / "ann" / "Angle" / "b.mp4", 1)
    kit.put(root / "ann" / "GT" / "front.png", kit.image(1))
    clip(root / "bob" / "GT" / "front.mp4", 1)
    clip(root / "carl.mp4", 1)
    for number in (10, 2, 1):
        kit.put(root / "dora" / "walk" / f"frame_{number}.png", kit.image(number))
    kit.put(root / "lost.png", kit.image(3))
    kit.put(root / "ann" / "notes.txt", b"hello")
    found = listing.scan(made(root))
    # Beside a given reference what has no role is a probe, as in the layout folder.
    assert {(member.image_id, member.identity, member.role, member.sequence) for member in found.members} == {
        ("ann/one/a.mp4/000000.png", "ann", "probe", "ann/one/a.mp4"),
        ("ann/one/a.mp4/000001.png", "ann", "probe", "ann/one/a.mp4"),
        ("ann/Angle/b.mp4/000000.png", "ann", "probe", "ann/Angle/b.mp4"),
        ("ann/GT/front.png", "ann", "reference", ""),
        ("bob/GT/front.mp4/000000.png", "bob", "reference", "bob/GT/front.mp4"),
        ("carl.mp4/000000.png", "carl", "auto", "carl.mp4"),
        *((f"dora/walk/frame_{number}.png", "dora", "auto", "dora/walk") for number in (1, 2, 10)),
    }
    assert found.refused == 1 and found.others == ["ann/notes.txt"]
    assert any("lost.png" in line for line in found.problems)
    assert sorted(["frame_10.png", "frame_2.png", "a.png", "3.png"], key=by_number) == ["3.png", "a.png", "frame_2.png", "frame_10.png"]


def test_frames_are_chosen_by_time_and_by_number() -> None:
    seconds = [0.0, 0.04, 0.5, 0.54, 2.0, 2.04]  # a rate that varies
    assert chosen(seconds, 6, {}) == [0, 1, 2, 3, 4, 5]
    assert chosen(seconds, 6, {"every": 2}) == [0, 2, 4]
    assert chosen(seconds, 6, {"from": 0.04, "to": 2.0}) == [1, 2, 3, 4]
    assert chosen(seconds, 6, {"every_seconds": 0.5}) == [0, 2, 4]
    assert chosen(seconds, 6, {"every_seconds": 1.0, "from": 0.5}) == [2, 4]
    assert chosen(seconds, 6, {"numbers": [5, 1, 99]}) == [1, 5]
    assert chosen(seconds, 6, {"times": [0.51, 1.9, 7.0]}) == [2, 4, 5]
    assert chosen(None, 4, {"every": 3, "from": 9.0}) == [0, 3]


def test_what_a_clip_does_not_have_is_said(tmp_path: Path) -> None:
    clip(tmp_path / "clips" / "ann" / "a.mp4", 3)
    assert "no frame 7; it has 3, from 0 on" in listing.scan(made(tmp_path / "clips", numbers=[1, 7])).problems[0]
    assert "nothing at 9 s" in listing.scan(made(tmp_path / "clips", times=[0.0, 9.0])).problems[0]
    with pytest.raises(BadInput, match="none of its 3 frames"):
        listing.scan(made(tmp_path / "clips", **{"from": 5.0}))
    with pytest.raises(BadConfig, match="every"):
        made(tmp_path / "clips", every=0)
    with pytest.raises(BadConfig, match="everyy"):
        made(tmp_path / "clips", everyy=2)


def test_a_damaged_frame_is_a_row_and_a_file_that_is_no_clip_is_one_line(tmp_path: Path) -> None:
    path = tmp_path / "clips" / "ann" / "a.mp4"
    path.parent.mkdir(parents=True)
    rng = np.random.default_rng(0)
    with video.Writer(path, 25.0) as writer:
        for k in range(60):
            writer.add(rng.integers(0, 255, (96, 128, 3)).astype(np.uint8), k / 25)
    data = bytearray(path.read_bytes())
    data[len(data) // 2 : len(data) // 2 + 400] = bytes(400)
    path.write_bytes(data)
    kit.put(tmp_path / "clips" / "ann" / "text.mp4", b"hello" * 100)
    card = made(tmp_path / "clips")
    found = listing.scan(card)
    assert len(found.members) == 60 and found.refused == 1
    (line,) = [line for line in found.problems if "text.mp4" in line]
    assert line.startswith("ann/text.mp4: not a clip") and str(tmp_path) not in line
    rows = rows_of(card, tmp_path / "out.parquet")
    bad = [row for row in rows if row["status"] == status.UNREADABLE]
    assert len(rows) == 60 and 0 < len(bad) <= 5 and all("damaged" in str(row["detail"]) and row["image"] is None for row in bad)
    report = checking.check(card, pixels=True)
    assert report.pixels is not None and report.pixels.compared == 60 - len(bad)
    assert not report.report.duplicates  # frames of one clip are not the same file twice


def test_a_telephones_rotation_flag_is_obeyed(tmp_path: Path) -> None:
    path = clip(tmp_path / "clips" / "ann" / "a.mp4", 2)
    data = path.read_bytes()
    # The matrix of the track header (ISO/IEC 14496-12): a quarter turn.
    plain = b"\0\1\0\0" + bytes(12) + b"\0\1\0\0" + bytes(12) + b"\x40\0\0\0"
    turned = bytes(4) + b"\0\1\0\0" + bytes(4) + b"\xff\xff\0\0" + bytes(12) + bytes(4) + b"\x40\0\0\0"
    at = data.index(plain, data.index(b"tkhd"))
    path.write_bytes(data[:at] + turned + data[at + len(turned) :])
    row = rows_of(made(tmp_path / "clips"), tmp_path / "out.parquet")[0]
    assert (row["width"], row["height"]) == (48, 64)
    block = images.decode(row["image"])  # type: ignore[arg-type]
    assert block[:16, -16:].mean() > 200 > block[:16, :16].mean()  # the white block went from the upper left to the upper right corner


def test_a_clips_content_and_the_chosen_frames_decide_what_reruns(tmp_path: Path) -> None:
    path = clip(tmp_path / "clips" / "ann" / "a.mp4")
    clip(tmp_path / "clips" / "bob" / "b.mp4")
    first = listing.fingerprints(made(tmp_path / "clips"), cache=FileCache(None, tmp_path))
    path.touch()
    assert listing.fingerprints(made(tmp_path / "clips"), cache=FileCache(None, tmp_path)) == first
    assert listing.fingerprints(made(tmp_path / "clips", every=2), cache=FileCache(None, tmp_path)) != first
    write(path, 11)
    assert listing.fingerprints(made(tmp_path / "clips"), cache=FileCache(None, tmp_path)) != first


def test_a_clip_is_counted_once_and_never_again_while_its_file_stays(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import os

    path = clip(tmp_path / "clips" / "ann" / "a.mp4")
    os.utime(path, (1_000_000_000, 1_000_000_000))
    cache = FileCache(tmp_path / "cache.json", tmp_path)
    members = listing.scan(made(tmp_path / "clips"), cache=cache).members
    cache.save()
    assert json.loads((tmp_path / "cache.json").read_text())["files"]
    monkeypatch.setattr(video, "times", lambda _: pytest.fail("counted again"))
    assert listing.scan(made(tmp_path / "clips"), cache=FileCache(tmp_path / "cache.json", tmp_path)).members == members


def test_the_same_clip_under_two_names_is_the_same_image_twice(tmp_path: Path) -> None:
    path = clip(tmp_path / "clips" / "ann" / "a.mp4", 2)
    kit.put(tmp_path / "clips" / "bob" / "b.mp4", path.read_bytes())
    found = checking.check(made(tmp_path / "clips"), pixels=False).report.duplicates
    assert [duplicate.image_ids for duplicate in found] == [(f"ann/a.mp4/{k:06d}.png", f"bob/b.mp4/{k:06d}.png") for k in (0, 1)]
    assert all(duplicate.across for duplicate in found)


def test_frames_are_the_same_whether_a_clip_is_read_in_order_or_not(tmp_path: Path) -> None:
    from frontalbench.datasets.video import Clips

    path = str(clip(tmp_path / "clips" / "ann" / "a.mp4", 6))
    one, other = Clips(), Clips()
    in_turn = [one.image(path, k) for k in range(6)]
    assert [other.image(path, k) for k in (5, 0, 3)] == [in_turn[k] for k in (5, 0, 3)]
    assert np.abs(images.decode(in_turn[0]).astype(int) - images.decode(in_turn[5])).max() > 50
