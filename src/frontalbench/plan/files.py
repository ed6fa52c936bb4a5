"""Which files a grid is made of: the paths that rules ask for, dataset by dataset."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from frontalbench.catalogue.config import Config
from frontalbench.plan import grid, runs
from frontalbench.plan.used import UsedCards
from frontalbench.plan.variant import LEARNED, ORIGINAL, made, parse
from frontalbench.quality import measures
from frontalbench.tabulate import asked
from frontalbench.tabulate.columns import TABLES


class Files:
    """``variants``: those with pixels of their own; ``shards``: dataset -> names of its shards, for every dataset of the grid."""

    def __init__(
        self, config: Config, variants: Sequence[str], shards: Mapping[str, Sequence[str]], cards: UsedCards, places: runs.Places
    ) -> None:
        self._config, self._variants, self._shards, self._cards, self._places = config, variants, shards, cards, places

    def over_shards(self, path: Any, dataset: str, *parts: str) -> list[str]:
        """``path(dataset, *parts, shard)`` for every shard of a dataset."""
        return [path(dataset, *parts, shard) for shard in self._shards[dataset]]

    def images(self, dataset: str) -> list[str]:
        return self.over_shards(grid.images_path, dataset, ORIGINAL)

    def pose(self, dataset: str, variant: str) -> list[str]:
        return self.over_shards(grid.pose_path, dataset, variant)

    def embeddings(self, dataset: str, variant: str, detector: str, backbone: str) -> list[str]:
        return self.over_shards(grid.embeddings_path, dataset, variant, detector, backbone)

    def turned(self, dataset: str, judged: str, detector: str, backbone: str) -> list[str]:
        """Embeddings of the turned references of a pose-matched cell; none for any other."""
        variant = parse(judged).turned
        return self.embeddings(dataset, variant, detector, backbone) if variant else []

    def second(self, dataset: str, judged: str, detector: str, backbone: str) -> list[str]:
        """Embeddings of the other variant that a cell needs beside its own, of the mirrored photographs say; none for most."""
        variant = parse(judged).second
        return self.embeddings(dataset, variant, detector, backbone) if variant else []

    def crops(self, dataset: str, variant: str, detector: str) -> list[str]:
        return self.over_shards(grid.crops_path, dataset, variant, detector)

    def frontals(self, dataset: str, frontalizer: str) -> list[str]:
        return [grid.images_path(dataset, made(frontalizer), shard) for shard in self._shards[dataset]]

    def made_images(self) -> list[str]:
        """The images of every variant but the originals."""
        return [path for d in self._shards for v in self._variants if v != ORIGINAL for path in self.over_shards(grid.images_path, d, v)]

    def timed_crops(self) -> list[str]:
        """The crops whose making belongs to the cost of a frontalizer: the photographs' by the locator, and those that are aligned in its own way."""
        found = [path for d in self._shards for path in self.crops(d, ORIGINAL, self._config.locator)]
        own = [v for v in self._variants if self._cards.aligning(v)]
        return found + [
            path for d in self._shards for v in own for detector in self._config.detectors for path in self.crops(d, v, detector)
        ]

    def first_cell(self, dataset: str) -> grid.Cell:
        """The cell of the originals that the resolved roles are read from."""
        return grid.cell(dataset, ORIGINAL, self._config.detectors[0], self._config.backbones[0])

    def quality_tables(self) -> list[str]:
        """The quality tables of the grid: every variant with pixels of its own, by one detector; none when nothing is to be measured."""
        if not self._config.quality.measures:
            return []
        return [grid.quality_path(d, v, self._config.quality.detector) for d in self._shards for v in self._variants]

    def seen_by_gate(self, dataset: str, judged: str) -> list[str]:
        """The quality table of the photographs, which a learned gate looks at; none for other variants, and where nothing is to be measured."""
        seen = parse(judged).recipe == LEARNED and self._config.quality.measures
        return [grid.quality_path(dataset, ORIGINAL, self._config.quality.detector)] if seen else []

    def distribution_tables(self) -> list[str]:
        """The tables of FID and KID of the same variants; none when they were not asked for."""
        if not measures.asked(self._config.quality.measures, of_sets=True):
            return []
        return [grid.distribution_path(d, v, self._config.quality.detector) for d in self._shards for v in self._variants]

    def beyond_crops(self, dataset: str, variant: str) -> dict[str, list[str]]:
        """The tables that measures of quality ask for beside the crops, by the name of the option that takes them; no file where none is asked for.

        An enhancement does not turn a head, so the residual pose is measured on the plain frontals only.
        """
        asked = self._config.quality.measures
        posed = "pose" in asked and (variant == ORIGINAL or parse(variant).is_plain)
        files = {"pose": self.pose(dataset, variant) if posed else []}
        whole = any(measure.word in asked for measure in measures.OF_IMAGES)
        expressed = "expression" in asked and variant != ORIGINAL
        for prefix, one in (("", variant), ("original_", ORIGINAL)):
            shown = expressed or (whole and not prefix)
            files[f"{prefix}whole_images"] = self.over_shards(grid.images_path, dataset, one) if shown else []
            files[f"{prefix}faces"] = self.crops(dataset, one, self._config.locator) if expressed else []
        return files

    def master_tables(self) -> list[str]:
        """Names of the tables in results/master/RUN."""
        return list(TABLES)

    def paper_tables(self) -> list[str]:
        """Those of a paper's shape, also as Markdown."""
        return [name for name in TABLES if name.startswith("table")]

    def report_tables(self) -> list[str]:
        """Those that the report shows."""
        return [*self.paper_tables(), "counts", "missing", "software", "published"]

    def working_tables(self) -> list[str]:
        """The rest."""
        return [name for name in TABLES if name not in self.report_tables()]

    def search_tables(self) -> list[str]:
        """Names of the tables in results/search/RUN."""
        return list(asked.SEARCH)

    def slice_tables(self) -> list[str]:
        """Names of the tables in results/slices/RUN."""
        return list(asked.SLICES)

    def over_time_tables(self) -> list[str]:
        """Names of the tables in results/over_time/RUN."""
        return list(asked.OVER_TIME)

    def searched_embeddings(self) -> list[str]:
        """The embeddings of every variant with pixels of its own, by every judge."""
        judges = [(detector, backbone) for detector in self._config.detectors for backbone in self._config.backbones]
        return [path for d in self._shards for v in self._variants for judge in judges for path in self.embeddings(d, v, *judge)]

    def asked_tables(self) -> list[str]:
        """Tables that are made only where the configuration asks for them: search, slices, sequences over time."""
        search = [f"{self._places.search}/{name}.csv" for name in self.search_tables()] if self._config.search.draws else []
        slices = [f"{self._places.slices}/{name}.csv" for name in self.slice_tables()] if self._config.slices else []
        return (
            search
            + slices
            + ([f"{self._places.over_time}/{name}.csv" for name in self.over_time_tables()] if self._config.over_time else [])
        )

    def asked_folders(self) -> list[str]:
        """Their folders, as options of the script that shows them."""
        search = [f"--search {self._places.search}"] if self._config.search.draws else []
        slices = [f"--slices {self._places.slices}"] if self._config.slices else []
        return search + slices + ([f"--over-time {self._places.over_time}"] if self._config.over_time else [])

    def examples(self) -> list[str]:
        """Folders of images for people."""
        folders = []
        for dataset in self._shards:
            folders += [f"{self._places.references}/{dataset}", f"{self._places.probes}/{dataset}"]
            folders += [f"{self._places.frontals}/{dataset}/{choice.name}" for choice in self._config.frontalizers]
        return folders
