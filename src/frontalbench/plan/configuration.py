"""The configuration and the command line as Snakemake has them, before there is a plan."""

from __future__ import annotations

import os
import re
import shlex
import sys
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from frontalbench.catalogue import validation
from frontalbench.errors import BadConfig

SCRIPTS = Path("workflow", "scripts")
CONFIGURATION = Path("config", "config.yaml")
_WHOLE = ("all", "results", "site", "check_weights", "summarize", "cost")
"""Targets that need every dataset."""


def configuration_layers(files: Iterable[str | os.PathLike[str]], given: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    """What Snakemake merged into one configuration: the files, in order, then what was given on the command line.

    Raises :class:`BadConfig`, one line with file and place, where a file is not there or not YAML; a key given twice is refused too.
    """
    return [*(validation.read_yaml(Path(file)) for file in files), dict(given)]


def checked_configuration(base: Path) -> str:
    """The configuration that others are laid over: the working folder's own, else the one beside the Snakefile in ``base``.

    Raises :class:`BadConfig` with file and place where it is not there or no YAML: Snakemake would name neither.
    """
    path = CONFIGURATION if CONFIGURATION.is_file() else base / CONFIGURATION
    validation.read_yaml(path)
    return str(path)


def read_pairs(pairs: Iterable[str]) -> dict[str, Any]:
    """``KEY=VALUE`` texts as a configuration. Raises :class:`BadConfig`."""
    given: dict[str, Any] = {}
    for pair in pairs:
        key, sign, value = pair.partition("=")
        if not sign or not key.strip():
            raise BadConfig(f"--config: '{pair}' should be KEY=VALUE")
        given |= validation.parse_yaml(f"{key.strip()}: {value}", f"--config {key.strip()}")
    return given


def merged(layers: Iterable[Mapping[str, Any]]) -> dict[str, Any]:
    """Configurations laid over one another as Snakemake does it: mappings key by key, anything else replaced."""
    result: dict[str, Any] = {}
    for layer in layers:
        for key, value in layer.items():
            both = isinstance(value, Mapping) and isinstance(result.get(key), Mapping)
            result[key] = merged([result[key], value]) if both else value
    return result


def asks_for_everything(arguments: Sequence[str]) -> bool:
    """Whether a Snakemake command line (without its first word) runs the whole grid, and so needs every dataset.

    Not with a target that stands for a part (a path, or a rule such as ``fetch_datasets``), and not for housekeeping (``--unlock``, ``--lint``).
    """
    if any(argument.startswith(("--lint", "--list", "--unlock", "--cleanup", "--summary", "--detailed-summary")) for argument in arguments):
        return False
    named = [
        argument
        for argument in arguments
        if re.match(r"(results|reports|logs)/|(fetch|clean|train|export|draw|make)_\w+$|figures$|where$", argument)
    ]
    return not named or any(argument in _WHOLE for argument in arguments)


def script_command(base: Path, *, deployed: bool) -> str:
    """What a shell command begins with to run one of the scripts beside the Snakefile in ``base``; ``NAME.py`` follows. Braces are doubled, as
    Snakemake fills in what stands between single ones."""
    interpreter = "python" if deployed else shlex.quote(sys.executable)
    return f"{interpreter} {shlex.quote(str(base / SCRIPTS) + '/')}".replace("{", "{{").replace("}", "}}")
