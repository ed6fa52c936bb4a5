"""GFPGAN's network against golden tensors of the reference network, and the restoration around it."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch

from frontalbench import images, status
from frontalbench.detect.base import Detections
from frontalbench.enhance.gfpgan import load_network
from frontalbench.enhance.restoration import Draw, Finish, Restore, swap_detail
from frontalbench.errors import BadInput
from frontalbench.frontalize import framing
from frontalbench.images import RGB
from frontalbench.networks.gfpgan import Gfpgan, ready
from tests.golden import fills

OFFICIAL = "GFPGANv1Clean"


def test_every_stage_equals_the_reference() -> None:
    """Fill A gives almost constant outputs: it passes too, and proves little."""
    golden = fills.golden(OFFICIAL)
    network = fills.filled(Gfpgan, OFFICIAL, "C", golden=OFFICIAL, sums="C/param_sum_abssum")
    source = fills.drawn("gfpgan/input0", (1, 3, 512, 512), -1, 1)
    golden.near("input_first8", source.flatten()[:8])
    stages = [name for name, _ in network.named_modules() if f"C/{name}" in golden.arrays]
    assert len(stages) > 15
    results: list[tuple[torch.Tensor, list[torch.Tensor]]] = []
    seen = fills.record(network, stages, lambda: results.append(network.with_side_images(source)))
    for name, value in seen.items():
        golden.near_sub(f"C/{name}", value)
    [(output, images)] = results
    for level, image in enumerate(images):
        golden.near_sub(f"C/rgb{level}", image)
    golden.near("C/output_s4", output[:, :, ::4, ::4])
    stats = [output.mean(), output.std(), output.min(), output.max(), output.abs().sum(dtype=torch.float64)]
    assert np.allclose([float(s) for s in stats], golden.arrays["C/output_stats"], rtol=1e-4, atol=1e-5)
    with torch.inference_mode():
        golden.near("C/output_s4", ready(network)(source)[:, :, ::4, ::4])


# Around the network -----------------------------------------------------------------------------------------------------------------------


class Brighter(torch.nn.Module):
    """Stands in for the network: a little brighter everywhere."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x + 0.2


class Eyes:
    """A detector that knows where the face is, or finds none in black images."""

    name = "eyes"

    def __init__(self, points: np.ndarray) -> None:
        self.points = points.astype(np.float32)

    def detect(self, image: RGB) -> Detections:
        if image.max() == 0:
            return Detections.none()
        x, y = self.points.min(axis=0), self.points.max(axis=0)
        return Detections(np.concatenate([x, y])[None].astype(np.float32), np.ones(1, np.float32), self.points[None])

    def glance(self, image: RGB, longest: int) -> Detections:
        return Detections.none()


@pytest.fixture
def portrait() -> Iterator[tuple[RGB, np.ndarray]]:
    """A smooth image of 300 x 200 pixels and five points in it."""
    y, x = np.mgrid[:300, :200]
    image = np.stack([100 + 40 * np.sin(x / 40), 110 + 30 * np.cos(y / 50), 120 + 20 * np.sin((x + y) / 60)], axis=-1)
    yield image.astype(np.uint8), framing.FIVE_512 * 0.2 + (50, 80)


def test_the_restored_face_lands_where_the_face_was(portrait: tuple[RGB, np.ndarray]) -> None:
    image, points = portrait
    [outcome] = Restore("full", Draw(Brighter(), Eyes(points)), Finish(mode="full", sigma=0, feather=0.1)).enhance([image])
    assert outcome.status == status.OK, outcome.detail
    assert outcome.image is not None
    change = outcome.image.astype(int) - image
    inside = change[100:165, 70:130]  # the face is 102 pixels wide, from (50, 80) on
    assert np.abs(inside - 0.2 * 127.5).max() <= 4
    assert (change[:75] == 0).all()
    assert (change[:, 160:] == 0).all()


