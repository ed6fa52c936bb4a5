"""Clips in and out: every format, rotation, rates that vary, damage. The clips are made here."""

from __future__ import annotations

import csv
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
from PIL import Image

av = pytest.importorskip("av", reason="the package av reads clips (constraints.txt); this environment was made before it was asked for")

from frontalbench.datasets import listing  # noqa: E402
from frontalbench.detect.base import Detections  # noqa: E402
from frontalbench.errors import BadInput  # noqa: E402
from frontalbench.frontalize.base import FRONTAL, Outcome, View  # noqa: E402
from frontalbench.images import RGB  # noqa: E402
from frontalbench.plain import clip_page, frames  # noqa: E402
from frontalbench.plain.clips import Judge, followed, frontalize_clip, steadied  # noqa: E402
from frontalbench.sequences import video  # noqa: E402
from tests.unit import datasetkit  # noqa: E402


def image(grey: int, mark: int = 0) -> RGB:
    """Grey, a white block in the upper left corner, ``mark`` in its red."""
    made = np.full((48, 64, 3), grey, np.uint8)
    made[:16, :16] = (255, 255 - mark, 255 - mark)
    return made


def write(path: Path, frames: int = 12, seconds: Sequence[float] | None = None) -> Path:
    with video.Writer(path, 25.0) as writer:
        for k in range(frames):
            writer.add(image(20 + 15 * k), seconds[k] if seconds else k / 25)
    return path


def greys(frames: Sequence[video.Frame]) -> list[int]:
    return [round((float(frame.image[30:, 30:].mean()) - 20) / 15) for frame in frames if frame.image is not None]


@pytest.mark.parametrize("ending", [".mp4", ".mov", ".mkv", ".webm"])
def test_a_clip_that_was_written_is_read_again_frame_by_frame(tmp_path: Path, ending: str) -> None:
    frames = list(video.read(write(tmp_path / f"a{ending}")))
    assert [frame.number for frame in frames] == list(range(12))
    assert greys(frames) == list(range(12))
    np.testing.assert_allclose([frame.seconds for frame in frames], np.arange(12) / 25, atol=2e-3)
    about = video.look(tmp_path / f"a{ending}")
    assert (about.width, about.height) == (64, 48) and abs(about.rate - 25) < 0.5


def test_an_avi_of_another_codec_and_an_animated_gif_are_read(tmp_path: Path) -> None:
    with av.open(str(tmp_path / "a.avi"), "w") as container:
        stream = container.add_stream("mpeg4", rate=25, options={"qscale": "2"})
        stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv420p"
        for k in range(12):
            container.mux(stream.encode(av.VideoFrame.from_ndarray(image(20 + 15 * k), format="rgb24")))
        container.mux(stream.encode())
    assert greys(list(video.read(tmp_path / "a.avi"))) == list(range(12))
    made = [Image.fromarray(image(20 + 15 * k)) for k in range(5)]
    made[0].save(tmp_path / "a.gif", save_all=True, append_images=made[1:], duration=100)
    assert greys(list(video.read(tmp_path / "a.gif"))) == list(range(5))


def test_a_rate_that_varies_keeps_every_frame_at_its_own_time(tmp_path: Path) -> None:
    seconds = [0.0, 0.04, 0.5, 0.54, 2.0, 2.04]
    frames = list(video.read(write(tmp_path / "a.mp4", 6, seconds)))
    np.testing.assert_allclose([frame.seconds for frame in frames], seconds, atol=2e-3)


def test_every_nth_frame_and_a_span_of_time_keep_the_numbers_of_the_whole_clip(tmp_path: Path) -> None:
    clip = write(tmp_path / "a.mp4")
    assert [frame.number for frame in video.read(clip, every=5)] == [0, 5, 10]
    assert [frame.number for frame in video.read(clip, first=0.1, last=0.21)] == [3, 4, 5]
    with pytest.raises(ValueError, match="every"):
        next(video.read(clip, every=0))


@pytest.mark.parametrize(("rotation", "corner"), [(0, (0, 0)), (90, (-1, 0)), (180, (-1, -1)), (-90, (0, -1))])
def test_a_frame_is_turned_as_the_clip_asks(rotation: int, corner: tuple[int, int]) -> None:
    turned = video.upright(image(50), rotation)
    assert turned[corner].tolist() == [255, 255, 255]
    assert turned.shape[:2] == ((48, 64) if rotation % 180 == 0 else (64, 48))


