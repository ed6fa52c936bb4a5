"""Expression as the 52 blendshape coefficients of the FaceLandmarker bundle, run with LiteRT; and as 68 landmarks.

The network (``face_blendshapes.tflite`` in the bundle) reads 146 of the 478 points, x and y, and gives 52 coefficients 0 .. 1: ``_neutral`` and 51
shapes such as ``jawOpen``. Which points, and in which order, is MediaPipe's ``face_blendshapes_graph.cc`` (Apache-2.0).

Landmarks: FSGAN (Nirkin, Keller, Hassner 2019, arXiv:1908.05932) calls the Euclidean distance between the 2-D landmarks of the driving frame and of
the result the error of expression. There both lie in one frame and look one way. A frontal view does neither, so :func:`moved` says how they are laid
upon each other. FSGANv2 (2022) has a measure of its own, whose definition was not to be had: its repository holds none.
"""

from __future__ import annotations

import zipfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from frontalbench.errors import BadInput
from frontalbench.geometry.similarity import DegeneratePoints, apply, estimate_similarity
from frontalbench.images import RGB
from frontalbench.landmarks.face_landmarker import fit_rigid
from frontalbench.types import Float

if TYPE_CHECKING:
    from frontalbench.catalogue.cards import ModelCard
    from frontalbench.detect.select import Face


MEMBER = "face_blendshapes.tflite"
MEMBER_LIMIT = 16 * 1024 * 1024
SHAPES = 52
POINTS: tuple[int, ...] = (
    *(
        0,
        1,
        4,
        5,
        6,
        7,
        8,
        10,
        13,
        14,
        17,
        21,
        33,
        37,
        39,
        40,
        46,
        52,
        53,
        54,
        55,
        58,
        61,
        63,
        65,
        66,
        67,
        70,
        78,
        80,
        81,
        82,
        84,
        87,
        88,
        91,
        93,
    ),
    *(
        95,
        103,
        105,
        107,
        109,
        127,
        132,
        133,
        136,
        144,
        145,
        146,
        148,
        149,
        150,
        152,
        153,
        154,
        155,
        157,
        158,
        159,
        160,
        161,
        162,
        163,
        168,
        172,
    ),
    *(
        173,
        176,
        178,
        181,
        185,
        191,
        195,
        197,
        234,
        246,
        249,
        251,
        263,
        267,
        269,
        270,
        276,
        282,
        283,
        284,
        285,
        288,
        291,
        293,
        295,
        296,
        297,
        300,
    ),
    *(
        308,
        310,
        311,
        312,
        314,
        317,
        318,
        321,
        323,
        324,
        332,
        334,
        336,
        338,
        356,
        361,
        362,
        365,
        373,
        374,
        375,
        377,
        378,
        379,
        380,
        381,
        382,
        384,
    ),
    *(385, 386, 387, 388, 389, 390, 397, 398, 400, 402, 405, 409, 415, 454, 466, 468, 469, 470, 471, 472, 473, 474, 475, 476, 477),
)
"""The points that the network reads."""
STILL: tuple[int, ...] = (*range(27, 36), 36, 39, 42, 45)
"""Of the 68 points (numbered from 0) those that an expression hardly moves: the nose and the corners of the eyes."""
OUTER_CORNERS = (36, 45)
"""Of the eyes: their distance is the unit of :func:`moved`."""


@dataclass(frozen=True)
class Look:
    """A face's expression: ``shapes`` float64 (52,), 0 .. 1; ``points`` float64 (68, 3): iBUG's landmarks, pixels, depth on the same scale."""

    shapes: Float
    points: Float


class Blendshapes:
    """Coefficients from the 478 points."""

    def __init__(self, bundle: Path, *, threads: int = 1) -> None:
        """``bundle``: the verified ``.task`` file. Raises :class:`BadInput` when it holds no such network."""
        from ai_edge_litert.interpreter import Interpreter

        try:
            with zipfile.ZipFile(bundle) as archive:
                if archive.getinfo(MEMBER).file_size > MEMBER_LIMIT:
                    raise BadInput(f"{bundle}: {MEMBER} is larger than {MEMBER_LIMIT:,} bytes; use the bundle of the card")
                network = archive.read(MEMBER)
        except (zipfile.BadZipFile, KeyError, OSError) as error:
            raise BadInput(f"{bundle}: no {MEMBER} in it ({error}); fetch the weights again") from error
        self._interpreter = Interpreter(model_content=network, num_threads=threads)
        self._interpreter.allocate_tensors()
        self._input = int(self._interpreter.get_input_details()[0]["index"])
        self._output = int(self._interpreter.get_output_details()[0]["index"])

    def of(self, points: Float) -> Float:
        """float64 (52,), 0 .. 1, of ``points`` (478, 2 or 3) in pixels of the photograph."""
        self._interpreter.set_tensor(self._input, points[None, list(POINTS), :2].astype(np.float32))
        self._interpreter.invoke()
        return np.asarray(self._interpreter.get_tensor(self._output), np.float64).reshape(SHAPES)


def distance(first: Float, second: Float) -> float:
    """Mean absolute difference of the 51 shapes (``_neutral``, the first, left out), 0 .. 1; 0: the same expression."""
    return float(np.abs(first[1:] - second[1:]).mean())


def moved(image: Float, photograph: Float) -> tuple[float, float]:
    """How far the 68 landmarks of ``image`` (68, 3) lie from those of ``photograph`` (68, 3) in the plane of the image: mean over the points, in
    distances between the outer corners of the eyes (measured in space, so that turning does not shrink it); 0: in the same place.

    The first: as FSGAN (2019) has it, laid upon each other in the plane by the :data:`STILL` points (shift, size, tilt); so a head that was turned
    counts as an expression. The second: laid upon each other in space by the same points, so that the photograph's landmarks look as the
    image does; what remains is the expression, and what the landmark network makes of depth.

    Raises ValueError or :class:`DegeneratePoints` for points that are all in one place.
    """
    still = list(STILL)
    unit = float(np.linalg.norm(image[OUTER_CORNERS[1]] - image[OUTER_CORNERS[0]]))
    flat = apply(estimate_similarity(photograph[still, :2], image[still, :2]), photograph[:, :2])
    pose = fit_rigid(photograph[still], image[still], np.ones(len(still)))
    turned = (pose.scale * photograph @ pose.rotation.T + pose.translation)[:, :2]
    near, far = (float(np.linalg.norm(one - image[:, :2], axis=1).mean()) / unit for one in (flat, turned))
    return near, far


def apart(image: Look, photograph: Look) -> tuple[float, float, float]:
    """The columns of the measure `expression`, in their order: :func:`distance`, and both of :func:`moved`; NaN where the points say nothing."""
    try:
        of_points = moved(image.points, photograph.points)
    except (ValueError, DegeneratePoints):
        of_points = (float("nan"), float("nan"))
    return distance(image.shapes, photograph.shapes), *of_points


class Reader:
    """FaceLandmarker's points, then their blendshapes."""

    def __init__(self, card: ModelCard, *, threads: int = 1) -> None:
        """``card``: a landmarks card of family ``face_landmarker``. Raises :class:`~frontalbench.errors.WeightsMissing`."""
        from frontalbench.catalogue import families
        from frontalbench.weights import store

        self._landmarker = families.load(card, threads=threads)
        self._shapes = Blendshapes(store.fetch(card), threads=threads)

    def read(self, image: RGB, face: Face) -> Look:
        """The expression of a face in a photograph. Raises ValueError when the face is degenerate."""
        found = self._landmarker.locate(image, face)
        return Look(self._shapes.of(found.points), found.to("ibug68").points)
