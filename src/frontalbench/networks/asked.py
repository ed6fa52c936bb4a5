"""What the networks that are made ready now should compute in on a CPU: a word, without PyTorch, because files of ONNX are asked too.

:func:`frontalbench.catalogue.families.load` opens :func:`asking` with what a card says (``precision_cpu`` of its params), for the card's own networks
alone: a card that it uses is loaded by the same function and computes in what it says itself.
"""

from __future__ import annotations

import contextlib
import contextvars
import dataclasses
from collections.abc import Iterator
from typing import Final

PARAM: Final = "precision_cpu"
PRECISIONS: Final = ("float32", "float16", "bfloat16")


@dataclasses.dataclass
class Asked:
    """``word``: one of :data:`PRECISIONS`, not the first; ``answers``: how many networks compute in it."""

    word: str
    answers: int = 0


_asked: contextvars.ContextVar[Asked | None] = contextvars.ContextVar("asked", default=None)


@contextlib.contextmanager
def asking(word: str) -> Iterator[Asked]:
    """Networks that are made ready inside compute in ``word``, whatever was asked outside."""
    asked = Asked(word)
    token = _asked.set(asked if word != PRECISIONS[0] else None)
    try:
        yield asked
    finally:
        _asked.reset(token)


def word() -> str:
    """One of :data:`PRECISIONS`."""
    asked = _asked.get()
    return PRECISIONS[0] if asked is None else asked.word


def answered() -> None:
    """A network computes in :func:`word`."""
    asked = _asked.get()
    if asked is not None:
        asked.answers += 1