def test_damage_within_a_clip_costs_its_frames_and_not_the_clip(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    with video.Writer(tmp_path / "a.mp4", 25.0) as writer:
        for k in range(60):
            writer.add(rng.integers(0, 255, (96, 128, 3)).astype(np.uint8), k / 25)
    data = bytearray((tmp_path / "a.mp4").read_bytes())
    place = len(data) // 2
    data[place : place + 400] = bytes(400)
    (tmp_path / "b.mp4").write_bytes(bytes(data))
    frames = list(video.read(tmp_path / "b.mp4"))
    broken = [frame for frame in frames if frame.image is None]
    assert broken and all(frame.detail.startswith("damaged") for frame in broken)
    assert len(frames) >= 55 and frames[-1].image is not None


def test_what_is_no_clip_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "notes.mp4").write_text("no clip at all")
    (tmp_path / "empty.mkv").write_bytes(b"")
    for name in ("notes.mp4", "empty.mkv", "missing.mp4"):
        with pytest.raises(BadInput) as caught:
            list(video.read(tmp_path / name))
        assert len(str(caught.value).splitlines()) == 1 and name in str(caught.value)
    with av.open(str(tmp_path / "sound.mp4"), "w") as container:
        stream = container.add_stream("aac", rate=16000)
        sound = av.AudioFrame.from_ndarray(np.zeros((1, 1024), np.float32), format="fltp", layout="mono")
        sound.sample_rate = 16000
        container.mux(stream.encode(sound))
        container.mux(stream.encode())
    with pytest.raises(BadInput, match="holds no images"):
        list(video.read(tmp_path / "sound.mp4"))


def test_a_clip_appears_whole_or_not_at_all(tmp_path: Path) -> None:
    with pytest.raises(RuntimeError), video.Writer(tmp_path / "a.mp4") as writer:
        writer.add(image(50), 0.0)
        raise RuntimeError
    with pytest.raises(BadInput, match="no frame"), video.Writer(tmp_path / "b.mp4"):
        pass
    with pytest.raises(BadInput, match="ending"):
        video.Writer(tmp_path / "c.txt")
    assert list(tmp_path.iterdir()) == []


class Finds:
    """A detector that finds the white block, and a second face further right where ``second`` says so."""

    name = "block"

    def detect(self, image: RGB) -> Detections:
        white = np.argwhere(image[..., 2] > 200)
        if len(white) < 20:
            return Detections.none()
        y1, x1 = white.min(axis=0)
        y2, x2 = white.max(axis=0)
        five = np.array([[x1, y1], [x2, y1], [(x1 + x2) / 2, (y1 + y2) / 2], [x1, y2], [x2, y2]], np.float32)
        return Detections(np.array([[x1, y1, x2, y2]], np.float32), np.array([0.9], np.float32), five[None])

    def glance(self, image: RGB, longest: int) -> Detections:
        return Detections.none()


class Cuts:
    """A frontalizer that shows the face's box in 32 pixels; it fails for bright images."""

    name = "cuts"
    needs_face = True
    takes_target_pose = False

    def frontalize(self, views: Sequence[View], target_pose: tuple[float, float, float] = FRONTAL) -> list[Outcome]:
        dark = [float(view.image[30:, 30:].mean()) < 150 for view in views]
        return [Outcome(np.full((32, 32, 3), 90, np.uint8), "ok") if ok else Outcome(None, "model_error", "too bright") for ok in dark]


def test_a_clip_becomes_a_clip_with_a_row_for_every_frame(tmp_path: Path) -> None:
    with video.Writer(tmp_path / "a.mp4", 25.0) as writer:
        for k in range(12):
            frame = image(20 + 15 * k)
            writer.add(np.full_like(frame, 20 + 15 * k) if k in (0, 5) else frame, k / 25)
    counts, notes = frontalize_clip(tmp_path / "a.mp4", tmp_path / "front.mp4", Finds(), Cuts())
    assert counts == {"no_face": 2, "ok": 7, "model_error": 3}
    assert all("2 tracks" in note for note in notes)  # the block that vanishes is another layout
    with (tmp_path / "front.mp4.csv").open(newline="") as handle:
        rows = list(csv.DictReader(handle))
    assert [row["frame"] for row in rows] == [str(k) for k in range(12)]
    assert rows[5]["status"] == "no_face" and rows[5]["track"] == "" and rows[4]["track"] and rows[6]["track"]
    shown = list(video.read(tmp_path / "front.mp4"))
    assert len(shown) == 12
    black = [k for k, frame in enumerate(shown) if frame.image is not None and float(frame.image.mean()) < 30]
    assert black == [k for k, row in enumerate(rows) if row["status"] != "ok"]


