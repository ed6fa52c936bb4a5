"""What every command line shares: errors as one line, exit codes, progress, model options."""

from __future__ import annotations

import argparse
import gc
import json
import os
import signal
import sys
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any, NoReturn, TypeVar

from frontalbench.errors import BadInput, FrontalbenchError
from frontalbench.files import interrupts
from frontalbench.runtime import devices

T = TypeVar("T")

EXIT_OK = 0
EXIT_BAD_INPUT = 2
EXIT_INTERRUPTED = 130
EXIT_TERMINATED = 143


def run(main: Callable[[], int | None]) -> None:
    """Call ``main`` and leave the process: 0 (or what it returns), 2 with one line on stderr for an error a person can mend, 130 on Ctrl-C.

    SIGTERM (a scheduler that takes a job back) leaves as orderly as Ctrl-C does, with 143: unfinished files are removed.
    An OSError of the file system (full disk, no permission) is such an error too. Anything else is a bug and shows its stack trace (exit 1).
    """
    interrupts.install()
    _start_lean()
    try:
        code = main() or EXIT_OK
    except FrontalbenchError as error:
        fail(str(error))
    except MemoryError:
        fail("not enough memory; give the job more (mem_mb of its rule), or the dataset more shards")
    except interrupts.Interrupted as interrupted:
        code = EXIT_TERMINATED if interrupted.number == signal.SIGTERM else EXIT_INTERRUPTED
        sys.stderr.write("terminated\n" if code == EXIT_TERMINATED else "interrupted\n")
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        code = EXIT_OK
    except OSError as error:
        if error.filename is None and error.errno is None:
            raise
        where = f"{error.filename}: " if error.filename else ""
        fail(f"{where}{error.strerror or error}")
    # The exception and its frames are gone here, and with them every generator that was cut off with an unfinished file open: closing, it removes it.
    gc.collect()
    sys.exit(code)


def _start_lean() -> None:
    """Keep out of a job's time what it does not need: a quarter of a second for pandas, and the garbage collector's walks through all imports.

    The first ``pyarrow.array`` of a process imports pandas where it is installed, only to tell frames from lists. Here it finds none; where a
    frame is asked for, pyarrow looks again.
    """
    pyarrow = sys.modules.get("pyarrow")
    if pyarrow is not None and "pandas" not in sys.modules:
        sys.meta_path.insert(0, _NoPandas)
        try:
            pyarrow.array([0])
        finally:
            sys.meta_path.remove(_NoPandas)
    gc.freeze()


class _NoPandas:
    """A finder that finds no pandas."""

    @classmethod
    def find_spec(cls, name: str, path: object = None, target: object = None) -> None:
        if name == "pandas":
            raise ModuleNotFoundError(name)


def fail(message: str) -> NoReturn:
    """Print ``error: ...`` on stderr, a line for each line of the message, and exit with 2."""
    for line in message.splitlines() or ["unknown"]:
        sys.stderr.write(f"error: {' '.join(line.split())}\n")
    sys.exit(EXIT_BAD_INPUT)


def progress(items: Iterable[T], *, total: int | None = None, label: str = "", unit: str = "image", quiet: bool = False) -> Iterable[T]:
    """A progress bar on stderr when a person watches (a terminal), nothing in a log file."""
    if quiet or not sys.stderr.isatty():
        return items
    from tqdm import tqdm

    bar: Iterable[T] = tqdm(items, total=total, desc=label, unit=unit, leave=False)
    return bar


class Bars:
    """One progress bar per fetched file on stderr, where a person watches (a terminal)."""

    def __init__(self) -> None:
        self._bars: dict[str, Any] = {}
        self._watched = sys.stderr.isatty()

    def __enter__(self) -> Bars:
        return self

    def __exit__(self, *_: object) -> None:
        for bar in self._bars.values():
            bar.close()

    def show(self, label: str, done: int, total: int | None) -> None:
        """``done`` of ``total`` bytes (None: unknown) of the file ``label`` are there."""
        if not self._watched:
            return
        from tqdm import tqdm

        bar = self._bars.get(label)
        if bar is None:
            bar = self._bars[label] = tqdm(total=total, desc=label[-40:], unit="B", unit_scale=True, unit_divisor=1000)
        bar.update(done - bar.n)


def said(lines: Iterable[str], notes: Iterable[str] = ()) -> int:
    """Print ``lines`` on standard output and ``notes`` on standard error; :data:`EXIT_OK`."""
    sys.stdout.write("".join(f"{line}\n" for line in lines))
    sys.stderr.write("".join(f"note: {note}\n" for note in notes))
    return EXIT_OK


def add_machine_options(parser: argparse.ArgumentParser) -> None:
    """``--threads``, ``--device`` and ``--gpus``, the same everywhere."""
    parser.add_argument("--threads", type=positive, default=os.cpu_count() or 1, metavar="N", help="CPU threads (default: all cores)")
    parser.add_argument(
        "--device",
        choices=("auto", "cpu", "cuda"),
        default="auto",
        help="auto takes CUDA when there is one; cuda without one runs on the CPU and says so (default: auto)",
    )
    parser.add_argument(
        "--gpus",
        action=_TakeGpus,
        type=int,
        metavar="N",
        help=f"take N of the GPUs that {devices.DEVICES} names, and see no other (the rules say it; nothing happens where that is not set)",
    )


