"""Which pixels of a photograph are the person's, and a copy of it in which the person's colours go on where they are not.

What a photograph shows edge-on is large in a frontal view: the bridge of the nose, brow and chin of a profile take their colours from a strip a
millimetre or two wide beside the background. A fit that lies beside it, or a matte that ends beside it, paints the wall behind a person on the face.
Face parsing says roughly where a person ends. Near that edge the colours decide: between those well within the person (F) and those well outside (B),
how far a pixel's colour C lies on the way from B to F, ``(C - B) . (F - B) / |F - B|^2``, is about its share of person (the compositing equation
C = a F + (1 - a) B, with both sides known). A pixel with some background in it counts as not seen. Lengths are in centimetres of the head.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Protocol

import cv2
import numpy as np

from frontalbench.frontalize import framing
from frontalbench.frontalize.surroundings import spread
from frontalbench.geometry.crop import warp
from frontalbench.geometry.masks import Mask, smoothstep
from frontalbench.geometry.similarity import apply, invert
from frontalbench.images import RGB
from frontalbench.types import Float, Float32, UInt8

if TYPE_CHECKING:
    from frontalbench.catalogue.cards import ModelCard
    from frontalbench.frontalize.drawing import Placement
    from frontalbench.frontalize.head import Head

Person = Callable[[RGB, Float, float], Mask]
"""(crop (side, side, 3), its matrix photograph -> crop, its pixels per cm) -> float32 (side, side) in 0..1: how surely a pixel is
the person's alone."""

FACE: Final = (1, 2, 3, 4, 5, 10, 11, 12, 13)
"""Classes of the parsing whose edge against the background is the face's own outline: without glasses, ears, hair and hat."""
SQUARE_CM, SQUARE = 26.0, 512
"""The square around the head that is parsed, in cm and in pixels."""
UNDECIDED = (0.5, 0.75)
"""How likely the person is, by the parsing, where the photograph's own colours begin."""
MIXED = (0.75, 0.95)
"""The share of person in a pixel's colour from which it is believed a little, and wholly."""
UNLIKE = (25.0, 60.0)
"""How far apart (levels, of RGB) the colours of both sides must be to decide anything, and to decide all."""


@dataclass(frozen=True)
class Foreground:
    """The params ``foreground`` of a card. ``within``, ``beyond``: the colours decide from so far within the parsing's edge to so far outside of it;
    ``rim``: nearer to a pixel with background in it than this nothing is believed; ``least``: share of the fitted face that the parsing must call the
    person, or it is not believed at all."""

    within: float = 0.5
    beyond: float = 0.25
    rim: float = 0.06
    least: float = 0.4


class Parser(Protocol):
    """A face parsing network."""

    def probabilities(self, image: RGB) -> Float32:
        """float32 (side, side, 19): how likely each pixel of the image, scaled to a square, belongs to each class."""
        ...


@dataclass(frozen=True)
class Edge:
    """What the parsing says of a square around a head. ``face``, ``person`` (side, side) in 0..1: how likely; ``inside`` (side, side): 1 where the
    square shows the photograph; ``matrix`` (2, 3): photograph -> square."""

    face: Mask
    person: Mask
    inside: Mask
    matrix: Float


def edge_of(parser: Parser, image: RGB, placement: Placement) -> Edge:
    """Where the parsing sees face and background around a head."""
    matrix = framing.head_square(placement, SQUARE_CM, SQUARE, lean=0.0)
    found = parser.probabilities(warp(image, matrix, SQUARE))
    if found.shape[0] != SQUARE:
        found = cv2.resize(found, (SQUARE, SQUARE), interpolation=cv2.INTER_LINEAR)
    there = cv2.warpAffine(np.ones(image.shape[:2], np.float32), matrix, (SQUARE, SQUARE), flags=cv2.INTER_LINEAR)
    return Edge(found[..., list(FACE)].sum(axis=-1), 1.0 - found[..., 0], np.asarray(there, np.float32), matrix)


