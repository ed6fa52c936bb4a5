"""LivePortrait's official files: which network is where in them."""

from __future__ import annotations

from torch import Tensor

from frontalbench.networks import checkpoints
from frontalbench.networks.checkpoints import StrPath
from frontalbench.networks.liveportrait import keys

_PARTS = {"stitching": "retarget_shoulder", "lip": "retarget_mouth", "eye": "retarget_eye"}
"""Network -> its name inside the stitching file; that file may hold more, which is left alone."""


def load(network: str, path: StrPath) -> dict[str, Tensor]:
    """The state dict of one network of :data:`keys.NETWORKS` from its official file, floats as float32; ``stitching``, ``lip`` and ``eye`` share one.

    Keys and shapes are exactly those of :func:`keys.expected`, values are finite. Raises :class:`~frontalbench.errors.BadInput`.
    """
    state = checkpoints.load(path, inner=_PARTS.get(network))
    checked = checkpoints.check(state, keys.expected(network), path, network=f"LivePortrait's {network} network")
    return {key: value.float() if value.is_floating_point() else value for key, value in checked.items()}
