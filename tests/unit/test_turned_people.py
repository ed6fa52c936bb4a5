"""Turned people in files, and the geometry by which a turned image is judged: no weights in here."""

from __future__ import annotations

import json
from pathlib import Path
from types import SimpleNamespace

import cv2
import numpy as np
import pytest

torch = pytest.importorskip("torch")

from frontalbench import images  # noqa: E402
from frontalbench.errors import BadInput  # noqa: E402
from frontalbench.geometry.similarity import ARCFACE_TEMPLATE, align  # noqa: E402
from frontalbench.synth import turning, turning_pack  # noqa: E402
from frontalbench.synth.check import read_index  # noqa: E402
from frontalbench.synth.people import Rejected  # noqa: E402
from frontalbench.synth.turned_files import Row, read_people, write_people  # noqa: E402
from frontalbench.synth.turned_set import chosen, second_references, write  # noqa: E402


def _points() -> np.ndarray:
    """68 points whose five places are those of a face of an image of 256 pixels."""
    points = np.full((68, 2), 128.0)
    wanted = ARCFACE_TEMPLATE * 1.6 + [40.0, 50.0]
    for rows, place in zip(turning.FIVE, wanted, strict=True):
        points[list(rows)] = place
    return points


def test_a_crop_with_a_gradient_is_the_crop_that_a_judge_is_given() -> None:
    image = cv2.GaussianBlur(np.random.default_rng(0).integers(0, 256, (256, 256, 3), dtype=np.uint8), (0, 0), 3)
    image = cv2.normalize(image, None, 0, 255, cv2.NORM_MINMAX)
    points = _points()
    five = np.stack([points[list(rows)].mean(0) for rows in turning.FIVE])
    given = torch.from_numpy(image).permute(2, 0, 1)[None] / 127.5 - 1.0
    crop = turning._crops(given, turning._alignments(torch.from_numpy(points)[None]))[0].permute(1, 2, 0).numpy()
    assert np.abs(crop - align(image, five)).mean() < 1.0
    moved = turning._crops(given, turning._moved(turning._alignments(torch.from_numpy(points)[None]), torch.Generator().manual_seed(0)))
    assert 0.5 < np.abs(moved[0].permute(1, 2, 0).numpy() - crop).mean() < 40.0, "the same face, cut a little differently"


def test_what_lies_around_the_face_is_told_from_the_face() -> None:
    outside = turning._outside(torch.from_numpy(_points())[None], 32)[0]
    assert outside[0, 0] == 1.0 and outside[16, 16] == 0.0


def test_vertices_that_either_pose_hides_do_not_count() -> None:
    normals = torch.tensor([[0.0, 0.0, -1.0], [1.0, 0.0, 0.0], [-1.0, 0.0, 0.0]])
    front = torch.eye(3)[None]
    turned = torch.from_numpy(turning.matrix_from_angles([60.0])).float()
    assert turning._both_seen(normals, front, turned)[0].tolist() == [pytest.approx(0.625, abs=1e-3), 0.0, 0.0]


def test_turned_people_come_back_from_their_file_as_they_were(tmp_path: Path) -> None:
    shades = torch.linspace(-0.8, 0.8, 6)
    styles = shades[:, None, None].expand(6, 23, 512)

    def drawn(some: torch.Tensor, size: int) -> torch.Tensor:
        return some[:, 0, 0][:, None, None, None].expand(-1, 3, size, size)

    turned = SimpleNamespace(
        styles=styles[2:],
        images=drawn(styles[2:], 16),
        yaws=np.array([-30.0, 30.0] * 2),
        poses=np.array([[-29.0, 1.0, 0.0], [31.0, 0.0, 0.0]] * 2),
        similarity=torch.full((4, 2), 0.75),
        start=torch.full((4, 2), 0.25),
        unusual=torch.full((4,), 0.125),
    )
    path = tmp_path / "people.safetensors"
    done = [([3, 8], styles[:2], drawn(styles[:2], 16), turned)]
    write_people(path, SimpleNamespace(drawn=drawn), done, 2, image=32, keep_styles=True, seed=7)  # type: ignore[arg-type]
    rows = list(read_people(path))
    assert [(row.number, row.yaw) for row in rows] == [(3, 0.0), (3, -30.0), (3, 30.0), (8, 0.0), (8, -30.0), (8, 30.0)]
    assert rows[1].measured == {"pose": [-29.0, 1.0, 0.0], "similarity": [0.75, 0.75], "start": [0.25, 0.25], "unusual": 0.125}
    greys = [int(images.decode(row.jpeg).mean()) for row in rows]
    wanted = [round(127.5 * (1.0 + float(shades[k]))) for k in (0, 2, 3, 1, 4, 5)]
    assert np.abs(np.array(greys) - wanted).max() <= 2, "every image belongs to its row"
    assert images.decode(path.with_suffix(".jpg").read_bytes()).shape == (256, 384, 3), "a sheet: two people, three images each"
    path.write_bytes(path.read_bytes()[:-40])
    with pytest.raises(BadInput, match=r"people\.safetensors: not a file of turned people .*; make it with turn_people\.py"):
        list(read_people(path))


