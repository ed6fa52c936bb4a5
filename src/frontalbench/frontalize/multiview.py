"""``multiview``: one frontal view of all photographs of a person's session, drawn by ``tddfa`` or ``mesh`` (:mod:`.several`), or by a network that
mixes views.

A frontalizer turns one photograph; this one turns a *group* of them (:meth:`MultiviewFrontalizer.together`), and every photograph of the group gets
the group's one frontal. So its row is to be compared with the group's template (the mean of the photographs' embeddings), not with a single
photograph alone.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol, runtime_checkable

import numpy as np

from frontalbench import status
from frontalbench.catalogue.params import Params
from frontalbench.errors import one_line, raise_if_memory_ran_out
from frontalbench.frontalize.base import FRONTAL, NoFace, Outcome, View
from frontalbench.frontalize.drawing import Placement, settings
from frontalbench.frontalize.head import Head
from frontalbench.frontalize.partly import Posing, estimated
from frontalbench.frontalize.render import Filling
from frontalbench.frontalize.several import Mixing, Seen, draw_several
from frontalbench.fsgan.views import mixture
from frontalbench.geometry.rotation import angles_from_matrix
from frontalbench.geometry.similarity import DegeneratePoints, align
from frontalbench.images import RGB
from frontalbench.types import Bool, Float

if TYPE_CHECKING:
    from frontalbench.catalogue.cards import ModelCard


FAMILY = "multiview"


class Fitter(Protocol):
    """What ``mesh`` and ``tddfa`` have in common: a head fitted to a photograph."""

    @property
    def filling(self) -> Filling: ...

    def placed(self, view: View) -> tuple[Head, Placement]: ...


@dataclass(frozen=True)
class Group:
    """Which views are drawn from: ``least`` and ``most`` of them; ``alike``: a photograph whose similarity to the most similar of the others is below
    this shows somebody else."""

    least: int = 2
    most: int = 8
    alike: float = 0.3


class Mixer(Protocol):
    """A network that draws one image from several views of a face."""

    def mixed(self, views: Sequence[View], shares: Sequence[float], target_pose: tuple[float, float, float]) -> Outcome:
        """One image of all ``views``, each with its share (they sum to 1); it lies in the view with the largest."""
        ...


@runtime_checkable
class Weighing(Protocol):
    """A mixer that says itself how much each view counts."""

    def weigh(self, poses: Float, target: Float) -> Float:
        """Shares (n,), sum 1, of views at ``poses`` (n, 2) for a ``target`` (2,): yaw, pitch in degrees."""
        ...


Pose = tuple[float, float, float]
Embed = Callable[[Sequence[RGB]], Float]
"""Aligned crops -> unit vectors (n, D)."""


class MultiviewFrontalizer:
    """See the module. A photograph alone is ``too_few_views``."""

    needs_face = True
    takes_target_pose = False
    """In the grid; :meth:`together` takes one."""

    def __init__(self, name: str, fitter: Fitter, embed: Embed | None, group: Group, mixing: Mixing) -> None:
        """``embed`` None: nobody looks whether the photographs show one person."""
        self.name = name
        self._fitter, self._embed, self._group, self._mixing = fitter, embed, group, mixing

    def frontalize(self, views: Sequence[View], target_pose: tuple[float, float, float] = FRONTAL) -> list[Outcome]:
        """Every view is a group of its own here, so nothing is made; see :meth:`together`."""
        return [self.together([view], target_pose)[0] for view in views]

    def together(self, views: Sequence[View], target_pose: tuple[float, float, float] = FRONTAL) -> list[Outcome]:
        """One outcome per view, in order: the one image made of all of them, or why this view has none. Never raises for what is in the views.

        ``seconds``: the group's time shared out among its views.
        """
        began = time.perf_counter()
        found: dict[int, Outcome] = {}
        fitted: dict[int, Any] = {}
        for number, view in enumerate(views):
            try:
                if view.face is None:
                    raise NoFace("no face was detected in the photograph")
                fitted[number] = self._looked_at(view)
            except Exception as error:  # noqa: BLE001 - one bad image must never end a group; the sentence goes into its row
                raise_if_memory_ran_out(error)
                found[number] = Outcome(None, status.NO_FACE if isinstance(error, NoFace) else status.MODEL_ERROR, one_line(error))
        for number, likeness in self._strangers({number: views[number] for number in fitted}).items():
            del fitted[number]
            found[number] = Outcome(
                None,
                status.VIEWS_DISAGREE,
                f"not the person of the {len(views) - 1} others: similarity {likeness:.2f}, expected {self._group.alike:.2f}",
            )
        if fitted and len(fitted) < self._group.least:
            detail = f"{len(fitted)} usable photograph of this person's session, {self._group.least} are needed"
            found |= {number: Outcome(None, status.TOO_FEW_VIEWS, detail) for number in fitted}
        elif fitted:
            found |= self._drawn(fitted, target_pose)
        seconds = (time.perf_counter() - began) / max(1, len(views))
        return [Outcome(one.image, one.status, one.detail, seconds, one.place) for one in (found[number] for number in range(len(views)))]

    def _looked_at(self, view: View) -> Any:
        """What :meth:`_drawn` wants to know of a view. Raises :class:`NoFace` and ValueError where it cannot be used."""
        return Seen(view.image, *self._fitter.placed(view))

    def _drawn(self, fitted: dict[int, Any], target_pose: tuple[float, float, float]) -> dict[int, Outcome]:
        numbers = list(fitted)
        poses = np.array([angles_from_matrix(fitted[number].placement.rotation)[:2] for number in numbers])
        chosen = [numbers[place] for place in spread_over_poses(poses, np.array(target_pose[:2]), self._group.most)]
        try:
            made = draw_several([fitted[number] for number in chosen], target_pose, self._fitter.filling, self._mixing)
        except Exception as error:  # noqa: BLE001 - as above
            raise_if_memory_ran_out(error)
            return {number: Outcome(None, status.MODEL_ERROR, one_line(error)) for number in numbers}
        detail = f"made of {len(chosen)} photographs"
        return {
            number: Outcome(made.image, status.OK, detail, 0.0, made.place if number == chosen[made.base] else None) for number in numbers
        }

    def _strangers(self, views: dict[int, View]) -> dict[int, float]:
        """The views that show somebody else, with their similarity to the most similar of the others."""
        if self._embed is None or len(views) < 2:
            return {}
        crops: dict[int, RGB] = {}
        for number, view in views.items():
            assert view.face is not None
            try:
                crops[number] = align(view.image, view.face.points)
            except DegeneratePoints:
                continue  # nothing to compare; the drawing takes it as it is
        if len(crops) < 2:
            return {}
        alike, best = same_person(self._embed(list(crops.values())), self._group.alike)
        return {number: float(value) for number, ok, value in zip(crops, alike, best, strict=True) if not ok}


class AppearanceFrontalizer(MultiviewFrontalizer):
    """Drawn by a network that takes several views, each with its share.

    By the appearance map (:mod:`frontalbench.fsgan.views`), unless the network weighs them itself: the views around the wanted pose, by its
    barycentric coordinates among their poses. At most three count; where the wanted pose lies beside them all, the nearest alone.
    """

    def __init__(self, name: str, mixer: Mixer, pose: Callable[[View], Pose], embed: Embed | None, group: Group) -> None:
        """``pose``: (yaw, pitch, roll) in degrees of the face of a view; raises ValueError where there is none."""
        self.name, self._mixer, self._pose, self._embed, self._group = name, mixer, pose, embed, group

    def _looked_at(self, view: View) -> Any:
        return view, self._pose(view)

    def _drawn(self, fitted: dict[int, Any], target_pose: tuple[float, float, float]) -> dict[int, Outcome]:
        numbers = list(fitted)
        poses, target = np.array([fitted[number][1][:2] for number in numbers]), np.array(target_pose[:2])
        if isinstance(self._mixer, Weighing):
            kept = np.array(spread_over_poses(poses, target, self._group.most))
            weights = self._mixer.weigh(poses[kept], target)
        else:
            found = mixture(poses, target[None])
            kept, weights = found.kept, found.weights[0]
        shares = {numbers[place]: float(share) for place, share in zip(kept, weights, strict=True) if share > 1e-6}
        views = [fitted[number][0] for number in shares]
        made = self._mixer.mixed(views, list(shares.values()), target_pose)
        if made.image is None:
            return dict.fromkeys(numbers, made)
        detail = f"mixed of {len(shares)} of {len(numbers)} photographs: {', '.join(f'{share:.2f}' for share in shares.values())}"
        nearest = max(shares, key=lambda number: shares[number])
        return {number: Outcome(made.image, status.OK, detail, 0.0, made.place if number == nearest else None) for number in numbers}


def same_person(embeddings: Float, least: float) -> tuple[Bool, Float]:
    """(whether each of ``embeddings`` (n, D), unit vectors, belongs to the largest group of alike ones, its similarity to the most alike other).

    Two are alike from ``least`` on, and so are two that are linked by others. Of two equally large groups neither is believed.
    """
    similarity = np.asarray(embeddings, np.float64) @ np.asarray(embeddings, np.float64).T
    np.fill_diagonal(similarity, -1.0)
    label = np.arange(len(similarity))
    for i, j in np.argwhere(similarity >= least).tolist():
        label[label == label[j]] = label[i]
    _, code, size = np.unique(label, return_inverse=True, return_counts=True)
    largest = np.flatnonzero(size == size.max())
    alike = (code == largest[0]) if len(largest) == 1 else np.zeros(len(code), dtype=bool)
    return alike, similarity.max(axis=1)


def spread_over_poses(poses: Float, target: Float, most: int) -> list[int]:
    """Numbers of at most ``most`` of ``poses`` (n, 2; yaw, pitch in degrees): the nearest to ``target`` first, then always the one farthest from
    those taken, so that sequences of hundreds of frames give what their poses hold. In rising order."""
    if len(poses) <= most:
        return list(range(len(poses)))
    taken = [int(np.argmin(np.hypot(*(poses - target).T)))]
    away = np.hypot(*(poses - poses[taken[0]]).T)
    while len(taken) < most:
        taken.append(int(np.argmax(away)))
        away = np.minimum(away, np.hypot(*(poses - poses[taken[-1]]).T))
    return sorted(taken)


def load(card: ModelCard, *, threads: int = 1, device: str = "cpu") -> MultiviewFrontalizer:
    """The frontalizer of a card of family ``multiview``, which ``uses`` a backbone's card, and that of the frontalizer that fits the heads, or of a
    network that mixes views; one that does not say how a face is turned needs a pose card, too.

    Params: ``least`` 2 and ``most`` 8: photographs of one person's session; ``alike`` 0.3: below this similarity a photograph shows somebody else;
    ``mixing: {smooth: 0.9, sharp: 6, seam: 0.25, tone: 2.5, profile: 0.5}``: how the photographs are mixed, lengths in cm.
    """
    from frontalbench.embed import load_backbone
    from frontalbench.frontalize import load_frontalizer

    values = dict(card.params)
    mixing = settings(Mixing, values.pop("mixing", {}), card.name)
    Params(card).elsewhere("mixing", "least", "most", "alike").finish()
    group = settings(Group, values, card.name)
    fitter = load_frontalizer(card.the("frontalizer"), threads=threads, device=device)
    mixes, fits = (callable(getattr(fitter, name, None)) for name in ("mixed", "placed"))
    assert mixes or fits, f"{card.name}: {fitter.name} fits no head and mixes no views"
    backbone = load_backbone(card.the("backbone"), threads=threads, device=device)

    def embed(crops: Sequence[RGB]) -> Float:
        found = np.asarray(backbone.embed(np.stack(crops)), np.float64)
        unit: Float = found / np.maximum(np.linalg.norm(found, axis=1, keepdims=True), 1e-12)
        return unit

    if mixes:
        pose = fitter.pose if isinstance(fitter, Posing) else estimated(card, threads, device)
        return AppearanceFrontalizer(card.name, fitter, pose, embed, group)  # type: ignore[arg-type]
    return MultiviewFrontalizer(card.name, fitter, embed, group, mixing)  # type: ignore[arg-type]
