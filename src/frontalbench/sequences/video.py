"""Clips, frame by frame: mp4, mov, avi, mkv, webm and animated GIF in, one of these out.

Read through PyAV (FFmpeg's libraries; docs/dependencies.md says why not OpenCV): every frame has its own time, also where the rate varies; a rotation
flag of a telephone is obeyed; a frame that is damaged is a frame without an image, not the end of the clip. Nothing is held but the frame at hand.
"""

from __future__ import annotations

import fractions
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any

import cv2
import numpy as np

from frontalbench.errors import BadInput, one_line
from frontalbench.files import atomic
from frontalbench.images import RGB

if TYPE_CHECKING:
    import contextlib

ENDINGS = frozenset({".mp4", ".mov", ".avi", ".mkv", ".webm", ".gif", ".m4v"})
WRITTEN = {".mp4": ("mp4", "libx264"), ".mov": ("mov", "libx264"), ".mkv": ("matroska", "libx264"), ".webm": ("webm", "libvpx-vp9")}
"""Ending -> container and codec of clips that are written; browsers play mp4 and webm."""
TICKS = 90_000
"""Times of written frames are whole multiples of 1 / TICKS seconds."""


@dataclass(frozen=True)
class Frame:
    """``number``: from 0, of all frames of the clip; ``seconds`` since its beginning; ``image`` None where it is damaged, ``detail`` why."""

    number: int
    seconds: float
    image: RGB | None
    detail: str = ""


@dataclass(frozen=True)
class Clip:
    """What a clip's header says: ``width``, ``height`` of upright frames, ``rate``: frames per second on average, ``frames``: 0 where it does not
    say."""

    width: int
    height: int
    rate: float
    frames: int


def is_clip(path: Path) -> bool:
    """Whether a file's name is that of a clip."""
    return path.suffix.lower() in ENDINGS


def _av() -> Any:
    try:
        import av
    except ImportError:
        raise BadInput("clips are read with the package av, which is not installed: pip install av") from None
    return av


def _opened(path: Path) -> tuple[Any, Any]:
    av = _av()
    if not path.is_file():
        raise BadInput(f"{path}: no such file")
    try:
        container = av.open(str(path), mode="r")
    except (av.error.FFmpegError, OSError) as error:
        raise BadInput(f"{path}: not a clip ({error.strerror or one_line(error)}); expected {', '.join(sorted(ENDINGS))}") from None
    if not container.streams.video:
        container.close()
        raise BadInput(f"{path}: holds no images, only other streams; expected a clip with a video stream")
    stream = container.streams.video[0]
    # Damage is to be said, not painted over.
    stream.codec_context.options = {"err_detect": "crccheck+bitstream+buffer+explode"}
    return container, stream


def look(path: Path) -> Clip:
    """What the header of a clip says. Raises :class:`BadInput`, one line, for what is none."""
    for frame in read(path):
        if frame.image is not None:
            container, stream = _opened(path)
            with container:
                height, width = frame.image.shape[:2]
                return Clip(width, height, float(stream.average_rate or 25), int(stream.frames or 0))
    raise BadInput(f"{path}: no frame of it can be decoded")


def read(path: Path, *, every: int = 1, first: float = 0.0, last: float | None = None) -> Iterator[Frame]:
    """The frames of a clip in order, every ``every``-th, from ``first`` to ``last`` (seconds). Numbers count all frames, also damaged ones.

    Raises :class:`BadInput`, one line, for what is no clip, and ValueError for ``every`` below 1.
    """
    if every < 1:
        raise ValueError(f"every: expected 1 or more, got {every}")
    av = _av()
    container, stream = _opened(path)
    number, began, step = 0, None, 1.0 / float(stream.average_rate or 25)
    clock = 0.0
    with container:
        for packet in container.demux(stream):
            try:
                decoded = packet.decode()
            except av.error.FFmpegError as error:
                if last is None or clock <= last:
                    if clock >= first and number % every == 0:
                        yield Frame(number, clock, None, f"damaged: {one_line(error)}")
                    number, clock = number + 1, clock + step
                continue
            for frame in decoded:
                if frame.time is not None:
                    began = frame.time if began is None else began
                    clock = max(0.0, float(frame.time - began))
                if last is not None and clock > last:
                    return
                if clock >= first and number % every == 0:
                    if frame.is_corrupt:
                        yield Frame(number, clock, None, "damaged: the decoder says so")
                    else:
                        yield Frame(number, clock, upright(frame.to_ndarray(format="rgb24"), int(getattr(frame, "rotation", 0) or 0)))
                number, clock = number + 1, clock + step


