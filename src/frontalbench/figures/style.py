"""One style for every figure: fonts, sizes, one colour per frontalizer, notices, and files with the same bytes every time."""

from __future__ import annotations

import contextlib
import unicodedata
import warnings
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import matplotlib as mpl
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from PIL import Image

from frontalbench.errors import BadInput
from frontalbench.figures import palette
from frontalbench.files import atomic

DPI = 100
"""Pixels per inch of every figure on screen; PNG files have :data:`PNG_DPI`."""
PNG_DPI = 160
JPG_DPI = 100
"""Grids of faces have hundreds of images in all; this is sharp enough to tell a face by, and half the bytes."""
FORMATS = ("png", "svg", "jpg")

REFERENCE_COLOUR = "#000000"
IMPOSTOR_COLOUR = "#A6A6A6"
GRID_COLOUR = "#E3E3E3"
NOTICE_COLOUR = "#9C1C1C"
OWN_COLOUR = "#00734F"

NOTICES = {
    "synthetic": "SYNTHETIC: these people do not exist",
    "research": "research use only, do not publish",
    "own": "your own images: ask the people on them before you show them",
}
"""What is written across every figure that shows images of such a dataset."""

_RC: Any = {
    "figure.dpi": DPI,
    "savefig.dpi": PNG_DPI,
    "figure.facecolor": "white",
    "axes.facecolor": "white",
    "font.family": ["DejaVu Sans"],
    "font.size": 10,
    "axes.titlesize": 11,
    "axes.titleweight": "bold",
    "axes.titlelocation": "left",
    "axes.labelsize": 10,
    "xtick.labelsize": 9,
    "ytick.labelsize": 9,
    "legend.fontsize": 9,
    "legend.frameon": False,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "axes.axisbelow": True,
    "grid.color": GRID_COLOUR,
    "grid.linewidth": 0.8,
    "lines.linewidth": 1.8,
    "lines.markersize": 5,
    "text.parse_math": False,  # names of people and models hold dollar signs
    "text.usetex": False,
    "svg.fonttype": "path",  # looks the same where our font is not installed
    "svg.hashsalt": "frontalbench",
    "path.simplify": True,
}


def line(name: str) -> str | tuple[int, tuple[float, ...]]:
    """The matplotlib line style of a variant (:func:`.palette.dash`)."""
    strokes = palette.dash(name)
    return (0, strokes) if strokes else "solid"


def notice(kind: str) -> str:
    """The text of a notice: ``""`` for none, the words of :data:`NOTICES` for its keys. Raises :class:`BadInput` for another word."""
    if kind in ("", "none"):
        return ""
    if kind not in NOTICES:
        raise BadInput(f"notice '{kind}' is not known; use one of: none, {', '.join(NOTICES)}")
    return NOTICES[kind]


def readable(text: str) -> str:
    """``text`` on one line, without control and direction characters, so that a name cannot break the drawing."""
    kept = ("" if unicodedata.category(c) in ("Cf", "Cs", "Co", "Cn") else " " if unicodedata.category(c)[0] in "CZ" else c for c in text)
    return " ".join("".join(kept).split())


@contextlib.contextmanager
def drawing() -> Iterator[None]:
    """The style as a context; a figure is made *and saved* inside it. A glyph that the font lacks is drawn as a box naming its script."""
    with mpl.rc_context(_RC), warnings.catch_warnings():
        warnings.filterwarnings("ignore", message=r"Glyph .* missing from", category=UserWarning)
        warnings.filterwarnings("ignore", message=r".*does not support", category=UserWarning)
        yield


def figure(width: float, height: float, *, arranged: bool = True) -> Figure:
    """An empty figure of ``width`` x ``height`` inches that no window system and no global state knows of.

    ``arranged``: matplotlib places axes and labels so that no text lies on another; without it everything stays where it is put.
    """
    made = Figure(figsize=(width, height), dpi=DPI, layout="constrained" if arranged else None)
    FigureCanvasAgg(made)
    return made


def _fewer_colours(path: Path) -> None:
    """Rewrite a PNG of lines and letters with a palette: a third of the bytes, the same to the eye."""
    with Image.open(path) as opened:
        small = opened.convert("RGB").quantize(128, method=Image.Quantize.MEDIANCUT, dither=Image.Dither.NONE)
    small.save(path, format="png", optimize=True)


def add_title(made: Figure, title: str, notice_text: str) -> None:
    """Title at the upper left and the notice in red under it (nothing for an empty one); an arranged figure makes room for both."""
    lines = [readable(title)] * bool(title) + [notice_text] * bool(notice_text)
    if not lines:
        return
    top = 1 - 3 / 72 / made.get_figheight()  # where the layout engine puts the heading: 3 points below the edge
    # The heading reserves the lines; the notice is then written over its own, because one text has one colour.
    made.suptitle("\n".join([*lines[:1], " "][: len(lines)]) if title else " ", x=0.01, ha="left", va="top", fontsize=11, fontweight="bold")
    if notice_text:
        made.text(
            0.01,
            top - (0.19 if title else 0.0) / made.get_figheight(),
            notice_text,
            va="top",
            fontsize=10,
            fontweight="bold",
            color=NOTICE_COLOUR,
        )


def save(made: Figure, stem: str | Path, formats: Sequence[str] = ("png", "svg"), *, dpi: int | None = None) -> list[Path]:
    """Write ``stem.png``, ``stem.svg`` ... whole or not at all; the same figure gives the same bytes (no date, no version, fixed ids).

    ``stem`` may itself end in one of the formats, which is then dropped. Returns the paths written. Raises :class:`BadInput` for another format.
    """
    unknown = [f for f in formats if f not in FORMATS]
    if unknown:
        raise BadInput(f"figure format '{unknown[0]}' is not known; use: {', '.join(FORMATS)}")
    base = Path(stem)
    if base.suffix[1:] in FORMATS:
        base = base.with_suffix("")
    options: dict[str, dict[str, Any]] = {
        "png": {"metadata": {"Software": None}},
        "svg": {"metadata": {"Date": None, "Creator": None}},
        "jpg": {"pil_kwargs": {"quality": 80, "optimize": True}},
    }
    written = []
    plot = not any(axes.images for axes in made.axes)
    with drawing():
        for kind in formats:
            target = base.with_name(f"{base.name}.{kind}")
            with atomic.replacing(target) as temporary:
                made.savefig(temporary, format=kind, dpi=dpi or (JPG_DPI if kind == "jpg" else PNG_DPI), **options[kind])
                if kind == "png" and plot:
                    _fewer_colours(temporary)
            written.append(target)
    return written


def finished(made: Figure, title: str, kind: str) -> Figure:
    """``made`` with its title and, under it, the :func:`notice` of ``kind``."""
    add_title(made, title, notice(kind))
    return made
