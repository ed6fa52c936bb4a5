"""Stage ``prepare``: the image files of one shard become a table (schema ``tables.IMAGES``), bytes as they are.

Files are read straight into the memory that becomes the table's column, while a thread writes the row group before and the disk the one before that,
so no byte is copied twice, memory does not grow with the shard, and little is left to wait for at the end. Images are not decoded: width and
height come from the header. One row for each listed file, whatever is wrong with it.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import stat
import struct
from collections import Counter, deque
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from operator import attrgetter
from types import TracebackType
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from frontalbench import images, status, tables
from frontalbench.datasets import counting, layouts, listing
from frontalbench.datasets.card import DatasetCard
from frontalbench.datasets.filecache import FileCache
from frontalbench.datasets.members import Listing, Member
from frontalbench.errors import Unreadable

MAX_BYTES = 256 << 20
"""An image file larger than this is not read."""
GROUP_BYTES = 8 << 20
GROUP_FILES = 1024
"""Images per row group, at most: later stages hold one row group in memory."""
AHEAD = 3
"""Row groups that may wait to be written while the next one is read."""


@dataclass(frozen=True)
class Report:
    """What a run listed, used and left out. ``problems``: one line each, with the file's name."""

    dataset: str
    shard: str
    counts: counting.Counts
    problems: tuple[str, ...] = ()
    ignored: int = 0
    """Files in the dataset's folders that are no images."""
    ignored_by_ending: dict[str, tuple[int, str]] = field(default_factory=dict)
    """Ending -> how many of these have it, and the first few."""
    refused: int = 0
    """Entries that were listed nowhere: refused rows of an index, images in the wrong place."""
    left_out: dict[str, int] = field(default_factory=dict)
    """Images that the card leaves out, by reason."""
    duplicates: tuple[counting.Duplicate, ...] = ()


def prepare_shard(
    card: DatasetCard,
    root: str | os.PathLike[str] | None,
    shard: str,
    out: str | os.PathLike[str],
    *,
    cache: FileCache | None = None,
    provenance: Mapping[str, Any] | None = None,
    progress: Callable[[int], object] | None = None,
) -> Report:
    """Write the images table of one shard to ``out``; ``progress(n)`` is called after each row group of ``n`` images.

    Images that cannot be read (empty, no image, too large, not there) get status ``unreadable``; those that the card leaves out are not
    opened and keep ``not_used``. Raises :class:`frontalbench.errors.BadInput` when the dataset's folder is not there or the shard does not
    exist.
    """
    found = listing.scan(card, root, shard=shard, cache=cache)
    record = {"stage": "prepare", "dataset": card.name, "shard": shard, "card_digest": card.digest(), **(provenance or {})}
    with _Writer(out, record, progress, layouts.frames_of(card.layout)) as writer:
        for member in found.members:
            writer.add(member)
        writer.hand_over()
        return report_of(card, shard, found, writer.outcomes)  # counted while the last rows are written


def report_of(
    card: DatasetCard,
    shard: str,
    found: Listing,
    outcomes: Sequence[Sequence[Any]],
    duplicates: tuple[counting.Duplicate, ...] = (),
) -> Report:
    """The report on a listing; ``outcomes`` begin with status and detail of each of its members, in their order."""
    rows = [
        {"identity": member.identity, "subject": member.subject, "role": member.role, "yaw": member.yaw, "status": word}
        for member, (word, *_) in zip(found.members, outcomes, strict=True)
    ]
    left_out = Counter(detail.split(":")[0] for word, detail, *_ in outcomes if word == status.NOT_USED)
    return Report(
        dataset=card.name,
        shard=shard,
        counts=counting.counts_of_rows(rows, card.yaw_bins),
        problems=tuple(found.problems),
        ignored=found.ignored,
        ignored_by_ending=listing.ignored_by_ending(found.others),
        refused=found.refused,
        left_out=dict(sorted(left_out.items())),
        duplicates=duplicates,
    )


_Content = tuple[str, str, str, int | None, int | None]
"""What reading one file gave: the columns :data:`_OF_CONTENT`."""
_OF_CONTENT = ("status", "detail", "sha256", "width", "height")
_OF_MEMBER = ("image_id", "identity", "role", "sequence", "source", "yaw", "pitch", "roll", "pose_source")
_MEMBER_VALUES = attrgetter(*_OF_MEMBER)