class _TakeGpus(argparse.Action):
    """Takes them at once: before anything that is imported later starts CUDA."""

    def __call__(
        self, parser: argparse.ArgumentParser, namespace: argparse.Namespace, values: Any, option_string: str | None = None
    ) -> None:
        devices.take(values)
        setattr(namespace, self.dest, values)


def add_roles_option(parser: argparse._ActionsContainer) -> None:
    """``--roles``; :func:`roles_of` reads what was given."""
    parser.add_argument("--roles", default="", metavar="JSON", help="role rule of the dataset card as JSON; needed where a role is auto")


def roles_of(text: str) -> Any:
    """The role rule given as ``--roles``, None where none was. Raises BadInput for what is no JSON."""
    try:
        return json.loads(text) if text else None
    except json.JSONDecodeError as error:
        raise BadInput(f"--roles: not JSON ({error}); give the card's role rule, e.g. '{{\"references\": 1}}'") from None


def add_folder_options(parser: argparse.ArgumentParser, *, out: str = "DIR", needed: bool = True) -> None:
    """``--in`` (``args.source``), ``--out`` and ``--pattern`` of a command that works on a folder of images or on a shard."""
    parser.add_argument("--in", dest="source", type=Path, required=needed, metavar="DIR", help="folder of images, or a Parquet shard")
    kind = "CSV" if out == "FILE" else "folder"
    parser.add_argument("--out", type=Path, required=needed, metavar=out, help=f"{kind} (or .parquet) to write")
    parser.add_argument("--pattern", default="*", help='file names to take from a folder, such as "*.png" (default: all images)')


def add_decision_options(parser: argparse.ArgumentParser, *, threshold: str) -> None:
    """What every command takes that says "the same person" of images; ``threshold``: the help of ``--threshold``."""
    parser.add_argument("--detector", default="scrfd_500m", metavar="NAME", help="detector card (default: scrfd_500m)")
    parser.add_argument("--threshold", type=float, metavar="S", help=threshold)
    parser.add_argument("--fmr", type=float, default=1e-3, metavar="RATE", help="share of strangers that may pass (default: 0.001)")
    parser.add_argument("--dataset", default="", metavar="NAME", help="the run's dataset that is most like your images")


def add_run_options(parser: argparse.ArgumentParser, tables: str) -> None:
    """What every command takes that makes tables of a finished run: ``results``, ``--out`` (below RESULTS the folder ``tables`` unless given),
    ``--grid`` and ``--dataset``; :func:`out_of` gives the folder."""
    parser.add_argument("results", type=Path, metavar="RESULTS", help="folder that a run wrote, usually results")
    parser.add_argument("--out", type=Path, metavar="DIR", help=f"folder of the tables (default: RESULTS/{tables})")
    parser.add_argument("--grid", metavar="JSON", help="the grid of a run (what the rules pass)")
    parser.add_argument("--dataset", nargs="+", default=[], metavar="NAME", help="only these datasets")
    parser.set_defaults(tables=tables)


def out_of(args: argparse.Namespace) -> Path:
    """The folder that the options of :func:`add_run_options` ask for."""
    return Path(args.out or args.results / args.tables)


def add_grid_option(parser: argparse._ActionsContainer, *, required: bool = False) -> None:
    """``--grid`` of a command that takes the tables of a run by it."""
    parser.add_argument(
        "--grid", required=required, metavar="JSON", help="the grid whose tables under results/ are taken (what the rules pass)"
    )


def add_results_option(parser: argparse.ArgumentParser) -> None:
    """``--results`` of a command that looks through a folder of results."""
    parser.add_argument("--results", type=Path, default=Path("results"), metavar="DIR", help="folder to look through (default: results)")


def positive(text: str) -> int:
    """An argparse type: a whole number above zero."""
    try:
        value = int(text)
    except ValueError:
        value = 0
    if value < 1:
        raise argparse.ArgumentTypeError(f"expected a whole number above zero, got '{text}'")
    return value


def parser(description: str | None, **options: Any) -> argparse.ArgumentParser:
    """An argument parser with defaults shown, description kept as written."""
    return argparse.ArgumentParser(
        description=description, formatter_class=argparse.RawDescriptionHelpFormatter, allow_abbrev=False, **options
    )


def report(counts: Mapping[str, int]) -> int:
    """Say on stderr how many rows ended how; the exit code is 0 also when rows failed: they are counted outcomes."""
    total = sum(counts.values())
    parts = ", ".join(f"{count} {word}" for word, count in sorted(counts.items(), key=lambda item: (item[0] != "ok", item[0])))
    sys.stderr.write(f"{total} images: {parts or 'none'}\n")
    return EXIT_OK
