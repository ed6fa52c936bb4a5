"""The seam around a drawn face taken away: the face keeps its gradients and gets the level of the skin around it (Poisson image editing).

The face is the ellipse of the template, and around it lies a band in which the seam is taken to be. Both reach over hair, neck and wall wherever a
face is narrower than the template; so face parsing says which pixels are the face's own, nothing else is ever changed, and no level passes from
hair, neck, clothes or wall into the face: it is fixed by the skin that lies outside of the band, and by nothing else. Without any, the image stays
as it is.

``gradient`` solves for face and band at once: in the face the gradients are its own, in the band too but for steps between skin and skin larger than
``step``, which are what a seam is made of. (Brows, eyes and mouth keep theirs; along the parsing's edge, where skin is not sure, they are left open.)
``opencv`` fills face and band smoothly from the skin around and clones the face into that with OpenCV's ``seamlessClone``: the band then holds no
texture, and where the face ends at hair or wall it keeps its level.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Protocol

import cv2
import numpy as np

from frontalbench.catalogue.params import Params
from frontalbench.enhance import faces
from frontalbench.enhance.base import each, to_bytes
from frontalbench.frontalize.base import Outcome
from frontalbench.geometry import gradients
from frontalbench.images import RGB
from frontalbench.types import Bool, Float, Float32

if TYPE_CHECKING:
    from frontalbench.catalogue.cards import ModelCard
    from frontalbench.detect.base import Detector

METHODS: Final = ("gradient", "opencv")
FACE: Final = (1, 2, 3, 4, 5, 6, 10, 11, 12, 13)
"""Classes of the parsing that are the face's own: skin, brows, eyes, glasses, nose, mouth and lips; without ears, neck and hair."""
SKIN: Final = (1, 10)
"""Those whose steps may be a seam: skin and nose. The tails of brows lie in the band of many faces."""
_MOST: Final = 320
"""Longer side in pixels of the part that is solved for; of a larger one only the correction, which is smooth, is enlarged."""
_AROUND: Final = 2.0
"""What is parsed, in radii of the template's face: a head with its hair, which is what the parsing learned from."""
_RIM: Final = 2.5
"""So many pixels of the 112-pixel crop along the parsing's edge may be hair or wall as well: no level outside of the band is taken from them."""


class Parser(Protocol):
    """Anything that says how likely each pixel belongs to each part."""

    def probabilities(self, image: RGB) -> Float32:
        """float32 (side, side, classes) of the image scaled to a square."""
        ...


def load(card: ModelCard, *, threads: int = 1, device: str = "cpu") -> Blend:
    """The enhancement of a card of family ``blend``; its ``uses`` names one detector card and one of a face parsing.

    Params: ``method`` gradient or opencv; ``face``: size of the ellipse that keeps its gradients, ``band``: width of the band around it, both in
    radii of the template's face; ``step`` in grey levels: larger ones in the band belong to the seam (gradient only).
    """
    from frontalbench.catalogue import families

    params = Params(card)
    method = params.choice("method", METHODS)
    face, band = params.number("face", low=0.3, high=2), params.number("band", low=0.02, high=1)
    step = params.number("step", low=0, high=255) if method == "gradient" else 0.0
    params.finish()
    detector: Detector = families.load(card.the("detector"), threads=threads, device=device)
    parser: Parser = families.load(card.the("matting"), threads=threads, device=device)
    return Blend(card.name, detector, parser, method=method, face=face, band=band, step=step)


@dataclass(frozen=True)
class Layout:
    """Of a part of an image, bool (h, w) each. ``face``: the ellipse that keeps its gradients, ``both``: with the band around it; ``own``: the
    face's own pixels by the parsing; ``sure``: those of them away from the parsing's edge; ``skin``: those away from brows, eyes and mouth too."""

    face: Bool
    both: Bool
    own: Bool
    sure: Bool
    skin: Bool

    def reduced(self, size: tuple[int, int]) -> Layout:
        """The same of the part scaled to ``size`` (width, height)."""
        parts = (self.face, self.both, self.own, self.sure, self.skin)
        face, both, own, sure, skin = (cv2.resize(one.astype(np.float32), size, interpolation=cv2.INTER_AREA) for one in parts)
        return Layout(face > 0.5, both > 0.0, own > 0.5, sure > 0.99, skin > 0.99)

    def region(self, unasked: gradients.Pairs | None = None) -> tuple[Bool, gradients.Pairs]:
        """What is solved for, and the pairs of neighbours that are asked: within the face, and between it and sure skin outside of the band, but
        those ``unasked``. Parts that no such skin fixes are left out."""
        free = self.own & self.both
        known = free | (self.sure & ~self.both)
        asked = _within(known)
        if unasked is not None:
            asked = (asked[0] & ~unasked[0], asked[1] & ~unasked[1])
        return gradients.held(free, asked), asked

    def band(self) -> gradients.Pairs:
        """Pairs in the band, and where it meets others."""
        across, down = _within(self.face)
        return ~across, ~down


