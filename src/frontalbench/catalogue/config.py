"""The configuration: read, checked against ``config/schemas/config.schema.yaml``, defaults filled in."""

from __future__ import annotations

import copy
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

from frontalbench.catalogue import cards, validation
from frontalbench.datasets import card as dataset_cards
from frontalbench.errors import BadConfig
from frontalbench.quality import measures


@dataclass(frozen=True)
class Statistics:
    """How intervals are made: bootstrap resamples over identities, and their seed."""

    resamples: int
    seed: int


@dataclass(frozen=True)
class Search:
    """Open-set search: how many galleries are drawn (0: none of it is made), and which share of the people each holds."""

    draws: int
    enrolled: float


@dataclass(frozen=True)
class Quality:
    """Which measures of image quality are taken, on the crops of which detector."""

    measures: tuple[str, ...]
    detector: str


@dataclass(frozen=True)
class DatasetChoice:
    """One entry of ``datasets``: a card's name and the options that override the card."""

    name: str
    options: Mapping[str, Any]


@dataclass(frozen=True)
class FrontalizerChoice:
    """One entry of ``frontalizers``: a card's name and the enhancements it is run with."""

    name: str
    enhancements: tuple[str, ...]


@dataclass(frozen=True)
class Config:
    """A checked configuration; every name still has to be found among the cards (:mod:`frontalbench.plan.grid` does)."""

    datasets: tuple[DatasetChoice, ...]
    frontalizers: tuple[FrontalizerChoice, ...]
    detectors: tuple[str, ...]
    backbones: tuple[str, ...]
    locator: str
    pose: str
    face_policy: str
    derived: tuple[str, ...]
    quality: Quality
    statistics: Statistics
    search: Search
    slices: tuple[str, ...]
    over_time: bool
    examples: int


def load(path: str | os.PathLike[str], *, npm: bool) -> Config:
    """Read and check a configuration file; raises :class:`BadConfig` with one line per problem."""
    return parse(validation.read_yaml(Path(path)), npm=npm, where=str(path))


def parse(data: Any, *, npm: bool, where: str = "config", layers: Sequence[Any] | None = None) -> Config:
    """Check configuration data. Raises :class:`BadConfig`, one line, naming key and allowed values.

    ``npm``: whether the ``if_npm`` part joins. ``layers``: the configurations that ``data`` was merged from, each laid over those before it (None:
    ``data`` is one), see :func:`npm_part`.
    """
    data = with_defaults(data, where)
    if npm:
        for kind, names in npm_part([data] if layers is None else layers).items():
            data[kind] = [*data[kind], *(name for name in names if name not in data[kind])]
    chosen = []
    for entry in data["frontalizers"]:
        item = {"name": entry} if isinstance(entry, str) else entry
        chosen.append(FrontalizerChoice(item["name"], tuple(_unique(item.get("enhancements", data["enhancements"])))))
    _refuse_twice([item.name for item in chosen], "frontalizers", where)
    datasets = []
    for entry in data["datasets"]:
        item = dict({"name": entry} if isinstance(entry, str) else entry)
        datasets.append(DatasetChoice(item.pop("name"), dataset_cards.read_options(item)))
    _refuse_twice([item.name for item in datasets], "datasets", where)
    for kind in ("detectors", "backbones"):
        _refuse_twice(data[kind], kind, where)
    return Config(
        datasets=tuple(datasets),
        frontalizers=tuple(chosen),
        detectors=tuple(data["detectors"]),
        backbones=tuple(data["backbones"]),
        locator=data["locator"],
        pose=data["pose"],
        face_policy=data["face_policy"],
        derived=tuple(_unique(data["derived"])),
        quality=Quality(tuple(_unique(data["quality"]["measures"])), data["quality"].get("detector", data["locator"])),
        statistics=Statistics(data["statistics"]["resamples"], data["statistics"]["seed"]),
        search=Search(data["search"]["draws"], data["search"]["enrolled"]),
        slices=tuple(_unique(data["slices"])),
        over_time=data["over_time"],
        examples=data["examples"],
    )


def npm_part(layers: Sequence[Any]) -> dict[str, list[str]]:
    """What ``if_npm`` adds to which list, of configurations each laid over those before it.

    It joins the lists that it was written beside, or that stand in an earlier layer: a list that a later layer sets is what somebody wants, and is
    not widened. The last ``if_npm`` counts alone (Snakemake merges mappings key by key, so that an empty one would leave the earlier as it is).
    """
    part: dict[str, list[str]] = {}
    for layer in layers:
        if not isinstance(layer, Mapping):
            continue
        part = {kind: names for kind, names in part.items() if kind not in layer}
        if "if_npm" in layer:
            given = layer["if_npm"]
            part = {kind: list(names) for kind, names in given.items()} if isinstance(given, Mapping) else {}
    return part


def with_defaults(given: Any, where: str = "config") -> dict[str, Any]:
    """A copy of ``given`` with the schema's defaults filled in, checked. Raises :class:`BadConfig`."""
    path = cards.project_root() / "config" / "schemas" / "config.schema.yaml"
    schema = validation.read_yaml(path)
    schema["properties"]["quality"]["properties"]["measures"]["items"] = {"enum": list(measures.BY_WORD)}
    if not isinstance(given, dict):
        raise BadConfig(f"{where}: expected keys and values, got {type(given).__name__}; compare config/config.yaml")
    data: dict[str, Any] = validation.read_as_meant(given, schema)
    _fill(data, schema)
    problems = validation.problems(data, schema)
    if problems:
        raise BadConfig("\n".join(f"{where}: {problem}" for problem in problems))
    lacking = [field.name for field in fields(Config) if field.name not in data]
    if lacking:
        raise BadConfig(
            f"{path} knows no '{lacking[0]}': the files of this folder are of another version than the installed package; "
            f"bring them up to date: frontalbench init {cards.project_root()} --update"
        )
    return data


def _fill(data: dict[str, Any], schema: Mapping[str, Any]) -> None:
    for key, part in schema.get("properties", {}).items():
        if key not in data and "default" in part:
            data[key] = copy.deepcopy(part["default"])
        if isinstance(data.get(key), dict):
            _fill(data[key], part)


def _unique(names: list[str]) -> list[str]:
    return list(dict.fromkeys(names))


def _refuse_twice(names: list[str], key: str, where: str) -> None:
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise BadConfig(f"{where}: {key}: {', '.join(twice)} given twice")
