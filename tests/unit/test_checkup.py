"""What is said of damaged results: one line for the cause, what hangs on it counted."""

from __future__ import annotations

from pathlib import Path

from frontalbench.upkeep.checkup import Finding, lines


def _stale(path: str, source: str) -> Finding:
    return Finding(Path(path), "stale", f"{path}: made from another version of {source}", Path(source))


def test_one_damaged_table_is_named_once_and_its_dependants_are_counted() -> None:
    found = [
        Finding(Path("crops"), "damaged", "crops: a page's checksum is wrong"),
        _stale("embeddings", "crops"),
        _stale("similarity/a", "embeddings"),
        _stale("similarity/b", "embeddings"),
        _stale("pose", "images"),
        Finding(Path("half"), "unfinished", "half: left by a killed process"),
    ]
    assert lines(found) == [
        "damaged: crops: a page's checksum is wrong; 3 tables hang on it",
        "stale: pose: made from another version of images",
        "unfinished: half: left by a killed process",
    ]


def test_a_circle_of_tables_is_still_told() -> None:
    assert len(lines([_stale("a", "b"), _stale("b", "a")])) == 2
    assert lines([]) == []
