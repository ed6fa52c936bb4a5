"""Is everything under ``results/`` still what it was when it was written?

Snakemake looks at times and parameters, never into a finished file. This looks into all of them: tables whose checksums fail, tables made from
another version of an input that is still there (a restored backup, a clock that was set back), files dated in the future (every run would repeat
what hangs on them), and unfinished files of killed processes.
"""

from __future__ import annotations

import os
import time
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from frontalbench import tables
from frontalbench.errors import BadInput
from frontalbench.files import atomic
from frontalbench.upkeep import environment

_LATER_SECONDS = 60.0
"""Clocks of two machines may differ by less than this."""


@dataclass(frozen=True)
class Finding:
    """Something wrong with ``path``. ``word``: damaged, stale, future or unfinished; ``detail``: one line; ``source``: what a stale table was made
    from."""

    path: Path
    word: str
    detail: str
    source: Path | None = None

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


def lines(found: Sequence[Finding]) -> list[str]:
    """What to say of findings: a table that is wrong because of another wrong one is counted behind that one, not named."""
    of_path = {finding.path: finding for finding in found}
    behind: Counter[Path] = Counter()
    first = []
    for finding in found:
        at, passed = finding, {finding.path}
        while at.source in of_path and at.source not in passed:
            at = of_path[at.source]
            passed.add(at.path)
        if at is finding or at.source in passed:  # the cause itself, or a circle that has none
            first.append(finding)
        else:
            behind[at.path] += 1
    return [f"{finding}{_hanging(behind[finding.path])}" for finding in first]


def _hanging(count: int) -> str:
    return f"; {count:,} {'table hangs' if count == 1 else 'tables hang'} on it" if count else ""


def _stale(path: Path, root: Path, digests: dict[tuple[Path, bool], str]) -> Iterator[Finding]:
    for name, recorded in tables.provenance(path).get("inputs", {}).items():
        source = root / name
        if not source.is_file():
            continue  # cleaned away, or made elsewhere
        by_content = recorded.startswith(tables.CONTENT)
        if (source, by_content) not in digests:
            digests[source, by_content] = tables.content_digest(source) if by_content else tables.file_sha256(source)
        if digests[source, by_content] != recorded.removeprefix(tables.CONTENT):
            yield Finding(path, "stale", f"{path}: made from another version of {name}", source)
            return


def mend(finding: Finding) -> bool:
    """Remove what is damaged, stale or unfinished, date back what is from the future. Returns whether the file has to be made anew."""
    if finding.word == "future":
        os.utime(finding.path)
        return False
    atomic.remove(finding.path)
    return finding.word != "unfinished"


def mixed(results: Path) -> list[Finding]:
    """Tables that make a comparison mix versions of libraries or kinds of processors (``word``: mixed): those that were themselves computed with
    another version than most tables of the run. Damaged tables are not looked at, :func:`check` finds them.

    A table's record names its own versions together with those of everything it was made from. So the table where another version comes in is
    named; what hangs on it is made anew with it.
    """
    software: dict[Path, environment.Software] = {}
    inputs: dict[Path, list[Path]] = {}
    for path in sorted(results.rglob("*.parquet")):
        if path.name.startswith("."):
            continue
        try:
            record = tables.provenance(path)
        except BadInput:
            continue
        software[path] = environment.of_record(record, path)
        inputs[path] = [results.parent / name for name in record.get("inputs", {})]
    usual = {word: _most(software.values(), word) for word in environment.union(software.values())}
    other = {
        path: {word: [version for version in versions if version != usual[word]] for word, versions in found.items()}
        for path, found in software.items()
    }
    findings = []
    for path, words in other.items():
        above = environment.union(other[source] for source in inputs[path] if source in other)
        own = {word: versions for word, versions in words.items() if set(versions) - set(above.get(word, []))}
        if own:
            instead = {word: [usual[word]] for word in own}
            findings.append(
                Finding(path, "mixed", f"{path}: computed with {environment.told(own)}, most of the run with {environment.told(instead)}")
            )
    return findings


def _most(found: Iterable[environment.Software], word: str) -> str:
    """The version that most tables name; of equally many the last in order, usually the newer one."""
    counts = Counter(version for record in found for version in record.get(word, []))
    return max(counts, key=lambda version: (counts[version], version))
