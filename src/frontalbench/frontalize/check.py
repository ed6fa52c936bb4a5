"""One line of a self-test."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Check:
    """One line of the self-test: ``value`` lies (``passed``) or does not lie in ``low`` .. ``high``; ``meaning`` is one sentence."""

    name: str
    value: float
    low: float
    high: float
    meaning: str

    @property
    def passed(self) -> bool:
        return bool(self.low <= self.value <= self.high)

    def __str__(self) -> str:
        return f"{'ok' if self.passed else 'FAILED':8}{self.name:34}{self.value:>10.3f}   {self.bound:16}{self.meaning}"

    @property
    def bound(self) -> str:
        if np.isinf(self.high):
            return f">= {self.low:g}"
        return f"<= {self.high:g}" if np.isinf(self.low) else f"{self.low:g} .. {self.high:g}"


def verdict(checks: Sequence[Check]) -> tuple[list[str], bool]:
    """(a line per check and one with the count, whether all passed)."""
    passed = sum(check.passed for check in checks)
    return [*map(str, checks), f"{passed} of {len(checks)} checks passed"], passed == len(checks)
