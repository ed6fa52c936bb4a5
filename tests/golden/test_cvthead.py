"""CVTHead's networks against golden tensors of the official modules under synthetic weights; mesh, matrices and spirals are made up.

The face parser, the hair network and DECA of the same system are not in these arrays (DECA: ``test_deca.py``).
"""

from __future__ import annotations

import functools
from itertools import pairwise

import numpy as np
import numpy.typing as npt
import pytest

torch = pytest.importorskip("torch")

from frontalbench.networks import cvthead  # noqa: E402
from frontalbench.types import Float  # noqa: E402
from tests.golden import faces, fills  # noqa: E402

GOLDEN = fills.golden("CVTHead")
LEVELS = (5023, 1256, 314)


@functools.cache
def _ups() -> list[tuple[npt.NDArray[np.int64], npt.NDArray[np.float32]]]:
    rs, made = fills.random_state("input:cvt_up"), []
    for fine, coarse in pairwise(LEVELS):
        index = np.stack([rs.choice(coarse, 3, replace=False) for _ in range(fine)])
        weights = rs.random_sample((fine, 3)) + 0.05
        made.append((index, (weights / weights.sum(axis=1, keepdims=True)).astype(np.float32)))
    return made


@functools.cache
def mesh() -> cvthead.Mesh:
    rs = fills.random_state("input:cvt_spiral")
    around = [
        torch.from_numpy(np.concatenate([np.arange(count)[:, None], rs.randint(0, count, (count, 8))], axis=1)) for count in LEVELS[:2]
    ]
    rs = fills.random_state("input:cvt_down")
    down = [torch.from_numpy(np.sort(rs.choice(fine, coarse, replace=False))) for fine, coarse in pairwise(LEVELS)]
    ups = []
    for (index, weights), fine, coarse in zip(_ups(), LEVELS[:-1], LEVELS[1:], strict=True):
        rows = np.repeat(np.arange(fine), 3)
        ups.append(
            torch.sparse_coo_tensor(
                np.stack([rows, index.ravel()]), torch.from_numpy(weights.ravel()), (fine, coarse), check_invariants=True
            ).coalesce()
        )
    return cvthead.Mesh(down[0], down[1], ups[1], ups[0], around[1], around[0])


def _vertices() -> tuple[torch.Tensor, torch.Tensor]:
    """(of the photograph, wanted), (1, 5023, 3) each."""
    i = np.arange(LEVELS[0])
    theta, phi = np.arccos(1 - 2 * (i + 0.5) / LEVELS[0]), i * np.pi * (3 - np.sqrt(5))
    surface = np.stack([0.6 * np.sin(theta) * np.cos(phi), 0.75 * np.cos(theta), 0.6 * np.sin(theta) * np.sin(phi)], axis=1)
    own = (surface + fills.normal("input:cvt_verts", 0.002, LEVELS[0], 3)).astype(np.float32)
    cosine, sine = np.cos(0.4), np.sin(0.4)
    turned = own @ np.array([[cosine, 0, sine], [0, 1, 0], [-sine, 0, cosine]], np.float32)
    return torch.from_numpy(own)[None], torch.from_numpy(turned.astype(np.float32))[None]


@pytest.fixture(scope="module")
def network() -> cvthead.CvtHead:
    made = fills.filled(cvthead.CvtHead, "CVTHead", "cvthead", constant=["pos_embedding"])
    state = {key: value for key, value in made.state_dict().items() if key != "pos_embedding"}
    fills.check_fill(state, "CVTHead", "cvthead")
    return made


def test_the_made_up_mesh_is_the_one_of_the_golden_arrays() -> None:
    found = mesh()
    GOLDEN.near("syn.spiral0", found.spiral_fine)
    GOLDEN.near("syn.down0", found.fine_to_middle)
    GOLDEN.near("syn.down1", found.middle_to_coarse)
    GOLDEN.near("syn.up0_idx", found.up_fine.indices()[1])
    GOLDEN.near("syn.up0_val", found.up_fine.values())


