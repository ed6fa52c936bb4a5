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


class WeightsMissing(FrontalbenchError):
    """A weight file could not be found or fetched from any of its sources."""


class Unreadable(FrontalbenchError):
    """Image bytes could not be decoded; becomes the row status ``unreadable``."""
