"""Stages that are killed, interrupted or starved: their output is whole or not there, and the next run gives what an undisturbed one gives."""

from __future__ import annotations

import contextlib
import functools
import gc
import multiprocessing
import os
import random
import resource
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import NoReturn

import pytest

from frontalbench import cli, tables
from frontalbench.files import atomic, folderswap

from .conftest import ENVIRONMENT, ORDER, Stages, unfinished

pytestmark = [pytest.mark.weights, pytest.mark.xdist_group("faults")]

KILLS = 4
"""A stage; twelve stages make 48 moments. Every other one lies in the short time in which the stage has an unfinished file open."""


@pytest.mark.parametrize("stage", ORDER)
def test_killed_at_random_moments_and_run_again_a_stage_gives_the_same(stages: Stages, tmp_path: Path, stage: str) -> None:
    undisturbed = stages.content(stage, stages.folder)
    for kill in range(KILLS):
        rng = random.Random(f"{stage}{kill}")
        running = stages.start(stage, tmp_path)
        writing = kill % 2 == 1 and _while_writing(running, tmp_path)
        with contextlib.suppress(subprocess.TimeoutExpired):
            running.wait(timeout=rng.uniform(0, 0.01) if writing else rng.uniform(0.1, 1.0) * stages.seconds[stage])
        running.kill()
        running.communicate()
        found = stages.content(stage, tmp_path)
        assert found.items() <= undisturbed.items(), "something half-written has a finished file's name"
    done = stages.run(stage, tmp_path)
    assert done.returncode == 0, done.stderr
    assert stages.content(stage, tmp_path) == undisturbed
    assert not unfinished(tmp_path), "what killed processes left was not removed"


def _while_writing(running: subprocess.Popen[str], folder: Path) -> bool:
    """Wait until the stage has an unfinished file open; False when it ended before."""
    while running.poll() is None:
        # A folder may be swapped for another between two looks: os.walk passes over what is gone.
        if any(name.endswith(".part") for _, _, names in os.walk(folder) for name in names):
            return True
        time.sleep(0.002)
    return False


@pytest.mark.parametrize(("number", "code"), [(signal.SIGTERM, 143), (signal.SIGINT, 130)])
@pytest.mark.parametrize("stage", ["detect", "embed"])
def test_a_stage_that_is_asked_to_end_while_it_writes_leaves_nothing(
    stages: Stages, tmp_path: Path, stage: str, number: signal.Signals, code: int
) -> None:
    for attempt in range(10):  # on a busy machine a stage may be over before this process is given its turn
        folder = tmp_path / str(attempt)
        running = stages.start(stage, folder)
        if _while_writing(running, folder):
            running.send_signal(number)
        _, said = running.communicate()
        if running.returncode != 0:
            break
        assert stages.content(stage, folder) == stages.content(stage, stages.folder)
    assert running.returncode == code, said
    assert len(said.strip().splitlines()) == 1
    assert not unfinished(folder)
    # The request may come between the last step, the renaming, and the end of the process.
    assert stages.content(stage, folder) in ({}, stages.content(stage, stages.folder))


def _write_table(target: Path) -> None:
    with tables.Writer(target, tables.POSE, {}) as writer:
        writer.add([])


def _write_folder(target: Path) -> None:
    with folderswap.replacing(target, "list", lambda listing: set(listing.read_text().split())) as folder:
        (folder / "list").write_text("list")


@pytest.mark.parametrize("write", [_write_table, _write_folder])
@pytest.mark.parametrize("known", [False, True])
def test_whichever_step_of_writing_it_is_asked_to_end_at_it_leaves_nothing_or_the_whole(
    tmp_path: Path, write: Callable[[Path], None], known: bool
) -> None:
    # From a fresh process: a fork of one that has run a thousand tests takes ten times as long, and there are thousands of them.
    with ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn")) as fresh:
        assert fresh.submit(_end_at_every_step, tmp_path, write, known).result() > 50, "nothing was interrupted"


def _end_at_every_step(tmp_path: Path, write: Callable[[Path], None], known: bool) -> int:
    """A child for each call that Python reports while something is written; at that moment the child asks itself to end. Returns the calls."""
    for step in range(100_000):
        target = tmp_path / "made"
        if known and not target.exists():
            write(target)
        child = os.fork()
        if child == 0:
            _end_at(step, functools.partial(write, target))
        code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
        assert not unfinished(tmp_path), f"step {step}"
        assert target.exists() or (code == 143 and not known), f"step {step}"
        if target.is_dir():
            assert (target / "list").read_text() == "list", f"step {step}"
            shutil.rmtree(target)
        elif target.exists():
            assert tables.read(target, tables.POSE).num_rows == 0, f"step {step}"
            target.unlink()
        if code == 0:
            break
        assert code == 143, f"step {step}"
    return step


def _end_at(step: int, write: Callable[[], None]) -> NoReturn:
    """In a child: write, send SIGTERM to itself at the given step, and leave as a command line does."""
    count = iter(range(10**9))

    def watch(frame: object, event: str, argument: object) -> None:
        # At "return" Python itself handles no signal; an exception there would end a generator without its finally.
        if event != "return" and next(count) == step:
            os.kill(os.getpid(), signal.SIGTERM)

    def main() -> None:
        sys.setprofile(watch)
        try:
            write()
        finally:
            sys.setprofile(None)

    gc.freeze()  # what pytest holds need not be looked through at the end of each child
    os.dup2(os.open(os.devnull, os.O_WRONLY), 2)
    try:
        cli.run(main)
    except SystemExit as end:
        os._exit(end.code if isinstance(end.code, int) else 1)
    finally:
        os._exit(1)


