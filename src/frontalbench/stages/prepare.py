"""Stage ``prepare``: the picture files of one shard become a table (schema ``tables.IMAGES``), bytes as they are.

Files are read straight into the memory that becomes the table's column, while a thread writes the row group before, so no byte is copied twice and
memory does not grow with the shard. Pictures are not decoded: width and height come from the header. One row for each listed file, whatever is
wrong with it.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import stat
import struct
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import asdict, dataclass, field
from operator import attrgetter
from pathlib import Path
from types import TracebackType
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from frontalbench import atomic, images, status, tables
from frontalbench.datasets import counting, listing
from frontalbench.datasets.card import DatasetCard
from frontalbench.datasets.filecache import FileCache
from frontalbench.datasets.members import Listing, Member
from frontalbench.errors import Unreadable

MAX_BYTES = 256 << 20
"""A picture file larger than this is not read."""
GROUP_BYTES = 16 << 20
GROUP_FILES = 1024
"""Pictures per row group: later stages hold one row group in memory."""


@dataclass(frozen=True)
class Report:
    """What a run listed, used and left out. ``problems``: one line each, with the file's name."""

    dataset: str
    shard: str
    counts: counting.Counts
    problems: tuple[str, ...] = ()
    ignored: int = 0
    """Files in the dataset's folders that are no pictures."""
    refused: int = 0
    """Entries that were listed nowhere: refused rows of an index, pictures in the wrong place."""
    left_out: dict[str, int] = field(default_factory=dict)
    """Images that the card leaves out, by reason."""
    duplicates: tuple[counting.Duplicate, ...] = ()

    def as_dict(self) -> dict[str, Any]:
        return asdict(self)


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

    Images that cannot be read (empty, no picture, too large, not there) get status ``unreadable``; those that the card leaves out are not
    opened and keep ``not_used``. Raises :class:`frontalbench.errors.BadInput` when the dataset's folder is not there or the shard does not
    exist.
    """
    found = listing.scan(card, root, shard=shard, cache=cache)
    record = {"stage": "prepare", "dataset": card.name, "shard": shard, "card_digest": card.digest(), **(provenance or {})}
    with _Writer(out, record, progress) as writer:
        for member in found.members:
            writer.add(member)
    return _report(card, shard, found, writer.outcomes)


def check(card: DatasetCard, root: str | os.PathLike[str] | None = None, *, cache: FileCache | None = None) -> Report:
    """Counts and problems of a whole dataset without writing anything; reads every file in use once, to find duplicates (from the cache
    where it can)."""
    memory = cache if cache is not None else listing.default_cache(card, root)
    found = listing.scan(card, root, cache=memory)
    content = listing.with_content(found.members, memory)
    memory.save()
    missing = {row["image_id"] for row in content if not row["sha256"]}
    outcomes = [(status.UNREADABLE, "") if member.image_id in missing else (member.status, member.detail) for member in found.members]
    found.problems += [f"{image_id}: cannot be read" for image_id in sorted(missing)[:20]]
    return _report(card, "", found, outcomes, tuple(counting.duplicates_of_rows(content)))


def _report(
    card: DatasetCard,
    shard: str,
    found: Listing,
    outcomes: Sequence[tuple[str, str]],
    duplicates: tuple[counting.Duplicate, ...] = (),
) -> Report:
    rows = [
        {"identity": member.identity, "subject": member.subject, "role": member.role, "yaw": member.yaw, "status": word}
        for member, (word, _) in zip(found.members, outcomes, strict=True)
    ]
    left_out = Counter(detail.split(":")[0] for word, detail in outcomes if word == status.NOT_USED)
    return Report(
        dataset=card.name,
        shard=shard,
        counts=counting.counts_of_rows(rows, card.yaw_bins),
        problems=tuple(found.problems),
        ignored=found.ignored,
        refused=found.refused,
        left_out=dict(sorted(left_out.items())),
        duplicates=duplicates,
    )


class _Content(NamedTuple):
    """What reading one file gave; the columns of these names."""

    status: str
    detail: str
    sha256: str = ""
    width: int | None = None
    height: int | None = None


class _Pictures:
    """The bytes of the pictures of one row group, one after the other in a buffer that serves again for a later group."""

    def __init__(self, room: int) -> None:
        self._memory = memoryview(bytearray(room))
        self._ends = [0]
        self._there: list[bool] = []

    def space(self, size: int) -> memoryview | None:
        """Room for the next picture; None when the buffer has no ``size`` bytes left."""
        start = self._ends[-1]
        return self._memory[start : start + size] if start + size <= len(self._memory) else None

    def add(self, size: int | None) -> None:
        """The next row: the first ``size`` bytes of the room given last, or no picture."""
        self._ends.append(self._ends[-1] + (size or 0))
        self._there.append(size is not None)

    def column(self) -> pa.Array:
        """All rows; shares the memory, so it must be gone before :meth:`clear`."""
        valid = pa.py_buffer(np.packbits(self._there, bitorder="little").tobytes())
        ends = pa.py_buffer(np.asarray(self._ends, np.int32).tobytes())
        return pa.BinaryArray.from_buffers(pa.binary(), len(self._there), [valid, ends, pa.py_buffer(self._memory)])

    def clear(self) -> _Pictures | None:
        """This buffer, empty; None when it was made for one large picture."""
        self._ends, self._there = [0], []
        return self if len(self._memory) == GROUP_BYTES else None


class _Writer:
    """Reads files into an images table, row group by row group; a thread of its own writes (which lets go of the interpreter).

    Beside :class:`frontalbench.tables.Writer` it builds columns without a dictionary per row and leaves the picture bytes uncompressed:
    JPEG and PNG do not shrink. ``outcomes``: (status, detail) of every row.
    """

    def __init__(self, path: str | os.PathLike[str], provenance: Mapping[str, Any], progress: Callable[[int], object] | None) -> None:
        self._schema = tables.with_record(tables.IMAGES, provenance)
        self._stack = contextlib.ExitStack()
        self._path, self._progress = path, progress
        self._members: list[Member] = []
        self._contents: list[_Content] = []
        self._pictures = _Pictures(GROUP_BYTES)
        self._spare: _Pictures | None = _Pictures(GROUP_BYTES)
        self._writing: Future[_Pictures | None] | None = None
        self.outcomes: list[tuple[str, str]] = []

    def __enter__(self) -> _Writer:
        with self._stack:
            temporary = self._stack.enter_context(atomic.replacing(self._path))
            texts = [item.name for item in self._schema if pa.types.is_string(item.type)]
            self._file = self._stack.enter_context(
                pq.ParquetWriter(
                    temporary,
                    self._schema,
                    compression={name: "none" if name == "image" else "zstd" for name in self._schema.names},
                    use_dictionary=texts,
                    write_statistics=False,
                    write_page_checksum=True,
                )
            )
            self._pool = self._stack.enter_context(ThreadPoolExecutor(1))
            self._stack = self._stack.pop_all()
        return self

    def add(self, member: Member) -> None:
        """Read the file of ``member`` (unless it is left out) and add its row."""
        size: int | None = None
        content = _Content(member.status, member.detail)
        if member.status == status.OK:
            digest = ""
            try:
                data = _read(member.path, self._space)
                digest = hashlib.sha256(data).hexdigest()
                width, height = header_size(data)
                content, size = _Content(status.OK, member.detail, digest, width, height), len(data)
            except Unreadable as error:
                content = _Content(status.UNREADABLE, str(error), digest)
        self._members.append(member)
        self._contents.append(content)
        self._pictures.add(size)
        if len(self._members) >= GROUP_FILES:
            self._hand_over()

    def _space(self, size: int) -> memoryview:
        """Room for a picture, in a new row group where the present one has none left."""
        space = self._pictures.space(size)
        if space is None:
            self._hand_over()
            if size > GROUP_BYTES:
                self._spare, self._pictures = self._pictures, _Pictures(size)
            space = self._pictures.space(size)
            assert space is not None
        return space

    def _hand_over(self) -> None:
        """Let the thread write what was read, once it is done with the group before."""
        if not self._members:
            return
        self._wait()
        columns: dict[str, Any] = dict(zip(_OF_MEMBER, zip(*map(_MEMBER_VALUES, self._members), strict=True), strict=True))
        columns["subject"] = [member.subject or member.identity for member in self._members]
        columns |= zip(_Content._fields, zip(*self._contents, strict=True), strict=True)
        self._writing = self._pool.submit(self._write, columns, self._pictures)
        self.outcomes += [content[:2] for content in self._contents]
        if self._progress is not None:
            self._progress(len(self._members))
        self._pictures = self._spare if self._spare is not None else _Pictures(GROUP_BYTES)
        self._spare = None
        self._members, self._contents = [], []

    def _write(self, columns: dict[str, Any], pictures: _Pictures) -> _Pictures | None:
        table = pa.table({**columns, "image": pictures.column()}, schema=self._schema)
        self._file.write_table(table, row_group_size=len(table))
        del table
        return pictures.clear()

    def _wait(self) -> None:
        if self._writing is not None:
            done = self._writing.result()
            self._spare = self._spare if done is None else done
            self._writing = None

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        try:
            if kind is None:
                self._hand_over()
                self._wait()
        except BaseException as failure:
            self._stack.__exit__(type(failure), failure, failure.__traceback__)
            raise
        self._stack.__exit__(kind, error, trace)  # the thread ends, the file is closed and, when all went well, renamed


_OF_MEMBER = ("image_id", "identity", "role", "sequence", "source", "yaw", "pitch", "roll", "pose_source")
_MEMBER_VALUES = attrgetter(*_OF_MEMBER)


def _read(path: str, space: Callable[[int], memoryview]) -> memoryview:
    """All bytes of a file in the room that ``space(size)`` gives, with four system calls: this runs for every picture.

    A pipe or device is refused (it could hang).
    """
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
        try:
            info = os.fstat(descriptor)
            if not stat.S_ISREG(info.st_mode):
                raise Unreadable("not a regular file")
            if info.st_size > MAX_BYTES:
                raise Unreadable(f"{info.st_size:,} bytes: more than {MAX_BYTES:,}")
            room, held = space(info.st_size), 0
            while held < len(room):
                more = os.readv(descriptor, [room[held:]])
                if not more:
                    break
                held += more
            return room[:held]
        finally:
            os.close(descriptor)
    except OSError as error:
        raise Unreadable(f"cannot be read: {error.strerror or type(error).__name__}") from error


def header_size(data: bytes | memoryview) -> tuple[int, int]:
    """(width, height) as stored, from the header. Raises :class:`Unreadable` for what is empty, no picture, or larger than images are
    decoded.

    Ordinary JPEG files tell their size to :func:`jpeg_size`; everything else goes to Pillow.
    """
    width, height = jpeg_size(data) or images.size_of(bytes(data))
    if width * height > images.MAX_PIXELS:
        raise Unreadable(f"{width} x {height} pixels: more than {images.MAX_PIXELS:,}")
    return width, height


_ONE, _TWO = struct.Struct(">H"), struct.Struct(">HH")


def jpeg_size(data: bytes | memoryview) -> tuple[int, int] | None:
    """(width, height) from the first frame header of a JPEG file (ITU-T T.81, B.1.1 and B.2.2); None for anything that is not plain.

    Why not Pillow here: opening with it costs as much as reading and hashing a small picture (15 to 45 us against 15), see
    benchmarks/prepare.py.
    """
    if data[:2] != b"\xff\xd8":
        return None
    place, end = 2, len(data) - 9
    while place < end and data[place] == 0xFF:
        marker = data[place + 1]
        if marker in (0xC0, 0xC1, 0xC2):  # baseline, extended, progressive
            height, width = _TWO.unpack_from(data, place + 5)
            return (width, height) if width and height else None
        if not (0xE0 <= marker <= 0xEF or marker in (0xDB, 0xC4, 0xDD, 0xFE)):  # application data, tables, restart interval, comment
            return None
        place += 2 + _ONE.unpack_from(data, place + 2)[0]
    return None


def table_path(folder: str | os.PathLike[str], dataset: str, shard: str) -> Path:
    """``folder/dataset/shard.parquet``."""
    return Path(folder) / dataset / f"{shard}.parquet"
