"""The generator of scaleway/frontalization against golden tensors of the published network definition (no published weight is in them)."""

from __future__ import annotations

import os
import zlib
from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from frontalbench.frontalize.scaleway_network import Scaleway  # noqa: E402

SHARED = Path(os.environ.get("FRONTALBENCH_SHARED") or Path(__file__).parents[2].parent / "shared")
GOLDEN = SHARED / "golden" / "scaleway_frontalization_golden.npz"
LISTED = SHARED / "golden" / "scaleway_frontalization_statedict.tsv"
pytestmark = pytest.mark.skipif(not GOLDEN.is_file(), reason=f"golden tensors not there: {GOLDEN}")


def filled(scheme: str) -> dict[str, torch.Tensor]:
    """Fill schemes A (0.02 r) and B (He-normal) of the golden tensors' description, seeded by the key's name."""
    rows = [line.split("\t") for line in LISTED.read_text(encoding="utf-8").splitlines()[1:]]
    normed = {key.rpartition(".")[0] for key, *_ in rows if key.endswith("running_var")}
    state = {}
    for key, shape, *_ in rows:
        owner, _, last = key.rpartition(".")
        if last == "num_batches_tracked":
            state[key] = torch.zeros((), dtype=torch.int64)
            continue
        draw = torch.randn([int(n) for n in shape.split("x")], generator=torch.Generator().manual_seed(zlib.crc32(key.encode())))
        if last == "running_var":
            state[key] = draw.abs() + 0.5
        elif last == "weight" and owner in normed:
            state[key] = 1.0 + 0.02 * draw
        else:
            state[key] = draw * (2.0 * draw.shape[0] / draw.numel()) ** 0.5 if scheme == "B" and draw.ndim > 1 else 0.02 * draw
    return state


@pytest.mark.parametrize("scheme", ["A", "B"])
def test_the_same_weights_draw_the_same_pictures(scheme: str) -> None:
    network = Scaleway().eval()
    state = filled(scheme)
    assert list(network.state_dict()) == list(state)
    network.load_state_dict(state)
    uniform = torch.rand((2, 3, 128, 128), generator=torch.Generator().manual_seed(zlib.crc32(b"scaleway/input0")))
    with torch.no_grad(), np.load(GOLDEN) as golden:
        drawn, wanted = network(-1.0 + 2.0 * uniform).numpy()[:, :, ::2, ::2], golden[f"{scheme}/output"]
    assert np.abs(drawn - wanted).max() <= 1e-4 * np.abs(wanted).max()
