"""Faces that stand on their head are found by every detector, rotated, measured and aligned as if they stood upright; upright ones are left alone."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from frontalbench.detect import DEFAULT_POLICY, Detections, Face
from frontalbench.detect import upright as heads
from frontalbench.geometry.similarity import ARCFACE_TEMPLATE
from frontalbench.images import RGB


class Prefers:
    """A detector that finds a face whichever way up, with the scores (as it is, rotated) of an image whose top left pixel is dark or bright."""

    name = "prefers"

    def __init__(self, upright: float, rotated: float, *, found: float = 0.9) -> None:
        self.scores, self.found = (upright, rotated), found
        self.glances = 0

    def _face(self, image: RGB, score: float) -> Detections:
        if score <= 0:
            return Detections.none()
        points = ARCFACE_TEMPLATE.astype(np.float32)[None] * (image.shape[0] / 112)
        return Detections(np.array([[30, 40, 80, 100]], np.float32) * (image.shape[0] / 112), np.array([score], np.float32), points)

    def _bright(self, image: RGB) -> bool:
        return bool(image[: image.shape[0] // 2].mean() > image[image.shape[0] // 2 :].mean())

    def detect(self, image: RGB) -> Detections:
        return self._face(image, self.found)

    def glance(self, image: RGB, longest: int) -> Detections:
        self.glances += 1
        assert image.shape[:2] == (longest, longest)
        return self._face(image, self.scores[0 if self._bright(image) else 1])


IMAGE = np.repeat(np.linspace(250, 0, 112).astype(np.uint8)[:, None, None], 112, axis=1).repeat(3, axis=2)
"""Bright above: "as it is"."""


@pytest.mark.parametrize(
    ("upright", "rotated", "note", "glances"),
    [(0.9, 0.0, "", 1), (0.9, 0.7, "", 1), (0.9, 0.85, "", 5), (0.85, 0.9, heads.NOTE, 5), (0.0, 0.9, heads.NOTE, 3)],
)
def test_one_cheap_look_is_enough_for_most_images_and_more_are_taken_in_doubt(
    upright: float, rotated: float, note: str, glances: int
) -> None:
    model = Prefers(upright, rotated)
    face, said = heads.find_face(IMAGE, model, DEFAULT_POLICY)
    assert face is not None
    assert (said, model.glances) == (note, glances)


def test_where_no_face_shows_the_turned_image_is_searched() -> None:
    class OnlyTurned(Prefers):
        def detect(self, image: RGB) -> Detections:
            return Detections.none() if self._bright(image) else self._face(image, 0.9)

    face, note = heads.find_face(IMAGE, OnlyTurned(0.0, 0.9), DEFAULT_POLICY)
    assert face is not None
    assert note == heads.NOTE
    assert heads.find_face(IMAGE, OnlyTurned(0.9, 0.9), DEFAULT_POLICY) == (None, "")


def test_an_image_that_is_known_to_stand_upright_is_searched_once_and_never_turned() -> None:
    model = Prefers(0.0, 0.9)
    face, note = heads.find_face(IMAGE, model, DEFAULT_POLICY, upright=True)
    assert face is not None and (note, model.glances) == ("", 0)
    assert heads.find_face(IMAGE, Prefers(0.0, 0.9, found=0.0), DEFAULT_POLICY, upright=True) == (None, "")


def test_turning_twice_gives_the_face_back() -> None:
    face = Face(np.array([10, 20, 50, 90], np.float32), 0.5, ARCFACE_TEMPLATE.astype(np.float32), 2)
    there = heads.rotate_face(face, (112, 200))
    assert heads.on_its_head(there)
    assert not heads.on_its_head(face)
    assert there.box[0] < there.box[2]
    back = heads.rotate_face(there, (112, 200))
    np.testing.assert_allclose(back.points, face.points, atol=1e-4)
    np.testing.assert_array_equal(back.box, face.box)
    assert back.n_faces == 2


def test_an_image_is_turned_for_a_face_on_its_head_only() -> None:
    face = Face(np.array([10, 20, 50, 90], np.float32), 0.5, ARCFACE_TEMPLATE.astype(np.float32), 1)
    same, mine = heads.upright(IMAGE, face)
    assert same is IMAGE
    assert mine is face
    other, rotated = heads.upright(IMAGE, heads.rotate_face(face, (112, 112)))
    np.testing.assert_array_equal(other, IMAGE[::-1, ::-1])
    assert rotated is not None
    np.testing.assert_allclose(rotated.points, face.points, atol=1e-4)
    assert heads.upright(IMAGE, None)[1] is None


def test_the_images_of_a_folder_are_always_looked_at_both_ways(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    from frontalbench.commands import preprocess

    monkeypatch.setattr("sys.argv", ["preprocess.py", "--upright", "--in", str(tmp_path), "--out", str(tmp_path / "out")])
    with pytest.raises(SystemExit):
        preprocess.main()
    assert "--upright is for a shard" in capsys.readouterr().err and not (tmp_path / "out").exists()
