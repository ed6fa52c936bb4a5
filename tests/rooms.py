"""Which tests belong where: ``tests/unit`` holds no test that needs weights or photographs; those are in ``tests/models``."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

NEEDS = ("weight", "shared")
"""Fixtures that ask for real weights or for the test photographs."""
MARKER = "weights"
STRICT = True
"""Whether a test in the wrong folder fails the run; else it is named in the last lines."""


@dataclass(frozen=True)
class Asked:
    """One collected test: its file from the checkout's root, its function's name, and the fixtures and marks it has."""

    file: str
    name: str
    fixtures: frozenset[str]
    marks: frozenset[str]

    @property
    def needy(self) -> bool:
        return MARKER in self.marks or not self.fixtures.isdisjoint(NEEDS)


def misplaced(tests: Iterable[Asked]) -> list[str]:
    """``file::test`` of those under ``tests/unit`` that need weights or photographs, each once."""
    return sorted({f"{test.file}::{test.name}" for test in tests if test.file.startswith("tests/unit/") and test.needy})


def complaint(found: list[str]) -> str:
    """A line that names them; empty when there are none."""
    if not found:
        return ""
    return f"tests/unit needs no weights and no photographs; {len(found)} of its tests do and belong in tests/models: {', '.join(found)}"
