"""Snakemake called many times: a process that has the libraries loaded forks for every call, as most of a dry run is loading them.

Nothing of frontalbench is loaded there, so that each call finds the package of its own project. All forks share one seed of ``hash``. The run that
others are compared with is a process of its own (``program=COLD``), so that an order that follows the seed is still noticed.
"""

from __future__ import annotations

import functools
import gc
import multiprocessing
import os
import runpy
import sys
import tempfile
from collections.abc import Mapping, Sequence
from multiprocessing.context import ForkServerContext
from pathlib import Path

LIBRARIES = [
    "tests.warm",
    "snakemake.cli",
    "snakemake_executor_plugin_slurm",
    "snakemake.report",
    "pyarrow.parquet",
    "numpy",
    "PIL.Image",
    "cv2",
]


@functools.cache
def _server() -> ForkServerContext:
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(LIBRARIES)
    return context


def call(arguments: Sequence[str], folder: Path, environment: Mapping[str, str], *, seconds: float) -> tuple[int, str, str]:
    """``python -m snakemake`` with these arguments: exit code, what it printed, what it said. Raises TimeoutError after so many seconds."""
    with tempfile.TemporaryDirectory() as kept:
        files = [Path(kept, name) for name in ("printed", "said")]
        process = _server().Process(target=_become_snakemake, args=([*arguments], folder, dict(environment), *files))
        process.start()
        process.join(seconds)
        if process.is_alive():
            process.kill()
            process.join()
            raise TimeoutError(f"snakemake {' '.join(arguments)}: still running after {seconds:.0f} s")
        code = process.exitcode
        process.close()
        assert code is not None
        printed, said = (file.read_text(encoding="utf-8") for file in files)
    return code, printed, said


def _become_snakemake(arguments: Sequence[str], folder: Path, environment: Mapping[str, str], printed: Path, said: Path) -> None:
    """In a fork: what the interpreter does between its start and the first line of ``python -m snakemake``."""
    gc.freeze()
    assert "frontalbench" not in sys.modules
    for number, file in ((1, printed), (2, said)):
        os.dup2(os.open(file, os.O_WRONLY | os.O_CREAT, 0o600), number)
    os.chdir(folder)
    os.environ.clear()
    os.environ.update(environment)
    sys.path[:0] = [str(folder), *filter(None, environment.get("PYTHONPATH", "").split(os.pathsep))]
    sys.argv = ["snakemake", *arguments]
    runpy.run_module("snakemake", run_name="__main__", alter_sys=True)
