"""DECA's networks, its FLAME layer and the recipe of a frontal view against golden tensors of the official modules.

The head model is made up (:mod:`tests.golden.faces`). Not compared, because nothing here does it: drawings with light (``*_lit``, ``shape_*``,
``add_SH``), landmarks on the mesh (``lmk*``, ``landmarks*``, ``visofp``: ours come from the photograph), depth images, ``transform_points``.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pytest

torch = pytest.importorskip("torch")

from frontalbench.frontalize import deca, framing  # noqa: E402
from frontalbench.frontalize.head import vertex_normals  # noqa: E402
from frontalbench.landmarks.base import Landmarks  # noqa: E402
from frontalbench.morphable import texture as textures  # noqa: E402
from frontalbench.morphable import uv as unrolling  # noqa: E402
from frontalbench.morphable.flame import full_pose, rotations  # noqa: E402
from frontalbench.networks.deca import CODES, DETAIL, DetailDecoder, Encoder, split  # noqa: E402
from frontalbench.types import Float  # noqa: E402
from tests.golden import faces, fills  # noqa: E402

GOLDEN = fills.golden("DECA")
POSE = np.array([(0.10, 0.55, -0.05, 0.12, 0.01, -0.02), (-0.2, -0.9, 0.1, 0.0, 0.0, 0.0)])
CAMERA = np.array([(8.0, 0.01, 0.02), (7.0, -0.02, 0.0)])


@pytest.mark.parametrize(("which", "outputs"), [("E_flame", CODES), ("E_detail", DETAIL)])
def test_an_encoder_gives_the_same_codes_by_every_stage(which: str, outputs: int) -> None:
    network = fills.filled(lambda: Encoder(outputs), f"DECA_{which}", f"deca_{which}")
    fills.check_fill(network.state_dict(), "DECA", f"deca_{which}")
    found: dict[str, torch.Tensor] = {}
    names = [f"encoder.{name}" for name in ("conv1", "layer1", "layer2", "layer3", "layer4")] + ["layers.0"]
    taps = fills.record(network, names, lambda: found.update(out=network(fills.uniform("input:deca_image", 2, 3, 224, 224))))
    for tap, value in taps.items():
        GOLDEN.near(f"{which}.{tap}", value)
    GOLDEN.near(f"{which}.out", found["out"])
    if which == "E_flame":
        codes = split(found["out"])
        for name, value in (("shape", codes.shape), ("tex", codes.albedo), ("exp", codes.expression)):
            GOLDEN.near(f"code.{name}", value)
        for name, value in (("pose", codes.pose), ("cam", codes.camera), ("light", codes.light)):
            GOLDEN.near(f"code.{name}", value)


def _decoder() -> torch.nn.Module:
    network = fills.filled(DetailDecoder, "DECA_D_detail", "deca_D_detail")
    fills.check_fill(network.state_dict(), "DECA", "deca_D_detail")
    return network


def test_the_detail_decoder_raises_the_same_skin() -> None:
    network, found = _decoder(), {}
    code = fills.tensor(fills.normal("input:deca_detail_latent", 0.7, 2, 181))
    names = ["l1", *(f"conv_blocks.{number}" for number in (0, 4, 8, 12, 16, 20, 21))]
    for tap, value in fills.record(network, names, lambda: found.update(out=network(code))).items():
        GOLDEN.near(f"D_detail.{tap}", value.flatten(1) if tap == "l1" else value)
    GOLDEN.near("D_detail.out", found["out"])


def test_the_made_up_head_is_the_one_of_the_golden_arrays() -> None:
    arrays, unrolled = faces.flame_arrays(), faces.flame_unrolled()
    for key, name in (("v_template", "v_template"), ("shapedirs", "shapedirs"), ("posedirs", "posedirs"), ("weights", "weights")):
        GOLDEN.near(f"syn.{name}", arrays[key])
    ends = [0, 1, 2, 3, -4, -3, -2, -1]
    GOLDEN.near("syn.faces_first_last", arrays["f"][ends])
    GOLDEN.near("syn.uvfaces_first_last", unrolled.corners[ends])
    GOLDEN.near("syn.vt", unrolled.places)
    GOLDEN.near("syn.mask_eye", 255.0 * faces.eye_mask())


def _codes() -> tuple[Float, Float]:
    shape, expression = fills.normal("input:deca_shape", 1.0, 2, 100), fills.normal("input:deca_exp", 0.6, 2, 50)
    return shape.astype(np.float32).astype(np.float64), expression.astype(np.float32).astype(np.float64)


def _heads(pose: Float, eyes: Float | None = None) -> Float:
    shape, expression = _codes()
    made = [
        faces.flame().posed(shape[i], expression[i], full_pose(pose[i, :3], pose[i, 3:], None if eyes is None else eyes[i]))
        for i in range(2)
    ]
    return np.stack(made)


def _ahead() -> Float:
    return _heads(np.column_stack([np.zeros((2, 3)), POSE[:, 3:]]))


def test_flame_bends_the_head_as_the_official_layer_does() -> None:
    GOLDEN.near("flame.verts", _heads(POSE))
    GOLDEN.near("flame.verts_front", _ahead())
    GOLDEN.near("flame.verts_eye", _heads(POSE, fills.normal("input:deca_eye", 0.1, 2, 6)))
    GOLDEN.near("lbs.rodrigues_zero", rotations(np.zeros((1, 3))))
    turned = rotations(np.array([[0.1, 0.55, -0.05], [0.12, 0.01, -0.02], [-0.2, -0.9, 0.1], [0.0, 0.0, 0.0]]))
    GOLDEN.near("lbs.rodrigues", turned)


@pytest.fixture(scope="module")
def surface() -> deca.Surface:
    mask, raised = (values.astype(np.float32) for values in (faces.eye_mask(), faces.fixed_displacement()))
    return deca.Surface(faces.flame(), faces.flame_unrolled(), mask, raised)


def _images() -> torch.Tensor:
    ramp = np.linspace(0, 1, 224, dtype=np.float32)
    y, x = np.meshgrid(ramp, ramp, indexing="ij")
    first = np.stack([0.5 + 0.5 * np.sin(9 * x + 4 * y), 0.5 + 0.5 * np.cos(7 * y - 3 * x), 4 * y * (1 - x)]).astype(np.float32)
    return torch.from_numpy(np.stack([first, first[:, :, ::-1]]))


def _texture(surface: deca.Surface, which: int) -> npt.NDArray[np.float32]:
    """The photograph over the UV map, hidden parts as they come: the published recipe."""
    places, _ = surface.texels(_heads(POSE)[which])
    there = deca.projected(places.reshape(-1, 3), CAMERA[which]).reshape(places.shape).astype(np.float32)
    colours = unrolling.sampled(_images()[which], there[..., :2]).permute(1, 2, 0).numpy()
    return textures.masked(colours, surface.mask)


def test_what_belongs_to_vertices_is_spread_over_the_same_texels(surface: deca.Surface) -> None:
    heads = _heads(POSE)
    GOLDEN.near("world2uv", np.stack([surface.map.over(head) for head in heads]).transpose(0, 3, 1, 2))
    GOLDEN.near("normals", np.stack([vertex_normals(head, faces.flame().triangles) for head in heads]), close=1e-3)
    flat = np.stack([deca.projected(head, camera) for head, camera in zip(_ahead(), [deca.FRONTAL_CAMERA] * 2, strict=True)])
    flat[..., :2] -= (deca.SIDE - 1) / 2.0
    GOLDEN.near("e2e.front.trans_verts_before_render", flat * (2.0 / deca.SIDE))


def test_the_fine_surface_is_raised_alike_and_has_the_same_normals(surface: deca.Surface) -> None:
    _, expression = _codes()
    parts = (fills.tensor(POSE[:, 3:]), fills.tensor(expression), fills.tensor(fills.normal("input:deca_detail", 0.5, 2, 128)))
    with torch.inference_mode():
        raised = _decoder()(torch.cat(parts, dim=1)).numpy()
    assert surface.raised is not None
    GOLDEN.near("e2e.src.displacement_map", raised + surface.raised)
    GOLDEN.near("dense_faces_count", np.array(len(surface.grid)))
    GOLDEN.near("dense_faces_first_last", surface.grid[[0, 1, 2, -3, -2, -1]])
    heads = _heads(POSE)
    normals = np.stack([surface.texels(heads[i], raised[i, 0])[1] for i in range(2)]).transpose(0, 3, 1, 2)
    wanted = GOLDEN.arrays["e2e.src.uv_detail_normals"]
    off = np.abs(normals.reshape(-1)[::97] - wanted)
    assert (off < 1e-3).mean() > 0.998, "texels on the seam may belong to either side"


def test_the_photograph_lies_on_the_head_and_is_drawn_from_the_front_as_in_the_parts(surface: deca.Surface) -> None:
    GOLDEN.near("e2e.image", _images(), close=1e-3)
    textures = np.stack([_texture(surface, which) for which in range(2)])
    GOLDEN.near("e2e.src.uv_texture_gt", textures.transpose(0, 3, 1, 2))
    shown, counts = [], []
    for head, texture in zip(_ahead(), textures, strict=True):
        looked, uv = surface.looks(head, deca.FRONTAL_CAMERA)
        there = looked.triangle >= 0
        counts.append(int(there.sum()))
        shown.append(unrolling.looked_up(torch.from_numpy(np.ascontiguousarray(texture.transpose(2, 0, 1))), uv).numpy() * there)
    drawn = np.stack(shown)
    GOLDEN.near("e2e.front.alpha_count", np.array(counts), atol=3.0)
    spread = float(np.abs(GOLDEN.arrays["e2e.front.images"]).max())
    for name, found in (("e2e.front.images", drawn.reshape(-1)[::29]), ("e2e.front.images_s4", drawn[0, :, ::4, ::4])):
        off = np.abs(found - GOLDEN.arrays[name]) / spread
        assert (off < 1e-3).mean() > 0.995, "pixels on the outline may belong to another triangle"


def test_the_crop_is_the_official_one() -> None:
    points = GOLDEN.arrays["crop.kpt"].astype(np.float64)
    np.testing.assert_allclose(framing.landmark_square(Landmarks(points, "ibug68")), GOLDEN.arrays["crop.tform"][:2], atol=1e-4)
