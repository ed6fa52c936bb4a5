"""The self-test of the completion and blending networks: a swap of two people who do not exist.

No feature. A frontal view has no other image to be put into, and swaps of real people are not what this project measures; but these networks were
made for a swap, so only a swap shows whether they do what they should.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
import torch

from frontalbench.detect.select import Face
from frontalbench.frontalize import framing
from frontalbench.frontalize.check import Check
from frontalbench.fsgan.blending import Draw, blended, eroded
from frontalbench.geometry.oval import reach_through
from frontalbench.geometry.similarity import ARCFACE_TEMPLATE, apply, estimate_similarity
from frontalbench.images import RGB
from frontalbench.types import Bool, Float

SIDE = 256
RIM = 6
"""Pixels on each side of the mask's border in which a seam would show."""


@dataclass(frozen=True)
class Pair:
    """``turned``: the giver's face laid onto the taker's, ``target``: the taker, both RGB of 256 pixels; ``mask``: where the taker's face is."""

    turned: RGB
    target: RGB
    mask: Bool


def pair_of(giver: tuple[RGB, Face], taker: tuple[RGB, Face]) -> Pair:
    """Two photographs with their faces as the networks meet them. Raises ValueError for faces that are too small."""
    square = framing.detection(taker[1].box, SIDE)
    target = framing.cut(taker[0], square, SIDE, border=cv2.BORDER_REPLICATE)
    points = apply(square, taker[1].points)
    laid = framing.cut(giver[0], estimate_similarity(giver[1].points, points), SIDE, border=cv2.BORDER_REPLICATE)
    to_template = estimate_similarity(points, ARCFACE_TEMPLATE)
    return Pair(laid.pixels, target.pixels, reach_through(to_template, range(SIDE), range(SIDE)) < 1.0)


def swapped(pair: Pair, complete: Draw, blend: Draw) -> Float:
    """The taker with the giver's face, completed and blended: float (256, 256, 3) on the scale 0..255, not rounded."""
    turned, target = (
        torch.from_numpy(np.ascontiguousarray(one)).permute(2, 0, 1)[None].float() / 127.5 - 1.0 for one in (pair.turned, pair.target)
    )
    mask = torch.from_numpy(pair.mask.astype(np.float32))[None, None]
    with torch.inference_mode():
        drawn = blended(complete, blend, turned, mask, target, mask)[0]
    made: Float = ((drawn.permute(1, 2, 0).double() + 1.0) * 127.5).numpy()
    return made


def checks(pair: Pair, complete: Draw, blend: Draw, *, trained: bool) -> list[Check]:
    """Named checks of the swap. With networks that were ``trained`` also what only these can pass: the taker's light, and the giver's face."""
    made, again = (swapped(pair, complete, blend) for _ in range(2))
    if not np.isfinite(made).all():
        return [Check("finite", 0.0, 1.0, 1.0, "every pixel is a number")]
    away = np.abs(made - pair.target).max(axis=2)
    beyond = (eroded(torch.from_numpy(pair.mask.astype(np.float32))[None, None])[0][0, 0] == 0.0).numpy()
    pasted = np.where(pair.mask[..., None], pair.turned, pair.target).astype(np.float64)
    steps = seam(made, pair.mask) / max(seam(pasted, pair.mask), 1e-9)
    found = [
        Check("finite", 1.0, 1.0, 1.0, "every pixel is a number"),
        Check("repeatable (levels)", float(np.abs(made - again).max()), 0.0, 0.5, "two runs give the same image"),
        Check("outside (levels)", float(away[beyond].max()), 0.0, 0.5, "the taker's own pixels beyond the face's soft border"),
        Check("inside (levels)", float(away[pair.mask].mean()), 1.0, 128.0, "the face is another one"),
        Check("seam", steps, 0.0, 0.5, "steps at the border, in those of a plain paste"),
    ]
    if trained:
        tone, given = (np.abs((one - pair.target)[pair.mask].mean(axis=0)).mean() for one in (made, pasted))
        found.append(
            Check("tone", float(tone / max(given, 1e-9)), 0.0, 0.9, "how far the face's tone is from the taker's, in that of a plain paste")
        )
        found.append(Check("giver", _alike(made, pair), 0.5, 1.0, "the inner face is that of the giver (correlation of light)"))
    return found


def seam(image: Float, mask: Bool) -> float:
    """Mean step in grey levels between neighbours that the mask's border parts."""
    steps = []
    for axis in (0, 1):
        parted = np.diff(mask.astype(np.int8), axis=axis) != 0
        steps.append(np.abs(np.diff(image, axis=axis)).mean(axis=2)[parted])
    return float(np.concatenate(steps).mean())


def _alike(made: Float, pair: Pair) -> float:
    inner = cv2.erode(pair.mask.astype(np.uint8), np.ones((RIM * 4 + 1, RIM * 4 + 1), np.uint8)) > 0
    light = [cv2.GaussianBlur(one.astype(np.float64).mean(axis=2), (0, 0), 2.0)[inner] for one in (made, pair.turned)]
    return float(np.corrcoef(light[0], light[1])[0, 1])
