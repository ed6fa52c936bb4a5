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


def test_loops_are_compiled_without_a_place_to_keep_them(monkeypatch: pytest.MonkeyPatch) -> None:
    """A read-only installation of a user without a home."""
    from frontalbench.networks import minimal_tiles

    asked: list[dict[str, object]] = []

    def njit(**options: object) -> Callable[[Callable[..., None]], Callable[..., None]]:
        asked.append(options)
        if options.get("cache"):
            raise RuntimeError("cannot cache function: no locator available")
        return lambda loop: loop

    monkeypatch.setattr(minimal_tiles.numba, "njit", njit)
    ran: list[int] = []

    def loop() -> None:
        ran.append(1)

    loop.overloads = {}  # type: ignore[attr-defined]
    minimal_tiles.compiled(loop)()
    assert ran == [1]
    assert asked[-1] == {"nogil": True, "fastmath": {"contract"}}, "nothing but a sum of products may be rearranged"


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


@pytest.mark.skipif(not Path("/proc/self/smaps").exists(), reason="Linux only")
def test_the_compiler_s_library_goes_and_works_when_it_is_needed_again() -> None:
    import numba
    import numpy as np

    from frontalbench.networks import minimal_tiles

    def resident() -> int:
        maps = Path("/proc/self/smaps").read_text(errors="replace").split("VmFlags")
        return sum(int(part.split("Rss:")[1].split()[0]) for part in maps if "libllvmlite" in part)

    @minimal_tiles.compiled
    def twice(x: np.ndarray) -> None:
        for i in range(len(x)):
            x[i] *= 2

    values = np.ones(3, np.float32)
    twice(values)
    after = resident()
    assert after < 10_000, f"{after} kB of {numba.__name__}'s library"
    assert memory.unmapped("libllvmlite") > 20 << 20
    more = np.ones(3)
    twice(more)  # of another kind: compiled now
    assert values.tolist() == more.tolist() == [2.0, 2.0, 2.0]
