"""What exists: a configuration with its cards and datasets found. The rules' other questions go to its parts, one class for each kind of question.

Rules hold wiring only. Each job gets its own slice of configuration, cards and code, as short hashes in ``params`` (:class:`Reruns`), so that it
reruns when one of them changes its meaning, and only then.
"""

from __future__ import annotations

import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from frontalbench import datasets
from frontalbench.catalogue import config
from frontalbench.datasets import licence, listing
from frontalbench.errors import BadConfig
from frontalbench.figures.reported import ReportEntry, report_entries
from frontalbench.plan import grid, runs
from frontalbench.plan.configuration import SCRIPTS
from frontalbench.plan.files import Files
from frontalbench.plan.reruns import Reruns
from frontalbench.plan.resources import Resources
from frontalbench.plan.sources import Sources
from frontalbench.plan.steps import Steps
from frontalbench.plan.used import UsedCards
from frontalbench.plan.variant import ORIGINAL, parse
from frontalbench.quality import measures


class Plan:
    """A configuration with its cards and datasets found; raises BadConfig (one line per problem) when a name has no card.

    ``layers``: what ``data`` was merged from (:func:`.configuration.configuration_layers`); ``scripts``: the folder of the scripts that rules run;
    ``run``: the run's name, which its own folders are called by (default: the configuration's ``name``).

    Its parts: ``cards`` (which are used, whose receipts are waited for), ``sources`` (what the datasets hold), ``files`` (which files there are),
    ``steps`` (what the steps of chains work on), ``resources`` (what a job asks for), ``reruns`` (what it reruns for).
    """

    def __init__(
        self,
        data: Mapping[str, Any],
        where: str = "config",
        layers: Sequence[Mapping[str, Any]] | None = None,
        scripts: Path = SCRIPTS,
        run: str = "",
    ) -> None:
        self.run = run or runs.name_of(data)
        self.places = runs.Places(self.run)
        self.config = config.parse(dict(data), npm=shutil.which("npm") is not None, where=where, layers=layers)
        self.variants = grid.variants(self.config)
        self.cells = list(grid.cells(self.config))
        self.datasets = {
            choice.name: listing.with_shards(datasets.find(choice.name).with_options(choice.options)) for choice in self.config.datasets
        }
        self.shards = {name: datasets.shard_names(card) for name, card in self.datasets.items()}
        self.cards = UsedCards(self.config)
        self.sources = Sources(self.config, self.datasets, self.cards)
        self.files = Files(self.config, self.variants, self.shards, self.cards, self.places)
        self.steps = Steps(self.cards)
        self.resources = Resources(self.datasets, self.cards, self.sources)
        self.reruns = Reruns(self.config, self.datasets, self.cards, scripts)
        self._check_names(where)

    def _check_names(self, where: str) -> None:
        malformed = []
        for name in self.config.derived:
            try:
                parse(name)
            except BadConfig as error:
                malformed.append(f"{where}: derived: {error}")
        if malformed:
            raise BadConfig("\n".join(malformed))
        problems = []
        for kind, part in sorted({(kind, part) for kind, name in self.cards.used() for part in name.split("+")}):
            try:
                self.cards.card(kind, part)
            except BadConfig as error:
                problems.append(f"{where}: {kind}: {error}")
        for name in self.config.derived:
            if parse(name).base not in self.variants:
                problems.append(
                    f"{where}: derived: '{name}' is made of a variant that is not in the grid; allowed: {', '.join(self.variants)}; "
                    "none at all: derived: []"
                )
            elif parse(name).second not in ("", *self.variants):
                problems.append(
                    f"{where}: derived: '{name}' needs the mirrored photographs too; put 'mirror' with the enhancement 'none' among the frontalizers"
                )
            elif parse(name).turned and not problems and parse(name).frontalizer in self.cards.elsewhere():
                if not self.cards.turned_by(parse(name).frontalizer):
                    problems.append(
                        f"{where}: derived: '{name}': results made elsewhere turn no references; name a second card that brings them in 'uses' "
                        "(docs/elsewhere.md), or take a card that takes a target pose"
                    )
            elif parse(name).turned and not problems and not self.cards.turns(parse(name).frontalizer):
                problems.append(
                    f"{where}: derived: '{name}': frontalizer '{parse(name).frontalizer}' turns no references, its card's contract says "
                    "target_pose: frontal; leave it out, or take a card that says any"
                )
        if problems:
            raise BadConfig("\n".join(problems))

    def describe(self) -> str:
        """What runs, in a few lines."""
        counted = ", ".join(f"{name} ({len(found)} shards)" for name, found in self.shards.items())
        return "\n".join(
            [
                f"datasets: {counted}",
                f"variants: {', '.join([*self.variants, *self.config.derived])}",
                f"judges: {', '.join(f'{d} + {b}' for d in self.config.detectors for b in self.config.backbones)}",
                f"{len(self.cells)} cells; what runs first and how many jobs: snakemake -n --quiet rules",
            ]
        )

    def selection(self, *names: str) -> grid.Selection:
        """The grid of these datasets (all, when none is named), as summaries are given it."""
        return grid.Selection(
            datasets={name: self.shards[name] for name in names or self.datasets},
            variants=self.variants,
            derived=list(self.config.derived),
            detectors=list(self.config.detectors),
            backbones=list(self.config.backbones),
            yaw_bins={name: list(self.datasets[name].yaw_bins) for name in names or self.datasets},
        )

    def figures(self) -> list[ReportEntry]:
        """The figures of a dataset, the same for every dataset."""
        judges = [(detector, backbone) for detector in self.config.detectors for backbone in self.config.backbones]
        return report_entries([*self.variants, *self.config.derived], judges, len(self.datasets))

    def told(self) -> dict[str, Any]:
        """What the first page of the report says of this run: names as they were run (with what `if_npm` added), and the datasets' credits."""
        return {
            "datasets": list(self.datasets),
            "variants": [name for name in self.variants if name != ORIGINAL],
            "derived": list(self.config.derived),
            "detectors": list(self.config.detectors),
            "backbones": list(self.config.backbones),
            "notices": {name: notice for name, card in self.datasets.items() if (notice := licence.notice(card.data))},
            "credits": [credit for card in self.datasets.values() if (credit := licence.credit(card.data))],
        }

    def notice(self, dataset: str) -> str:
        """The word that stands across a dataset's figures with images, ``none`` where nothing has to be said."""
        return licence.notice(self.datasets[dataset].data) or "none"

    def credit(self, dataset: str) -> str:
        """The line that the images' licence asks for, "" for none."""
        return licence.credit(self.datasets[dataset].data)

    def learned_measures(self) -> list[str]:
        """The measures of quality that a model takes, as the configuration calls them."""
        return [measure.word for measure in measures.asked(self.config.quality.measures) if measure.method]
