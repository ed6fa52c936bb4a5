"""Stage ``prepare``: the picture files of one shard become a table (schema ``tables.IMAGES``), bytes as they are.

Files are read and hashed on threads, a few megabytes ahead of the writer, so memory does not grow with the shard. Pictures are not decoded:
width and height come from the header. One row for each listed file, whatever is wrong with it.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import stat
import struct
from collections import Counter, deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import asdict, dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Any, NamedTuple

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
CHUNK_BYTES = 2 << 20
CHUNK_FILES = 64
INLINE_FILES = 16
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
    threads: int = 2,
    cache: FileCache | None = None,
    provenance: Mapping[str, Any] | None = None,
    progress: Callable[[int], object] | None = None,
) -> Report:
    """Write the images table of one shard to ``out``; ``progress(n)`` is called after each batch of ``n`` images.

    Images that cannot be read (empty, no picture, too large, not there) get status ``unreadable``; those that the card leaves out are not
    opened and keep ``not_used``. Raises :class:`frontalbench.errors.BadInput` when the dataset's folder is not there or the shard does not
    exist.
    """
    found = listing.scan(card, root, shard=shard, cache=cache)
    record = {"stage": "prepare", "dataset": card.name, "shard": shard, "card_digest": card.digest(), **(provenance or {})}
    outcomes: list[tuple[str, str]] = []
    with _Writer(out, record) as writer:
        for chunk, contents in _ahead(found.members, max(1, threads - 1)):
            writer.add(chunk, contents)
            outcomes += [(content.status, content.detail) for content in contents]
            if progress is not None:
                progress(len(chunk))
    return _report(card, shard, found, outcomes)


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
    """What reading one file gave."""

    status: str
    detail: str
    sha256: str = ""
    width: int | None = None
    height: int | None = None
    image: bytes | None = None


class _Writer:
    """Writes an images table chunk by chunk on a thread of its own (compressing and writing let go of the interpreter).

    Beside :class:`frontalbench.tables.Writer` it builds columns without a dictionary per row and leaves the picture bytes uncompressed:
    JPEG and PNG do not shrink. Both together are a third of the time of preparing small pictures.
    """

    def __init__(self, path: str | os.PathLike[str], provenance: Mapping[str, Any]) -> None:
        self._schema = tables.IMAGES.with_metadata({tables.METADATA_KEY: json.dumps(dict(provenance), sort_keys=True).encode()})
        self._stack = contextlib.ExitStack()
        self._path = path
        self._waiting: deque[Future[None]] = deque()
        self._members: list[Member] = []
        self._contents: list[_Content] = []
        self._held = 0

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

    def add(self, members: Sequence[Member], contents: Sequence[_Content]) -> None:
        self._members += members
        self._contents += contents
        self._held += sum(len(content.image) for content in contents if content.image is not None)
        if len(self._members) >= GROUP_FILES or self._held >= GROUP_BYTES:
            self._hand_over()

    def _hand_over(self) -> None:
        if self._members:
            self._waiting.append(self._pool.submit(self._write, self._table()))
            self._members, self._contents, self._held = [], [], 0
        while len(self._waiting) > 1:
            self._waiting.popleft().result()

    def _table(self) -> pa.Table:
        columns: dict[str, list[Any]] = {name: [getattr(member, name) for member in self._members] for name in _OF_MEMBER}
        columns["subject"] = [member.subject or member.identity for member in self._members]
        for position, name in enumerate(_Content._fields):
            columns[name] = [content[position] for content in self._contents]
        return pa.table(columns, schema=self._schema)

    def _write(self, table: pa.Table) -> None:
        self._file.write_table(table, row_group_size=len(table))

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        try:
            if kind is None:
                self._hand_over()
                while self._waiting:
                    self._waiting.popleft().result()
        except BaseException as failure:
            self._stack.__exit__(type(failure), failure, failure.__traceback__)
            raise
        self._stack.__exit__(kind, error, trace)  # the thread ends, the file is closed and, when all went well, renamed


_OF_MEMBER = ("image_id", "identity", "role", "sequence", "source", "yaw", "pitch", "roll", "pose_source")


def _ahead(members: Sequence[Member], readers: int) -> Iterator[tuple[Sequence[Member], list[_Content]]]:
    """Members in chunks with what their files hold, in order; with several ``readers`` these run at most a few chunks ahead.

    One reader works in the calling thread: two threads that both hold the interpreter for short moments only hinder each other.
    """
    if readers == 1:
        for start in range(0, len(members), INLINE_FILES):
            part = members[start : start + INLINE_FILES]
            yield part, _contents(part)
        return
    waiting: deque[tuple[list[Member], Future[list[_Content]]]] = deque()
    with ThreadPoolExecutor(readers) as pool:
        try:
            for chunk in _chunks(members):
                waiting.append((chunk, pool.submit(_contents, chunk)))
                if len(waiting) > readers + 1:
                    first, future = waiting.popleft()
                    yield first, future.result()
            while waiting:
                first, future = waiting.popleft()
                yield first, future.result()
        finally:
            for _, future in waiting:
                future.cancel()


def _chunks(members: Sequence[Member]) -> Iterator[list[Member]]:
    """Runs of members of at most CHUNK_FILES files and about CHUNK_BYTES."""
    chunk: list[Member] = []
    held = 0
    for member in members:
        chunk.append(member)
        held += _size(member.path) if member.status == status.OK else 0
        if len(chunk) >= CHUNK_FILES or held >= CHUNK_BYTES:
            yield chunk
            chunk, held = [], 0
    if chunk:
        yield chunk


def _size(path: str) -> int:
    try:
        return os.stat(path).st_size  # noqa: PTH116 - thousands of them
    except OSError:
        return 0


def _contents(members: Sequence[Member]) -> list[_Content]:
    return [_content(member) for member in members]


def _content(member: Member) -> _Content:
    if member.status != status.OK:
        return _Content(member.status, member.detail)
    digest = ""
    try:
        data = _read(member.path)
        digest = hashlib.sha256(data).hexdigest()
        width, height = header_size(data)
    except Unreadable as error:
        return _Content(status.UNREADABLE, str(error), digest)
    return _Content(status.OK, member.detail, digest, width, height, data)


def _read(path: str) -> bytes:
    """All bytes of a file, with three system calls: this runs for every picture. A pipe or device is refused (it could hang)."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
        try:
            info = os.fstat(descriptor)
            if not stat.S_ISREG(info.st_mode):
                raise Unreadable("not a regular file")
            if info.st_size > MAX_BYTES:
                raise Unreadable(f"{info.st_size:,} bytes: more than {MAX_BYTES:,}")
            data = os.read(descriptor, info.st_size + 1)
            while len(data) < info.st_size:
                more = os.read(descriptor, info.st_size - len(data))
                if not more:
                    break
                data += more
            return data
        finally:
            os.close(descriptor)
    except OSError as error:
        raise Unreadable(f"cannot be read: {error.strerror or type(error).__name__}") from error


def header_size(data: bytes) -> tuple[int, int]:
    """(width, height) as stored, from the header. Raises :class:`Unreadable` for what is empty, no picture, or larger than images are
    decoded.

    Ordinary JPEG files tell their size to :func:`jpeg_size`; everything else goes to Pillow.
    """
    width, height = jpeg_size(data) or images.size_of(data)
    if width * height > images.MAX_PIXELS:
        raise Unreadable(f"{width} x {height} pixels: more than {images.MAX_PIXELS:,}")
    return width, height


_ONE, _TWO = struct.Struct(">H"), struct.Struct(">HH")


def jpeg_size(data: bytes) -> tuple[int, int] | None:
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
