"""RetinaFace against golden tensors of the reference networks, and its checkpoints as untrusted files."""

from __future__ import annotations

import os
import pickle
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from frontalbench import runtime
from frontalbench.detect import retinaface
from frontalbench.errors import BadInput

SHARED = Path(os.environ.get("FRONTALBENCH_SHARED") or Path(__file__).parents[2].parent / "shared")
GOLDEN = SHARED / "golden" / "RetinaFace_golden.npz"
WEIGHT = SHARED / "weights" / "retinaface" / "cunjian_mobilenet0.25_Final.pth"

pytestmark = pytest.mark.skipif(not GOLDEN.is_file(), reason=f"golden tensors not there: {GOLDEN}")


@pytest.fixture(scope="module")
def golden() -> dict[str, np.ndarray]:
    with np.load(GOLDEN, allow_pickle=False) as archive:
        return {key: archive[key] for key in archive.files}


def _listed(name: str) -> list[tuple[str, tuple[int, ...], str]]:
    lines = (SHARED / "golden" / name).read_text().splitlines()[1:]
    rows = [line.split("\t") for line in lines]
    return [(row[0], () if row[1] == "scalar" else tuple(int(n) for n in row[1].split("x")), row[2]) for row in rows]


def _input() -> torch.Tensor:
    generator = torch.Generator().manual_seed(zlib.crc32(b"retina/input0"))
    return -120 + 255 * torch.rand((1, 3, 160, 192), generator=generator)


def _filled(listed: list[tuple[str, tuple[int, ...], str]]) -> dict[str, torch.Tensor]:
    """Fill scheme C of the golden tensors' description: half of a He-normal draw per key, seeded by the key's name."""
    names = {key for key, _, _ in listed}
    state = {}
    for key, shape, dtype in listed:
        if not dtype.startswith("float"):
            state[key] = torch.zeros(shape, dtype=torch.int64)
            continue
        draw = torch.randn(shape, generator=torch.Generator().manual_seed(zlib.crc32(key.encode())))
        last = key.rsplit(".", 1)[-1]
        if last == "running_var":
            state[key] = draw.abs() + 0.5
        elif last == "weight" and key.removesuffix("weight") + "running_var" in names:
            state[key] = 1 + 0.02 * draw
        elif len(shape) >= 2:
            state[key] = 0.5 * draw * (2 / (draw.numel() / shape[0])) ** 0.5
        else:
            state[key] = 0.02 * draw
    return state


def _near(got: torch.Tensor, wanted: np.ndarray) -> None:
    assert got.shape == wanted.shape
    assert np.abs(got.numpy() - wanted).max() <= 1e-4 * np.abs(wanted).max()


@pytest.mark.parametrize(
    ("backbone", "listing"), [("resnet50", "RetinaFace_R50_statedict.tsv"), ("mobilenet0.25", "RetinaFace_mnet025_statedict.tsv")]
)
def test_state_dict_has_the_official_names_and_shapes(backbone: str, listing: str) -> None:
    own = {key: tuple(value.shape) for key, value in retinaface.RetinaFaceNet(backbone).state_dict().items()}
    assert own == {key: shape for key, shape, _ in _listed(listing)}


def test_resnet50_reproduces_the_golden_outputs(golden: dict[str, np.ndarray]) -> None:
    state = _filled(_listed("RetinaFace_R50_statedict.tsv"))
    sums = np.array([[float(v.double().sum()), float(v.double().abs().sum())] for v in state.values()])
    np.testing.assert_allclose(sums, golden["r50C_param_sum_abssum"], rtol=1e-5, atol=1e-4)
    net = retinaface.RetinaFaceNet("resnet50").eval()
    runtime.fill_module(net, state, "fill")
    with torch.inference_mode():
        loc, conf, points = net(_input() / 50)
    _near(loc, golden["r50C_loc"])
    _near(conf, golden["r50C_conf"])
    _near(points, golden["r50C_landms"])


@pytest.mark.skipif(not WEIGHT.is_file(), reason=f"weight not there: {WEIGHT}")
def test_mobilenet_with_real_weights_reproduces_the_golden_outputs(golden: dict[str, np.ndarray]) -> None:
    image = _input()
    np.testing.assert_allclose(image.flatten()[:8].numpy(), golden["mnet_input_first8"], rtol=1e-6)
    net = retinaface.RetinaFaceNet("mobilenet0.25").eval()
    runtime.fill_module(net, runtime.load_state_dict(WEIGHT), WEIGHT)
    with torch.inference_mode():
        loc, conf, points = net(image)
    _near(loc, golden["mnet_loc"])
    _near(conf, golden["mnet_conf"])
    _near(points, golden["mnet_landms"])


