"""Landmarks with the name of their scheme: which point is which, and how one scheme becomes another.

Left and right are the subject's: the right eye is the one further left in the image. Sources of the numberings: iBUG 300-W (Sagonas et al.
2013) for
68 points, WFLW (Wu et al. 2018) for 98, InsightFace's 2d106det for 106, MediaPipe's face mesh for 478; how well the derived points meet those of
a 68-point network on photographs is measured in ``tests/unit/test_landmark_schemes.py``.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final

import numpy as np

from frontalbench.errors import BadInput
from frontalbench.types import Float

Indices = tuple[int, ...]


@dataclass(frozen=True)
class Scheme:
    """``count`` points; the rest: indices whose mean is that part (empty: the scheme has no such point)."""

    name: str
    count: int
    right_eye: Indices
    left_eye: Indices
    nose_tip: Indices
    right_mouth: Indices
    left_mouth: Indices
    nose_bridge: Indices = ()
    """Between the eyes, where the bridge begins."""
    chin: Indices = ()


def _span(first: int, last: int) -> Indices:
    return tuple(range(first, last + 1))


SCHEMES: Final[Mapping[str, Scheme]] = MappingProxyType(
    {
        scheme.name: scheme
        for scheme in (
            Scheme("five", 5, (0,), (1,), (2,), (3,), (4,)),
            Scheme("ibug68", 68, _span(36, 41), _span(42, 47), (30,), (48,), (54,), (27,), (8,)),
            Scheme("wflw98", 98, _span(60, 67), _span(68, 75), (54,), (76,), (82,), (51,), (16,)),
            Scheme("insightface106", 106, (33, 35, 40, 39), (87, 89, 94, 93), (86,), (52,), (61,), (72,), (0,)),
            Scheme("mediapipe478", 478, (33, 133, 159, 145), (263, 362, 386, 374), (4,), (61,), (291,), (168,), (152,)),
        )
    }
)

_TO_IBUG68: Final[Mapping[str, Indices]] = MappingProxyType(
    {
        # The contour of 98 points has every second point of the 68; lids and brows have more than six and five.
        "wflw98": (
            *range(0, 33, 2),
            *_span(33, 37),
            *_span(42, 46),
            *_span(51, 59),
            *(60, 61, 63, 64, 65, 67),
            *(68, 69, 71, 72, 73, 75),
            *_span(76, 95),
        ),
        "insightface106": (
            *(1, 10, 12, 14, 16, 3, 5, 7, 0, 23, 21, 19, 32, 30, 28, 26, 17),
            *(43, 48, 49, 51, 50),
            *(102, 103, 104, 105, 101),
            *(72, 73, 74, 86),
            *(78, 79, 80, 85, 84),
            *(35, 41, 42, 39, 37, 36),
            *(89, 95, 96, 93, 91, 90),
            *(52, 64, 63, 71, 67, 68, 61, 58, 59, 53, 56, 55),
            *(65, 66, 62, 70, 69, 57, 60, 54),
        ),
        "mediapipe478": (
            *(127, 234, 93, 132, 58, 136, 150, 176, 152, 400, 379, 365, 288, 361, 323, 454, 356),
            *(70, 63, 105, 66, 107),
            *(336, 296, 334, 293, 300),
            *(168, 6, 195, 4),
            *(75, 97, 2, 326, 305),
            *(33, 160, 158, 133, 153, 144),
            *(362, 385, 387, 263, 373, 380),
            *(61, 39, 37, 0, 267, 269, 291, 405, 314, 17, 84, 181),
            *(78, 82, 13, 312, 308, 317, 14, 87),
        ),
    }
)


@dataclass(frozen=True)
class Landmarks:
    """``points`` float64 (N, 2) or (N, 3): x, y in pixels with centres at integers, depth on the same scale where there is one, away from the camera;
    ``scheme``: a name of :data:`SCHEMES`; ``presence``: 0..1, how sure the model is that there is a face, NaN where it does not say."""

    points: Float
    scheme: str
    presence: float = float("nan")

    def __post_init__(self) -> None:
        """Raises :class:`BadInput` for an unknown scheme or another number of points, ValueError for numbers that are not finite (a bad face)."""
        if self.scheme not in SCHEMES:
            raise BadInput(f"landmark scheme '{self.scheme}' is not known; known: {', '.join(SCHEMES)}")
        wanted = SCHEMES[self.scheme].count
        if self.points.ndim != 2 or len(self.points) != wanted or self.points.shape[1] not in (2, 3):
            raise BadInput(f"landmarks of shape {self.points.shape}: {self.scheme} has {wanted} points (x, y) or (x, y, z)")
        if not np.isfinite(self.points).all():
            raise ValueError("landmarks that are not finite")

    @property
    def flat(self) -> Float:
        """(N, 2): the points in the image."""
        return self.points[:, :2]

    def part(self, name: str) -> Float:
        """The mean (2,) of a part of :class:`Scheme`, such as ``nose_bridge``. Raises :class:`BadInput` where the scheme has no such point."""
        indices: Indices = getattr(SCHEMES[self.scheme], name)
        if not indices:
            raise BadInput(f"{self.scheme} has no {name.replace('_', ' ')}")
        return np.asarray(self.flat[list(indices)].mean(axis=0), np.float64)

    def to(self, scheme: str) -> Landmarks:
        """The same face in another scheme: anything to ``five``, the larger ones to ``ibug68``. Raises :class:`BadInput` for what cannot be
        derived."""
        if scheme == self.scheme:
            return self
        if scheme == "five":
            own = SCHEMES[self.scheme]
            parts = (own.right_eye, own.left_eye, own.nose_tip, own.right_mouth, own.left_mouth)
            return Landmarks(np.stack([self.points[list(indices)].mean(axis=0) for indices in parts]), scheme, self.presence)
        if scheme == "ibug68" and self.scheme in _TO_IBUG68:
            return Landmarks(self.points[list(_TO_IBUG68[self.scheme])], scheme, self.presence)
        raise BadInput(f"landmarks of scheme {self.scheme} cannot be turned into {scheme}")
