"""HRN's networks and what it does with a Basel face, against golden tensors of the official modules; the face is made up (:mod:`tests.golden.faces`).

Not compared, because nothing here does it: the de-retouching network (``retouch.*``), grey recolouring (``bfm.recolor``), the pixels of the crop
(``align.image224``: ours are not rounded to whole pixels).
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pytest

torch = pytest.importorskip("torch")

from frontalbench.frontalize import hrn  # noqa: E402
from frontalbench.morphable import basel as model  # noqa: E402
from frontalbench.morphable.uv import Unrolled  # noqa: E402
from frontalbench.networks.hrn import Reconstruction, high_net, mid_net, split  # noqa: E402
from frontalbench.types import Float  # noqa: E402
from tests.golden import faces, fills  # noqa: E402

GOLDEN = fills.golden("HRN")


def _network(make: object, listed: str, name: str) -> torch.nn.Module:
    network = fills.filled(make, listed, name)  # type: ignore[arg-type, type-var]
    fills.check_fill(network.state_dict(), "HRN", name)
    return network  # type: ignore[return-value]


def test_the_coarse_network_gives_the_same_coefficients_by_every_stage() -> None:
    network, found = _network(Reconstruction, "HRN_net_recon", "hrn_net_recon"), {}
    names = [f"backbone.{name}" for name in ("conv1", "layer1", "layer2", "layer3", "layer4")] + [
        f"final_layers.{number}" for number in range(7)
    ]
    for tap, value in fills.record(
        network, names, lambda: found.update(out=network(fills.uniform("input:hrn_image", 2, 3, 224, 224)))
    ).items():
        GOLDEN.near(f"recon.{tap}", value)
    GOLDEN.near("recon.coeffs", found["out"])


def test_the_middle_network_moves_the_surface_alike() -> None:
    network, found = _network(mid_net, "HRN_mid_net", "hrn_mid_net"), {}
    maps = fills.tensor(fills.normal("input:hrn_mid", 0.5, 1, 6, 64, 64))
    names = [f"model.{number}" for number in (3, 6, 9, 10, 18, 21, 24)]
    for tap, value in fills.record(network, names, lambda: found.update(out=network(maps))).items():
        GOLDEN.near(f"mid.{tap}", value)
    GOLDEN.near("mid.out", found["out"])


def test_the_fine_network_raises_the_skin_alike() -> None:
    network = _network(high_net, "HRN_high_net", "hrn_high_net")
    with torch.inference_mode():
        GOLDEN.near("high.out_128", network(fills.tensor(fills.normal("input:hrn_high", 0.5, 1, 9, 128, 128))))


def _coefficients() -> npt.NDArray[np.float32]:
    values = fills.normal("input:hrn_coeffs", 0.5, 2, 257).astype(np.float32)
    values[:, 224:227] *= 0.5
    values[:, 227:254] *= 0.4
    values[:, 254:] *= 0.2
    return values


PARTS = split(torch.from_numpy(_coefficients()))


def test_coefficients_are_split_alike() -> None:
    for name, value in (("id", PARTS.identity), ("exp", PARTS.expression), ("tex", PARTS.albedo), ("angle", PARTS.angles)):
        GOLDEN.near(f"split.{name}", value)
    GOLDEN.near("split.gamma", PARTS.light.flatten(1))
    GOLDEN.near("split.trans", PARTS.shift)


def test_the_made_up_face_is_the_one_of_the_golden_arrays() -> None:
    arrays = faces.basel_arrays()
    for key in ("idBase", "meantex"):
        GOLDEN.near(f"syn.{key}", arrays[key])
    GOLDEN.near("syn.meanshape", arrays["meanshape"].reshape(-1, 3))
    GOLDEN.near("syn.tri_first_last", (arrays["tri"] - 1)[[0, 1, 2, -3, -2, -1]])
    GOLDEN.near("bfm.mean_recentred", faces.basel().mean.reshape(-1, 1))


def _shapes() -> Float:
    basel = faces.basel()
    return np.stack([basel.shape(PARTS.identity[i].double().numpy(), PARTS.expression[i].double().numpy()) for i in range(2)])


def _turns() -> Float:
    return np.stack([model.rotation(angles) for angles in PARTS.angles.double()])


def _before_camera() -> Float:
    shapes, turns, shifts = _shapes(), _turns(), PARTS.shift.double().numpy()
    return np.stack([model.before_camera(*each) for each in zip(shapes, turns, shifts, strict=True)])


def _upwards(pixels: Float, side: int = model.SIDE) -> Float:
    return np.stack([pixels[..., 0], side - 1.0 - pixels[..., 1]], axis=-1)


def test_a_face_is_shaped_turned_and_projected_alike() -> None:
    basel, there = faces.basel(), _before_camera()
    GOLDEN.near("bfm.shape", _shapes())
    GOLDEN.near("bfm.albedo", np.stack([basel.skin(albedo.double().numpy()) for albedo in PARTS.albedo]))
    GOLDEN.near("bfm.rotation", _turns().transpose(0, 2, 1))
    axes = np.stack([model.rotation(angles) for angles in np.diag([0.3, 0.4, 0.5])])
    GOLDEN.near("bfm.rotation_axis", axes.transpose(0, 2, 1))
    GOLDEN.near("bfm.camera", there)
    flat = np.stack([_upwards(model.projected(each)) for each in there])
    GOLDEN.near("bfm.image", flat)
    ahead = np.stack([_upwards(model.projected(model.before_camera(shape, np.eye(3), np.zeros(3)))) for shape in _shapes()])
    GOLDEN.near("front.image", ahead)


def test_a_face_is_lit_alike_turned_and_from_the_front() -> None:
    basel = faces.basel()
    normals = np.stack([basel.normals(shape) for shape in _shapes()])
    GOLDEN.near("bfm.norm", normals)
    turned = np.einsum("nvb,nab->nva", normals, _turns())
    GOLDEN.near("bfm.norm_rotated", turned)
    skin, light = [basel.skin(albedo.double().numpy()) for albedo in PARTS.albedo], PARTS.light.double().numpy()
    GOLDEN.near("bfm.color", np.stack([model.lit(skin[i], turned[i], light[i]) for i in range(2)]))
    GOLDEN.near("front.color", np.stack([model.lit(skin[i], normals[i], light[i]) for i in range(2)]))
    maps = model.unit(fills.normal("input:hrn_uvnorm", 1.0, 1, 3, 16, 16).astype(np.float32).transpose(0, 2, 3, 1).astype(np.float64))
    albedo = fills.uniform("input:hrn_uvtex", 1, 3, 16, 16).double().numpy().transpose(0, 2, 3, 1)
    GOLDEN.near("bfm.color_map", model.lit(albedo, maps, light[0]).transpose(0, 3, 1, 2))


def test_the_networks_see_the_photograph_with_the_published_weights_of_rows() -> None:
    places = model.projected(_before_camera()[0][:16384], 512)[:, :2].reshape(128, 128, 2)
    found = hrn.network_texture(fills.uniform("input:hrn_hd", 1, 3, 512, 512)[0].double(), places)
    GOLDEN.near("bfm.texture_map", found.permute(1, 2, 0)[None], close=1e-3)
    nowhere = hrn.network_texture(torch.arange(6.0).reshape(1, 2, 3), np.full((1, 1, 2), np.nan))
    assert float(nowhere) == 3.0, "the lower left corner"


def test_vertices_are_moved_alike() -> None:
    places = fills.uniform("input:hrn_uvs", faces.VERTICES, 2).double().numpy()
    surface = hrn.Surface.__new__(hrn.Surface)
    surface.map = type("Map", (), {"unrolled": Unrolled(places, np.zeros((0, 3), int), np.zeros((0, 3), int))})()
    movement = fills.normal("input:hrn_offset", 0.05, 1, 64, 64, 3).astype(np.float32)[0]
    moved = surface.moved(np.zeros((faces.VERTICES, 3)), movement.astype(np.float64))
    GOLDEN.near("bfm.offset", moved[None])


def test_images_are_aligned_alike_up_to_the_official_rounding() -> None:
    standard = model.five(fills.random_state("input:hrn_lm3d").random_sample((68, 3)) - 0.5)
    points = GOLDEN.arrays["align.lm_in"].astype(np.float64)  # rows upwards
    order = [1, 2, 0, 3, 4] if not np.allclose(GOLDEN.arrays["align.lm3d_5"], standard, atol=1e-6) else [0, 1, 2, 3, 4]
    GOLDEN.near("align.lm3d_5", standard[order])
    scale, middle = model.affine_camera(points, standard)
    GOLDEN.near("align.POS_s", np.array(scale))
    GOLDEN.near("align.POS_t", middle[:, None])
    matrix = model.aligning(np.column_stack([points[:, 0], 299.0 - points[:, 1]]), standard, 300)
    placed = np.column_stack([points[:, 0], 299.0 - points[:, 1]]) @ matrix[:, :2].T + matrix[:, 2]
    # There the enlarged photograph is cut to whole pixels, and half of what was cut off moves everything.
    cut_off = [side * model.FACE / scale % 1.0 / 2.0 for side in (400, 300)]
    np.testing.assert_allclose(_upwards(placed) + cut_off, GOLDEN.arrays["align.lm224"], atol=1e-3)