def test_faces_of_a_track_are_steadied_and_a_frame_without_one_has_none() -> None:
    rng = np.random.default_rng(2)
    frames = []
    for k in range(40):
        made = np.full((120, 160, 3), 60, np.uint8)
        x, y = rng.integers(0, 3, 2)
        if k != 20:
            made[30 + y : 90 + y, 40 + x : 100 + x] = 255
        frames.append(video.Frame(k, k / 25, made))
    found = followed(frames, Finds())
    faces = steadied(found)
    assert faces[20] is None and found.people == 1
    boxes = np.stack([face.box for face in faces if face is not None])
    assert boxes[:, 0].std() < np.stack([box for box in found.box if np.isfinite(box).all()])[:, 0].std() / 3


class Whiteness:
    """A backbone that sees how much white is in a crop."""

    name = "white"

    def embed(self, crops: RGB) -> npt.NDArray[np.float32]:
        white = crops.reshape(len(crops), -1).mean(axis=1) / 255
        return np.stack([white, 1 - white], axis=1).astype(np.float32)


def test_a_judge_says_of_every_frame_how_near_it_is_to_the_clip_s_own_template(tmp_path: Path) -> None:
    clip = write(tmp_path / "a.mp4", 8)
    _, notes = frontalize_clip(
        clip, tmp_path / "front.mp4", Finds(), Cuts(), judge=Judge(Finds(), Whiteness()), page=tmp_path / "a <b>.html"
    )  # type: ignore[arg-type]
    with (tmp_path / "front.mp4.csv").open(newline="") as handle:
        rows = list(csv.DictReader(handle))
    assert all(float(row["photograph"]) > 0.9 for row in rows)
    assert all(row["front"] == "" for row in rows), "no face is found in what was made, so nothing is said of it"
    assert len(notes) == 1 and notes[0].startswith("photographs: similarity") and "(8 frames)" in notes[0]
    page = (tmp_path / "a <b>.html").read_text()
    assert 'src="a.mp4"' in page and 'src="front.mp4"' in page and page.count("<figure>") == 8 and page.count("<path") == 1


def test_the_strip_of_a_long_clip_stays_short_and_spreads_over_it() -> None:
    strip = clip_page.Strip()
    for k in range(1000):
        strip.add(k, image(20), None)
    assert 12 <= len(strip.numbers) < 24 and strip.numbers[0] == 0 and strip.numbers[-1] > 900


def test_clips_become_a_dataset_whose_sessions_are_the_clips(tmp_path: Path) -> None:
    (tmp_path / "in" / "ann").mkdir(parents=True)
    write(tmp_path / "in" / "ann" / "a.mp4", 4)
    write(tmp_path / "in" / "ann" / "b.mp4", 4)
    write(tmp_path / "in" / "bob.mkv", 4)
    (tmp_path / "in" / "ann" / "notes.avi").write_text("no clip")
    counts, problems = frames.unpack(tmp_path / "in", tmp_path / "out", every=2)
    assert counts == {"ok": 6}
    assert len(problems) == 1 and "notes.avi: not a clip" in problems[0]
    card = datasetkit.card("folder", tmp_path / "out")
    members = {member.image_id: member for member in listing.list_members(card)}
    assert sorted(members) == [f"{clip}/{k:06d}.png" for clip in ("ann/a", "ann/b", "bob") for k in (0, 2)]
    assert {(member.identity, member.sequence) for member in members.values()} == {("ann", "ann/a"), ("ann", "ann/b"), ("bob", "bob")}


def test_two_clips_that_would_share_their_frames_names_are_one_line(tmp_path: Path) -> None:
    write(tmp_path / "a.mp4", 2)
    write(tmp_path / "a.mkv", 2)
    with pytest.raises(BadInput, match="rename one"):
        frames.unpack(tmp_path, tmp_path / "out")
    with pytest.raises(BadInput, match="no clips"):
        frames.unpack(tmp_path / "out" / "a", tmp_path / "there")
