"""Freed memory: kept for the next image, or given back."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from frontalbench.networks import memory


def library(known: dict[str, Callable[..., int]], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(memory, "_library", known.get)


@pytest.mark.parametrize("largest", [300 << 20, 32 << 20])
def test_a_c_library_with_a_smaller_limit_gets_the_threshold_that_it_knows(largest: int, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[tuple[int, int]] = []

    def mallopt(name: int, value: int) -> int:
        taken = name != memory._MMAP_THRESHOLD or value <= largest
        asked.extend([(name, value)] * taken)
        return int(taken)

    library({"mallopt": mallopt}, monkeypatch)
    memory.kept()
    assert asked == [(memory._MMAP_THRESHOLD, largest), (memory._TRIM_THRESHOLD, 1 << 30)]


def test_a_c_library_that_takes_no_threshold_is_left_as_it_is(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[int] = []
    library({"mallopt": lambda name, value: asked.append(name) or 0}, monkeypatch)
    memory.kept()
    assert memory._TRIM_THRESHOLD not in asked, "it would set the other to 128 kB"


def test_without_glibc_nothing_happens_and_small_weights_are_not_walked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    library({}, monkeypatch)
    memory.kept()
    memory.given_back(memory.MUCH)
    trimmed: list[int] = []
    library({"malloc_trim": trimmed.append}, monkeypatch)
    memory.given_back(memory.MUCH - 1)
    assert trimmed == []
    memory.given_back(memory.MUCH)
    assert trimmed == [0]


@pytest.mark.parametrize(
    ("modes", "asks", "wanted"),
    [
        ("always [madvise] never", "1", True),
        ("[always] madvise never", "0", True),
        ("always [madvise] never", "0", False),
        ("always madvise [never]", "1", False),
        (None, "1", False),
    ],
)
def test_maps_go_back_at_once_where_huge_pages_make_that_cheap(
    modes: str | None, asks: str, wanted: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[tuple[int, int]] = []
    library({"mallopt": lambda name, value: asked.append((name, value)) or 1}, monkeypatch)
    monkeypatch.setattr(memory, "_HUGE_PAGES", tmp_path / "enabled")
    monkeypatch.setattr(memory, "_decided", set())
    monkeypatch.setenv("THP_MEM_ALLOC_ENABLE", asks)
    if modes is not None:
        (tmp_path / "enabled").write_text(f"{modes}\n")
    memory.returned()
    assert asked == ([(memory._MMAP_THRESHOLD, 8 << 20), (memory._TRIM_THRESHOLD, 16 << 20)] if wanted else [])


def test_a_process_that_keeps_its_memory_for_one_network_keeps_it_beside_another(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[int] = []
    library({"mallopt": lambda name, value: asked.append(value) or 1}, monkeypatch)
    monkeypatch.setattr(memory, "_HUGE_PAGES", tmp_path / "enabled")
    monkeypatch.setattr(memory, "_decided", set())
    (tmp_path / "enabled").write_text("[always] madvise never")
    memory.returned()
    memory.kept()
    memory.returned()
    assert asked == [8 << 20, 16 << 20, 300 << 20, 1 << 30]


MAPS = """\
7f00-7f10 r--p 00000000 fe:00 12 /lib/libllvmlite.so
Rss:                  64 kB
Anonymous:             0 kB
VmFlags: rd mr mw me
7f10-7f20 r-xp 00000000 fe:00 12 /lib/libllvmlite.so
Rss:                  64 kB
Anonymous:             4 kB
7f20-7f30 rw-p 00000000 fe:00 12 /lib/libllvmlite.so
Anonymous:             0 kB
7f30-7f40 r-xs 00000000 fe:00 12 /lib/libllvmlite.so
Anonymous:             0 kB
7f40-7f50 r-xp 00000000 fe:00 13 /home/libllvmlite/libtorch.so
Anonymous:             0 kB
7f50-7f60 r-xp 00000000 00:00 0
Anonymous:             0 kB
7f60-7f70 r-xp 00000000 fe:00 12 /a folder/libllvmlite.so.20 (deleted)
Rss:                  64 kB
Anonymous:             0 kB
"""


def test_only_what_is_as_in_the_file_and_cannot_be_written_to_is_given_back(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    told: list[tuple[int, int, int]] = []
    library({"madvise": lambda start, size, what: told.append((start.value, size.value, what)) or 0}, monkeypatch)
    (tmp_path / "smaps").write_text(MAPS)
    monkeypatch.setattr(memory, "_MAPS", tmp_path / "smaps")
    assert memory.unmapped("libllvmlite") == 0x20
    assert told == [(0x7F00, 0x10, 4), (0x7F60, 0x10, 4)]
    library({"madvise": lambda start, size, what: -1}, monkeypatch)
    assert memory.unmapped("libllvmlite") == 0, "what the system refuses does not count"
    library({}, monkeypatch)
    assert memory.unmapped("libllvmlite") == 0
