"""PReLU in place, as a compiled loop: PyTorch's own writes a new map, which takes three to ten times as long."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from frontalbench.networks.machine_code import Array, compiled


@compiled(Array(2), Array(1))
def prelu_(values: npt.NDArray[np.float32], slopes: npt.NDArray[np.float32]) -> None:
    """Multiplies what is below 0 in ``values`` float32 (pixels, channels) by ``slopes`` float32 (channels,), in place."""
    for pixel in range(values.shape[0]):
        row = values[pixel]
        for channel in range(values.shape[1]):
            value = row[channel]
            row[channel] = value if value > 0 else slopes[channel] * value
