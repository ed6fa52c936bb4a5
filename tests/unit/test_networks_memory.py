"""Freed memory: kept for the next image, or given back."""

from __future__ import annotations

from collections.abc import Callable

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

    def loop() -> None:
        pass

    assert minimal_tiles.compiled(loop) is loop
    assert asked[-1] == {"nogil": True, "fastmath": {"contract"}}, "nothing but a sum of products may be rearranged"
