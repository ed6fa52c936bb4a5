"""What foreign systems need on this machine: their environment, their repository, and the files that a person has to bring.

Environments lie in ``environments/`` of the project ($FRONTALBENCH_ENVIRONMENTS overrides), each under the hash of the files that describe it;
repositories and assets in the weight store. They are made where there is a network (a login node) by ``frontalbench prepare-environments``, never
inside a job.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from frontalbench.catalogue import cards
from frontalbench.catalogue.cards import ModelCard
from frontalbench.catalogue.external import External, read
from frontalbench.errors import BadInput, EnvironmentMissing, RepositoryMissing, WeightsMissing
from frontalbench.files import atomic, locks
from frontalbench.weights import checksums, store

VARIABLE = "FRONTALBENCH_ENVIRONMENTS"
READY = ".frontalbench-ready"
"""A file in a folder that is whole; what it says is for people."""
CONDA_TOOLS = ("micromamba", "mamba", "conda")
Say = Callable[[str], None]


def environments() -> Path:
    """The folder of all foreign environments; it need not exist yet."""
    named = os.environ.get(VARIABLE, "").strip()
    return Path(named).expanduser().resolve() if named else cards.state_root() / "environments"


def environment_folder(external: External) -> Path:
    """Where the environment of a system lies, or will lie."""
    return environments() / f"{external.name}-{external.environment_digest()[:12]}"


def repository_folder(external: External) -> Path:
    """Where the repository of a system lies, or will lie."""
    stem = re.sub(r"[^A-Za-z0-9_.-]+", "_", external.url.rstrip("/").removesuffix(".git").rpartition("/")[2]).lstrip(".") or "repository"
    return store.folder() / "repositories" / f"{stem}-{external.commit[:12]}"


def assets_folder(external: External) -> Path:
    """Where the files lie that a person brings for a system."""
    return store.folder() / "external" / external.name


def interpreter(external: External) -> Path:
    """The Python of a system's environment. Raises :class:`EnvironmentMissing`."""
    folder = environment_folder(external)
    python = folder / "bin" / "python"
    if not (folder / READY).is_file() or not python.exists():
        raise EnvironmentMissing(
            f"{external.card}: the environment of adapter '{external.name}' was not made on this machine; where there is a network: "
            f"frontalbench prepare-environments {external.card}"
        )
    return python


def repository(external: External) -> Path | None:
    """The repository of a system at its commit; None where it needs none. Raises :class:`RepositoryMissing`."""
    if not external.url:
        return None
    if not external.commit:
        raise RepositoryMissing(
            f"{external.card}: commit: to be pinned by you; look at {external.url}, choose a commit that you have read, and write its 40 digits "
            f"into the card (external: repository: commit)"
        )
    folder = repository_folder(external)
    if not (folder / READY).is_file():
        raise RepositoryMissing(
            f"{external.card}: {external.url} at {external.commit[:12]} is not on this machine; where there is a network: "
            f"frontalbench prepare-environments {external.card}"
        )
    return folder / "tree"


def assets(external: External) -> Path | None:
    """The folder with the files that a person brought; None where the system needs none. Raises :class:`WeightsMissing`, a line for the first that
    is not there or not what the card says."""
    if not external.assets:
        return None
    folder = assets_folder(external)
    for asset in external.assets:
        problem = asset_problem(folder / asset.file, asset.bytes, asset.sha256)
        if problem:
            raise WeightsMissing(
                f"{external.card}: {folder / asset.file} {problem}; it comes from: {asset.origin} (adapters/{external.name}/README.md)"
            )
    return folder


def asset_problem(path: Path, size: int | None, digest: str | None) -> str:
    """What is wrong with a file that a person brought, "" where nothing is. A digest is computed only where the card has one."""
    if path.is_dir() and size is None and digest is None:
        return ""
    if not path.is_file():
        return "is not there"
    if size is not None and path.stat().st_size != size:
        return f"has {path.stat().st_size:,} bytes, the card says {size:,}"
    if digest is not None and checksums.sha256(path) != digest:
        return f"is another file than the card describes (sha256 {digest[:12]}... expected)"
    return ""


