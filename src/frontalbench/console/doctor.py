"""What this machine has and lacks for a run: one :class:`Check` per question, each with what to do."""

from __future__ import annotations

import importlib.metadata
import os
import platform
import runpy
import shutil
import subprocess
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from urllib.parse import urljoin, urlsplit

import psutil
import requests
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

import frontalbench
from frontalbench.catalogue import cards, validation
from frontalbench.catalogue.cards import PackageSource, Source, UrlSource
from frontalbench.console import project
from frontalbench.errors import FrontalbenchError
from frontalbench.plan.plan import Plan
from frontalbench.weights import foreign, packages, store
from frontalbench.weights.faults import SourceFault

OK, ADVICE, BROKEN = "ok", "note", "MEND"
"""All is well; something that one may want; something that must be mended before a run."""
ENOUGH_DISK_GB = 10
ENOUGH_MEMORY_GB = 6
_SECONDS = 6
_EXCLUSIVE = ({"opencv-python", "opencv-python-headless", "opencv-contrib-python"}, {"onnxruntime", "onnxruntime-gpu"})
"""Packages that write the same files: of each set only one may be installed."""


@dataclass(frozen=True)
class Check:
    """The answer to one question. ``word``: ok, note or MEND; ``text``: what was found and, unless all is well, what to do."""

    name: str
    word: str
    text: str

    def __str__(self) -> str:
        return f"{self.word:<5}{self.name:<12}{self.text}"


def checks(configuration: Path | None = None, *, network: bool = True) -> Iterator[Check]:
    """Every check, in the order in which a first run would meet them. ``configuration``: whose weights to look for; None: the project's own.

    Raises nothing that a person can mend: that becomes a check.
    """
    questions: Mapping[str, Callable[[], Iterator[Check]]] = MappingProxyType(
        {
            "python": _python,
            "libraries": _libraries,
            "versions": _versions,
            "folder": _folder,
            "memory": _memory,
            "disk": _disk,
            "gpu": _gpu,
            "npm": _npm,
            "cluster": _cluster,
            "weights": lambda: _weights(configuration, network=network),
        }
    )
    for name, ask in questions.items():
        try:
            yield from ask()
        except FrontalbenchError as error:
            yield from (Check(name, BROKEN, line) for line in str(error).splitlines())
        except OSError as error:
            yield Check(name, BROKEN, f"{error.filename or 'file system'}: {error.strerror or error}")


def _python() -> Iterator[Check]:
    problem = _bootstrap()["python_problem"]()
    yield Check("python", BROKEN if problem else OK, problem or f"{platform.python_version()}, {platform.system()} {platform.machine()}")


def _libraries() -> Iterator[Check]:
    problem = _bootstrap()["library_problem"]()
    yield Check("libraries", BROKEN if problem else OK, problem or "every library imports")
    installed = {canonicalize_name(each.name) for each in importlib.metadata.distributions()}
    for rivals in _EXCLUSIVE:
        both = sorted(rivals & installed)
        if len(both) > 1:
            yield Check(
                "libraries", BROKEN, f"{' and '.join(both)} write the same files; pip uninstall {' '.join(both)}, then install one of them"
            )


def _bootstrap() -> Mapping[str, Callable[[], str | None]]:
    """The functions of the script that looks before anything is installed: what they know stands there alone."""
    return runpy.run_path(str(project.scripts() / "bootstrap.py"), run_name="bootstrap")


def _versions() -> Iterator[Check]:
    """Installed versions against the pins of this release."""
    other = []
    count = 0
    for line in (project.shipped() / "constraints.txt").read_text(encoding="utf-8").splitlines():
        if not line.strip() or line.startswith("#"):
            continue
        pin = Requirement(line)
        if pin.name == "pip" or (pin.marker and not pin.marker.evaluate()):
            continue  # pip is pinned for the tests alone: it comes with the environment
        try:
            found = importlib.metadata.version(pin.name)
        except importlib.metadata.PackageNotFoundError:
            continue  # of an extra that is not installed here
        count += 1
        if not pin.specifier.contains(found, prereleases=True):
            other.append(f"{pin.name} {found} (pinned {str(pin.specifier).removeprefix('==')})")
    if not other:
        yield Check("versions", OK, f"all {count} installed packages are the pinned ones")
        return
    shown = ", ".join(other[:4]) + (f" and {len(other) - 4} more" if len(other) > 4 else "")
    yield Check("versions", ADVICE, f"{shown}; for the tested ones: pip install -c {project.shipped() / 'constraints.txt'} frontalbench")