def times(path: Path) -> list[float]:
    """Seconds of every frame that a clip shows, in order. Where the container says them nothing is decoded, and damaged frames are among them.

    Raises :class:`BadInput`, one line, for what is no clip.
    """
    stamps, unit = _stamps(path)
    if stamps:
        return [round(float((stamp - stamps[0]) * unit), 6) for stamp in stamps]
    return [round(frame.seconds, 6) for frame in read(path)]


def numbered(path: Path) -> Iterator[Frame]:
    """The frames of a clip in order, each with its number among :func:`times`; one that no decoder gives back is left out.

    Raises :class:`BadInput`, one line, for what is no clip.
    """
    stamps, unit = _stamps(path)
    if not stamps:
        yield from read(path)
        return
    number_of = {stamp: number for number, stamp in enumerate(stamps)}
    error_of_decoding = _av().error.FFmpegError
    container, stream = _opened(path)
    with container:
        for packet in container.demux(stream):
            try:
                decoded = packet.decode()
            except error_of_decoding:
                continue
            for frame in decoded:
                if frame.pts not in number_of:
                    continue
                number, seconds = number_of[frame.pts], float((frame.pts - stamps[0]) * unit)
                if frame.is_corrupt:
                    yield Frame(number, seconds, None, "damaged: the decoder says so")
                else:
                    yield Frame(number, seconds, upright(frame.to_ndarray(format="rgb24"), int(getattr(frame, "rotation", 0) or 0)))


def _stamps(path: Path) -> tuple[list[int], fractions.Fraction]:
    """(presentation times of the frames that are shown, rising, their unit in seconds); no times where the container has none."""
    container, stream = _opened(path)
    with container:
        unit = fractions.Fraction(stream.time_base or fractions.Fraction(1, 25))
        found = [packet.pts for packet in container.demux(stream) if packet.size and not packet.is_discard]
    if None in found or len(set(found)) < len(found):
        return [], unit
    return sorted(found), unit


def upright(image: RGB, rotation: int) -> RGB:
    """A frame as it is to be seen; ``rotation``: degrees counter-clockwise that the clip asks to turn it by, in quarters."""
    return np.ascontiguousarray(np.rot90(image, round(rotation / 90) % 4))


class Writer:
    """Writes a clip, each frame at its own time; the file appears under its name when the ``with`` block ends well.

    All frames become as large as the first, made even. Raises :class:`BadInput` for an ending that is not written here.
    """

    def __init__(self, path: Path, rate: float = 25.0) -> None:
        if path.suffix.lower() not in WRITTEN:
            raise BadInput(f"{path}: expected the ending of a clip that is written here: {', '.join(sorted(WRITTEN))}")
        self._path, self._rate = path, rate
        self._replacing: contextlib.AbstractContextManager[Path] = atomic.replacing(path)
        self._container: Any = None
        self._stream: Any = None
        self._last = -1
        self._size = (0, 0)

    def __enter__(self) -> Writer:
        av = _av()
        # Without it the container holds a number drawn by chance, and the same frames give other bytes each time.
        repeatable = {"fflags": "+bitexact"}
        name = WRITTEN[self._path.suffix.lower()][0]
        self._container = av.open(str(self._replacing.__enter__()), mode="w", format=name, container_options=repeatable)
        return self

    def add(self, image: RGB, seconds: float) -> None:
        """One more frame; times must rise (one that does not is moved just behind the frame before)."""
        av = _av()
        if self._stream is None:
            height, width = (max(2, side - side % 2) for side in image.shape[:2])
            self._size = (width, height)
            rate = fractions.Fraction(self._rate).limit_denominator(1001)
            self._stream = self._container.add_stream(WRITTEN[self._path.suffix.lower()][1], rate=rate, options={"crf": "18"})
            self._stream.width, self._stream.height, self._stream.pix_fmt = width, height, "yuv420p"
            self._stream.codec_context.time_base = fractions.Fraction(1, TICKS)
        if (image.shape[1], image.shape[0]) != self._size:
            image = np.asarray(cv2.resize(image, self._size, interpolation=cv2.INTER_AREA), np.uint8)
        frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(image), format="rgb24")
        frame.time_base = fractions.Fraction(1, TICKS)
        frame.pts = self._last = max(self._last + 1, round(seconds * TICKS))
        self._container.mux(self._stream.encode(frame))

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        try:
            if kind is None and self._stream is not None:
                self._container.mux(self._stream.encode())
            self._container.close()
        except BaseException as late:
            self._replacing.__exit__(type(late), late, late.__traceback__)
            raise
        if kind is None and self._stream is None:
            empty = BadInput(f"{self._path}: no frame to write")
            self._replacing.__exit__(type(empty), empty, None)
            raise empty
        self._replacing.__exit__(kind, error, trace)
