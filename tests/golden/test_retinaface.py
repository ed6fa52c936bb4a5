"""RetinaFace against golden tensors of the reference networks, and its checkpoints as untrusted files."""

from __future__ import annotations

import os
import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from frontalbench.detect import retinaface
from frontalbench.errors import BadInput
from frontalbench.networks import checkpoints
from frontalbench.networks.retinaface import RetinaFaceNet, ready
from tests import skips
from tests.golden import fills

WEIGHT = "weights/retinaface/cunjian_mobilenet0.25_Final.pth"


@pytest.fixture(scope="module")
def mobilenet(shared: Path) -> Path:
    """The public weight; the golden outputs of this network are made with it."""
    if not (shared / WEIGHT).is_file():
        pytest.skip(f"{skips.SHARED}: {WEIGHT} is not in it")
    return shared / WEIGHT


def _input() -> torch.Tensor:
    return fills.drawn("retina/input0", (1, 3, 160, 192), -120, 135)


@pytest.mark.parametrize(("backbone", "name"), [("resnet50", "RetinaFace_R50"), ("mobilenet0.25", "RetinaFace_mnet025")])
def test_state_dict_has_the_official_names_and_shapes(backbone: str, name: str) -> None:
    own = {key: tuple(value.shape) for key, value in RetinaFaceNet(backbone).state_dict().items()}
    assert own == {key: entry.shape for key, entry in fills.state_keys(name).items()}


def test_resnet50_reproduces_the_golden_outputs() -> None:
    net = fills.filled(lambda: RetinaFaceNet("resnet50"), "RetinaFace_R50", "C", golden="RetinaFace", sums="r50C_param_sum_abssum")
    plain = _input() / 50
    with torch.inference_mode():
        for made in (lambda: net, lambda: ready(net)):  # which is used up by it
            for name, value in zip(("loc", "conf", "landms"), made()(plain), strict=True):
                fills.golden("RetinaFace").near(f"r50C_{name}", value)


def test_mobilenet_with_real_weights_reproduces_the_golden_outputs(mobilenet: Path) -> None:
    golden, image = fills.golden("RetinaFace"), _input()
    golden.near("mnet_input_first8", image.flatten()[:8])
    net = RetinaFaceNet("mobilenet0.25").eval()
    checkpoints.fill(net, checkpoints.load(mobilenet), mobilenet)
    with torch.inference_mode():
        for name, value in zip(("loc", "conf", "landms"), net(image), strict=True):
            golden.near(f"mnet_{name}", value)


def test_priors_are_the_golden_ones_in_pixels() -> None:
    ours = retinaface.priors(160, 192) / np.array([192, 160, 192, 160], np.float32)
    fills.golden("RetinaFace").near("priors_160x192", ours, atol=1e-6)


def test_priors_count_partial_cells() -> None:
    assert len(retinaface.priors(250, 250)) == 2 * (32 * 32 + 16 * 16 + 8 * 8)


def test_a_real_photograph_gives_the_known_box_and_points(mobilenet: Path, shared: Path) -> None:
    from frontalbench import images
    from frontalbench.detect.boxes import Sizing

    photograph = shared / "testdata" / "lfw" / "George_W_Bush" / "George_W_Bush_0010.jpg"
    detector = retinaface.RetinaFace("mnet", mobilenet, "mobilenet0.25", sizing=Sizing((250,), border=0), threads=1)
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
    return RetinaFaceNet("mobilenet0.25").state_dict()


def _load(path: Path) -> retinaface.RetinaFace:
    return retinaface.RetinaFace("mnet", path, "mobilenet0.25")


def test_a_data_parallel_prefix_is_taken_off(tmp_path: Path, state: dict[str, torch.Tensor]) -> None:
    path = tmp_path / "weights.pth"
    torch.save({f"module.{key}": value for key, value in state.items()}, path)
    assert _load(path).name == "mnet"


@pytest.mark.parametrize(
    ("fault", "why"),
    [
        ("truncated", "not a readable checkpoint"),
        ("text", "damaged or holds other things than tensors; fetch the file again"),
        ("wrong keys", "keys missing (first: body.stage1.0.0.weight), 1 of its keys unexpected (first: weight)"),
        ("one key more", "1 of its keys unexpected (first: surplus.weight)"),
        ("wrong shape", "ClassHead.0.conv1x1.bias should be (4,), is (5,)"),
        ("a list", "expected a state dict (names to tensors), found a list"),
        ("missing file", "not found; fetch the model's weights first"),
    ],
)
def test_a_bad_checkpoint_is_refused_in_one_line_that_names_the_file_and_the_fault(
    tmp_path: Path, state: dict[str, torch.Tensor], fault: str, why: str
) -> None:
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
    assert why in message


def test_a_checkpoint_that_carries_code_is_refused_and_the_code_not_run(tmp_path: Path) -> None:
    harm = tmp_path / "harm"
    torch_file, plain = tmp_path / "weights.pth", tmp_path / "plain.pth"
    torch.save({"x": _Harmful(harm)}, torch_file)
    plain.write_bytes(pickle.dumps(_Harmful(harm)))
    for path in (torch_file, plain):
        with pytest.raises(BadInput, match=r"refused|not a readable"):
            _load(path)
    assert not harm.exists()
