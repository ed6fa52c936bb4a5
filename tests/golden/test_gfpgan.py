"""GFPGAN's network against golden tensors of the reference network, and the restoration around it."""

from __future__ import annotations

import os
import zlib
from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch

from frontalbench import images, status
from frontalbench.detect.base import Detections
from frontalbench.enhance import gfpgan
from frontalbench.enhance.gfpgan import Restore, load_network, swap_detail
from frontalbench.enhance.gfpgan_network import Gfpgan
from frontalbench.errors import BadInput
from frontalbench.images import RGB

SHARED = Path(os.environ.get("FRONTALBENCH_SHARED") or Path(__file__).parents[2].parent / "shared")
GOLDEN = SHARED / "golden" / "GFPGANv1Clean_golden.npz"
LISTED = SHARED / "golden" / "GFPGANv1Clean_statedict.tsv"

golden_there = pytest.mark.skipif(not GOLDEN.is_file(), reason=f"golden tensors not there: {GOLDEN}")


@pytest.fixture(scope="module")
def golden() -> dict[str, np.ndarray]:
    with np.load(GOLDEN, allow_pickle=False) as archive:
        return {key: archive[key] for key in archive.files}


def listed() -> list[tuple[str, tuple[int, ...]]]:
    rows = [line.split("\t") for line in LISTED.read_text(encoding="utf-8").splitlines()[1:]]
    return [(row[0], tuple(int(n) for n in row[1].split("x"))) for row in rows]


def filled(scheme: str) -> dict[str, torch.Tensor]:
    """Fill schemes A (0.02 r) and C (half of He-normal) of the golden tensors' description, seeded by the key's name."""
    state = {}
    for key, shape in listed():
        draw = torch.randn(shape, generator=torch.Generator().manual_seed(zlib.crc32(key.encode())))
        if scheme == "A" or len(shape) < 2:
            state[key] = 0.02 * draw
        else:
            fan = draw.numel() / (shape[0] * shape[1] if len(shape) == 5 else shape[0])
            state[key] = 0.5 * draw * (2 / fan) ** 0.5
    return state


def near(found: torch.Tensor, expected: np.ndarray, what: str) -> None:
    """Within 1e-4 of the largest golden value."""
    values = found.numpy()
    assert np.abs(values - expected).max() <= 1e-4 * np.abs(expected).max(), what


def sub(tensor: torch.Tensor) -> torch.Tensor:
    flat = tensor[0].flatten()
    return flat[:: max(1, flat.numel() // 512)][:512]


@golden_there
def test_the_keys_and_shapes_are_the_official_ones() -> None:
    with torch.device("meta"):
        own = {key: tuple(value.shape) for key, value in Gfpgan().state_dict().items()}
    assert own == dict(listed())


@golden_there
@pytest.mark.parametrize("scheme", ["C"])  # scheme A gives almost constant outputs: it passes too, and proves little
def test_every_stage_equals_the_reference(scheme: str, golden: dict[str, np.ndarray]) -> None:
    state = filled(scheme)
    sums = np.array([[v.double().sum(), v.double().abs().sum()] for v in state.values()])
    assert np.allclose(sums, golden[f"{scheme}/param_sum_abssum"], rtol=1e-4, atol=1e-3), (
        "another random generator: the comparison means nothing"
    )
    source = -1 + 2 * torch.rand((1, 3, 512, 512), generator=torch.Generator().manual_seed(zlib.crc32(b"gfpgan/input0")))
    assert np.allclose(source.flatten()[:8].numpy(), golden["input_first8"])
    with torch.device("meta"):
        network = Gfpgan()
    network.to_empty(device="cpu").eval()
    network.load_state_dict(state, strict=True)
    seen: dict[str, torch.Tensor] = {}
    inner = {key.removeprefix(f"{scheme}/") for key in golden if key.startswith(f"{scheme}/")}
    modules = {name: module for name, module in network.named_modules() if name in inner}
    assert len(modules) > 15
    hooks = [m.register_forward_hook(lambda _m, _i, out, name=name: seen.__setitem__(name, sub(out))) for name, m in modules.items()]
    with torch.inference_mode():
        output, pictures = network.with_side_pictures(source)
    for hook in hooks:
        hook.remove()
    for name, values in seen.items():
        near(values, golden[f"{scheme}/{name}"], name)
    for level, picture in enumerate(pictures):
        near(sub(picture), golden[f"{scheme}/rgb{level}"], f"rgb{level}")
    near(output[:, :, ::4, ::4], golden[f"{scheme}/output_s4"], "output")
    stats = [output.mean(), output.std(), output.min(), output.max(), output.abs().sum(dtype=torch.float64)]
    assert np.allclose([float(s) for s in stats], golden[f"{scheme}/output_stats"], rtol=1e-4, atol=1e-5)


# Around the network -----------------------------------------------------------------------------------------------------------------------


class Brighter(torch.nn.Module):
    """Stands in for the network: a little brighter everywhere."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x + 0.2


class Eyes:
    """A detector that knows where the face is, or finds none in black pictures."""

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
    """A smooth picture of 300 x 200 pixels and five points in it."""
    y, x = np.mgrid[:300, :200]
    picture = np.stack([100 + 40 * np.sin(x / 40), 110 + 30 * np.cos(y / 50), 120 + 20 * np.sin((x + y) / 60)], axis=-1)
    yield picture.astype(np.uint8), gfpgan.TEMPLATE * 0.2 + (50, 80)


def test_the_restored_face_lands_where_the_face_was(portrait: tuple[RGB, np.ndarray]) -> None:
    image, points = portrait
    [outcome] = Restore("full", Brighter(), Eyes(points), mode="full", sigma=0, feather=0.1).enhance([image])
    assert outcome.status == status.OK, outcome.detail
    assert outcome.image is not None
    change = outcome.image.astype(int) - image
    inside = change[100:165, 70:130]  # the face is 102 pixels wide, from (50, 80) on
    assert np.abs(inside - 0.2 * 127.5).max() <= 4
    assert (change[:75] == 0).all()
    assert (change[:, 160:] == 0).all()


def test_detail_mode_leaves_a_change_without_detail_out(portrait: tuple[RGB, np.ndarray]) -> None:
    image, points = portrait
    [outcome] = Restore("detail", Brighter(), Eyes(points), mode="detail", sigma=4, feather=0.1).enhance([image])
    assert outcome.image is not None
    assert np.abs(outcome.image.astype(int) - image).max() <= 3


def test_a_picture_without_a_face_is_counted_as_such(portrait: tuple[RGB, np.ndarray]) -> None:
    image, points = portrait
    outcomes = Restore("full", Brighter(), Eyes(points), mode="full", sigma=0, feather=0.1).enhance([np.zeros_like(image), image])
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