class Blend:
    """See the module. Outside of face and band nothing changes; an image without a face has status ``no_face``."""

    def __init__(
        self, name: str, detector: Detector, parser: Parser, *, method: str, face: float = 1.0, band: float = 0.2, step: float = 8.0
    ) -> None:
        self.name = name
        self._detector, self._parser = detector, parser
        self._method, self._face, self._band, self._step = method, face, band, step

    def enhance(self, images: Sequence[RGB]) -> list[Outcome]:
        return each(images, self._blend)

    def _blend(self, image: RGB) -> RGB:
        points = faces.found(self._detector, image)
        where, layout = self._layout(image, points)
        own = image[where]
        small, size = own, _reduced(own.shape)
        if size is not None:
            small, layout = np.asarray(cv2.resize(own, size, interpolation=cv2.INTER_AREA), np.uint8), layout.reduced(size)
        if not layout.region()[0].any():
            return image
        new = levelled(small, layout, self._step) if self._method == "gradient" else cloned(small, layout)
        change = new - small
        if size is not None:
            change = cv2.resize(change, own.shape[1::-1], interpolation=cv2.INTER_LINEAR)
        result = image.copy()
        result[where] = to_bytes(own + change)
        return result

    def _layout(self, image: RGB, points: Float) -> tuple[tuple[slice, slice], Layout]:
        """The part of the image that is parsed, and what lies where in it."""
        wide = faces.face_region(image.shape, points, grown=_AROUND, feather=0.1)
        rows, columns = wide.where
        region = faces.face_region(image.shape, points, grown=self._face, feather=self._band)
        weight = np.zeros(image.shape[:2], np.float32)
        weight[region.where] = region.weight
        weight = weight[wide.where]
        part = image[wide.where]
        likely = self._parser.probabilities(part)
        own, skin = _part_of(likely, FACE, part.shape), _part_of(likely, SKIN, part.shape)
        crop = faces.to_crop(points)
        rim = max(1, round(_RIM / float(np.sqrt(abs(np.linalg.det(crop[:, :2]))))))
        disc = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * rim + 1,) * 2)
        sure, skin = (cv2.erode(one.astype(np.uint8), disc) > 0 for one in (own, skin))
        return (rows, columns), Layout(weight >= 1.0, weight > 0.0, own, sure, skin)


def _part_of(likely: Float32, classes: tuple[int, ...], shape: tuple[int, ...]) -> Bool:
    """Where these classes together are likelier than all else, bool (h, w) of ``shape``."""
    share = likely[..., list(classes)].sum(axis=-1)
    found: Bool = cv2.resize(share, shape[1::-1], interpolation=cv2.INTER_LINEAR) > 0.5
    return found


def _reduced(shape: tuple[int, ...]) -> tuple[int, int] | None:
    """The (width, height) that a part is solved at; None: its own."""
    longer = max(shape[:2])
    if longer <= _MOST:
        return None
    return max(2, round(shape[1] * _MOST / longer)), max(2, round(shape[0] * _MOST / longer))


def levelled(pixels: RGB, layout: Layout, step: float) -> Float:
    """Pixels (h, w, 3) with face and band solved for: gradients of the image, but steps of the band larger than ``step`` grey levels become none
    between skin and skin, and along the parsing's edge are left open. Float64 on the scale 0..255."""
    own = gradients.steps(pixels)
    large = [band & (np.abs(one).max(axis=-1) > step) for one, band in zip(own, layout.band(), strict=True)]
    seam = [one & skin for one, skin in zip(large, _within(layout.skin), strict=True)]
    unsure = [one & ~sure for one, sure in zip(large, _within(layout.sure), strict=True)]
    region, asked = layout.region((unsure[0], unsure[1]))
    wanted = [np.where(gone[..., None], 0.0, one) for one, gone in zip(own, seam, strict=True)]
    return gradients.solve(pixels, (wanted[0], wanted[1]), region, asked)


def _within(region: Bool) -> gradients.Pairs:
    """Pairs of neighbours that both lie in ``region``."""
    return region[:, 1:] & region[:, :-1], region[1:] & region[:-1]


def cloned(pixels: RGB, layout: Layout) -> Float:
    """The same by OpenCV: the face cloned into face and band filled from the skin around without any gradient. Where the face ends at anything else,
    nothing is asked of it: the target is the face itself there. Float64 on the scale 0..255."""
    from scipy import ndimage

    region, asked = layout.region()
    still = tuple(np.zeros_like(one) for one in gradients.steps(pixels))
    filled = gradients.solve(pixels, (still[0], still[1]), region, asked)
    face = region & layout.face
    if not face.any():
        return filled
    # OpenCV leaves a rim of three pixels of its mask to the target.
    other = cv2.dilate((~(region | layout.sure)).astype(np.uint8), np.ones((3, 3), np.uint8), iterations=4) > 0
    nearest = ndimage.distance_transform_edt(~face, return_distances=False, return_indices=True)
    target = np.where(other[..., None], pixels[nearest[0], nearest[1]], filled)
    # OpenCV puts the middle of the mask's box at the given point, and wants a pixel of the target around it.
    y, x = np.nonzero(face)
    frame = 2
    wide = cv2.copyMakeBorder(to_bytes(target), frame, frame, frame, frame, cv2.BORDER_REPLICATE)
    mask = (255 * face).astype(np.uint8)
    centre = (int(x.min() + (x.max() - x.min() + 1) // 2) + frame, int(y.min() + (y.max() - y.min() + 1) // 2) + frame)
    made = cv2.seamlessClone(np.ascontiguousarray(pixels), wide, mask, centre, cv2.NORMAL_CLONE)
    result: Float = np.where(face[..., None], made[frame:-frame, frame:-frame], filled)
    return result