def test_a_head_is_described_and_drawn_alike_by_every_stage(network: cvthead.CvtHead) -> None:
    y, x = np.mgrid[:256, :256].astype(np.float64)
    mask = torch.from_numpy(((((x - 128) / 80) ** 2 + ((y - 140) / 100) ** 2) < 1).astype(np.float32))[None, None]
    own, wanted = _vertices()
    image = 2.0 * fills.uniform("input:cvt_image", 1, 3, 256, 256) - 1.0
    names = [f"autoencoder.net.{number}" for number in (0, 1, 2, 3, 5, 8, 11)] + ["ae_proj", "transformer"]
    names += [
        "transformer.layers.0.0",
        "transformer.layers.0.1",
        "transformer.layers.5.1",
        "vtx_upsampler.de_layers.0",
        "vtx_upsampler.de_layers.1",
    ]
    names += ["vtx_upsampler", "unet_generator", "patch_to_embedding"]
    names += [f"unet_generator.{name}" for name in ("down_convs.0", "down_convs.4", "up_convs.0", "up_convs.3")]
    found: dict[str, torch.Tensor] = {}

    def whole() -> None:
        found["vtx_descriptor"] = network.describe(image, mask, own, mesh())
        found["proj.depth"], found["proj.feat"] = cvthead.splatted(wanted, found["vtx_descriptor"])
        found["out.image"], found["out.mask"] = network.draw(found["vtx_descriptor"], wanted)

    taps: dict[str, torch.Tensor] = {}
    hooks = []
    for name in names:

        def keep(_: object, __: object, out: object, name: str = name) -> None:
            value = out[0] if isinstance(out, tuple) else out
            assert isinstance(value, torch.Tensor)
            taps.setdefault(name, value.clone())

        hooks.append(network.get_submodule(name).register_forward_hook(keep))
    with torch.inference_mode():
        whole()
    for hook in hooks:
        hook.remove()
    for tap, value in (taps | found).items():
        GOLDEN.near(tap, value)


def test_places_and_depths_are_told_alike() -> None:
    own, _ = _vertices()
    GOLDEN.near("pos_embedding", cvthead.patch_places())
    GOLDEN.near("uv_pos", cvthead.places_in_image(own[:, :50]))
    GOLDEN.near("depth_pos", cvthead.depths(own[:, :50]))
    GOLDEN.near("coarse_vertices", mesh().coarse(own))


def test_the_nearest_vertex_of_each_pixel_is_the_same() -> None:
    _, wanted = _vertices()
    pixel = cvthead.nearest_vertex(wanted[0]) + 1
    GOLDEN.near("proj.index_image_nonzero", np.array(int((pixel > 0).sum())), atol=1.0)
    GOLDEN.near("proj.index_image", pixel.reshape(256, 256))


def test_the_drawing_network_alone_gives_the_same(network: cvthead.CvtHead) -> None:
    with torch.inference_mode():
        GOLDEN.near("unet.plain", network.unet_generator(fills.tensor(fills.normal("input:cvt_unet", 1.0, 1, 33, 64, 64))))


@pytest.mark.parametrize("closed", [False, True])
def test_spirals_run_as_the_official_mesh_library_walks(closed: bool) -> None:
    triangles = faces.tube(6, 8)
    if closed:
        around = np.arange(8)
        first = np.stack([np.full(8, 48), around, (around + 1) % 8], axis=1)
        second = np.stack([np.full(8, 49), 40 + (around + 1) % 8, 40 + around], axis=1)
        triangles = np.concatenate([triangles, first, second])
    name, count = ("closed6x8", 50) if closed else ("tube6x8", 48)
    found: Float = cvthead.spirals(torch.from_numpy(triangles), count).numpy().astype(np.float64)
    GOLDEN.near(f"spirals.{name}", found)


def test_a_vertex_with_too_few_others_around_it_has_no_spiral() -> None:
    with pytest.raises(ValueError, match="has 2 others around it, a spiral needs 8"):
        cvthead.spirals(torch.tensor([[0, 1, 2]]), 3)


def test_a_fitted_head_lies_in_the_image_where_the_official_code_puts_it() -> None:
    from frontalbench.frontalize.cvthead import seen_at
    from frontalbench.geometry.similarity import invert

    own, _ = _vertices()
    crop = np.array([[1.1, 0.02, -12.0], [-0.02, 1.1, -8.0]])
    found = seen_at(0.1 * own[0].double().numpy(), np.array([8.0, 0.01, 0.02]), invert(crop))
    GOLDEN.near("verts_aug_transfer", found[None])
