"""Colours of a photograph on an unrolled mesh: what is seen, what comes from the other side, and the files that say how a mesh unrolls."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from frontalbench.errors import BadInput  # noqa: E402
from frontalbench.frontalize.head import vertex_normals  # noqa: E402
from frontalbench.geometry.raster import rasterize  # noqa: E402
from frontalbench.morphable import texture, uv  # noqa: E402
from tests.golden import faces  # noqa: E402
from tests.unit.facekit import write_obj  # noqa: E402

SIDE = 128


@pytest.fixture(scope="module")
def tube() -> uv.UvMap:
    return uv.UvMap(faces.flame_unrolled(), SIDE)


def test_a_mesh_read_from_its_file_unrolls_as_it_was_written(tmp_path: Path) -> None:
    whole = faces.flame_unrolled()
    found = uv.read_obj(write_obj(tmp_path / "head.obj", whole, faces.flame().template))
    assert np.array_equal(found.triangles, whole.triangles) and np.array_equal(found.corners, whole.corners)
    np.testing.assert_allclose(found.places, whole.places, atol=1e-8)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "no triangles in it"),
        ("<html>404</html>", "no triangles in it"),
        ("v 0 0 0\nvt 0 0\nf 1/1 1/1 2/1\n", "its triangles name vertices that are not there"),
        ("v 0 0 0\nvt 0 0\nf 1/1 1/2 1/1\n", "its triangles name places that are not there"),
        ("v 0 0 0\nvt 0 0\nf 1 1 1\n", "line 3: 'f 1 1 1'"),
        ("v 0 0 0\nvt 0 0\nf 1/1 1/1 1/1 1/1\n", "line 3: 'f 1/1 1/1 1/1 1/1' (not a triangle)"),
        ("v 0 0 0\nvt here\n", "line 2: 'vt here'"),
        ("v 0 0 0\nvt nan 0\nf 1/1 1/1 1/1\n", "places that are not finite"),
    ],
)
def test_a_mesh_that_does_not_unroll_is_refused_in_one_line(text: str, said: str, tmp_path: Path) -> None:
    path = tmp_path / "head.obj"
    path.write_text(text)
    with pytest.raises(BadInput) as caught:
        uv.read_obj(path)
    assert str(caught.value).startswith(f"{path}: ") and said in str(caught.value) and "\n" not in str(caught.value)
    with pytest.raises(BadInput, match="not found"):
        uv.read_obj(tmp_path / "none.obj")


def test_values_spread_over_texels_and_looked_up_again_are_the_same(tube: uv.UvMap) -> None:
    head = faces.flame()
    spread = torch.from_numpy(np.ascontiguousarray(tube.over(head.template).transpose(2, 0, 1)))
    pixels = head.template * [800.0, -800.0, -800.0] + [100.0, 100.0, 0.0]
    drawn = rasterize(pixels, head.triangles, (200, 200))
    found = uv.looked_up(spread, tube.on(drawn)).numpy()
    own = uv.interpolate(drawn, head.triangles, head.template).transpose(2, 0, 1)
    inner = np.zeros((200, 200), bool)
    inner[40:160, 60:140] = True
    off = np.abs(found - own).max(axis=0)[inner & (drawn.triangle >= 0)]
    assert np.percentile(off, 99) < 0.002, "metres: a texel is that large"


def test_a_photograph_is_sampled_where_texels_lie_and_black_beyond_it() -> None:
    ramp = torch.arange(20, dtype=torch.float32).expand(1, 10, 20).contiguous()
    places = np.array([[[3.0, 2.0], [7.25, 9.0], [-5.0, 2.0], [25.0, 2.0]]], np.float32)
    assert uv.sampled(ramp, places)[0, 0].tolist() == pytest.approx([3.0, 7.25, 0.0, 0.0], abs=1e-5)


def test_the_mirror_image_of_a_texel_lies_on_the_other_side_whatever_the_map(tube: uv.UvMap) -> None:
    head = faces.flame()
    points, normals = tube.over(head.template), tube.over(vertex_normals(head.template, head.triangles))
    mirror = texture.mirror_of(points, normals, tube.covered)
    off = np.linalg.norm(mirror.of(points) * [-1, 1, 1] - points, axis=2)[tube.covered]
    assert np.percentile(off, 99) < 0.004
    assert np.allclose(mirror.share.sum(axis=1), 1.0)
    unseen = np.flatnonzero(~tube.covered.ravel())
    assert np.array_equal(mirror.index[unseen], np.repeat(unseen[:, None], texture.NEIGHBOURS, axis=1))


def test_a_texel_is_seen_when_it_faces_the_camera_lies_in_front_and_within_the_photograph() -> None:
    square = np.array([[10, 10, 5.0], [30, 10, 5.0], [10, 30, 5.0], [30, 30, 5.0]])
    drawn = rasterize(square, [[0, 1, 2], [1, 3, 2]], (40, 40))
    places = np.array([[[20, 20, 5.0], [20, 20, 9.0], [20, 20, 5.5], [35, 35, 9.0], [-3, 20, 0.0]]], np.float32)
    facing = np.ones((1, 5), np.float32)
    seen = texture.visibility(places, facing, drawn, 1.0, np.ones((1, 5), bool))
    assert seen[0].tolist() == [1.0, 0.0, 1.0, 1.0, 0.0]
    grazing = texture.visibility(places, np.full((1, 5), 0.05, np.float32), drawn, 1.0, np.ones((1, 5), bool))
    assert not grazing.any()
    assert not texture.visibility(places, facing, drawn, 1.0, np.zeros((1, 5), bool)).any()


def test_what_the_photograph_reaches_is_measured_in_the_photograph() -> None:
    matrix = np.array([[2.0, 0.0, -10.0], [0.0, 2.0, 0.0]])  # crop x = 2 * photograph x - 10
    places = np.array([[-12.0, 4.0], [0.0, 4.0], [190.0, 4.0], [0.0, 200.0]], np.float32)
    assert texture.reached(places, matrix, (50, 100)).tolist() == [False, True, False, False]


def test_a_hidden_side_takes_the_other_one_s_colours_and_tone_and_a_face_seen_whole_keeps_its_own(tube: uv.UvMap) -> None:
    head = faces.flame()
    points, normals = tube.over(head.template), tube.over(vertex_normals(head.template, head.triangles))
    mirror = texture.mirror_of(points, normals, tube.covered)
    across = points[..., 0]
    colours = np.repeat((0.5 + 0.3 * np.cos(60 * points[..., 1]))[..., None], 3, axis=2).astype(np.float32)
    seen = np.clip(0.5 + across / 0.04, 0.0, 1.0).astype(np.float32) * tube.covered
    spoilt = np.where((across < -0.02)[..., None], np.float32(0.0), colours).astype(np.float32)
    found = texture.filled(spoilt, seen, mirror, tube.covered)
    far = tube.covered & (across < -0.045)
    assert np.abs(found - colours)[far].max() < 0.06 and np.abs(spoilt - colours)[far].max() > 0.5
    right = tube.covered & (across > 0.03)
    assert np.abs(found - colours)[right].max() < 0.02, "what is seen stays"
    whole = texture.filled(colours, np.ones_like(seen) * tube.covered, mirror, tube.covered)
    assert np.abs(whole - colours)[tube.covered].max() < 1e-6
