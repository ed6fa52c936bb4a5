"""Names in the order of the numbers in them."""

from __future__ import annotations

import re

_DIGITS = re.compile(r"(\d+)")


def by_number(name: str) -> list[tuple[int, str]]:
    """Key of sorting: ``frame_2`` before ``frame_10``."""
    return [(int(part), "") if part.isdecimal() else (-1, part) for part in _DIGITS.split(name)]
