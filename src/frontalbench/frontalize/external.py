"""``external``: a foreign system in its own environment, behind a contract of files (:mod:`frontalbench.external`, docs/external.md)."""

from __future__ import annotations

import os
import shutil
import sys
import tempfile
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from frontalbench import status
from frontalbench.catalogue import cards
from frontalbench.detect.select import Face
from frontalbench.errors import BadConfig
from frontalbench.external import clips, picking, running
from frontalbench.external import job as contract
from frontalbench.external.job import Job, Line, NoResult
from frontalbench.external.settings import SystemSettings
from frontalbench.external.settings import read as read_settings
from frontalbench.frontalize import driver as drivers
from frontalbench.frontalize.base import FRONTAL, Outcome, View, refuse_target_pose
from frontalbench.images import RGB

if TYPE_CHECKING:
    from frontalbench.catalogue.cards import ModelCard

Pose = tuple[float, float, float]
_FACELESS = "no face was detected in the photograph"
TO_EYES = ("detector", "pose")
"""Kinds of cards in ``uses`` that look at frames on our side; the files of all others are handed to the adapter."""


@dataclass(frozen=True)
class Places:
    """Where the parts of a foreign system lie on this machine. ``repository`` and ``assets``: None where it has none."""

    interpreter: Path
    program: Path
    repository: Path | None = None
    assets: Path | None = None


@dataclass
class Turned:
    """What became of a job's images. ``gpu_mb``: the most that a line said; ``odd_lines``: lines that made no sense; ``log``: what was printed."""

    job: Job
    settings: SystemSettings
    eyes: picking.Eyes | None
    sizes: list[tuple[int, int]]
    targets: list[Pose]
    failed: Mapping[str, str] = field(default_factory=dict)
    said: Mapping[str, Line] = field(default_factory=dict)
    odd_lines: int = 0
    each: float = 0.0
    """Seconds of the whole run, its start included, for each image: what is taken where the adapter does not say."""

    @property
    def gpu_mb(self) -> float | None:
        return max((line.gpu_mb for line in self.said.values() if line.gpu_mb is not None), default=None)

    def log(self, most: int = 200_000) -> str:
        """The end of what the system printed."""
        path = self.job.folder / running.LOG
        return path.read_bytes()[-most:].decode("utf-8", "replace") if path.is_file() else ""

    def outcome(self, index: int) -> Outcome:
        """The outcome of one image; its file is read now."""
        name = self.job.names[index]
        line = self.said.get(name)
        if line is None:
            return Outcome(None, status.MODEL_ERROR, self.failed.get(name, "the adapter wrote no line for this image"))
        seconds = self.each if line.seconds is None else line.seconds
        if line.problem:
            return Outcome(None, line.word, line.problem, seconds)
        try:
            path = contract.result(self.job.folder, line)
            made = picking.image(path, self.settings.wanted, self.sizes[index], self.targets[index], self.eyes)
        except NoResult as error:
            return Outcome(None, status.MODEL_ERROR, str(error), seconds)
        except OSError as error:
            return Outcome(None, status.MODEL_ERROR, f"the result cannot be read: {error.strerror or type(error).__name__}", seconds)
        return Outcome(made, status.OK, "", seconds)


