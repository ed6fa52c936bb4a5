"""Several GPUs on one machine: no device is given to two jobs, a dead job's comes back, and more jobs than devices are refused."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from frontalbench.errors import BadConfig, BadInput
from frontalbench.runtime import devices
from tests.project import ROOT

TAKER = """
import sys
from pathlib import Path
from frontalbench.runtime import devices
print(",".join(devices.take(int(sys.argv[1]), None, Path(sys.argv[2]))), flush=True)
sys.stdin.readline()
"""


@pytest.fixture
def taker(tmp_path: Path) -> Iterator[Callable[..., subprocess.Popen[str]]]:
    """``taker(list, number=1)``: a process that takes devices and keeps them until it ends; its first line says which."""
    running = []

    def start(gpus: str, number: int = 1) -> subprocess.Popen[str]:
        environment = dict(os.environ, FRONTALBENCH_GPUS=gpus, PYTHONPATH=str(ROOT / "src"))
        command = [sys.executable, "-c", TAKER, str(number), str(tmp_path / "locks")]
        pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
        running.append(subprocess.Popen(command, env=environment, text=True, **pipes))  # type: ignore[call-overload]
        return running[-1]

    yield start
    for process in running:
        process.kill()
        with suppress(ValueError):  # communicated with already
            process.communicate()


def first_line(process: subprocess.Popen[str]) -> str:
    assert process.stdout is not None
    return process.stdout.readline().strip()


def test_jobs_at_the_same_time_hold_different_devices(taker: Callable[..., subprocess.Popen[str]]) -> None:
    held = [first_line(taker("0,1,GPU-5a")) for _ in range(3)]
    assert sorted(held) == ["0", "1", "GPU-5a"]


def test_one_job_more_than_devices_is_refused_in_one_line_and_takes_none(taker: Callable[..., subprocess.Popen[str]]) -> None:
    assert first_line(taker("0,1")) == "0"
    said = taker("0,1", 2).communicate(timeout=600)[1].strip().splitlines()[-1]
    assert "2 GPU(s) wanted, 1 free of 0,1" in said and "resources: gpu=N" in said
    assert first_line(taker("0,1")) == "1", "what the refused one held is free again"


def test_the_device_of_a_killed_job_comes_back(taker: Callable[..., subprocess.Popen[str]]) -> None:
    process = taker("7")
    assert first_line(process) == "7"
    process.kill()
    process.wait(timeout=600)
    assert first_line(taker("7")) == "7"


def test_a_device_named_twice_takes_two_jobs_and_a_job_of_two_never_has_it_twice(
    taker: Callable[..., subprocess.Popen[str]], tmp_path: Path
) -> None:
    assert [first_line(taker("3,3")) for _ in range(2)] == ["3", "3"]
    with pytest.raises(BadInput, match="1 free"):
        devices.take(2, {devices.DEVICES: "4,4"}, tmp_path / "others")


def test_a_job_sees_what_it_holds_and_one_that_asked_for_none_sees_none(tmp_path: Path) -> None:
    environment = {devices.DEVICES: "5,6"}
    assert devices.take(2, environment, tmp_path) == ["5", "6"]
    assert environment[devices.VISIBLE] == "5,6"
    assert devices.take(0, environment, tmp_path) == []
    assert environment[devices.VISIBLE] == ""


def test_where_nobody_shares_devices_nothing_is_touched(tmp_path: Path) -> None:
    environment = {devices.VISIBLE: "2"}
    assert devices.take(1, environment, tmp_path / "locks") == []
    assert environment == {devices.VISIBLE: "2"}
    assert not (tmp_path / "locks").exists()


@pytest.mark.parametrize(
    ("environment", "found"),
    [({devices.DEVICES: "1, 3"}, ["1", "3"]), ({devices.VISIBLE: "GPU-1,GPU-2"}, ["GPU-1", "GPU-2"]), ({}, ["0", "1"])],
)
def test_the_devices_are_those_of_the_variable_or_of_cuda_or_of_the_machine(
    environment: dict[str, str], found: list[str], tmp_path: Path
) -> None:
    for name in ("0000:01:00.0", "0000:41:00.0"):
        (tmp_path / name).mkdir()
    assert devices.shared(2, environment, tmp_path) == found
    assert environment[devices.DEVICES] == ",".join(found)
    with pytest.raises(BadConfig, match=r"^resources: gpu=3, but there are 2 GPUs \(.*\); set gpu=2 .*$"):
        devices.shared(3, environment, tmp_path)


def test_a_list_of_devices_that_nobody_counts_is_dropped_loudly(caplog: pytest.LogCaptureFixture) -> None:
    environment = {devices.DEVICES: "0,1", devices.VISIBLE: "1"}
    assert devices.prepare(None, environment) == []
    assert environment == {devices.VISIBLE: "1"}
    assert "FRONTALBENCH_GPUS=0,1 is not used" in caplog.text and "profiles/workstation" in caplog.text
    assert devices.prepare(2, environment | {devices.DEVICES: "0,1"}) == ["0", "1"]


@pytest.mark.parametrize("text", ["cuda:0", "0;1", "../etc", "-1"])
def test_what_is_no_device_is_named(text: str) -> None:
    with pytest.raises(BadConfig, match=r"FRONTALBENCH_GPUS: .*nvidia-smi -L"):
        devices.listed(text)


def test_float32_means_float32_on_cuda(monkeypatch: pytest.MonkeyPatch) -> None:
    """TF32 is torch's default for convolutions; no network of ours may have it by accident, so choosing the device turns it off."""
    import torch

    from frontalbench.runtime import sessions

    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 1)
    monkeypatch.setattr(torch.backends.cudnn, "allow_tf32", True)
    monkeypatch.setattr(torch.backends.cuda.matmul, "allow_tf32", True)
    assert sessions.torch_device("cuda") == torch.device("cuda", 0)
    assert not torch.backends.cudnn.allow_tf32
    assert not torch.backends.cuda.matmul.allow_tf32
