"""Do a frontalizer's weights behave as they should? Named checks that hold for any of them, to be run once on the real weights.

Nothing here compares with stored images: a landmark network looks at the results that knows nothing of the maker. Bounds were set with
frontalizers whose weights are at hand (``tests/unit/test_frontalize_selftest.py``); synthetic weights fail.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Protocol, TypeVar

import cv2
import numpy as np

from frontalbench import status
from frontalbench.catalogue import external
from frontalbench.catalogue.cards import ModelCard
from frontalbench.detect.select import Face
from frontalbench.detect.yaw_alignment import KEY
from frontalbench.errors import BadInput
from frontalbench.frontalize.base import Frontalizer, Outcome, SelfTested, View
from frontalbench.frontalize.batches import Batched, Family
from frontalbench.frontalize.check import Check
from frontalbench.frontalize.multiview import FAMILY as MULTIVIEW
from frontalbench.geometry.crop import warp
from frontalbench.geometry.similarity import apply
from frontalbench.images import RGB
from frontalbench.types import Float

T = TypeVar("T")
PoseEstimate = Callable[[RGB, Face], tuple[float, float, float, float]]
"""(image, where its face should be) -> (yaw, pitch, roll in degrees, presence 0..1)."""

SMALL = 64
"""Images are compared at this side: light and form, no detail."""
_MIDDLE = slice(20, 44)


class SelfTestedBatched(Batched[T]):
    """A network's frontalizer with the self-test of :func:`frontal_checks`; see :class:`~frontalbench.frontalize.base.SelfTested`."""

    def selftest(self, views: Sequence[View]) -> list[Check]:
        return frontal_checks(self, views, landmark_pose())


class Posed(Family[T], Protocol[T]):
    """A family that says how a face is turned."""

    def pose(self, view: View) -> tuple[float, float, float]:
        """(yaw, pitch, roll) in degrees that the model gives the face of ``view``. Raises ValueError where it gives none."""
        ...


class PoseTestedBatched(SelfTestedBatched[T]):
    """The same, and where any target pose is taken one more check: turned to its own pose a face is what it was."""

    def __init__(self, name: str, family: Posed[T], *, takes_target_pose: bool, batch: int) -> None:
        super().__init__(name, family, takes_target_pose=takes_target_pose, batch=batch)
        self._posed = family

    def pose(self, view: View) -> tuple[float, float, float]:
        """See :meth:`Posed.pose`."""
        return self._posed.pose(view)

    def selftest(self, views: Sequence[View]) -> list[Check]:
        checks = super().selftest(views)
        return [*checks, own_pose(self, views, self._posed.pose)] if self.takes_target_pose else checks


def refusal(card: ModelCard) -> str:
    """Why there is nothing to test of ``card``, one phrase; "" where there is."""
    if card.data.get("role") == "control" or KEY in card.params:
        return "it turns no face"
    if card.family in (external.FAMILY, "made_elsewhere"):
        return "its network lies outside; its contract is tested, and frontalize.py --model NAME --in DIR runs it"
    if card.family == MULTIVIEW:
        drawn_with = ", ".join(used.name for used in card.used_cards() if used.kind == card.kind)
        return f"it turns no single image; test the frontalizer that it draws with ({drawn_with})"
    return ""


def checks(model: Frontalizer, views: Sequence[View]) -> list[Check]:
    """All checks of ``model`` on ``views``: its own self-test where it has one, else those that hold for any frontalizer, with the own pose as the
    landmark network sees it. Raises :class:`BadInput` where no view has a face."""
    if isinstance(model, SelfTested):
        return model.selftest(views)
    estimate = landmark_pose()
    found = frontal_checks(model, views, estimate)
    if model.takes_target_pose:

        def pose_of(view: View) -> tuple[float, float, float]:
            assert view.face is not None
            return estimate(view.image, view.face)[:3]

        found.append(own_pose(model, views, pose_of))
    return found


def landmark_pose() -> PoseEstimate:
    """FaceLandmarker, by the card ``face_landmarker_pose``."""
    from frontalbench.catalogue import cards, families

    estimate: PoseEstimate = families.load(cards.find("pose", "face_landmarker_pose")).estimate
    return estimate


