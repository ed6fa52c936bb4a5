"""One member out of an archive (zip, wheel, tar, tgz), as data: nothing else is unpacked, nothing of it is run or imported.

An archive is untrusted. Only the one regular file that is asked for is written, to a path of our choosing, never longer than its declared size.
Links, absolute names, ``..``, encrypted or repeated members are refused.
"""

from __future__ import annotations

import stat
import tarfile
import zipfile
import zlib
from pathlib import Path
from typing import IO, BinaryIO

from frontalbench.weights.faults import SourceFault

_BLOCK = 1 << 20
MAX_UNPACKED = 16 << 30
"""A tar that unfolds to more than this is a bomb (it must be read through to the end, even for one member)."""


def extract(archive: Path, member: str, target: Path, limit: int | None = None) -> None:
    """Write the regular file of ``archive`` whose path is, or ends in ``/`` +, ``member`` to ``target``.

    ``limit``: the exact size in bytes that the member must have, None where unknown. Raises :class:`SourceFault`; ``target`` is then incomplete and
    must be thrown away.
    """
    try:
        if zipfile.is_zipfile(archive):
            _extract_zip(archive, member, target, limit)
        else:
            _extract_tar(archive, member, target, limit)
    except (zipfile.BadZipFile, tarfile.TarError, EOFError, zlib.error, NotImplementedError) as error:
        raise SourceFault(f"broken archive ({' '.join(str(error).split()) or type(error).__name__})") from None
    except OSError as error:
        if error.errno is None:  # gzip's BadGzipFile, lzma
            raise SourceFault(f"broken archive ({error})") from None
        raise


def unpack_tar(archive: Path, folder: Path) -> None:
    """Unpack all of a tar archive of plain files and folders into ``folder``: no absolute names, no way out, no links, no devices.

    Raises :class:`SourceFault`, and what :mod:`tarfile` and the disk raise. (The library's own filter came with Python 3.11.4; Debian 12 has 3.11.2.)
    """
    with tarfile.open(archive) as opened:
        for info in opened:
            _refuse_name(info.name)
            target = folder / info.name
            if info.isdir():
                target.mkdir(parents=True, exist_ok=True)
                continue
            source = opened.extractfile(info) if info.isreg() else None
            if source is None:
                raise SourceFault(f"'{info.name[:80]}' is a link or special file")
            target.parent.mkdir(parents=True, exist_ok=True)
            with source, target.open("wb") as sink:
                _copy(source, sink, info.size)


def _matches(name: str, member: str) -> bool:
    return name == member or name.endswith("/" + member)


def _refuse_name(name: str) -> None:
    if name.startswith(("/", "\\")) or "\\" in name or ":" in name.split("/")[0] or ".." in name.split("/"):
        raise SourceFault(f"unsafe member name '{name[:80]}'")


def _check_size(size: int, limit: int | None) -> None:
    if limit is not None and size != limit:
        raise SourceFault(f"the member has {size:,} bytes instead of {limit:,}")


def _extract_zip(archive: Path, member: str, target: Path, limit: int | None) -> None:
    with zipfile.ZipFile(archive) as opened:
        found = [info for info in opened.infolist() if not info.is_dir() and _matches(info.filename, member)]
        if len(found) != 1:
            raise SourceFault(f"{len(found) or 'no'} members end in '{member}'")
        info = found[0]
        _refuse_name(info.filename)
        kind = stat.S_IFMT(info.external_attr >> 16)
        if kind not in (0, stat.S_IFREG):
            raise SourceFault(f"'{member}' is a link or special file")
        if info.flag_bits & 0x1:
            raise SourceFault(f"'{member}' is encrypted")
        _check_size(info.file_size, limit)
        with opened.open(info) as source, target.open("wb") as sink:
            _copy(source, sink, info.file_size)


def _extract_tar(archive: Path, member: str, target: Path, limit: int | None) -> None:
    found, total = 0, 0
    with tarfile.open(archive, "r:*") as opened:
        while (info := opened.next()) is not None:
            # What was passed is forgotten: a tar of a billion empty members needs no memory.
            opened.members.clear()  # type: ignore[attr-defined]
            total += max(info.size, 0)
            if total > MAX_UNPACKED:
                raise SourceFault(f"unfolds to more than {MAX_UNPACKED >> 30} GiB")
            if info.isdir() or not _matches(info.name, member):
                continue
            found += 1
            if found > 1:
                raise SourceFault(f"several members end in '{member}'")
            _refuse_name(info.name)
            if not info.isreg():
                raise SourceFault(f"'{member}' is a link or special file")
            _check_size(info.size, limit)
            source = opened.extractfile(info)
            if source is None:
                raise SourceFault(f"'{member}' is not a regular file")
            with source, target.open("wb") as sink:
                _copy(source, sink, info.size)
    if not found:
        raise SourceFault(f"no members end in '{member}'")


def _copy(source: IO[bytes], sink: BinaryIO, size: int) -> None:
    """Exactly ``size`` bytes from ``source`` to ``sink``, in blocks."""
    left = size
    while left:
        block = source.read(min(_BLOCK, left))
        if not block:
            raise SourceFault(f"the member ends {left:,} bytes early")
        sink.write(block)
        left -= len(block)
    if source.read(1):
        raise SourceFault(f"the member is longer than its declared {size:,} bytes")
