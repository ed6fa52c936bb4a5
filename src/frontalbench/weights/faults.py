"""Why one source could not give a file: gathered by the store into one line for the person."""

from __future__ import annotations


class SourceFault(Exception):
    """``str()`` is a short reason, without line breaks, addresses of package registries or credentials."""
