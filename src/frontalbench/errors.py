"""User-facing errors.

Every error that a person can cause or mend is a :class:`FrontalbenchError`. Its message is one line that says which file (or row, or key),
what was expected and what to do. Command lines print it without a stack trace and exit with 2; any other exception is a bug.
"""

from __future__ import annotations


class FrontalbenchError(Exception):
    """An error that a person can mend; ``str(error)`` is one line."""


class BadInput(FrontalbenchError):
    """A file, folder, table or argument is not what it should be."""


class BadConfig(FrontalbenchError):
    """A configuration, card or pairs file does not fit its schema."""


class NotEnoughMemory(FrontalbenchError):
    """Memory ran out. A property of the machine and not of an image, so it ends the job and never becomes a row's status."""


class WeightsMissing(FrontalbenchError):
    """A weight file could not be found or fetched from any of its sources. ``word``: the status of the rows that come of it."""

    word = "weights_missing"


class EnvironmentMissing(WeightsMissing):
    """The environment that a foreign system runs in was not made on this machine."""

    word = "environment_missing"


class RepositoryMissing(WeightsMissing):
    """The code of a foreign system is not on this machine, or its commit was not pinned."""

    word = "repository_missing"


class Unreadable(FrontalbenchError):
    """Image bytes could not be decoded; becomes the row status ``unreadable``."""


def one_line(error: BaseException) -> str:
    """What ``error`` says, on one line of at most 200 characters; its kind where it says nothing."""
    return " ".join(str(error).split())[:200] or type(error).__name__


_SIGNS_OF_SHORTAGE = (
    "bad_alloc",
    "bad allocation",
    "failed to allocate memory",
    "out of memory",
    "insufficient memory",
    "not enough memory",
)


def raise_if_memory_ran_out(error: BaseException) -> None:
    """Raise :class:`NotEnoughMemory` when ``error`` says so (NumPy's MemoryError, or what OpenCV, ONNX Runtime and torch say in words).

    To be called first wherever an error of one image becomes a row: with more memory the same job gives another row.
    """
    if isinstance(error, MemoryError) or any(sign in " ".join(str(error).lower().split()) for sign in _SIGNS_OF_SHORTAGE):
        raise NotEnoughMemory("not enough memory; give the job more (mem_mb of its rule), or the dataset more shards") from error
