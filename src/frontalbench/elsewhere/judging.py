"""From a folder of results to its row in the tables: the card, a configuration of its own, the command, the row."""

from __future__ import annotations

import re
import shlex
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from frontalbench import tables
from frontalbench.catalogue import cards, config, validation
from frontalbench.catalogue.cards import ModelCard
from frontalbench.datasets import card as dataset_cards
from frontalbench.datasets.card import DatasetCard
from frontalbench.datasets.listing import with_shards
from frontalbench.elsewhere.delivery import FAMILY, KEY
from frontalbench.elsewhere.survey import survey
from frontalbench.errors import BadConfig, BadInput
from frontalbench.files import atomic
from frontalbench.plan.grid import WILDCARDS
from frontalbench.plan.variant import ORIGINAL

NOT_SAID = "not said"
_TITLE = "Made elsewhere"
TABLE = "table1_net_gain"


@dataclass(frozen=True)
class Said:
    """What somebody said of a delivery; "" for what was not said."""

    made_by: str = ""
    version: str = ""
    date: str = ""
    notes: str = ""
    licence: str = ""
    mapping: str = ""


@dataclass(frozen=True)
class Judged:
    """What :func:`write` made; paths are relative to the project's folder. ``counts``: a line per dataset; ``notes``: what was not used; ``run``: the
    run's name."""

    card: Path
    config: Path
    run: str
    datasets: tuple[str, ...]
    counts: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    def command(self, cores: int, *targets: str) -> list[str]:
        """The command that fills the tables, in the project's folder."""
        return [sys.executable, "-m", "snakemake", "--cores", str(cores), *targets, "--configfile", self.config.as_posix()]

    def shown(self, cores: int, *targets: str) -> str:
        """The same for people."""
        return shlex.join(["snakemake", *self.command(cores, *targets)[3:]])


def configuration(path: Path | None = None) -> dict[str, Any]:
    """The project's configuration (default: ``config/config.yaml``), defaults filled in. Raises :class:`BadConfig`."""
    where = path or cards.project_root() / "config" / "config.yaml"
    return config.with_defaults(validation.read_yaml(where), str(where))


def entry_of(name: str, path: Path | None = None) -> Any:
    """A dataset as the configuration names it, with its options; the bare name where it does not."""
    for entry in configuration(path)["datasets"]:
        if (entry if isinstance(entry, str) else entry["name"]) == name:
            return entry
    return name


def dataset_of(name: str, path: Path | None = None) -> DatasetCard:
    """A dataset's card with the options of the configuration. Raises :class:`BadConfig`."""
    entry = entry_of(name, path)
    options = {} if isinstance(entry, str) else {key: value for key, value in entry.items() if key != "name"}
    return with_shards(dataset_cards.find(name).with_options(dataset_cards.read_options(options)))


def checked_name(name: str) -> str:
    """``name`` as a frontalizer's. Raises :class:`BadInput` with one that would do."""
    if re.fullmatch(WILDCARDS["frontalizer"], name) and name != ORIGINAL:
        return name
    near = re.sub(r"[^a-z0-9]+", "_", name.lower()).strip("_") or "my_tool"
    near = near if near != ORIGINAL else "my_original"
    raise BadInput(f"--as {name}: a frontalizer's name is small letters, digits and _ (beginning with a letter or digit), such as {near}")


def write(
    folder: Path, name: str, datasets: Sequence[str] = (), *, said: Said | None = None, beside: Sequence[str] = (), base: Path | None = None
) -> Judged:
    """Write the card ``name`` for the results in ``folder`` and a configuration that judges them; nothing is written unless some file fits.

    ``datasets``: default those of the configuration ``base``; ``beside``: other frontalizers that get rows in the same tables. A card of the
    same name and family is brought up to date: what is not ``said`` anew stays.

    Raises :class:`BadInput`, :class:`BadConfig`.
    """
    root = cards.project_root()
    if root == cards.SHIPPED:
        raise BadInput("no project folder here to write a card into; make one (frontalbench init mystudy), go there and judge again")
    checked_name(name)
    if not folder.is_dir():
        raise BadInput(f"{folder}: not a folder; give the folder that holds the results")
    chosen = list(datasets) or [entry if isinstance(entry, str) else entry["name"] for entry in configuration(base)["datasets"]]
    for one in beside:
        cards.find("frontalizer", one)
    found = {one: dataset_of(one, base) for one in chosen}
    path = root / "config" / "models" / cards.FOLDERS["frontalizer"] / f"{name}.yaml"
    data = _card_data(name, folder, root, said or Said(), path)
    wrong = validation.problems(data, validation.read_yaml(root / "config" / "schemas" / "model.schema.yaml"))
    if wrong:
        raise BadConfig("\n".join(f"--as {name}: {line}" for line in wrong))
    card = ModelCard(name, "frontalizer", FAMILY, data["title"], path, root / "config" / "models", data["params"], {}, (), (), data)
    seen = survey(card, found)
    if not any(seen.delivered.values()):
        raise BadInput(_nothing(folder, found, seen.notes))
    atomic.write_text(path, yaml.safe_dump(data, sort_keys=False, allow_unicode=True, width=140))
    run = f"judge_{name}"
    own = root / "config" / f"{run}.yaml"
    asked = {
        "name": run,
        "datasets": [entry_of(one, base) for one in chosen],
        "frontalizers": [{"name": one, "enhancements": ["none"]} for one in dict.fromkeys((name, *beside))],
        "derived": [],
    }
    head = f"# Written by 'frontalbench judge --as {name}': the results made elsewhere alone. To have them in every run, add {name} to\n"
    head += "# frontalizers in config/config.yaml; everything that was computed is used again.\n"
    atomic.write_text(own, head + yaml.safe_dump(asked, sort_keys=False, allow_unicode=True, width=140))
    return Judged(path.relative_to(root), own.relative_to(root), run, tuple(chosen), seen.counts, seen.notes)


