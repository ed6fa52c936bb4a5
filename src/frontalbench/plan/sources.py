"""What the datasets of a grid and its folders of results made elsewhere hold on this machine, looked at once."""

from __future__ import annotations

import functools
import json
import shlex
from collections.abc import Mapping
from pathlib import Path

from frontalbench.catalogue.config import Config
from frontalbench.datasets import listing
from frontalbench.datasets.card import DatasetCard
from frontalbench.datasets.index import find_index
from frontalbench.elsewhere import survey as delivery
from frontalbench.errors import BadInput, FrontalbenchError
from frontalbench.plan.used import UsedCards


class Sources:
    """Datasets by name, with their shards."""

    def __init__(self, config: Config, datasets: Mapping[str, DatasetCard], cards: UsedCards) -> None:
        self._config, self._datasets, self._cards = config, datasets, cards
        self._notes: list[str] = []

    def check(self) -> None:
        """List every dataset's files and every folder of results made elsewhere; raises :class:`BadInput`, a line for each folder that is not there
        or holds something else."""
        problems = []
        for name in self._datasets:
            try:
                self.survey(name)
            except FrontalbenchError as error:
                problems.append(str(error))
        for name in [] if problems else self._cards.elsewhere():
            try:
                self.deliveries(name)
            except FrontalbenchError as error:
                problems.append(str(error))
        if problems:
            raise BadInput("\n".join(problems))

    def members(self, dataset: str, shard: str) -> str:
        """Fingerprint of the files of one shard: names and contents."""
        return self.survey(dataset).fingerprints[shard]

    @functools.cache  # noqa: B019 - one plan per process
    def survey(self, dataset: str) -> listing.Survey:
        survey = listing.survey(self._datasets[dataset])
        if survey.note:
            self._notes.append(survey.note)
        return survey

    def delivered(self, dataset: str, frontalizer: str, shard: str) -> str:
        """Fingerprint of the results that were delivered for one shard: which photograph has one, and its content."""
        return self.deliveries(frontalizer)[dataset][shard]

    @functools.cache  # noqa: B019 - one plan per process
    def deliveries(self, frontalizer: str) -> Mapping[str, Mapping[str, str]]:
        found = delivery.survey(self._cards.card("frontalizer", frontalizer), self._datasets)
        self._notes += found.notes
        return found.fingerprints

    def turned(self, dataset: str, frontalizer: str) -> str:
        """Fingerprint of the turned references that were delivered beside the results of a frontalizer."""
        return self._turned(frontalizer)[dataset]

    @functools.cache  # noqa: B019 - one plan per process
    def _turned(self, frontalizer: str) -> Mapping[str, str]:
        return delivery.turned(self._cards.card("frontalizer", self._cards.turned_by(frontalizer)), self._datasets)

    def notes(self) -> list[str]:
        """A line for each dataset looked at so far of whose folder something was not used, and for each folder of results made elsewhere."""
        return sorted(self._notes)

    def index(self, dataset: str) -> str:
        """The dataset's own table (index.csv), "" where it has none."""
        card = self._datasets[dataset]
        return find_index(str(card.root), card) or "" if Path(card.root).is_dir() else ""

    def indexes(self) -> list[str]:
        """The tables of all datasets that have one, where slices are asked for that are columns of them."""
        return [path for path in map(self.index, self._datasets) if path and self._columns()]

    def index_options(self) -> list[str]:
        """The same as options of the script that makes slices."""
        return [f"--index {shlex.quote(f'{name}={self.index(name)}')}" for name in self._datasets if self.index(name) and self._columns()]

    def _columns(self) -> list[str]:
        return [by for by in self._config.slices if by not in ("pitch", "yaw")]

    def options(self, dataset: str) -> str:
        """The options of this dataset in the configuration, as JSON for the command line."""
        choice = next(item for item in self._config.datasets if item.name == dataset)
        return json.dumps({**choice.options, "shards": self._datasets[dataset].shards}, sort_keys=True)

    def roles(self, dataset: str) -> str:
        """The role rule of a dataset's card, as JSON for the command line."""
        return json.dumps(dict(self._datasets[dataset].roles), sort_keys=True)

    def yaw_edges(self, dataset: str) -> str:
        """Edges of a dataset's bins of |yaw|, for a command line."""
        return " ".join(f"{edge:g}" for edge in self._datasets[dataset].yaw_bins)
