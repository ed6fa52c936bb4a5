"""What did not run, said in one line at the end, and what a CI may require.

A clone without the folder of test photographs and without weights skips tests; a run that skipped them looks as green as one that did not. So the
count is printed, and two variables make a run fail:

* ``FRONTALBENCH_GOLDEN=N``: fewer than N golden tests passed;
* ``FRONTALBENCH_SKIPPED=N``: more than N tests were skipped.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

SHARED = "shared folder"
"""How the reason of a skip begins that is for want of the test photographs."""
_WEIGHTS = "weight file"


@dataclass(frozen=True)
class Outcome:
    """One test: ``name`` its node id; ``ran``: it was run, whatever came of it; ``passed``; ``reason`` of a skip."""

    name: str
    ran: bool
    passed: bool = False
    reason: str = ""

    @property
    def golden(self) -> bool:
        return self.name.startswith("tests/golden/")

    @property
    def lacking(self) -> str:
        if SHARED in self.reason:
            return "the shared folder"
        return "weights" if _WEIGHTS in self.reason else "something else"


def summary(outcomes: Iterable[Outcome]) -> str:
    """``golden: 91 of 93 ran; not run: 46 for want of the shared folder, 2 of weights``; empty for a run without tests."""
    found = list(outcomes)
    if not found:
        return ""
    golden = [one for one in found if one.golden]
    lacking = Counter(one.lacking for one in found if not one.ran)
    parts = [f"golden: {sum(one.ran for one in golden)} of {len(golden)} ran"] if golden else []
    kinds = [f"{lacking[kind]} for want of {kind}" for kind in ("the shared folder", "weights", "something else") if lacking[kind]]
    return "; ".join([*parts, f"not run: {', '.join(kinds) or 'none'}"])


def complaints(outcomes: Iterable[Outcome], environment: Mapping[str, str]) -> list[str]:
    """What falls short of the variables of the module's description, a line each."""
    found = list(outcomes)
    golden, skipped = sum(one.passed for one in found if one.golden), sum(not one.ran for one in found)
    least, most = (_number(environment, name) for name in ("FRONTALBENCH_GOLDEN", "FRONTALBENCH_SKIPPED"))
    lines = []
    if least is not None and golden < least:
        lines.append(f"FRONTALBENCH_GOLDEN: {golden} golden tests passed, {least} are required")
    if most is not None and skipped > most:
        lines.append(f"FRONTALBENCH_SKIPPED: {skipped} tests did not run, at most {most} are allowed")
    return lines


def _number(environment: Mapping[str, str], name: str) -> int | None:
    text = environment.get(name, "")
    if text and not text.isdecimal():
        raise ValueError(f"{name}={text}: expected a number of tests")
    return int(text) if text else None
