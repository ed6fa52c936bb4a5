"""Freed memory: kept for the next image, or given back."""

from __future__ import annotations

import os
import subprocess
import sys
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
    ("modes", "asks", "huge"),
    [
        ("[always] madvise never", False, True),
        ("always [madvise] never", True, True),
        ("always [madvise] never", False, False),
        ("always madvise [never]", True, False),
        (None, True, False),
    ],
)
def test_huge_pages_are_given_to_all_or_to_who_asks(
    modes: str | None, asks: bool, huge: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(memory, "_HUGE_PAGES", tmp_path / "enabled")
    monkeypatch.setattr(memory, "_MAPS", tmp_path / "smaps")
    monkeypatch.setattr(memory, "_asks", lambda maps, address: asks)
    (tmp_path / "smaps").write_text("")
    if modes is not None:
        (tmp_path / "enabled").write_text(f"{modes}\n")
    assert memory._huge_pages() is huge


def test_who_asked_is_read_from_the_mapping_of_an_address() -> None:
    maps = """\
7f00-7f10 rw-p 00000000 00:00 0
Rss:                  64 kB
VmFlags: rd wr mr mw me ac sd hg
7f10-7f20 rw-p 00000000 00:00 0 [heap]
Rss:                  64 kB
THPeligible:           1
VmFlags: rd wr mr mw me ac sd
"""
    assert [memory._asks(maps, address) for address in (0x7F00, 0x7F0F, 0x7F10, 0x7F1F, 0x7F20)] == [True, True, False, False, False]


@pytest.mark.slow
@pytest.mark.skipif(not memory._MAPS.exists(), reason="Linux only")
def test_pytorch_asks_where_it_was_told_in_time() -> None:
    """Also for maps that lie in memory that was freed before."""
    script = """
{first}
from frontalbench.networks import memory
import torch
maps = [torch.ones(5 << 20) for _ in range(8)]
del maps
used = torch.empty(1 << 20)
print(memory._asks(memory._MAPS.read_text(), used.data_ptr()))
"""
    paths = os.pathsep.join(path for path in sys.path if path)
    environment = {name: value for name, value in os.environ.items() if name != "THP_MEM_ALLOC_ENABLE"} | {"PYTHONPATH": paths}
    for first, wanted in (("", "True"), ("import torch; torch.zeros(1 << 20)", "False")):
        command = [sys.executable, "-c", script.format(first=first)]
        done = subprocess.run(command, capture_output=True, text=True, check=True, env=environment)
        assert done.stdout.strip() == wanted


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