def _folder() -> Iterator[Check]:
    here = Path.cwd()
    if not (here / "Snakefile").is_file() or not (here / "config" / "models").is_dir():
        yield Check(
            "folder", ADVICE, "no working folder here (the checks take the packaged configuration); make one: frontalbench init DIR"
        )
        return
    laid = project.record(here)
    if laid and laid["version"] != frontalbench.__version__:
        yield Check(
            "folder",
            BROKEN,
            f"laid out by version {laid['version']}, installed is {frontalbench.__version__}; frontalbench init --update .",
        )
        return
    yield Check("folder", OK, f"{here}" + (f", laid out by version {laid['version']}" if laid else ", a checkout"))


def _memory() -> Iterator[Check]:
    total = psutil.virtual_memory().total / 1e9
    low = total < ENOUGH_MEMORY_GB
    hint = "; run with --cores 1 and leave out liveportrait and upscale" if low else ""
    yield Check("memory", ADVICE if low else OK, f"{total:.0f} GB, {os.cpu_count()} cores{hint}")


def _disk() -> Iterator[Check]:
    seen = set()
    for what, folder in (("results", Path.cwd()), ("weights", store.folder())):
        there = next(path for path in (folder, *folder.parents) if path.exists())
        device = there.stat().st_dev
        if device in seen:
            continue
        seen.add(device)
        free = shutil.disk_usage(there).free / 1e9
        if not os.access(there, os.W_OK):
            yield Check("disk", BROKEN, f"{there}: not writable, but {what} go there; take another folder (FRONTALBENCH_STORE for weights)")
        elif free < ENOUGH_DISK_GB:
            yield Check(
                "disk", ADVICE, f"{free:.1f} GB free at {there} for {what}; the demo takes 1 GB, a study tens (docs/cluster.md, Disk)"
            )
        else:
            yield Check("disk", OK, f"{free:.0f} GB free at {there} for {what}")


def _gpus() -> str:
    """Names and memory of the NVIDIA GPUs, a line each; empty where there is none."""
    tool = shutil.which("nvidia-smi")
    return _output([tool, "--query-gpu=name,memory.total", "--format=csv,noheader"]) if tool else ""


def has_gpu() -> bool:
    """Whether this machine has an NVIDIA GPU."""
    return bool(_gpus())


def _gpu() -> Iterator[Check]:
    cards_seen = _gpus()
    if not cards_seen:
        yield Check("gpu", OK, "no NVIDIA GPU seen; everything runs on the CPU (LivePortrait takes about a minute an image there)")
        return
    names = "; ".join(line.strip() for line in cards_seen.splitlines())
    import onnxruntime
    import torch

    if "CUDAExecutionProvider" not in onnxruntime.get_available_providers():
        yield Check(
            "gpu", ADVICE, f"{names}, but this ONNX Runtime has no CUDA; pip uninstall onnxruntime, then pip install onnxruntime-gpu"
        )
    elif not torch.cuda.is_available():
        yield Check("gpu", ADVICE, f"{names}, but torch has no CUDA; install torch from the package index instead of a CPU build")
    else:
        yield Check("gpu", OK, f"{names}; torch {torch.__version__} and ONNX Runtime {onnxruntime.__version__} both see it")


def _npm() -> Iterator[Check]:
    npm = shutil.which("npm")
    if npm is None:
        yield Check(
            "npm", ADVICE, "not installed: models of `if_npm` are left out, others take longer ways; on Debian: apt-get install npm"
        )
        return
    yield Check("npm", OK, f"{_output([npm, '--version']).strip() or 'there'}")


def _cluster() -> Iterator[Check]:
    if shutil.which("sbatch"):
        yield Check("cluster", OK, "SLURM is here: snakemake --profile profiles/slurm (docs/cluster.md)")