class ExternalFrontalizer:
    """See the module. Every call starts the foreign system once for all its views, so give it many at a time."""

    needs_face = True

    def __init__(
        self,
        name: str,
        places: Places,
        settings: SystemSettings,
        *,
        takes_target_pose: bool = False,
        weights: Mapping[str, str] | None = None,
        used: Mapping[str, Any] | None = None,
        driver: drivers.Driver | None = None,
        eyes: picking.Eyes | None = None,
        threads: int = 1,
        device: str = "cpu",
        keep: Path | None = None,
    ) -> None:
        """``weights``: ``card.key`` -> path of a verified file, ``used``: what the used cards say, both for the adapter; ``keep``: a folder that the
        job is left in, for a look at it."""
        self.name, self.places, self.settings, self.takes_target_pose = name, places, settings, takes_target_pose
        self._weights, self._cards, self._driver, self._eyes = dict(weights or {}), dict(used or {}), driver, eyes
        self._threads, self._device, self._keep = threads, device, keep

    def frontalize(self, views: Sequence[View], target_pose: Pose = FRONTAL) -> list[Outcome]:
        """See :class:`~frontalbench.frontalize.base.Frontalizer`."""
        if not self.takes_target_pose:
            refuse_target_pose(self.name, target_pose)
        faced = [i for i, view in enumerate(views) if view.face is not None]
        with self.turned((views[i].image, views[i].face, target_pose) for i in faced) as done:
            made = {i: done.outcome(place) for place, i in enumerate(faced)}
        none = Outcome(None, status.NO_FACE, _FACELESS)
        return [made.get(i, none) for i in range(len(views))]

    def frontalize_each(self, asked: Iterable[tuple[View, Pose]]) -> Iterator[Outcome]:
        """See :class:`~frontalbench.frontalize.base.TurnsEach`: one start of the foreign system for all of them."""
        faced: list[bool] = []

        def handed() -> Iterator[tuple[RGB, Face | None, Pose]]:
            for view, pose in asked:
                if not self.takes_target_pose:
                    refuse_target_pose(self.name, pose)
                faced.append(view.face is not None)
                if view.face is not None:
                    yield view.image, view.face, pose

        with self.turned(handed()) as done:
            report(done)
            places = iter(range(len(done.targets)))
            for has_face in faced:
                yield done.outcome(next(places)) if has_face else Outcome(None, status.NO_FACE, _FACELESS)

    @contextmanager
    def turned(self, asked: Iterable[tuple[RGB, Face | None, Pose]]) -> Iterator[Turned]:
        """Run the system on (image, face, wanted pose); the results lie on disk, in a folder that goes when the block ends."""
        with self._folder() as folder:
            job = Job(folder, self._told(folder))
            done = Turned(job, self.settings, self._eyes, [], [])
            for image, face, target in asked:
                job.add(image, face, target)
                done.sizes.append((image.shape[1], image.shape[0]))
                done.targets.append(target)
            if job.images:
                variables = running.environment(folder, self.places.interpreter, self._threads)
                command = [str(self.places.interpreter), str(self.places.program), str(folder)]
                began = time.perf_counter()
                done.failed = running.run(job, command, variables, self.settings.limits)
                done.each = (time.perf_counter() - began) / len(job.images)
                done.said, done.odd_lines = contract.lines(folder)
            yield done

    @contextmanager
    def _folder(self) -> Iterator[Path]:
        if self._keep is not None:
            self._keep.mkdir(parents=True, exist_ok=True)
            yield Path(tempfile.mkdtemp(prefix="job_", dir=self._keep)).resolve()
            return
        # Not tempfile.TemporaryDirectory: what a foreign process still writes while we tidy up is no error of ours.
        folder = Path(tempfile.mkdtemp(prefix="frontalbench_external_")).resolve()
        try:
            yield folder
        finally:
            shutil.rmtree(folder, ignore_errors=True)

    def _told(self, folder: Path) -> dict[str, Any]:
        """What the manifest says beside the images. The repository is a copy of the job's own, so that nothing written into it stays."""
        repository = None
        if self.places.repository is not None:
            repository = folder / "repository"
            shutil.copytree(self.places.repository, repository, symlinks=True, ignore=shutil.ignore_patterns(".git"))
        return {
            "frontalizer": self.name,
            "seed": self.settings.seed,
            "threads": self._threads,
            "device": self._device,
            "options": dict(self.settings.options),
            "weights": self._weights,
            "cards": self._cards,
            "package": str(cards.PACKAGE),
            "repository": str(repository) if repository else None,
            "assets": str(self.places.assets) if self.places.assets else None,
            "driver": clips.write(folder / "driver", self._driver, self.settings.frames) if self._driver else None,
        }


def load(
    card: ModelCard, *, threads: int = 1, device: str = "cpu", keep: Path | None = None, places: Places | None = None
) -> ExternalFrontalizer:
    """The frontalizer of a card of family ``external``; ``places``: default where this machine's are.

    Params: ``options``: what the adapter is told; ``seed`` 0; ``seconds_to_start`` 600, ``seconds_per_picture`` 120, ``seconds_per_batch`` (what the
    other two allow), ``restarts`` 3; ``pick`` last, middle, first or best_posed: the frame of a clip; ``least_frames`` 1; ``cut``: left, top, right,
    bottom of the part that is the image, in 0..1; ``face`` none or cut, ``margin`` 2; ``size`` any, photograph, or pixels; ``driver_frames`` 0; see
    [external.md](external.md)

    Raises :class:`BadConfig`, and where the system cannot run here :class:`~frontalbench.errors.EnvironmentMissing`,
    :class:`~frontalbench.errors.RepositoryMissing` or :class:`~frontalbench.errors.WeightsMissing`, a line that says what to do.
    """
    from frontalbench.weights import foreign

    settings = read_settings(card)
    used = card.used_cards()
    driver = drivers.used(card) if any(one.kind == "driver" for one in used) else None
    if settings.frames and driver is None:
        raise BadConfig(f"{card.path}: params.driver_frames asks for clips, but 'uses' names no driver card")
    given = [one for one in used if one.kind not in (*TO_EYES, "driver")]
    there = places or Places(**foreign.found(card))
    return ExternalFrontalizer(
        card.name,
        there,
        settings,
        takes_target_pose=card.contract is not None and card.contract.target_pose == "any",
        weights=_weights(given),
        used={one.name: {"kind": one.kind, "family": one.family, "params": dict(one.params)} for one in given},
        driver=driver,
        eyes=_eyes(card, settings),
        threads=threads,
        device=device if device != "auto" else _device(),
        keep=keep,
    )


def _device() -> str:
    """``cuda`` where this process may see a GPU; no library is asked, as the foreign one decides."""
    return "cuda" if shutil.which("nvidia-smi") and os.environ.get("CUDA_VISIBLE_DEVICES", "0") != "" else "cpu"


def _weights(given: Sequence[ModelCard]) -> dict[str, str]:
    """The verified files of the cards that the adapter is handed, and of those that they use."""
    from frontalbench.weights import store

    return {f"{need.card.name}.{need.weight.key}": str(store.fetch(need.card, need.weight.key)) for need in store.requirements(given)}


def _eyes(card: ModelCard, settings: SystemSettings) -> picking.Eyes | None:
    if not settings.wanted.looks_for_faces:
        return None
    from frontalbench.catalogue import families

    pose = families.load(card.the("pose")) if settings.wanted.pick == "best_posed" else None
    return picking.Eyes(families.load(card.the("detector")), pose)


def report(done: Turned) -> None:
    """What the foreign system printed, and what was odd about its answer, for the log of the job."""
    sys.stderr.write(done.log())
    if done.odd_lines:
        sys.stderr.write(f"note: {done.odd_lines} lines of {contract.STATUS} made no sense\n")