class _Group:
    """The rows of one row group; their images lie one after the other in a buffer that serves again for a later group."""

    def __init__(self, room: int) -> None:
        self.room = room
        self._memory = memoryview(np.empty(room, np.uint8))  # type: ignore[arg-type]
        self.clear()

    def clear(self) -> None:
        self.members: list[Member] = []
        self.contents: list[_Content] = []
        self._ends = [0]

    def space(self, size: int) -> memoryview | None:
        """Room for the next image; None when the buffer has no ``size`` bytes left."""
        start = self._ends[-1]
        return self._memory[start : start + size] if start + size <= self.room else None

    def add(self, member: Member, content: _Content, size: int) -> None:
        """The next row; its image is the first ``size`` bytes of the room given last (none: its content is not ok)."""
        self.members.append(member)
        self.contents.append(content)
        self._ends.append(self._ends[-1] + size)

    def table(self, schema: pa.Schema) -> pa.Table:
        """All rows; shares the memory, so it serves until the next :meth:`add`."""
        columns: dict[str, Any] = dict(zip(_OF_MEMBER, zip(*map(_MEMBER_VALUES, self.members), strict=True), strict=True))
        columns["subject"] = [member.subject or member.identity for member in self.members]
        columns |= zip(_OF_CONTENT, zip(*self.contents, strict=True), strict=True)
        there = np.packbits([word == status.OK for word in columns["status"]], bitorder="little")
        buffers = [there.tobytes(), np.asarray(self._ends, np.int32).tobytes(), self._memory]
        columns["image"] = pa.BinaryArray.from_buffers(pa.binary(), len(self.members), [pa.py_buffer(buffer) for buffer in buffers])
        return pa.table(columns, schema=schema)


class _Writer:
    """Reads files into an images table, row group by row group; a thread of its own writes (which lets go of the interpreter).

    Beside :class:`frontalbench.tables.Writer` it builds columns without a dictionary per row and leaves the image bytes uncompressed:
    JPEG and PNG do not shrink. ``outcomes``: (status, detail) of every row.
    """

    def __init__(
        self,
        path: str | os.PathLike[str],
        provenance: Mapping[str, Any],
        progress: Callable[[int], object] | None,
        frames: layouts.Frames | None = None,
    ) -> None:
        """``frames``: gives the images of members that are frames of a clip; written with the sha256 of these bytes."""
        self._schema = tables.with_record(tables.IMAGES, provenance)
        self._frames = frames
        self._stack = contextlib.ExitStack()
        self._path, self._progress = path, progress
        self._group = _Group(GROUP_BYTES)
        self._writing: deque[tuple[_Group, Future[None]]] = deque()
        self.outcomes: list[_Content] = []

    def __enter__(self) -> _Writer:
        with self._stack:
            temporary = self._stack.enter_context(tables.replacing(self._path))
            texts = [item.name for item in self._schema if pa.types.is_string(item.type)]
            self._sink = self._stack.enter_context(pa.OSFile(str(temporary), "wb"))
            self._file = self._stack.enter_context(
                pq.ParquetWriter(
                    self._sink,
                    self._schema,
                    compression={name: "none" if name == "image" else "zstd" for name in self._schema.names},
                    use_dictionary=texts,
                    write_statistics=False,
                    write_page_checksum=True,
                )
            )
            self._pool = self._stack.enter_context(ThreadPoolExecutor(1))
            if self._frames is not None:
                self._stack.callback(self._frames.close)
            self._stack = self._stack.pop_all()
        return self

    def add(self, member: Member) -> None:
        """Read the file of ``member`` (unless it is left out) and add its row. Runs for every image: a microsecond here is one percent."""
        size, digest = 0, ""
        if member.status != status.OK:
            content: _Content = (member.status, member.detail, digest, None, None)
        else:
            try:
                data = self._read(member.path) if member.frame < 0 else self._decoded(member)
                digest = hashlib.sha256(data).hexdigest()
                width, height = header_size(data)
                content, size = (status.OK, member.detail, digest, width, height), len(data)
            except Unreadable as error:
                why = f"{error}; {member.detail}" if member.detail else str(error)
                content = (status.UNREADABLE, why, digest, None, None)
        self._group.add(member, content, size)
        if len(self._group.members) >= GROUP_FILES:
            self.hand_over()

    def _read(self, path: str) -> memoryview:
        """All bytes of a file, in the room of the group's next image, with four system calls.

        A pipe or device is refused (it could hang).
        """
        try:
            descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
            try:
                info = os.fstat(descriptor)
                size = info.st_size
                if not stat.S_ISREG(info.st_mode):
                    raise Unreadable("not a regular file")
                if size > MAX_BYTES:
                    raise Unreadable(f"{size:,} bytes: more than {MAX_BYTES:,}")
                room = self._group.space(size)
                if room is None:
                    room = self._space_elsewhere(size)
                held = os.readv(descriptor, (room,))
                while held < size and (more := os.readv(descriptor, (room[held:],))):  # some file systems give less than asked for
                    held += more
            finally:
                os.close(descriptor)
        except OSError as error:
            raise Unreadable(f"cannot be read: {error.strerror or type(error).__name__}") from error
        return room if held == size else room[:held]

    def _decoded(self, member: Member) -> memoryview:
        """A frame of a clip as PNG, in the room of the group's next image."""
        assert self._frames is not None
        data = self._frames.image(member.path, member.frame)
        room = self._group.space(len(data)) or self._space_elsewhere(len(data))
        room[:] = data
        return room

    def _space_elsewhere(self, size: int) -> memoryview:
        """Room for an image in a new row group."""
        self.hand_over()
        space = self._group.space(size)
        if space is None:  # larger than any buffer
            self._group = _Group(size)
            space = self._group.space(size)
            assert space is not None
        return space

    def hand_over(self) -> None:
        """Let the thread write what was read; waits while it is :data:`AHEAD` groups behind."""
        if not self._group.members:
            return
        self.outcomes += self._group.contents
        if self._progress is not None:
            self._progress(len(self._group.members))
        self._writing.append((self._group, self._pool.submit(self._write, self._group.table(self._schema))))
        self._group = self._written() if len(self._writing) > AHEAD else _Group(GROUP_BYTES)

    def _write(self, table: pa.Table) -> None:
        """For the thread, and therefore without Python in it: two that take turns at the interpreter are slower than one."""
        start = self._sink.tell()
        self._file.write_table(table, row_group_size=len(table))
        # To the disk with it, without waiting: Linux begins to write what it is told is not needed in memory. Else all is left to the last fsync.
        os.posix_fadvise(self._sink.fileno(), start, self._sink.tell() - start, os.POSIX_FADV_DONTNEED)

    def _written(self) -> _Group:
        """Wait for the group that has been with the thread for longest; returns it for new rows (unless it was made for one large image)."""
        group, writing = self._writing.popleft()
        writing.result()
        group.clear()
        return group if group.room == GROUP_BYTES else _Group(GROUP_BYTES)

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        try:
            if kind is None:
                self.hand_over()
                while self._writing:
                    self._written()
        except BaseException as failure:
            self._stack.__exit__(type(failure), failure, failure.__traceback__)
            raise
        self._stack.__exit__(kind, error, trace)  # the thread ends, the file is closed and, when all went well, renamed