def test_a_pack_that_lacks_a_part_is_refused_in_one_line(tmp_path: Path) -> None:
    (tmp_path / "face.safetensors").write_bytes(b"")
    with pytest.raises(BadInput) as refused:
        turning_pack.read(tmp_path)
    assert "synthesis.safetensors" in str(refused.value) and "face.safetensors" not in str(refused.value)
    assert "\n" not in str(refused.value) and "--write-pack" in str(refused.value)


def test_settings_of_a_command_line_are_checked(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    from frontalbench.commands import turn_people

    monkeypatch.setattr("sys.argv", ["turn_people.py", "--pack", str(tmp_path), "--out", str(tmp_path / "out"), "--set", "identty=3"])
    with pytest.raises(BadInput, match=r"--set identty=3: expected NAME=NUMBER with a name of around, identity"):
        turn_people.main()


class _Instruments:
    """Says of an image what its first pixel says: red - 128 is the yaw, green / 255 the similarity to a front, blue the number of faces."""

    def measure(self, image: np.ndarray) -> SimpleNamespace | None:
        red, green, blue = (int(value) for value in np.median(image.reshape(-1, 3), axis=0))
        if not blue:
            return None
        angle = np.arccos(green / 255)
        vector = np.array([np.cos(angle), np.sin(angle)])
        face = SimpleNamespace(n_faces=blue // 100)
        return SimpleNamespace(
            face=face, pose=(red - 128.0, 0.0, 0.0), similarity=lambda other: (float(vector @ other.vector),), vector=vector
        )


def _row(number: int, yaw: float, *, seen: float | None = None, alike: float = 1.0, claimed: float = 1.0, faces: int = 1) -> Row:
    pixel = np.array([128 + round(yaw if seen is None else seen), round(255 * alike), 100 * faces], np.uint8)
    image = np.broadcast_to(pixel, (16, 16, 3)).copy()
    return Row(number, yaw, images.encode_png(image), {"similarity": [claimed]} if yaw else {})


@pytest.mark.parametrize(
    ("view", "why"),
    [
        (_row(1, 30.0, seen=37.0), "yaw 30: measured yaw 37.0"),
        (_row(1, 30.0, alike=0.3), r"yaw 30: similarity 0\.3\d to the front"),
        (_row(1, 30.0, alike=0.7, claimed=0.9), r"yaw 30: similarity 0\.\d+ to the front, 0\.90 claimed while it was moved"),
        (_row(1, 30.0, faces=2), "yaw 30: 2 faces found"),
        (_row(1, 30.0, faces=0), "yaw 30: no face found"),
    ],
)
def test_a_second_look_leaves_out_who_is_not_where_or_who_they_were_claimed_to_be(view: Row, why: str) -> None:
    found = dict(chosen([_row(1, 0.0), view], _Instruments()))  # type: ignore[arg-type]
    assert isinstance(found[1], Rejected)
    with pytest.raises(Rejected, match=why):
        raise found[1]


def test_nobody_is_taken_twice_and_a_set_lies_as_the_shipped_one_does(tmp_path: Path) -> None:
    rows = [_row(3, 0.0), _row(3, -30.0, alike=0.9, claimed=0.95), _row(5, 0.0), _row(5, 30.0)]
    found = dict(chosen(rows, _Instruments()))  # type: ignore[arg-type]
    assert isinstance(found[5], Rejected) and "a person who is in already" in str(found[5])
    assert not isinstance(found[3], Rejected)
    listed = write(tmp_path, [found[3]], {3: (b"jpeg", (5.0, 0.0, 0.0))}, size=8, made={"seed": 7})
    assert [entry.image for entry in listed] == [
        "kept_01/Angle/kept_01_r30.jpg",
        "kept_01/GT/kept_01_b.jpg",
        "kept_01/GT/kept_01_front.jpg",
    ]
    assert (tmp_path / "kept_01/GT/kept_01_b.jpg").read_bytes() == b"jpeg"
    assert images.decode((tmp_path / listed[0].image).read_bytes()).shape == (8, 8, 3)
    text = (tmp_path / "index.csv").read_text(encoding="utf-8").splitlines()
    assert text[1] == "kept_01/Angle/kept_01_r30.jpg,kept_01,probe,-30.0,0.0,0.0,-30"
    assert json.loads((tmp_path / "recipe.json").read_text(encoding="utf-8"))["numbers"] == {"kept_01": 3}


def test_the_shipped_set_holds_at_least_twelve_people_at_eight_angles(project_root: Path) -> None:
    rows = read_index(project_root / "demo/synthetic_kept")
    probes = [row for row in rows if row["role"] == "probe"]
    people = {row["identity"] for row in rows}
    assert len(people) >= 12 and len(probes) == 8 * len(people)
    assert all(abs(float(row["yaw"]) - float(row["nominal_step"])) <= 4.0 for row in probes)
    assert all((project_root / "demo/synthetic_kept" / row["image"]).is_file() for row in rows)
    second = second_references(project_root / "demo/synthetic")
    assert len(second) == 20 and all(abs(pose[0]) < 10.0 for _, pose in second.values())
