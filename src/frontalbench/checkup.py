"""Is everything under ``results/`` still what it was when it was written?

Snakemake looks at times and parameters, never into a finished file. This looks into all of them: tables whose checksums fail, tables made from
another version of an input that is still there (a restored backup, a clock that was set back), files dated in the future (every run would repeat
what hangs on them), and unfinished files of killed processes.
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from frontalbench import atomic, tables
from frontalbench.errors import BadInput

_LATER_SECONDS = 60.0
"""Clocks of two machines may differ by less than this."""


@dataclass(frozen=True)
class Finding:
    """Something wrong with ``path``. ``word``: damaged, stale, future or unfinished; ``detail``: one line."""

    path: Path
    word: str
    detail: str

    def __str__(self) -> str:
        return f"{self.word}: {self.detail}"


def check(results: Path, root: Path = Path()) -> Iterator[Finding]:
    """What is wrong under ``results``. ``root``: the folder that recorded input paths start from. Raises BadInput when there is no such folder."""
    if not results.is_dir():
        raise BadInput(f"{results}: not a folder; give the folder that the workflow wrote, usually results")
    for left in atomic.leftovers(results):
        yield Finding(left, "unfinished", f"{left}: left by a killed process")
    digests: dict[tuple[Path, bool], str] = {}
    for path in sorted(results.rglob("*.parquet")):
        if path.name.startswith("."):
            continue
        try:
            tables.verify(path)
            yield from _stale(path, root, digests)
        except BadInput as error:
            yield Finding(path, "damaged", str(error))
    limit = time.time() + _LATER_SECONDS
    for path in sorted(p for p in results.rglob("*") if p.is_file() and p.stat().st_mtime > limit):
        yield Finding(
            path, "future", f"{path}: dated in the future ({time.strftime('%Y-%m-%d %H:%M', time.gmtime(path.stat().st_mtime))} UTC)"
        )


def _stale(path: Path, root: Path, digests: dict[tuple[Path, bool], str]) -> Iterator[Finding]:
    for name, recorded in tables.provenance(path).get("inputs", {}).items():
        source = root / name
        if not source.is_file():
            continue  # cleaned away, or made elsewhere
        by_content = recorded.startswith(tables.CONTENT)
        if (source, by_content) not in digests:
            digests[source, by_content] = tables.content_digest(source) if by_content else tables.file_sha256(source)
        if digests[source, by_content] != recorded.removeprefix(tables.CONTENT):
            yield Finding(path, "stale", f"{path}: made from another version of {name}")
            return


def mend(finding: Finding) -> bool:
    """Remove what is damaged, stale or unfinished, date back what is from the future. Returns whether the file has to be made anew."""
    if finding.word == "future":
        os.utime(finding.path)
        return False
    atomic.remove(finding.path)
    return finding.word != "unfinished"