def found(card: ModelCard) -> dict[str, Any]:
    """Where everything lies that the system of a card needs, as :class:`frontalbench.frontalize.external.Places` takes it.

    Raises :class:`EnvironmentMissing`, :class:`RepositoryMissing` or :class:`WeightsMissing`: the first that is not there.
    """
    external = read(card)
    return {
        "interpreter": interpreter(external),
        "program": external.program,
        "repository": repository(external),
        "assets": assets(external),
    }


def lacks(card: ModelCard) -> list[tuple[str, str]]:
    """(status word, what to do) for everything that the system of a card lacks here, in the order in which one would mend it."""
    external = read(card)
    missing = []
    for look in (interpreter, repository, assets):
        try:
            look(external)
        except WeightsMissing as error:
            missing.append((error.word, str(error)))
    return missing


# Making -----------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Made:
    """What :func:`prepare` did for one card, a line each; ``problems``: what it could not do."""

    done: list[str]
    problems: list[str]


def prepare(card: ModelCard, *, conda: bool | None = None, say: Say = lambda line: None) -> Made:
    """Make the environment and fetch the repository of a card; what is there stays. ``conda``: True for a conda environment, False for a virtual one,
    None: whichever this machine can make, a virtual one first.

    Nothing is half there: a folder that is not finished is made anew the next time. What fails is a line of ``problems``.
    """
    external = read(card)
    done, problems = [], []
    steps: list[tuple[str, Callable[[], str]]] = [("environment", lambda: make_environment(external, conda=conda, say=say))]
    if external.url:
        steps.append(("repository", lambda: fetch_repository(external)))
    for name, step in steps:
        try:
            done.append(f"{card.name}: {name}: {step()}")
        except (WeightsMissing, BadInput) as error:
            problems.append(str(error) if str(error).startswith(card.name) else f"{card.name}: {name}: {error}")
    problems += [line for word, line in lacks(card) if word == WeightsMissing.word]
    return Made(done, problems)


def make_environment(external: External, *, conda: bool | None = None, say: Say = lambda line: None) -> str:
    """Make the environment of a system unless it is there; returns what it is. Raises :class:`EnvironmentMissing` with the tool's last line."""
    folder = environment_folder(external)
    with locks.held(folder.parent / f".{folder.name}.lock"):
        if (folder / READY).is_file():
            return f"{folder} (there)"
        shutil.rmtree(folder, ignore_errors=True)
        say(f"{external.card}: making {folder}; this may take minutes")
        how = _conda(external, folder) if _wants_conda(external, conda) else _virtual(external, folder)
        atomic.write_text(folder / READY, f"{how}\n")
        return f"{folder} ({how})"


def _wants_conda(external: External, conda: bool | None) -> bool:
    if conda is None:
        return external.requirements is None
    if conda and external.conda is None:
        raise EnvironmentMissing(f"{external.folder}: no environment.yaml, so no conda environment; leave out --conda")
    if not conda and external.requirements is None:
        raise EnvironmentMissing(f"{external.folder}: no requirements.txt, so no virtual environment; use --conda")
    return conda


def _virtual(external: External, folder: Path) -> str:
    assert external.requirements is not None
    python = base_python(external.python())
    if python is None:
        hint = " or, where conda is there, prepare-environments --conda" if external.conda else ""
        raise EnvironmentMissing(
            f"{external.card}: adapter '{external.name}' needs Python {external.python()}, which is not on this machine; install it (as "
            f"python{external.python()} on the PATH){hint}"
        )
    _run([python, "-m", "venv", str(folder)], external, folder)
    install = [str(folder / "bin" / "python"), "-m", "pip", "install", "--disable-pip-version-check", "--no-input"]
    if external.build is not None:
        _run([*install, "-r", str(external.build)], external, folder)
        install.append("--no-build-isolation")
    _run([*install, "-r", str(external.requirements)], external, folder)
    return f"virtual environment of {Path(python).name}"


def base_python(version: str) -> str | None:
    """A Python of ``version`` ("" : any) that can make virtual environments; None where there is none."""
    own = f"{sys.version_info.major}.{sys.version_info.minor}"
    if version in ("", own):
        return sys.executable
    named = shutil.which(f"python{version}")
    return named if named and _works([named, "-c", "import venv, ensurepip"]) else None


def _works(command: Sequence[str]) -> bool:
    try:
        return subprocess.run(command, capture_output=True, timeout=60, check=False, stdin=subprocess.DEVNULL).returncode == 0
    except (OSError, subprocess.TimeoutExpired):
        return False


