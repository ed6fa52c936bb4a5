"""How much of a drawn face comes from the background of its photograph, by yaw: the table of docs/frontalizers.md.

    python benchmarks/background_on_faces.py tddfa tddfa_clean tddfa_outline [--every 4]

A photograph's background is made black, then white, by a matte, and the head is drawn both times with the fit, the parsing and everything
else that was decided by colours as on the photograph itself. How far the two drawings lie apart is the background's share of every pixel. The
matte: MODNet's on FRLL, which no frontalizer here asks; on CFP, whose crops are too tight for it, that of the face parsing, which cards with
``foreground`` ask too. People of the fixed list alone: FRLL's even numbers, one profile and one three-quarter view of each; CFP 001 to 030, two
profiles.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from unittest import mock

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from benchmarks import gain

from frontalbench import images
from frontalbench.catalogue import cards, families
from frontalbench.detect import choose, load_detector
from frontalbench.frontalize import drawing, foreground, load_frontalizer, mesh, render, tddfa
from frontalbench.frontalize.base import View
from frontalbench.geometry.rotation import matrix_from_angles, untilted
from frontalbench.pose import load_pose
from frontalbench.types import Bool, Float32, UInt8

EDGES = (30, 45, 60, 75, 90)
STAINED = 0.25
"""From this share of background on a pixel of the face counts as stained."""
GREY = (16, 165)
"""FRLL's wall: the channels of a pixel lie less than so many levels apart, and all above the second."""


def photographs(shared: Path) -> Iterator[gain.Row]:
    """One profile and one three-quarter view of every person of FRLL with an even number, two profiles of CFP 001 to 030."""
    rows = [row for row in gain.photographs(shared) if gain.validation(row)]
    for name in sorted({row[1] for row in rows if row[0] == "FRLL"}):
        feeling, side = ("neutral", "smiling")[int(name) // 4 % 2], ("left", "right")[int(name) // 2 % 2]
        yield from (
            row for row in rows if row[:2] == ("FRLL", name) and row[2] in {f"{feeling}_{side}_profile", f"{feeling}_{side}_3quarter"}
        )
    for name in sorted({row[1] for row in rows if row[0] == "CFP"}):
        yield from [row for row in rows if row[:2] == ("CFP", name) and row[2] == "profile"][:2]


class Repeated:
    """A function whose answers of a first run are given again in later ones, in order."""

    def __init__(self, real: Callable[..., Any]) -> None:
        self.real, self.answers, self.place = real, [], None  # type: ignore[var-annotated]

    def __call__(self, *args: Any, **named: Any) -> Any:
        if self.place is None:
            self.answers.append(self.real(*args, **named))
            return self.answers[-1]
        self.place += 1
        return self.answers[self.place - 1]


def background_share(matte: Float32, found: list[tuple[UInt8, Bool, Float32]]) -> Callable[..., drawing.Drawing]:
    """A ``draw`` that also puts (the drawing, where it shows the face, the background's share of each pixel) into ``found``."""
    real = drawing.draw

    def draw(image: UInt8, head: Any, placement: Any, target: Any, *rest: Any, **named: Any) -> drawing.Drawing:
        spilt, shares = Repeated(render.spilt), Repeated(foreground.shares)
        with mock.patch.object(render, "spilt", spilt), mock.patch.object(foreground, "shares", shares):
            made = real(image, head, placement, target, *rest, **named)
            sides = []
            for level in (0.0, 255.0):
                spilt.place = shares.place = 0
                dyed = np.rint(image * matte[..., None] + (1.0 - matte[..., None]) * level).astype(np.uint8)
                sides.append(real(dyed, head, placement, target, *rest, **named).image.astype(np.float32))
        canvas = render.prepared(head, untilted(matrix_from_angles(*target))[0], made.frame)
        own = np.ones((len(head.shape), 1))
        own[slice(*head.skirt)] = 0.0
        face = render.enlarged(render.interpolate(canvas.drawn, head.triangles, own)[..., 0], canvas, made.frame.side) > 0.5
        found.append((made.image, face, np.abs(sides[1] - sides[0]).mean(axis=2) / 255.0))
        return made

    return draw


def matte_of(row: gain.Row, view: View, models: tuple[Any, Any]) -> Float32:
    """float32 (H, W): 1 where the photograph shows the person, and far from the face."""
    assert view.face is not None
    x1, y1, x2, y2 = view.face.box
    size, x, y = max(x2 - x1, y2 - y1), (x1 + x2) / 2, (y1 + y2) / 2
    left, top, right, bottom = (round(max(0.0, float(v))) for v in (x - 1.3 * size, y - 1.3 * size, x + 1.3 * size, y + 1.5 * size))
    matte = np.ones(view.image.shape[:2], np.float32)
    part = np.ascontiguousarray(view.image[top:bottom, left:right])
    matte[top:bottom, left:right] = np.clip(models[row[0] == "CFP"].matte(part), 0.0, 1.0)
    return matte


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("cards", nargs="+", help="of family mesh or tddfa")
    parser.add_argument(
        "--shared", type=Path, default=Path(os.environ.get("FRONTALBENCH_SHARED", "../shared")), help="folder with testdata/"
    )
    parser.add_argument("--every", type=int, default=1, metavar="N", help="every N-th photograph alone")
    arguments = parser.parse_args()
    detector, estimator = load_detector(cards.find("detector", gain.DETECTOR)), load_pose(cards.find("pose", gain.POSE))
    mattes = (families.load(cards.find("matting", "modnet")), families.load(cards.find("matting", "face_parsing")))
    models = {name: load_frontalizer(cards.find("frontalizer", name)) for name in arguments.cards}
    lines: dict[tuple[str, int], list[list[float]]] = {}
    for row in list(photographs(arguments.shared))[:: arguments.every]:
        image = images.decode(row[3].read_bytes())
        face = choose(detector.detect(image), (image.shape[1], image.shape[0]))
        if face is None:
            continue
        view, found = View(image, face), []  # type: ignore[var-annotated]
        share = background_share(matte_of(row, view, mattes), found)
        with mock.patch.object(tddfa, "draw", share), mock.patch.object(mesh, "draw", share):
            for model in models.values():
                drawn = len(found)
                model.frontalize([view])
                found += [] if len(found) > drawn else [None]
        yaw = abs(estimator.estimate(image, face)[0])
        one = [value for made in found for value in (judged(*made) if made is not None else [np.nan] * 3)]
        lines.setdefault((row[0], int(np.searchsorted(EDGES, yaw)) - 1), []).append(one)
    print(f"| images | n | {' | '.join(models)} |\n|---|---|{'---|' * len(models)}")
    for (kind, number), values in sorted(lines.items()):
        mean = 100.0 * np.nanmean(np.array(values), axis=0).reshape(-1, 3)
        span = f"{EDGES[number]} to {EDGES[number + 1]}" if 0 <= number < len(EDGES) - 1 else "other"
        print(f"| {kind} {span} | {len(values)} | {' | '.join(f'{a:.1f}, {b:.2f}, {c:.2f}' for a, b, c in mean)} |")


def judged(image: UInt8, face: Bool, share: Float32) -> list[float]:
    """[the background's mean share of the face, the share of it that is stained, the share that is as grey as FRLL's wall]."""
    pixels = image[face].astype(int)
    grey = (np.ptp(pixels, axis=1) < GREY[0]) & (pixels.min(axis=1) > GREY[1])
    return [float(share[face].mean()), float((share[face] > STAINED).mean()), float(grey.mean())]


if __name__ == "__main__":
    main()