def header_size(data: bytes | memoryview) -> tuple[int, int]:
    """(width, height) as stored, from the header. Raises :class:`Unreadable` for what is empty, no image, or larger than images are
    decoded.

    Ordinary JPEG files tell their size to :func:`jpeg_size`; everything else goes to Pillow.
    """
    width, height = jpeg_size(data) or images.size_of(bytes(data))
    if width * height > images.MAX_PIXELS:
        raise Unreadable(f"{width} x {height} pixels: more than {images.MAX_PIXELS:,}")
    return width, height


_SEGMENT, _FRAME = struct.Struct(">BBH"), struct.Struct(">HH")
_FRAMES = frozenset({0xC0, 0xC1, 0xC2})
"""Markers before a size: baseline, extended, progressive."""
_BEFORE = frozenset({*range(0xE0, 0xF0), 0xDB, 0xC4, 0xDD, 0xFE})
"""What may come earlier: application data, tables, restart interval, comment."""


def jpeg_size(data: bytes | memoryview) -> tuple[int, int] | None:
    """(width, height) from the first frame header of a JPEG file (ITU-T T.81, B.1.1 and B.2.2); None for anything that is not plain.

    Why not Pillow here: opening with it costs as much as reading and hashing a small image (15 to 45 us against 15), see
    benchmarks/prepare.py.
    """
    place, end = 2, len(data) - 9
    if end < 0 or data[0] != 0xFF or data[1] != 0xD8:
        return None
    while place < end:
        lead, marker, length = _SEGMENT.unpack_from(data, place)
        if lead != 0xFF:
            return None
        if marker in _FRAMES:
            height, width = _FRAME.unpack_from(data, place + 5)
            return (width, height) if width and height else None
        if marker not in _BEFORE:
            return None
        place += 2 + length
    return None