def test_priors_are_the_golden_ones_in_pixels(golden: dict[str, np.ndarray]) -> None:
    ours = retinaface.priors(160, 192) / np.array([192, 160, 192, 160], np.float32)
    np.testing.assert_allclose(ours, golden["priors_160x192"], atol=1e-6)


def test_priors_count_partial_cells() -> None:
    assert len(retinaface.priors(250, 250)) == 2 * (32 * 32 + 16 * 16 + 8 * 8)


@pytest.mark.skipif(not WEIGHT.is_file(), reason=f"weight not there: {WEIGHT}")
def test_a_real_photograph_gives_the_known_box_and_points() -> None:
    from frontalbench import images
    from frontalbench.detect.boxes import Sizing

    photograph = SHARED / "testdata" / "lfw" / "George_W_Bush" / "George_W_Bush_0010.jpg"
    if not photograph.is_file():
        pytest.skip(f"picture not there: {photograph}")
    detector = retinaface.RetinaFace("mnet", WEIGHT, "mobilenet0.25", sizing=Sizing((250,), border=0), threads=1)
    faces = detector.detect(images.decode(photograph.read_bytes()))
    assert faces.scores[0] == pytest.approx(0.99976, abs=2e-4)
    np.testing.assert_allclose(faces.boxes[0], [83.9, 55.1, 188.2, 204.0], atol=0.5)
    np.testing.assert_allclose(faces.points[0], [(103.5, 114.2), (151.1, 111.1), (123.0, 138.3), (108.7, 165.5), (150.3, 162.9)], atol=0.5)


class _Harmful:
    """Makes a folder when it is unpickled."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def __reduce__(self) -> tuple[Any, ...]:
        return os.mkdir, (str(self.folder),)


@pytest.fixture
def state() -> dict[str, torch.Tensor]:
    torch.manual_seed(0)
    return retinaface.RetinaFaceNet("mobilenet0.25").state_dict()


def _load(path: Path) -> retinaface.RetinaFace:
    return retinaface.RetinaFace("mnet", path, "mobilenet0.25")


def test_a_data_parallel_prefix_is_taken_off(tmp_path: Path, state: dict[str, torch.Tensor]) -> None:
    path = tmp_path / "weights.pth"
    torch.save({f"module.{key}": value for key, value in state.items()}, path)
    assert _load(path).name == "mnet"


@pytest.mark.parametrize("fault", ["truncated", "text", "wrong keys", "one key more", "wrong shape", "a list", "missing file"])
def test_a_bad_checkpoint_is_refused_in_one_line_that_names_the_file(tmp_path: Path, state: dict[str, torch.Tensor], fault: str) -> None:
    path = tmp_path / "weights.pth"
    if fault == "truncated":
        torch.save(state, path)
        path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    elif fault == "text":
        path.write_text("<html>404</html>")
    elif fault == "wrong keys":
        torch.save({"weight": torch.zeros(3)}, path)
    elif fault == "one key more":
        torch.save(state | {"surplus.weight": torch.zeros(3)}, path)
    elif fault == "wrong shape":
        torch.save(state | {"ClassHead.0.conv1x1.bias": torch.zeros(5)}, path)
    elif fault == "a list":
        torch.save([1, 2, 3], path)
    with pytest.raises(BadInput) as caught:
        _load(path)
    message = str(caught.value)
    assert str(path) in message
    assert "\n" not in message
    assert "expected" in message or "fetch" in message or "check" in message


def test_a_checkpoint_that_carries_code_is_refused_and_the_code_not_run(tmp_path: Path) -> None:
    harm = tmp_path / "harm"
    torch_file, plain = tmp_path / "weights.pth", tmp_path / "plain.pth"
    torch.save({"x": _Harmful(harm)}, torch_file)
    plain.write_bytes(pickle.dumps(_Harmful(harm)))
    for path in (torch_file, plain):
        with pytest.raises(BadInput, match=r"refused|not a readable"):
            _load(path)
    assert not harm.exists()