def frontal_checks(model: Frontalizer, views: Sequence[View], estimate: PoseEstimate) -> list[Check]:
    """Checks of ``model`` on ``views``, each the worst over them. Raises :class:`BadInput` where no view has a face."""
    seen = [view for view in views if view.face is not None]
    if not seen:
        raise BadInput("the self-test needs at least one image in which a face is found")
    infinity = float("inf")
    first = model.frontalize(seen)
    checks = [Check("images", _share(first), 1.0, 1.0, "every face gives an image")]
    drawn = [(view, outcome, outcome.image) for view, outcome in zip(seen, first, strict=True) if outcome.image is not None]
    if not drawn:
        return checks
    again = [outcome.image for outcome in model.frontalize([drawn[0][0]])]
    off = [float(np.abs(drawn[0][2].astype(int) - b).max()) for b in again if b is not None]
    checks.append(Check("repeatable (levels)", max(off, default=infinity), 0.0, 2.0, "two runs give the same image (the first one's)"))
    grey = [_small(image).mean(axis=2).std() for *_, image in drawn]
    checks.append(Check("contrast (levels)", float(min(grey)), 12.0, 110.0, "a face has light and shade (least image)"))
    poses = [estimate(image, _moved(view, outcome)) for view, outcome, image in drawn]
    checks.append(Check("presence", min(pose[3] for pose in poses), 0.5, 1.0, "a landmark network sees a face in every result"))
    checks.append(Check("|yaw| left (degrees)", max(abs(pose[0]) for pose in poses), 0.0, 15.0, "the results look ahead"))
    checks.append(Check("|roll| left (degrees)", max(abs(pose[2]) for pose in poses), 0.0, 12.0, "the results stand upright"))
    tones = [float(np.abs(_tone(_shown(view, outcome)) - _tone(_small(image))).max()) for view, outcome, image in drawn]
    checks.append(Check("tone (levels)", max(tones), 0.0, 50.0, "red, green and blue of the face's middle are about the photograph's"))
    turned = [outcome.image for outcome in model.frontalize([_mirrored(view) for view, *_ in drawn])]
    alike = [_correlation(a[:, ::-1], b) for (*_, a), b in zip(drawn, turned, strict=True) if b is not None]
    checks.append(
        Check("mirror", min(alike, default=-1.0), 0.7, 1.0, "the mirrored photograph gives about the mirrored result (correlation)")
    )
    return checks


def own_pose(model: Frontalizer, views: Sequence[View], pose_of: Callable[[View], tuple[float, float, float]]) -> Check:
    """The check of models that take a target pose: ``views`` turned to the pose that they have (``pose_of``, degrees), the least alike."""
    alike = min(_alike(model, view, pose_of) for view in views if view.face is not None)
    return Check("own pose", alike, 0.8, 1.0, "turned to the pose it has, a face is what it was (correlation of light, worst)")


def _alike(model: Frontalizer, view: View, pose_of: Callable[[View], tuple[float, float, float]]) -> float:
    """Correlation of light between the middle of ``view``'s face and the same drawn in its own pose; -1 where nothing is drawn."""
    try:
        outcome = model.frontalize([view], pose_of(view))[0]
    except ValueError:  # no pose: weights that mean nothing
        return -1.0
    if outcome.image is None or (outcome.place is None and outcome.image.shape != view.image.shape):
        return -1.0
    if outcome.place is None:  # a whole photograph: the face's own place in it
        assert view.face is not None
        x1, y1, x2, y2 = (max(0, round(float(value))) for value in view.face.box)
        rows, columns, shown = slice(y1, y2), slice(x1, x2), view.image
    else:
        side = outcome.image.shape[0]
        rows = columns = slice(side // 4, 3 * side // 4)
        shown = warp(view.image, outcome.place.matrix, side)
    a, b = (cv2.GaussianBlur(image.mean(axis=2), (0, 0), 3.0)[rows, columns].ravel() for image in (shown, outcome.image))
    a, b = a - a.mean(), b - b.mean()
    length = float(np.linalg.norm(a) * np.linalg.norm(b))
    return float(a @ b) / length if length > 0.0 else -1.0


def _share(outcomes: Sequence[Outcome]) -> float:
    return float(np.mean([outcome.status == status.OK for outcome in outcomes]))


def _small(image: RGB) -> Float:
    return np.asarray(cv2.resize(image, (SMALL, SMALL), interpolation=cv2.INTER_AREA), np.float64)


def _shown(view: View, outcome: Outcome) -> Float:
    """The photograph where the result lies in it."""
    if outcome.place is None or outcome.image is None:
        return _small(view.image)
    return _small(warp(view.image, outcome.place.matrix, outcome.image.shape[0]))


def _tone(small: Float) -> Float:
    tone: Float = small[_MIDDLE, _MIDDLE].mean(axis=(0, 1))
    return tone


def _moved(view: View, outcome: Outcome) -> Face:
    """Where the face should be in the result: where it was."""
    assert view.face is not None
    if outcome.place is None:
        return view.face
    corners = view.face.box.reshape(2, 2)
    box = apply(outcome.place.matrix, np.array([[x, y] for x in corners[:, 0] for y in corners[:, 1]]))
    points = apply(outcome.place.matrix, view.face.points)
    # A face that looks to the side has its eyes close together; in the result it does not, so nothing but the tilt is taken from them.
    both = np.concatenate([box.min(axis=0), box.max(axis=0)])
    return Face(both.astype(np.float32), view.face.score, points.astype(np.float32), 1)


def _mirrored(view: View) -> View:
    assert view.face is not None
    width = view.image.shape[1]
    x1, y1, x2, y2 = (float(value) for value in view.face.box)
    points = view.face.points[[1, 0, 2, 4, 3]].copy()
    points[:, 0] = width - 1 - points[:, 0]
    box = np.array([width - 1 - x2, y1, width - 1 - x1, y2], np.float32)
    return View(np.ascontiguousarray(view.image[:, ::-1]), Face(box, view.face.score, points, view.face.n_faces))


def _correlation(a: RGB, b: RGB) -> float:
    x, y = (_small(np.ascontiguousarray(image)).mean(axis=2).ravel() for image in (a, b))
    x, y = x - x.mean(), y - y.mean()
    length = float(np.linalg.norm(x) * np.linalg.norm(y))
    return float(x @ y) / length if length > 0.0 else 0.0