def person_of(edge: Edge, head: Head, placement: Placement, asked: Foreground) -> tuple[Person | None, str]:
    """What says of a crop where the person is, for :func:`~frontalbench.frontalize.drawing.draw`; or None, and why the parsing is not believed: it
    calls too much of the fitted face background."""
    face = np.ones(len(head.source), bool)
    face[slice(*head.skirt)] = False
    at = apply(edge.matrix, placement.to_photograph(head.source[face])[:, :2]).astype(np.float32)
    known, person = (
        cv2.remap(mask, at[None], None, cv2.INTER_NEAREST, borderMode=cv2.BORDER_CONSTANT, borderValue=0.0)[0] > 0.5
        for mask in (edge.inside, edge.person)
    )
    share = float(person[known].mean()) if known.any() else 1.0
    if share < asked.least:
        return None, f"the parsing calls {1.0 - share:.0%} of the face background and is not believed"

    def person_in(image: RGB, matrix: Float, pixels_per_cm: float) -> Mask:
        return shares(edge, image, matrix, pixels_per_cm, asked)

    return person_in, ""


def shares(edge: Edge, image: RGB, matrix: Float, pixels_per_cm: float, asked: Foreground) -> Mask:
    """How surely each pixel of a crop is the person's alone: float32 (side, side) in 0..1. See :data:`Person`."""
    there = (matrix @ np.vstack([invert(edge.matrix), [0.0, 0.0, 1.0]]))[:2]
    # Beyond the photograph nothing is background: that is drawn elsewhere.
    person = np.maximum(edge.person, (edge.inside < 0.5).astype(np.float32))
    likely = cv2.warpAffine(person, there, image.shape[1::-1], flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
    share = np.asarray(smoothstep(likely, *UNDECIDED), np.float32)
    inner = cv2.erode((likely >= UNDECIDED[1]).astype(np.uint8), _disc(asked.within * pixels_per_cm))
    outer = 1 - cv2.dilate((likely > 1.0 - UNDECIDED[1]).astype(np.uint8), _disc(asked.beyond * pixels_per_cm))
    if not inner.any() or not outer.any():
        return share
    within, beyond = (spread(image, side.astype(np.float32)) for side in (inner, outer))
    way = within - beyond
    length = np.square(way).sum(axis=-1)
    own = ((image - beyond) * way).sum(axis=-1) / np.maximum(length, np.float32(1.0))
    told = smoothstep(np.sqrt(length), *UNLIKE)
    pure = smoothstep(1.0 + told * (np.clip(own, 0.0, 1.0) - 1.0), *MIXED)
    pure = cv2.erode(pure.astype(np.float32), _disc(asked.rim * pixels_per_cm))
    return np.asarray(np.where(inner > 0, share, share * pure), np.float32)


def carried(image: RGB, share: Mask) -> RGB | None:
    """``image`` (H, W, 3) with the colours of all that is wholly the person's (``share`` (H, W) is 1) carried on beyond; None where nothing is to
    be carried on, or nothing can be."""
    if share.min() >= 1.0 or share.max() < 1.0:
        return None
    beyond = spread(image, (share >= 1.0).astype(np.float32))
    mixed = beyond + share[..., None] * (image.astype(np.float32) - beyond)
    return np.asarray(np.clip(np.rint(mixed), 0, 255), np.uint8)


def parser_of(card: ModelCard, *, threads: int = 1, device: str = "cpu") -> Parser | None:
    """The face parsing (family ``bisenet``) that a card ``uses`` for its params ``silhouette`` or ``foreground``; None where it has neither."""
    if "silhouette" not in card.params and "foreground" not in card.params:
        return None
    from frontalbench.catalogue import families

    parser: Parser = families.load(card.the("matting", "bisenet"), threads=threads, device=device)
    return parser


def _disc(radius: float) -> UInt8:
    size = 2 * max(0, round(radius)) + 1
    return np.asarray(cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (size, size)), np.uint8)
