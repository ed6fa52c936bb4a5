"""Freed memory: kept for the next image, or given back."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import ClassVar

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


@pytest.mark.parametrize(("huge", "wanted"), [(True, [8 << 20, 16 << 20]), (False, [])])
def test_maps_go_back_at_once_where_huge_pages_make_that_cheap(huge: bool, wanted: list[int], monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[tuple[int, int]] = []
    library({"mallopt": lambda name, value: asked.append((name, value)) or 1}, monkeypatch)
    monkeypatch.setattr(memory, "_huge_pages", lambda: huge)
    monkeypatch.setattr(memory, "_decided", set())
    memory.returned()
    memory.returned()
    assert [value for _, value in asked] == wanted, "once in a process"
    assert [name for name, _ in asked] == [memory._MMAP_THRESHOLD, memory._TRIM_THRESHOLD][: len(wanted)]


def test_a_process_that_keeps_its_memory_for_one_network_keeps_it_beside_another(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[int] = []
    library({"mallopt": lambda name, value: asked.append(value) or 1}, monkeypatch)
    monkeypatch.setattr(memory, "_huge_pages", lambda: True)
    for order, wanted in (("returned kept", [8 << 20, 16 << 20, 300 << 20, 1 << 30]), ("kept returned", [300 << 20, 1 << 30])):
        monkeypatch.setattr(memory, "_decided", set())
        for name in order.split():
            getattr(memory, name)()
        assert asked == wanted
        asked.clear()


@pytest.mark.parametrize(
    ("before", "after", "huge"),
    [
        ("AnonHugePages:      2048 kB", "AnonHugePages:     18432 kB", True),
        ("AnonHugePages:      0 kB", "AnonHugePages:     0 kB", False),
        ("", "", False),
    ],
)
def test_whether_maps_lie_in_huge_pages_is_seen_from_one(before: str, after: str, huge: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    """PyTorch may have been used before it was told to ask, the system may have none to give, or not say."""

    class Sums:
        texts: ClassVar[list[str]] = [f"Rss: 5 kB\n{text}\nSwap: 0 kB\n" for text in (before, after)]

        def read_text(self) -> str:
            return self.texts.pop(0)

    monkeypatch.setattr(memory, "_SUMS", Sums())
    assert memory._huge_pages() is huge


def test_without_proc_there_are_no_huge_pages(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(memory, "_SUMS", tmp_path / "nowhere")
    assert not memory._huge_pages()


def test_pytorch_is_asked_for_huge_pages_unless_somebody_said_otherwise() -> None:
    script = "import os; from frontalbench.networks import memory; print(os.environ['THP_MEM_ALLOC_ENABLE'])"
    paths = os.pathsep.join(path for path in sys.path if path)
    for given, wanted in (({}, "1"), ({"THP_MEM_ALLOC_ENABLE": "0"}, "0")):
        environment = {name: value for name, value in os.environ.items() if name != "THP_MEM_ALLOC_ENABLE"} | {"PYTHONPATH": paths} | given
        done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True, env=environment)
        assert done.stdout.strip() == wanted


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