def test_the_leftover_of_a_killed_process_is_told_from_the_work_of_a_living_one(tmp_path: Path) -> None:
    target = tmp_path / "table.parquet"
    ready, go = os.pipe()
    child = os.fork()
    if child == 0:
        with atomic.replacing(target) as temporary:
            temporary.write_text("half")
            os.write(go, b"x")
            time.sleep(3600)
        os._exit(0)
    try:
        os.read(ready, 1)
        atomic.write_text(target, "whole")
        assert len(unfinished(tmp_path)) == 1, "the unfinished file of a living process was removed"
        assert atomic.leftovers(tmp_path) == []
    finally:
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
    assert [path.name for path in atomic.leftovers(tmp_path)] == unfinished(tmp_path)
    atomic.write_text(target, "whole again")
    assert not unfinished(tmp_path)
    assert target.read_text() == "whole again"


def test_two_processes_that_write_the_same_table_end_with_one_whole_table(stages: Stages, tmp_path: Path) -> None:
    both = [stages.start("detect", tmp_path) for _ in range(2)]
    for running in both:
        _, said = running.communicate(timeout=600)
        assert running.returncode == 0, said
    assert stages.content("detect", tmp_path) == stages.content("detect", stages.folder)
    assert not unfinished(tmp_path)


@pytest.mark.parametrize("stage", ["detect", "embed", "pose"])
def test_a_stage_without_enough_memory_fails_and_blames_no_image(stages: Stages, tmp_path: Path, stage: str) -> None:
    # From too little to load the libraries up to nearly enough: the rows must never depend on it.
    for megabytes in (300, 700, 1100):
        limit = megabytes << 20
        done = stages.run(
            stage, tmp_path, preexec_fn=lambda limit=limit: resource.setrlimit(resource.RLIMIT_AS, (limit, limit)), timeout=600
        )
        if done.returncode == 0:
            assert stages.content(stage, tmp_path) == stages.content(stage, stages.folder)
        else:
            assert not stages.content(stage, tmp_path)
    assert stages.run(stage, tmp_path).returncode == 0
    assert stages.content(stage, tmp_path) == stages.content(stage, stages.folder)
    assert not unfinished(tmp_path)


def _mounted(folder: Path, options: str) -> Iterator[Path]:
    folder.mkdir()
    if (
        os.geteuid() != 0
        or subprocess.run(["mount", "-t", "tmpfs", "-o", options, "tmpfs", folder], capture_output=True, check=False).returncode
    ):
        pytest.skip("needs mount (root)")
    yield folder
    subprocess.run(["umount", folder], check=True)


@pytest.fixture
def full_disk(tmp_path: Path) -> Iterator[Path]:
    for folder in _mounted(tmp_path / "full", "size=64k"):
        with contextlib.suppress(OSError), (folder / "filler").open("wb", buffering=0) as filler:
            while True:
                filler.write(b"x" * 4096)
        yield folder


@pytest.fixture
def read_only(tmp_path: Path) -> Iterator[Path]:
    yield from _mounted(tmp_path / "readonly", "size=1m,ro")


@pytest.mark.parametrize("stage", ORDER)
def test_a_full_disk_is_named_in_one_line_and_holds_nothing_half_written(stages: Stages, full_disk: Path, stage: str) -> None:
    done = stages.run(stage, full_disk)
    assert done.returncode == 2, done.stderr
    assert "No space left" in done.stderr
    assert len([line for line in done.stderr.splitlines() if line.startswith("error:")]) == 1
    assert "Traceback" not in done.stderr
    assert not unfinished(full_disk)
    assert stages.content(stage, full_disk).items() <= stages.content(stage, stages.folder).items()


def test_a_folder_that_cannot_be_written_is_named_in_one_line(stages: Stages, read_only: Path) -> None:
    for stage in ("detect", "export"):
        done = stages.run(stage, read_only)
        assert done.returncode == 2
        assert "Read-only file system" in done.stderr and str(read_only) in done.stderr
        assert len(done.stderr.strip().splitlines()) == 1


@pytest.fixture
def tiny_disk(tmp_path: Path) -> Iterator[Path]:
    yield from _mounted(tmp_path / "tiny", "size=16k")


def test_a_full_folder_for_temporary_files_is_named_in_one_line(stages: Stages, tiny_disk: Path, tmp_path: Path) -> None:
    python, script, *_ = stages.command("detect", tmp_path)
    command = [python, script, "--in", str(stages.images), "--out", str(tmp_path / "out")]
    done = subprocess.run(command, env={**ENVIRONMENT, "TMPDIR": str(tiny_disk)}, capture_output=True, text=True, check=False)
    assert done.returncode == 2, done.stderr
    assert "No space left" in done.stderr
    assert not (tmp_path / "out").exists()
    assert not list(tiny_disk.iterdir())
