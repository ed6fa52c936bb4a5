"""The fast road from encoded images to aligned crops: several images at once, memory flat, order kept.

Decoding, detection and alignment of one image run on one worker thread; the workers run side by side (OpenCV, libjpeg and ONNX Runtime let go of
Python's lock), which keeps all cores busy where threads inside of a network would wait for each other. At most a few images per worker are in
flight.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from typing import Final

from frontalbench import images, status
from frontalbench.detect.base import Detector
from frontalbench.detect.select import DEFAULT_POLICY, POLICIES
from frontalbench.detect.upright import find_face
from frontalbench.errors import BadConfig, Unreadable, one_line, raise_if_memory_ran_out
from frontalbench.geometry.similarity import DegeneratePoints, align
from frontalbench.images import RGB
from frontalbench.types import Float32

IN_FLIGHT: Final = 3
"""Images per worker that are read ahead or wait to be handed out."""


@dataclass(frozen=True)
class FaceRow:
    """What became of one image. ``crop`` (uint8 (112, 112, 3) RGB), ``box`` and ``points`` are None unless ``status`` is ``ok``.

    ``detail`` of an ``ok`` row: what a person should know of the image (unused bits, a face that stood on its head), "" for an ordinary one.
    """

    image_id: str
    status: str
    detail: str = ""
    score: float | None = None
    box: Float32 | None = None
    points: Float32 | None = None
    n_faces: int = 0
    crop: RGB | None = None


def detect_and_align(image_id: str, data: bytes, detector: Detector, policy: str = DEFAULT_POLICY, *, upright: bool = False) -> FaceRow:
    """Decode one image, choose its face by ``policy`` and align it. Never raises for what is in the image: the outcome is the row's status.

    ``upright``: see :func:`~frontalbench.detect.upright.find_face`.
    """
    try:
        image, note = images.decode_with_note(data)
    except Unreadable as error:
        return FaceRow(image_id, status.UNREADABLE, str(error))
    try:
        face, turned = find_face(image, detector, policy, upright=upright)
    except Exception as error:  # noqa: BLE001 - whatever a network's runtime raises on one image must not end the batch
        raise_if_memory_ran_out(error)
        return FaceRow(image_id, status.MODEL_ERROR, f"{detector.name}: {one_line(error)}")
    if face is None:
        return FaceRow(image_id, status.NO_FACE, f"{detector.name} found no face")
    try:
        crop = align(image, face.points)
    except DegeneratePoints as error:
        return FaceRow(image_id, status.NO_FACE, f"{detector.name}: {error}", n_faces=face.n_faces)
    return FaceRow(image_id, status.OK, "; ".join(filter(None, [note, turned])), face.score, face.box, face.points, face.n_faces, crop)


def detect_stream(
    items: Iterable[tuple[str, bytes]],
    detector: Detector,
    *,
    policy: str = DEFAULT_POLICY,
    decode_threads: int = 1,
    upright: bool = False,
) -> Iterator[FaceRow]:
    """:func:`detect_and_align` over ``(image_id, encoded image)`` pairs, rows in the order of ``items``.

    ``decode_threads`` images are worked on at once; give the job's thread count, and load the detector with ``threads=1``. ``items`` is read only a
    few images ahead. Raises :class:`BadConfig` for an unknown policy, and what ``items`` raises.
    """
    if policy not in POLICIES:
        raise BadConfig(f"face policy '{policy}' is not known; use one of {', '.join(POLICIES)}")
    if decode_threads <= 1:
        return (detect_and_align(image_id, data, detector, policy, upright=upright) for image_id, data in items)
    return _detect_parallel(items, detector, policy, decode_threads, upright)


def _detect_parallel(items: Iterable[tuple[str, bytes]], detector: Detector, policy: str, workers: int, upright: bool) -> Iterator[FaceRow]:
    waiting: deque[Future[FaceRow]] = deque()
    pool = ThreadPoolExecutor(workers, thread_name_prefix="detect")
    try:
        for image_id, data in items:
            waiting.append(pool.submit(detect_and_align, image_id, data, detector, policy, upright=upright))
            if len(waiting) >= IN_FLIGHT * workers:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()
    finally:
        # Also when the reader stops early: nothing that has not started is started any more.
        pool.shutdown(wait=True, cancel_futures=True)
