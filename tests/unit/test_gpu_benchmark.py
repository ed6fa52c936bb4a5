"""The time line of benchmarks/gpu.py, whose figures were taken where no test runs."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path
from types import ModuleType

import pytest


@pytest.fixture(scope="module")
def gpu() -> ModuleType:
    path = Path(__file__).resolve().parents[2] / "benchmarks" / "gpu.py"
    spec = importlib.util.spec_from_file_location("benchmark_gpu", path)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    monkeypatch = pytest.MonkeyPatch()
    monkeypatch.setitem(sys.modules, spec.name, module)  # its dataclasses look for their module there
    spec.loader.exec_module(module)
    return module


def test_busy_is_the_union_of_the_spans_and_a_gap_is_what_none_covers(gpu: ModuleType) -> None:
    line = gpu.timeline([(0.0, 1000.0), (500.0, 2000.0), (5000.0, 6000.0), (5200.0, 5300.0)])
    assert line.busy == pytest.approx(3000 / 6000)
    assert line.longest_gap == pytest.approx(3.0)


def test_a_device_that_did_nothing_is_no_busy_one(gpu: ModuleType) -> None:
    with pytest.raises(ValueError, match="did nothing"):
        gpu.timeline([])


@pytest.mark.slow
def test_the_same_script_runs_on_a_cpu(gpu: ModuleType, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr("sys.argv", ["gpu.py", "--device", "cpu", "--only", "deca.detail", "--batch", "2"])
    assert gpu.main() == 0
    printed = capsys.readouterr().out
    assert "deca.detail" in printed and "bound 0.001: ok" in printed
