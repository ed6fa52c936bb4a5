"""The exported ONNX files, run by ONNX Runtime on the CPU, against the same golden tensors as the networks themselves."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from frontalbench.liveportrait import export  # noqa: E402
from frontalbench.networks.liveportrait import keys  # noqa: E402
from frontalbench.runtime.sessions import onnx_session  # noqa: E402
from tests.golden import fills  # noqa: E402
from tests.golden.fills import normal, tensor, uniform  # noqa: E402
from tests.golden.test_liveportrait import compare  # noqa: E402

Arrays = dict[str, np.ndarray]


def run(name: str, tmp_path: Path, **inputs: np.ndarray) -> Arrays:
    path = export.write(name, fills.liveportrait(name), tmp_path)
    session = onnx_session(path, threads=2)
    assert [(each.name, tuple(each.shape)) for each in session.get_inputs()] == list(export.SIGNATURES[name].inputs.items())
    return dict(
        zip(export.SIGNATURES[name].outputs, session.run(None, {key: np.float32(value) for key, value in inputs.items()}), strict=True)
    )


def as_tensor(values: np.ndarray) -> torch.Tensor:
    return torch.from_numpy(np.ascontiguousarray(values))


def test_appearance_and_motion_files_meet_the_official_outputs(tmp_path: Path) -> None:
    image = uniform("input:image", 1, 3, 256, 256).numpy()
    compare("F.out", as_tensor(run("appearance", tmp_path, image=image)["volume"]))
    heads = run("motion", tmp_path, image=image)
    assert list(heads) == list(keys.MOTION_HEADS)
    for name, value in heads.items():
        compare(f"M.{name}", as_tensor(value))


def test_the_warping_file_samples_its_volume_as_the_official_module_does(tmp_path: Path) -> None:
    source = normal("input:kp_source", 0.3, 1, 21, 3)
    driving = source + normal("input:kp_driving_delta", 0.05, 1, 21, 3)
    volume = normal("input:volume", 0.5, 1, 32, 16, 64, 64)
    compare("W.out", as_tensor(run("warping", tmp_path, volume=volume, driving=driving, source=source)["features"]))


def test_the_generator_file_draws_the_official_image(tmp_path: Path) -> None:
    features = normal("input:generator", 0.5, 1, 256, 64, 64)
    compare("G.out", as_tensor(run("generator", tmp_path, features=features)["image"]))


@pytest.mark.parametrize("name", ["stitching", "lip", "eye"])
def test_perceptron_files_equal_the_networks(name: str, tmp_path: Path) -> None:
    """Their golden tensors are of batches of four; the files take one."""
    from frontalbench.networks.liveportrait.networks import Perceptron

    signature = export.SIGNATURES[name]
    ((key, shape),) = signature.inputs.items()
    value = normal(f"input:mlp_{name}", 0.3, *shape)
    with torch.inference_mode():
        expected = Perceptron(fills.liveportrait(name))(tensor(value)).numpy()
    assert np.allclose(run(name, tmp_path, **{key: value})["offsets"], expected, rtol=1e-4, atol=1e-6)
