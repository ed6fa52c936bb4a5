"""A clip's page: both clips to play, a strip of frames over their frontals, and the curve of identity over time. One file, nothing from elsewhere."""

from __future__ import annotations

import base64
import html
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import quote

import cv2
import numpy as np

from frontalbench import images
from frontalbench.files import atomic
from frontalbench.images import RGB

STRIP = 12
"""Frames of the strip."""
SIDE = 96
WIDTH, HEIGHT = 900, 220
COLOURS = {"photograph": "#555555", "front": "#0072b2"}


@dataclass
class Strip:
    """Small images of frames spread over a clip of unknown length: of ``frames`` and ``fronts`` (None: not turned) every ``step``-th is kept, and
    when there are twice as many as wanted every second goes."""

    step: int = 1
    numbers: list[int] = field(default_factory=list)
    frames: list[RGB] = field(default_factory=list)
    fronts: list[RGB | None] = field(default_factory=list)
    _seen: int = 0

    def add(self, number: int, frame: RGB | None, front: RGB | None) -> None:
        """One more frame of the clip."""
        if frame is not None and self._seen % self.step == 0:
            self.numbers.append(number)
            self.frames.append(small(frame))
            self.fronts.append(None if front is None else small(front))
        self._seen += 1
        if len(self.numbers) >= 2 * STRIP:
            self.step *= 2
            self.numbers, self.frames, self.fronts = self.numbers[::2], self.frames[::2], self.fronts[::2]


def small(image: RGB) -> RGB:
    """``image`` in ``SIDE`` rows."""
    width = max(1, round(image.shape[1] * SIDE / image.shape[0]))
    return np.asarray(cv2.resize(image, (width, SIDE), interpolation=cv2.INTER_AREA), np.uint8)


def curve(seconds: Sequence[float], values: Sequence[float], colour: str, low: float) -> str:
    """An SVG path of ``values`` (``low`` .. 1) over time; NaN breaks it."""
    last = max(seconds[-1], 1e-9) if seconds else 1.0
    parts, pen = [], "M"
    for when, value in zip(seconds, values, strict=True):
        if not np.isfinite(value):
            pen = "M"
            continue
        height = HEIGHT - 20 - (HEIGHT - 30) * (value - low) / (1.0 - low)
        parts.append(f"{pen}{40 + (WIDTH - 50) * when / last:.1f},{height:.1f}")
        pen = "L"
    return f'<path d="{" ".join(parts)}" fill="none" stroke="{colour}" stroke-width="1.5"/>' if parts else ""


def write(
    path: Path,
    source: Path,
    out: Path,
    strip: Strip,
    seconds: Sequence[float],
    similarity: dict[str, list[float]],
    lines: Sequence[str],
) -> None:
    """Write the page ``path``. ``similarity``: curves by name (:data:`COLOURS`), each as long as ``seconds``; ``lines``: what is said below."""
    known = [value for values in similarity.values() for value in values if np.isfinite(value)]
    low = float(np.floor(10.0 * min([*known, 0.9])) / 10.0)
    marks = "".join(
        f'<text x="4" y="{HEIGHT - 16 - (HEIGHT - 30) * share:.0f}" font-size="12">{low + (1.0 - low) * share:.2f}</text>'
        for share in (0.0, 0.5, 1.0)
    )
    lines_drawn = "".join(curve(seconds, values, COLOURS[name], low) for name, values in similarity.items())
    legend = ", ".join(f'<span style="color:{COLOURS[name]}">{name}</span>' for name in similarity)
    chosen = range(0, len(strip.numbers), max(1, -(-len(strip.numbers) // STRIP)))
    blank = np.zeros((SIDE, SIDE, 3), np.uint8)
    cells = "".join(
        f"<figure>{_image(strip.frames[k])}<br>{_image(blank if (front := strip.fronts[k]) is None else front)}"
        f"<figcaption>{strip.numbers[k]}</figcaption></figure>"
        for k in chosen
    )
    plot = (
        f'<h2>Similarity to the clip\'s own template: {legend}</h2><svg viewBox="0 0 {WIDTH} {HEIGHT}" role="img">{marks}{lines_drawn}'
        f'<text x="{WIDTH - 90}" y="{HEIGHT - 2}" font-size="12">{seconds[-1] if seconds else 0:.1f} s</text></svg>'
    )
    said = "".join(f"<p>{html.escape(line)}</p>" for line in lines)
    videos = "".join(f'<video controls muted src="{quote(_beside(clip, path))}"></video>' for clip in (source, out))
    text = (
        f'<!doctype html><html lang="en"><meta charset="utf-8"><title>{html.escape(out.name)}</title><style>body{{font:15px sans-serif;margin:2em}}'
        "video{height:320px;margin-right:1em}figure{display:inline-block;margin:0 4px 0 0;text-align:center}svg{width:100%;max-width:900px}</style>"
        f"<h1>{html.escape(source.name)} and its frontal views</h1>{videos}<h2>Frames</h2>{cells}{plot if known else ''}{said}</html>\n"
    )
    atomic.write_text(path, text)


def _beside(clip: Path, page: Path) -> str:
    """The address of a clip for a page: relative where it lies beside or below it."""
    clip, folder = clip.resolve(), page.resolve().parent
    return clip.relative_to(folder).as_posix() if clip.is_relative_to(folder) else clip.as_posix()


def _image(image: RGB) -> str:
    data = base64.b64encode(images.encode_png(image)).decode()
    return f'<img alt="" src="data:image/png;base64,{data}" height="{SIDE}">'
