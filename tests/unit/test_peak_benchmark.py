"""The memory that benchmarks report is the process's own."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from benchmarks import peak

pytestmark = pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="Linux only")
CHILD = "import sys, time; x = bytearray(b'1') * 60_000_000; print(1, flush=True); sys.stdin.readline(); del x; print(2, flush=True); time.sleep(0.1)"


def test_a_child_s_memory_is_its_own_and_not_what_its_parent_held() -> None:
    held = bytearray(b"1") * 300_000_000
    child = subprocess.Popen([sys.executable, "-c", CHILD], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert child.stdin is not None and child.stdout is not None
    with peak.Watch(child.pid) as watch:
        child.stdout.readline()
        child.stdin.write("on\n")
        child.stdin.flush()
        child.stdout.readline()
    assert 55 < watch.anonymous < 120 and watch.files > 1, "the kernel counts in pieces: half a MB may be missing"
    assert 57 < peak.most_until_its_end(child) < 130
    assert child.returncode == 0 and peak.most() > len(held) / 2**20
