"""The name of a run: which configuration the tables, figures, pages and reports belong to, so that two configurations never replace each other's.

What cells share (images, crops, embeddings, similarities) lies under ``results/`` once, whoever asked for it; what is made of a whole grid lies in
folders of its run: ``results/master/RUN``, ``results/figures/RUN``, ``results/cost/RUN``, ``reports/RUN``.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from frontalbench.errors import BadConfig

KEY = "name"
UNNAMED = "unnamed"
_ALLOWED = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.+-]{0,99}")
_TAKEN = ("captions",)
"""Folders in ``reports/`` that belong to no run."""


def name_of(config: Mapping[str, Any], files: Sequence[str | os.PathLike[str]] = (), given: Mapping[str, Any] | None = None) -> str:
    """The run's name of a configuration.

    ``config``: all of it, as merged; ``files``: what was given by ``--configfile``, in that order; ``given``: what was given by ``--config``. In this
    order: ``name`` of the command line; ``name`` in the last of the files that has one, else the last file's own name without its ending; ``name``
    of the configuration. A command line that sets ``datasets`` without a name is a run of its own, too: called like its datasets, behind the file's
    name if there is one. Raises :class:`BadConfig` for a name that is no plain folder name.
    """
    given = given or {}
    if KEY in given:
        return checked(given[KEY])
    base = _of_files(files)
    if "datasets" in given:
        names = [str(item.get("name") if isinstance(item, Mapping) else item) for item in _listed(given["datasets"])]
        return checked(_plain("-".join(filter(None, [base, *names]))))
    return checked(base or config.get(KEY, UNNAMED))


def checked(name: object) -> str:
    """``name`` as a folder's name. Raises :class:`BadConfig`."""
    text = str(name)
    if not _ALLOWED.fullmatch(text) or text in _TAKEN:
        raise BadConfig(
            f"name: '{text}' cannot be a run's name: a folder is called like it. Letters, digits, _ . + - (at most 100), not "
            + ", ".join(_TAKEN)
        )
    return text


def _listed(value: Any) -> list[Any]:
    return list(value) if isinstance(value, list | tuple) else [value]


def _of_files(files: Sequence[str | os.PathLike[str]]) -> str:
    for path in reversed([Path(file) for file in files]):
        own = _own_name(path)
        if own:
            return own
    return _plain(Path(files[-1]).stem) if files else ""


def _own_name(path: Path) -> str:
    """``name`` in one file; what is wrong with the file is Snakemake's to say."""
    try:
        content = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, yaml.YAMLError):
        return ""
    return str(content.get(KEY, "")) if isinstance(content, dict) else ""


def _plain(text: str) -> str:
    """A file's or a dataset's name as a part of a folder's name."""
    return re.sub(r"[^A-Za-z0-9_.+-]+", "-", text).strip("-.+")[:100] or UNNAMED


@dataclass(frozen=True)
class Places:
    """Where a run's own results lie, relative to the working folder."""

    run: str

    @property
    def master(self) -> str:
        return f"results/master/{self.run}"

    @property
    def figures(self) -> str:
        return f"results/figures/{self.run}"

    @property
    def cost(self) -> str:
        return f"results/cost/{self.run}"

    @property
    def search(self) -> str:
        return f"results/search/{self.run}"

    @property
    def slices(self) -> str:
        return f"results/slices/{self.run}"

    @property
    def over_time(self) -> str:
        return f"results/over_time/{self.run}"

    @property
    def references(self) -> str:
        return f"results/GT/{self.run}"

    @property
    def probes(self) -> str:
        return f"results/angled/examples/{self.run}"

    @property
    def frontals(self) -> str:
        return f"results/frontal/examples/{self.run}"

    @property
    def site(self) -> str:
        return f"reports/{self.run}/site"

    @property
    def report(self) -> str:
        return f"reports/{self.run}/report.html"

    def ready(self, root: Path = Path()) -> list[str]:
        """For people at the end of a run: what lies under ``root`` now, and how the report is made where it is older than the tables."""
        table, report = root / self.master / "master.parquet", root / self.report
        if not table.is_file():
            return []
        fresh = report.is_file() and report.stat().st_mtime >= table.stat().st_mtime
        site = [f"site:   {self.site}/index.html"] if (root / self.site / "index.html").is_file() else []
        made = self.report if fresh else "workflow/scripts/make_report.sh makes it (with the same --configfile and --config)"
        return [*site, f"tables: {self.master}", f"report: {made}"]

    def lines(self) -> list[str]:
        """For people and scripts: what lies where, one line each, whether it is there or not."""
        return [
            f"run:    {self.run}",
            f"site:   {self.site}/index.html",
            f"tables: {self.master}",
            f"report: {self.report}",
        ]