def _conda(external: External, folder: Path) -> str:
    assert external.conda is not None
    tool = next((path for name in CONDA_TOOLS if (path := shutil.which(name))), None)
    if tool is None:
        raise EnvironmentMissing(
            f"{external.card}: adapter '{external.name}' needs a conda environment, and none of {', '.join(CONDA_TOOLS)} is here; install micromamba"
        )
    words = [tool, "create"] if Path(tool).name == "micromamba" else [tool, "env", "create"]
    _run([*words, "--yes", "--prefix", str(folder), "--file", str(external.conda)], external, folder)
    return f"conda environment of {Path(tool).name}"


def fetch_repository(external: External) -> str:
    """Fetch the commit of a system's repository unless it is there; returns where it is. Nothing in it is run, and nothing is changed.

    Raises :class:`RepositoryMissing`: not pinned, no git, not reachable, or another commit came.
    """
    if not external.commit:
        repository(external)
    folder = repository_folder(external)
    if not re.fullmatch(r"[0-9a-f]{40}", external.commit) or external.url.startswith("-"):
        raise RepositoryMissing(f"{external.card}: expected an address and a commit of 40 hexadecimal digits, not {external.commit}")
    with locks.held(folder.parent / f".{folder.name}.lock"):
        if (folder / READY).is_file():
            return f"{folder} (there)"
        shutil.rmtree(folder, ignore_errors=True)
        tree = folder / "tree"
        tree.mkdir(parents=True)
        git = shutil.which("git")
        if git is None:
            raise RepositoryMissing(f"{external.card}: git is not installed, so {external.url} cannot be fetched")
        # No hooks, no submodules, no large-file filters of the repository's own choosing; a question for a password fails at once.
        plain = [git, "-c", "core.hooksPath=/dev/null", "-c", "filter.lfs.smudge=", "-c", "filter.lfs.required=false", "-C", str(tree)]
        _git([*plain, "init", "--quiet"], external)
        _git([*plain, "fetch", "--quiet", "--depth", "1", "--no-recurse-submodules", "--", external.url, external.commit], external)
        _git([*plain, "checkout", "--quiet", "--detach", external.commit], external)
        came = _git([*plain, "rev-parse", "HEAD"], external).strip()
        if came != external.commit:
            raise RepositoryMissing(f"{external.card}: {external.url} gave commit {came}, asked was {external.commit}")
        atomic.write_text(folder / READY, f"{external.url} {external.commit}\n")
        return str(folder)


def _git(command: Sequence[str], external: External) -> str:
    variables = {**os.environ, "GIT_TERMINAL_PROMPT": "0", "GIT_LFS_SKIP_SMUDGE": "1", "LC_ALL": "C"}
    done = subprocess.run(command, capture_output=True, text=True, errors="replace", env=variables, check=False, stdin=subprocess.DEVNULL)
    if done.returncode != 0:
        raise RepositoryMissing(f"{external.card}: {external.url} at {external.commit[:12]} could not be fetched: {_last(done.stderr)}")
    return done.stdout


def _run(command: Sequence[str], external: External, folder: Path) -> None:
    """Run a tool that makes an environment; its output goes to ``NAME.log`` beside the folder."""
    folder.parent.mkdir(parents=True, exist_ok=True)
    log = folder.parent / f"{folder.name}.log"
    try:
        with log.open("ab") as handle:
            done = subprocess.run(command, stdout=handle, stderr=handle, stdin=subprocess.DEVNULL, check=False)
    except OSError as error:
        raise EnvironmentMissing(f"{external.card}: {command[0]}: {error.strerror or error}") from None
    if done.returncode != 0:
        raise EnvironmentMissing(
            f"{external.card}: the environment of adapter '{external.name}' could not be made: "
            f"{_last(log.read_text(encoding='utf-8', errors='replace'))} (all of it: {log})"
        )


def _last(text: str) -> str:
    """The last line that says something, for a message."""
    said = [line.strip() for line in text.splitlines() if line.strip() and not line.startswith(("[notice]", "WARNING"))]
    told = next((line for line in reversed(said) if line.lower().startswith(("error", "fatal"))), said[-1] if said else "no message")
    return told[:200]