def test_detail_mode_leaves_a_change_without_detail_out(portrait: tuple[RGB, np.ndarray]) -> None:
    image, points = portrait
    [outcome] = Restore("detail", Draw(Brighter(), Eyes(points)), Finish(mode="detail", sigma=4, feather=0.1)).enhance([image])
    assert outcome.image is not None
    assert np.abs(outcome.image.astype(int) - image).max() <= 3


def test_an_image_without_a_face_is_counted_as_such(portrait: tuple[RGB, np.ndarray]) -> None:
    image, points = portrait
    outcomes = Restore("full", Draw(Brighter(), Eyes(points)), Finish(mode="full", sigma=0, feather=0.1)).enhance(
        [np.zeros_like(image), image]
    )
    assert [o.status for o in outcomes] == [status.NO_FACE, status.OK]


def test_swapped_detail_is_the_restored_one_and_colours_stay() -> None:
    random = np.random.default_rng(0)
    own = cv2.GaussianBlur(random.uniform(80, 170, (64, 64, 3)).astype(np.float32), (0, 0), 3)
    restored = np.clip(own + random.normal(0, 10, own.shape), 0, 255).astype(np.float32)
    result = swap_detail(own, restored, 3.0)
    luma = np.array([0.299, 0.587, 0.114], np.float32)
    # Twice the high band of one and none of the other: a blur of the luminance agrees with the own one's.
    high = (restored @ luma) - cv2.GaussianBlur(restored @ luma, (0, 0), 3, borderType=cv2.BORDER_REFLECT_101)
    low = cv2.GaussianBlur(own @ luma, (0, 0), 3, borderType=cv2.BORDER_REFLECT_101)
    assert np.abs(result @ luma - (low + high)).max() < 0.01
    assert np.abs((result[..., 0] - result[..., 2]) - (own[..., 0] - own[..., 2])).max() < 0.01


@pytest.mark.parametrize("content", [{}, {"params": {}}, {"params_ema": {"conv_body_first.weight": torch.zeros(32, 3, 1, 1)}}, [1]])
def test_other_checkpoints_are_refused(content: object, tmp_path: Path) -> None:
    torch.save(content, tmp_path / "other.pth")
    with pytest.raises(BadInput, match=r"other\.pth: (expected a mapping|not the weights of this network)"):
        load_network(tmp_path / "other.pth")


def test_a_checkpoint_with_code_in_it_is_refused_and_not_run(tmp_path: Path) -> None:
    class Harm:
        def __reduce__(self) -> tuple[object, tuple[str]]:
            return os.mkdir, (str(tmp_path / "ran"),)

    torch.save({"params_ema": Harm()}, tmp_path / "harm.pth")
    with pytest.raises(BadInput, match="refused"):
        load_network(tmp_path / "harm.pth")
    assert not (tmp_path / "ran").exists()


@pytest.mark.weights
@pytest.mark.parametrize("name", ["gfpgan_full", "gfpgan_detail"])
def test_real_weights_restore_a_photograph(name: str, shared: Path, weight: object) -> None:
    from frontalbench.enhance import load_enhancement

    weight("enhancement", name)  # type: ignore[operator]
    photograph = images.decode((shared / "testdata" / "frll" / "neutral_front" / "011_03.jpg").read_bytes())
    soft = cv2.resize(cv2.resize(photograph, (128, 128), interpolation=cv2.INTER_AREA), (512, 512), interpolation=cv2.INTER_CUBIC)
    [outcome] = load_enhancement(name, threads=2).enhance([np.asarray(soft, np.uint8)])
    assert outcome.status == status.OK, outcome.detail
    assert outcome.image is not None
    sharpness = [cv2.Laplacian(cv2.cvtColor(i, cv2.COLOR_RGB2GRAY), cv2.CV_64F).var() for i in (soft, outcome.image)]
    assert sharpness[1] > 1.5 * sharpness[0]
    assert np.abs(outcome.image.astype(int) - photograph).mean() < 12
