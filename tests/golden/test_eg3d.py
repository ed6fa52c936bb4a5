"""EG3D's generator against golden tensors of the official modules (no trained weight is in them)."""

from __future__ import annotations

import pytest

torch = pytest.importorskip("torch")

from frontalbench.networks.eg3d import SAMPLES, Eg3d, rays  # noqa: E402
from tests.golden import fills  # noqa: E402

GOLDEN = fills.golden("EG3D")
LABEL = torch.from_numpy(GOLDEN.arrays["frontal_label"])


@pytest.fixture(scope="module")
def network() -> Eg3d:
    return fills.filled(Eg3d, "EG3D_ffhq512", "C", golden="EG3D", sums="param_sum_abssum")


@pytest.fixture(scope="module")
def styles(network: Eg3d) -> torch.Tensor:
    with torch.inference_mode():
        return network.backbone.mapping(fills.drawn("eg3d/z", (1, 512), -1, 1), LABEL)


def test_its_keys_are_the_official_ones_in_their_order(network: Eg3d) -> None:
    assert list(network.state_dict()) == list(fills.state_keys("EG3D_ffhq512"))


def test_the_mapping_and_the_planes_are_the_official_ones(network: Eg3d, styles: torch.Tensor) -> None:
    GOLDEN.near("ws", styles[:, None])
    with torch.inference_mode():
        planes = network.planes(styles[:, None].expand(-1, 14, -1))
        GOLDEN.near("planes", planes.flatten(1, 2)[:, ::8, ::16, ::16])
        features, density = network.points(planes, fills.drawn("eg3d/xyz", (1, 200, 3), -0.5, 0.5))
    GOLDEN.near("xyz_rgb", features)
    GOLDEN.near("xyz_sigma", density)


def test_the_decoder_averages_planes_first_and_gives_the_official_features(network: Eg3d) -> None:
    with torch.inference_mode():
        features, density = network.decoder(fills.drawn("eg3d/dec", (1, 3, 50, 32), -1, 1).mean(dim=1))
    GOLDEN.near("dec_rgb", features)
    GOLDEN.near("dec_sigma", density)


def test_the_superresolution_is_the_official_one(network: Eg3d, styles: torch.Tensor) -> None:
    features = fills.drawn("eg3d/feat", (1, 32, 128, 128), -1, 1)
    with torch.inference_mode():
        drawn = network.superresolution(features, features[:, :3], styles)
    assert drawn.shape == (1, 3, 512, 512)
    GOLDEN.near("sr", drawn[..., ::8, ::8])


def test_rays_leave_the_camera_as_the_official_ones() -> None:
    origins, directions = rays(LABEL, 64)
    GOLDEN.near("rays_o", origins[:, ::64])
    GOLDEN.near("rays_d", directions[:, ::64])


def test_with_the_same_random_numbers_the_march_sees_the_same_image(network: Eg3d, styles: torch.Tensor) -> None:
    torch.manual_seed(0)
    jitter = torch.rand(1, 64 * 64, SAMPLES, 1)
    quantiles = torch.rand(64 * 64, SAMPLES)[None]
    with torch.inference_mode():
        planes = network.planes(styles[:, None].expand(-1, 14, -1))
        features, depth = network.march(planes, *rays(LABEL, 64), jitter, quantiles)
    GOLDEN.near("image_raw_seed0", features[..., :3].transpose(1, 2).view(1, 3, 64, 64))
    GOLDEN.near("depth_seed0", depth.transpose(1, 2).view(1, 1, 64, 64))


def test_without_random_numbers_two_looks_are_one_and_pieces_do_not_show(network: Eg3d, styles: torch.Tensor) -> None:
    both = styles[:, None].expand(2, 14, -1)
    labels = torch.cat([LABEL, torch.from_numpy(GOLDEN.arrays["yaw04_pitchm02_label"])])
    with torch.inference_mode():
        planes = network.planes(both)
        whole = network.march(planes, *rays(labels, 16))
        parts = [network.march(planes, *(x[:, i : i + 128] for x in rays(labels, 16))) for i in (0, 128)]
        alone = network.march(planes[1:], *rays(labels[1:], 16))
    # The depth is kept within what was sampled, of all rays that were marched together; the features are each ray's own.
    torch.testing.assert_close(whole[0], torch.cat([part[0] for part in parts], dim=1), rtol=1e-5, atol=1e-5)
    torch.testing.assert_close(whole[0][1:], alone[0], rtol=1e-5, atol=1e-5)
