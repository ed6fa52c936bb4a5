"""The 8 x 8 blocks of JPEG, smoothed away where they show, in an image that still lies on their grid.

A step between two blocks is an artefact where it is small and both sides are flatter than it; an edge of the image is neither. The rule is
that of the deblocking filters of video (List et al. 2003, "Adaptive deblocking filter"), with thresholds in grey levels.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Final

import numpy as np

from frontalbench.catalogue.params import Params
from frontalbench.enhance.base import each, to_bytes
from frontalbench.frontalize.base import Outcome
from frontalbench.images import RGB
from frontalbench.types import Float32

if TYPE_CHECKING:
    from frontalbench.catalogue.cards import ModelCard

BLOCK: Final = 8
_LUMA: Final = np.array([0.299, 0.587, 0.114], np.float32)  # ITU-R BT.601


def load(card: ModelCard, *, threads: int = 1, device: str = "cpu") -> Deblock:
    """The enhancement of a card of family ``deblock``.

    Params: ``step`` in grey levels: the largest step between two blocks that counts as an artefact; ``visible``: how many times larger than elsewhere
    the steps between blocks must be on average before anything is done.
    """
    params = Params(card)
    result = Deblock(card.name, step=params.number("step", low=0, high=255), visible=params.number("visible", low=1, high=100))
    params.finish()
    return result


class Deblock:
    """See the module. An image whose blocks do not show stays as it is."""

    def __init__(self, name: str, *, step: float, visible: float) -> None:
        self.name = name
        self._step, self._visible = step, visible

    def enhance(self, images: Sequence[RGB]) -> list[Outcome]:
        return each(images, self._smooth)

    def _smooth(self, image: RGB) -> RGB:
        pixels = image.astype(np.float32)
        changed = False
        for turned in (False, True):
            view = pixels.swapaxes(0, 1) if turned else pixels
            phase, ratio = grid(view @ _LUMA)
            if ratio >= self._visible:
                smooth_columns(view, phase, self._step)
                changed = True
        return to_bytes(pixels) if changed else image


def grid(luma: Float32) -> tuple[int, float]:
    """(phase, ratio) of the grid of columns in a luminance (H, W): blocks begin at columns x with x % 8 == phase, and the mean step onto them is
    ``ratio`` times the mean step elsewhere (1 where the image is too narrow to tell). Steps above 3 times the median, edges, do not count."""
    steps = np.abs(np.diff(luma, axis=1))
    if steps.shape[1] < 3 * BLOCK:
        return 0, 1.0
    kept = np.minimum(steps, 3.0 * np.median(steps) + 1.0).mean(axis=0)
    columns = (np.arange(kept.size) + 1) % BLOCK  # step i leads onto column i + 1
    means = np.array([kept[columns == phase].mean() for phase in range(BLOCK)])
    phase = int(np.argmax(means))
    rest = float(np.delete(means, phase).mean())
    return phase, (float(means[phase]) / rest if rest > 0 else (1.0 if means[phase] == 0 else np.inf))


def smooth_columns(pixels: Float32, phase: int, step: float) -> None:
    """Smooth, in place, the steps onto columns x with x % 8 == ``phase`` of pixels (H, W, C): the two pixels on each side become a ramp of it."""
    width = pixels.shape[1]
    onto = np.arange(phase, width, BLOCK)
    onto = onto[(onto >= 3) & (onto + 2 < width)]
    if not onto.size:
        return
    p2, p1, p0, q0, q1, q2 = (pixels[:, onto + offset] for offset in (-3, -2, -1, 0, 1, 2))
    jump = q0 - p0
    flat = np.maximum(np.abs(p1 - p0), np.abs(q1 - q0))
    flatter = np.maximum(np.abs(p2 - p1), np.abs(q2 - q1))
    artefact = (np.abs(jump).max(axis=-1) <= step) & (
        np.maximum(flat, flatter).max(axis=-1) <= np.maximum(2.0, 0.5 * np.abs(jump).max(axis=-1))
    )
    share = jump * artefact[..., None]
    # The step of 1 becomes 0.1, 0.3 | 0.7, 0.9 of it: a ramp over five intervals.
    for offset, part in ((-2, 0.1), (-1, 0.3), (0, -0.3), (1, -0.1)):
        pixels[:, onto + offset] += part * share