def _weights(configuration: Path | None, *, network: bool) -> Iterator[Check]:
    plan = Plan(*_configuration(configuration))
    receipts = [Path(receipt) for receipt in plan.cards.receipts()]
    models = [plan.cards.card(receipt.parent.name, receipt.stem) for receipt in receipts]
    needed = {(need.card.kind, need.card.name): need.card for need in store.requirements(models)}
    absent = [card for card in needed.values() if store.status(card).state == store.ABSENT]
    yield from _images(plan)
    for name in plan.cards.external():
        for word, line in foreign.lacks(plan.cards.card("frontalizer", name)):
            yield Check("external", ADVICE, f"{line} (until then its cells become {word})")
    yield from (Check("licences", ADVICE, line) for line in _to_accept(absent))
    if not absent:
        yield Check("weights", OK, f"all {len(needed)} models with weights have them, in {store.folder()}")
        return
    size = sum(weight.bytes or 0 for card in absent for weight in card.weights.values()) / 1e6
    start = f"{len(needed) - len(absent)} of {len(needed)} models have theirs, {size:.0f} MB to fetch"
    if not network:
        yield Check("weights", ADVICE, f"{start}: {', '.join(card.name for card in absent)}")
        return
    sources = sorted({_place(source) for card in absent for weight in card.weights.values() for source in weight.sources} - {""})
    with ThreadPoolExecutor(max_workers=8) as pool:
        answers = dict(zip(sources, pool.map(_answers, sources), strict=True))
    lost = [
        card for card in absent if not all(any(answers.get(_place(s), False) for s in weight.sources) for weight in card.weights.values())
    ]
    silent = ", ".join(place for place, answer in answers.items() if not answer)
    if lost:
        yield Check(
            "weights",
            ADVICE,
            f"{start}; out of reach: {', '.join(card.name for card in lost)} (no answer: {silent or 'no source named'}); their cells become"
            " weights_missing. Bring the files: frontalbench fetch-weights --list, FRONTALBENCH_WEIGHTS",
        )
    else:
        yield Check("weights", OK, f"{start} at the first run, all within reach" + (f" (no answer: {silent})" if silent else ""))


def _to_accept(absent: Iterable[cards.ModelCard]) -> list[str]:
    """Of files that are not here and come from their makers alone: where, and what to accept there."""
    found = {weight.file: (card.name, weight.terms) for card in absent for weight in card.weights.values() if weight.terms}
    return [f"{file} (of {name}): {terms}" for file, (name, terms) in found.items()]


def _configuration(path: Path | None) -> tuple[dict[str, object], str]:
    usual = cards.project_root() / "config" / "config.yaml"
    data = dict(validation.read_yaml(usual)) if usual.is_file() else {}
    if path is not None:
        data |= validation.read_yaml(path)
    return data, str(path or usual)


def _images(plan: Plan) -> Iterator[Check]:
    for name, card in plan.datasets.items():
        if not card.root.is_dir():
            yield Check(
                "images",
                BROKEN,
                f"{name}: {card.root} is not there; frontalbench fetch-dataset --dataset {name}, or set root in its card",
            )
        else:
            yield Check("images", OK, f"{name}: {card.root}")


PIP, NPM = "the Python registry", "the npm registry"


def _place(source: Source) -> str:
    """Whom to ask whether ``source`` is within reach; empty for a file of this machine."""
    if isinstance(source, UrlSource):
        return f"{urlsplit(source.url).scheme}://{urlsplit(source.url).netloc}"
    if isinstance(source, PackageSource):
        return PIP if source.registry == "python" else NPM
    return ""


def _answers(place: str) -> bool:
    """Whether anything answers at ``place`` within seconds."""
    if place == NPM:
        npm = shutil.which("npm")
        return npm is not None and bool(_output([npm, "ping", "--fetch-retries=0", f"--fetch-timeout={_SECONDS * 1000}"], both=True))
    verify: bool | str = True
    if place == PIP:
        try:
            settings = packages.pip_settings()
        except SourceFault:
            return False
        verify = settings.cert or True
        place = next((urljoin(base.rstrip("/") + "/", "pip/") for base in settings.indexes if base.startswith("http")), "")
        if not place:
            return bool(settings.indexes or settings.find_links)
    try:
        return requests.head(place, timeout=_SECONDS, allow_redirects=True, verify=verify).status_code < 500
    except requests.RequestException:
        return False


def _output(command: list[str], *, both: bool = False) -> str:
    """What a command prints; empty when it fails, hangs or is not there. ``both``: of standard error too."""
    try:
        done = subprocess.run(
            command, capture_output=True, text=True, errors="replace", timeout=4 * _SECONDS, check=False, stdin=subprocess.DEVNULL
        )
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return "" if done.returncode else done.stdout + (done.stderr if both else "")