def _card_data(name: str, folder: Path, root: Path, said: Said, path: Path) -> dict[str, Any]:
    before: Mapping[str, Any] = {}
    if path.is_file():
        before = cards.load(path).data
        if before["family"] != FAMILY:
            raise BadInput(f"--as {name}: {path} is a card of family {before['family']} already; choose another name")
    old = before.get(KEY, {})
    place = folder.resolve()
    inside = (
        place.relative_to(root.resolve()).as_posix() if place.is_relative_to(root.resolve()) and place != root.resolve() else str(place)
    )
    by = said.made_by or old.get("made_by", NOT_SAID)
    delivered = {"folder": inside, "mapping": said.mapping or old.get("mapping", ""), "made_by": by}
    delivered |= {"version": said.version or old.get("version", ""), "date": said.date or old.get("date", "")}
    own_title = before.get("title", "")
    if not own_title or own_title.startswith(_TITLE):
        own_title = _TITLE if by == NOT_SAID else f"{_TITLE} by {by}"
    licence = said.licence or before.get("licence", {}).get("weights", "not stated")
    data = {
        "name": name,
        "kind": "frontalizer",
        "family": FAMILY,
        "title": own_title,
        "weights": {},
        "params": dict(before.get("params", {})),
        KEY: {key: value for key, value in delivered.items() if value},
        "licence": {"code": before.get("licence", {}).get("code", "not stated"), "weights": licence},
        "verified": dict(before.get("verified", {"level": "none"})),
    }
    more = {key: before[key] for key in ("trained_with", "paper") if key in before}
    notes = said.notes or before.get("notes", "")
    return {**data, **more, **({"notes": notes} if notes else {})}


def _nothing(folder: Path, datasets: Mapping[str, DatasetCard], notes: Sequence[str]) -> str:
    from frontalbench.datasets import listing

    name, dataset = next(iter(datasets.items()))
    example = listing.scan(dataset).members[0].source
    held = f" ({notes[-1]})" if notes and "of no photograph" in notes[-1] else ""
    return (
        f"{folder}: no file here is called like a photograph of {', '.join(datasets)}{held}; expected names such as '{example}' with any ending, "
        f"below the folder itself, {name}/ or FRONTALS/{name}/; or a mapping.csv with the columns file and photo"
    )


def rows(judged: Judged, name: str) -> list[dict[str, Any]]:
    """The finished rows of the frontalizer ``name`` in the tables of the run, one per dataset and judge."""
    path = cards.project_root() / "results" / "master" / judged.run / f"{TABLE}.parquet"
    return [row for row in tables.read(path).to_pylist() if row["frontalizer"] == name]


def shown_rows(found: Sequence[Mapping[str, Any]]) -> str:
    """The rows as a table for a terminal."""
    from tabulate import tabulate

    from frontalbench.tabulate.write import interval, number, signed

    head = ["dataset", "judge", "N", "angled", "frontal", "Net Gain", "identity gain [95 %]", "FTA"]
    body = [
        [
            row["dataset"],
            f"{row['detector']} + {row['backbone']}",
            row["n_images"],
            number(row["angled_gt"]),
            number(row["frontal_gt"]),
            signed(row["net_gain"]),
            interval(row["identity_gain"], row["identity_gain_low"], row["identity_gain_high"], sign=True),
            f"{row['n_fta_frontal']} ({100 * row['fta_rate_frontal']:.1f} %)" if row["fta_rate_frontal"] is not None else "",
        ]
        for row in found
    ]
    return f"{tabulate(body, headers=head, disable_numparse=True)}\n"
