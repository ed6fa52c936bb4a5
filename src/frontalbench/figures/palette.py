"""One look per frontalizer: colour, mark, line by its name, grey and headings by its card. No matplotlib in here, because the site needs it too."""

from __future__ import annotations

import functools
import hashlib
import re
from typing import Any

from frontalbench.catalogue import cards
from frontalbench.errors import BadConfig
from frontalbench.plan.variant import ORIGINAL, PLAIN, parse

# Okabe & Ito (2008), "Color Universal Design", without black (kept for what is not a frontalizer) and yellow (not seen on white); the added olive
# and brown differ from the others in lightness too.
HUES = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#8C8C00", "#5C3A21")
CONTROL_HUE = "#7A7A7A"
_MARKERS = ("o", "s", "^", "D", "v", "P")
# Colours are given by hand where models are often seen side by side, so that neighbours differ; a name not listed gets its colour from its
# hash. Every name here has a card.
_GIVEN = {
    "liveportrait": (0, 0),
    "tddfa": (1, 0),
    "hassner": (2, 0),
    "ffwm": (3, 0),
    "mesh": (4, 0),
    "fsrt": (5, 0),
    "eg3d": (6, 0),
    "scaleway": (7, 0),
    "facepoke": (0, 1),
    "deca": (1, 1),
    "gan_inversion": (2, 1),
    "first_order": (4, 1),
    "xportrait": (5, 1),
    "hrn": (6, 1),
    "pixel3dmm": (1, 2),
    "cvthead": (2, 2),
    "fsgan": (3, 2),
    "aniportrait": (4, 2),
    "hunyuanportrait": (5, 2),
    "fantasyportrait": (6, 2),
    "headgan": (7, 2),
}
_CONTROL_MARKS = {"identity": "X", "mirror": "d"}
HEADINGS = {"frontal": "Frontal", "mirrored": "Mirrored", "angled": "Not turned"}
"""What stands over the images of a frontalizer, by the ``view`` of its card."""

ORIGINAL_COLOUR = "#4D4D4D"


def colour(name: str) -> str:
    """The colour ``#rrggbb`` of a frontalizer or of a variant ``<frontalizer>.<enhancement>``; the same name has the same colour in every figure."""
    number = hue(name)
    return ORIGINAL_COLOUR if frontalizer_of(name) == ORIGINAL else CONTROL_HUE if number < 0 else HUES[number]


def hue(name: str) -> int:
    """The place of a frontalizer's colour in :data:`HUES`; -1 for ``original`` and for controls, which are grey."""
    frontalizer = frontalizer_of(name)
    return -1 if frontalizer == ORIGINAL or is_control(name) else _slot(frontalizer)[0]


def is_control(name: str) -> bool:
    """Whether the card of a frontalizer or variant says ``role: control``: it is there to be compared with."""
    return bool(_said(frontalizer_of(name), "role") == "control")


def heading(name: str) -> str:
    """What the images of a frontalizer or variant show, in a word: ``Frontal``, ``Mirrored`` or ``Not turned``."""
    return HEADINGS.get(_said(frontalizer_of(name), "view"), HEADINGS["frontal"])


def aligns(name: str) -> bool:
    """Whether the card of a frontalizer or variant asks for an alignment of its own, so that its crops are what it makes."""
    return "alignment" in _said(frontalizer_of(name), "params")


@functools.lru_cache(maxsize=1024)
def _said(frontalizer: str, key: str) -> Any:
    try:
        return cards.find("frontalizer", frontalizer).data.get(key) or ""
    except BadConfig:  # a table of another checkout: its numbers are shown, its card is not here
        return ""


def marker(name: str) -> str:
    """The mark (a matplotlib marker) of a frontalizer or variant; tells apart frontalizers that share a colour."""
    frontalizer = frontalizer_of(name)
    if is_control(name):
        return _CONTROL_MARKS.get(frontalizer, "d")
    return "o" if frontalizer == ORIGINAL else _MARKERS[_slot(frontalizer)[1]]


def dash(name: str) -> tuple[float, ...]:
    """Lengths of strokes and gaps (in line widths) of a variant's enhancement or derivation; empty (a solid line) for ``none``."""
    of = parse(name)
    style = of.prefix or of.enhancement
    if style in ("", PLAIN):
        return ()
    styles: tuple[tuple[float, ...], ...] = ((4, 2), (6, 2, 1, 2), (1, 1.5), (6, 1, 1, 1, 1, 1), (8, 3), (3, 1))
    given = {"gfpgan_full": 0, "gfpgan_detail": 1, "sharp": 2, "omit_bg": 3}
    return styles[given.get(style, _number(style) % len(styles))]


def known() -> list[str]:
    """Names of the frontalizers whose look is given by hand."""
    return [*_GIVEN, *_CONTROL_MARKS]


def frontalizer_of(variant: str) -> str:
    """``liveportrait`` of ``liveportrait.sharp``, and of ``fuse_mean:liveportrait.sharp`` which derives from it;
    ``original`` of itself."""
    return parse(variant).frontalizer or ORIGINAL


def _slot(frontalizer: str) -> tuple[int, int]:
    key = re.sub(r"[^a-z0-9]+", "_", frontalizer.lower()).strip("_")
    if key in _GIVEN:
        return _GIVEN[key]
    family = max((g for g in _GIVEN if key.startswith(g + "_")), key=len, default=None)
    # `liveportrait_mod` keeps the colour of its family, with another mark.
    number = _number(key)
    return (_GIVEN[family][0] if family else number % len(HUES), (number // len(HUES)) % len(_MARKERS))


def _number(name: str) -> int:
    return int.from_bytes(hashlib.sha256(name.encode()).digest()[:4], "big")
