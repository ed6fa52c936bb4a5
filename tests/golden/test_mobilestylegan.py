"""The torch MobileStyleGAN against OpenVINO running the same packaged files: real weights, the same images."""

from __future__ import annotations

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from frontalbench.errors import WeightsMissing  # noqa: E402
from frontalbench.networks.mobilestylegan import inverse_haar  # noqa: E402
from frontalbench.synth.mobilestylegan import Generator  # noqa: E402
from frontalbench.synth.torch_generator import TorchGenerator  # noqa: E402


@pytest.fixture(scope="module")
def both() -> tuple[Generator, TorchGenerator]:
    pytest.importorskip("openvino", reason="openvino is not installed (extra synth)")
    try:
        return Generator(threads=1), TorchGenerator()
    except WeightsMissing as error:
        pytest.skip(str(error))


@pytest.mark.weights
def test_equals_openvino(both: tuple[Generator, TorchGenerator]) -> None:
    theirs, ours = both
    noise = np.random.default_rng(3).standard_normal((2, 512)).astype(np.float32)
    styles = np.stack([theirs.style(row) for row in noise])
    np.testing.assert_allclose(ours.styles(torch.from_numpy(noise)).numpy(), styles, atol=1e-4)
    with torch.no_grad():
        # Two styles at once: the coarse layers read one, the fine layers the other, as the turning of heads does it.
        image = ours(torch.from_numpy(styles[:1]), torch.from_numpy(styles[1:]), size=1024).numpy()[0]
        small = ours(torch.from_numpy(styles[:1]), torch.from_numpy(styles[1:]), size=256).numpy()[0]
    wanted = theirs._draw([styles[:1], styles[1:]])[0][0]
    assert wanted.max() - wanted.min() > 1.5, "an image, not a grey square"
    np.testing.assert_allclose(image, wanted, atol=1e-3)
    averaged = wanted.reshape(3, 256, 4, 256, 4).mean(axis=(2, 4))
    np.testing.assert_allclose(small, averaged, atol=1e-3)


def test_inverse_haar_is_an_inverse() -> None:
    image = torch.from_numpy(np.random.default_rng(0).standard_normal((2, 3, 8, 6)).astype(np.float32))
    corners = [image[..., i::2, j::2] for i in (0, 1) for j in (0, 1)]
    signs = ((1, 1, 1, 1), (1, 1, -1, -1), (1, -1, 1, -1), (1, -1, -1, 1))
    low, *details = [sum(sign * corner for sign, corner in zip(row, corners, strict=True)) / 2 for row in signs]
    bands = torch.cat([low, torch.stack(details, 2).flatten(1, 2)], 1)
    np.testing.assert_allclose(inverse_haar(bands).numpy(), image.numpy(), atol=1e-6)
