"""The seal of a Parquet file: a digest of its footer, in front of the footer.

A footer says what the pages are: names, types, counts, places, and the records that we keep in it. No checksum guards it, and damage to it is not
always noticed: a table can lose rows or its records and still be read, and some readers end with the whole process. So the digest is looked at before
anything else reads the file. Parquet finds its pages by their place and its footer from the end: other readers pass over the forty bytes.
"""

from __future__ import annotations

import hashlib
import os
from pathlib import Path
from typing import BinaryIO

_WORD = b"FBSEAL1\0"
_SIZE = len(_WORD) + hashlib.sha256().digest_size
_TAIL = 8
"""The length of the footer (four bytes, least first) and the word PAR1."""


def seal(path: str | os.PathLike[str]) -> None:
    """Put the digest in front of the footer of a finished Parquet file. Raises ValueError for a file that has none."""
    with Path(path).open("rb+") as file:
        end = file.seek(0, os.SEEK_END)
        footer = _footer(file, end)
        file.seek(end - len(footer))
        file.write(_WORD + hashlib.sha256(footer).digest() + footer)


def problem(path: str | os.PathLike[str]) -> str | None:
    """What is wrong with the end of a file, or None. Raises OSError."""
    with Path(path).open("rb") as file:
        return problem_in(file)


def problem_in(file: BinaryIO) -> str | None:
    """:func:`problem` of a file that is open for reading; leaves it at another place."""
    end = file.seek(0, os.SEEK_END)
    try:
        footer = _footer(file, end)
    except ValueError as error:
        return str(error)
    file.seek(max(0, end - len(footer) - _SIZE))
    word, digest = file.read(len(_WORD)), file.read(_SIZE - len(_WORD))
    if word != _WORD:
        return "it has no seal: damaged, or no table of Frontalbench"
    return None if digest == hashlib.sha256(footer).digest() else "its seal is broken"


def _footer(file: BinaryIO, end: int) -> bytes:
    """The footer with its length and last word; ``file`` is ``end`` bytes long."""
    file.seek(max(0, end - _TAIL))
    tail = file.read()
    if len(tail) < _TAIL or tail[4:] != b"PAR1":
        raise ValueError("it does not end as a Parquet file does: cut off, or another format")
    size = int.from_bytes(tail[:4], "little")
    if size + _TAIL > end:
        raise ValueError("its footer is longer than the file")
    file.seek(end - _TAIL - size)
    return file.read()
