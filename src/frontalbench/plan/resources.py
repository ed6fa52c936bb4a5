"""What the jobs of a frontalizer ask a machine for, as its card says."""

from __future__ import annotations

import math
from collections.abc import Mapping

from frontalbench.datasets import listing
from frontalbench.datasets.card import DatasetCard
from frontalbench.errors import FrontalbenchError
from frontalbench.plan.sources import Sources
from frontalbench.plan.used import UsedCards

LOADING_MINUTES = 15
"""For the start of a job on a busy machine, and for loading its model."""


class Resources:
    """Memory, GPUs and minutes of a job."""

    def __init__(self, datasets: Mapping[str, DatasetCard], cards: UsedCards, sources: Sources) -> None:
        self._datasets, self._cards, self._sources = datasets, cards, sources

    def mem_mb(self, frontalizer: str) -> int:
        """Memory that a job of this frontalizer asks for, as its card says."""
        return self._cards.card("frontalizer", frontalizer).resources.mem_mb

    def gpus(self, frontalizer: str) -> int:
        """GPUs that a job of this frontalizer asks for by itself: 1 where its card requires one. A profile may give one to the others, too."""
        return int(self._cards.card("frontalizer", frontalizer).resources.gpu == "required")

    def minutes(self, frontalizer: str, dataset: str, shard: str, *, turning: bool = False) -> int:
        """Minutes that a job of this frontalizer asks for: loading, and the shard's images by the rate on its card.

        ``turning``: its references are turned to every angle. At most half of the images are references (who has one has a probe, too, or is in no
        cell), and there are two angles for each bin of |yaw| but the first.
        """
        try:
            images = self._sources.survey(dataset).counts[shard]
        except FrontalbenchError:  # a node of a cluster that does not see the images
            images = 2 * listing.PER_SHARD
        if turning:
            images *= max(1, len(self._datasets[dataset].yaw_bins) - 2)
        return LOADING_MINUTES + math.ceil(images * self._cards.card("frontalizer", frontalizer).resources.minutes_per_1000 / 1000)
