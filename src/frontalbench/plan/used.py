"""Which cards a grid uses, and which receipts their jobs wait for."""

from __future__ import annotations

import functools
import re

from frontalbench.catalogue import cards, external
from frontalbench.catalogue.cards import ModelCard
from frontalbench.catalogue.config import Config
from frontalbench.compare.feature import KIND, RECIPE, card_name
from frontalbench.elsewhere import survey as delivery
from frontalbench.elsewhere.delivery import turned_by
from frontalbench.plan import grid
from frontalbench.plan.variant import ORIGINAL, PLAIN, TURNED, parse
from frontalbench.quality import measures
from frontalbench.weights import foreign, store

MULTIVIEW = "multiview"
"""The family of frontalizers that make one image of several photographs."""
ALIGNMENT = "alignment"
"""The param of a frontalizer's card that asks for an alignment of its own, see :mod:`frontalbench.detect.yaw_alignment`."""


class UsedCards:
    """The cards of a configuration. Names of enhancements may be chains; a name without a card raises BadConfig when it is asked for."""

    def __init__(self, config: Config) -> None:
        self._config = config

    @functools.cache  # noqa: B019 - one plan per process
    def card(self, kind: str, name: str) -> ModelCard:
        """One card. Raises BadConfig where there is none."""
        return cards.find(kind, name)

    def used(self) -> list[tuple[str, str]]:
        """(kind, name) of everything that the grid runs; names of enhancements may be chains."""
        chosen = self._config
        return [
            *(
                ("detector", name)
                for name in (*chosen.detectors, chosen.locator, *((chosen.quality.detector,) if chosen.quality.measures else ()))
            ),
            *(("backbone", name) for name in chosen.backbones),
            *(("frontalizer", choice.name) for choice in chosen.frontalizers),
            *(("enhancement", chain) for choice in chosen.frontalizers for chain in choice.enhancements),
            ("pose", chosen.pose),
            *self.of_quality(),
            *self.of_quality(of_sets=True),
            *((KIND, name) for variant in chosen.derived for backbone in chosen.backbones for name in self.features(variant, backbone)),
        ]

    @functools.cache  # noqa: B019 - one plan per process
    def receipt(self, kind: str, name: str) -> list[str]:
        """The receipts that a job using this card waits for (none when no weights are needed)."""
        parts = name.split("+") if kind == "enhancement" else [name]
        needy = (part for part in parts if store.requirements([self.card(kind, part)]) or self.card(kind, part).family == external.FAMILY)
        return [f"{grid.RESULTS}/weights/{kind}/{part}.json" for part in needy]

    def receipts(self) -> list[str]:
        """Every receipt of the grid."""
        return sorted({path for kind, name in self.used() for path in self.receipt(kind, name)})

    def of_quality(self, *, of_sets: bool = False) -> list[tuple[str, str]]:
        """Cards that the quality tables (``of_sets``: the tables of FID and KID) stand on besides the crops."""
        return [measure.card for measure in measures.asked(self._config.quality.measures, of_sets=of_sets) if measure.card]

    def features(self, variant: str, backbone: str) -> list[str]:
        """The feature map's card of a derived variant's cell, if the variant asks for one and the backbone has one."""
        wanted = parse(variant).recipe == RECIPE and card_name(backbone) in self._feature_names()
        return [card_name(backbone)] if wanted else []

    @functools.cache  # noqa: B019 - one plan per process
    def _feature_names(self) -> frozenset[str]:
        return frozenset(card.name for card in cards.all_cards(KIND))

    def quality_receipts(self, variant: str) -> list[str]:
        """The receipts that measuring the quality of a variant waits for."""
        used = [(kind, name) for kind, name in self.of_quality() if kind == "quality" or variant != ORIGINAL]
        return [path for kind, name in used for path in self.receipt(kind, name)]

    @functools.cache  # noqa: B019 - one plan per process
    def aligning(self, variant: str) -> tuple[tuple[str, str], ...]:
        """(kind, name) of the card that asks for an alignment of a variant's images: its frontalizer's, or none."""
        frontalizer = parse(variant).frontalizer
        asks = frontalizer and ALIGNMENT in self.card("frontalizer", frontalizer).params
        return (("frontalizer", frontalizer),) if asks else ()

    @functools.cache  # noqa: B019 - one plan per process
    def upright(self, variant: str) -> bool:
        """Whether a variant's images are known to stand upright: drawn here, from photographs that were turned where a face stood on its head.
        Photographs may lie any way round, and so may what foreign systems made of them."""
        named = parse(variant)
        if not named.frontalizer:
            return False
        steps = [("enhancement", step) for step in named.steps if step not in (PLAIN, TURNED)]
        families = [self.card(kind, name).family for kind, name in [("frontalizer", named.frontalizer), *steps]]
        return not {external.FAMILY, delivery.FAMILY} & set(families)

    def alignment_receipts(self, variant: str) -> list[str]:
        """The receipts that aligning a variant's images waits for, beside the detector's."""
        return [path for card in self.aligning(variant) for path in self.receipt(*card)]

    def turns(self, frontalizer: str) -> bool:
        """Whether a frontalizer takes any target pose. A card without a contract may: its job says so when it has loaded the model."""
        contract = self.card("frontalizer", frontalizer).contract
        return contract is None or contract.target_pose == "any"

    def elsewhere(self) -> list[str]:
        """The frontalizers of the grid that are folders of results made elsewhere."""
        return [choice.name for choice in self._config.frontalizers if self.card("frontalizer", choice.name).family == delivery.FAMILY]

    def turned_by(self, frontalizer: str) -> str:
        """The second card that brings turned references for a folder of results made elsewhere; "" for none, and for other frontalizers."""
        card = self.card("frontalizer", frontalizer)
        second = turned_by(card) if card.family == delivery.FAMILY else None
        return second.name if second else ""

    def elsewhere_pattern(self) -> str:
        """A regular expression for their names, which matches nothing where there are none."""
        return "|".join(map(re.escape, self.elsewhere())) or "(?!)"

    def external(self) -> list[str]:
        """The frontalizers of the grid that are foreign systems in their own environment."""
        return [choice.name for choice in self._config.frontalizers if self.card("frontalizer", choice.name).family == external.FAMILY]

    def external_pattern(self) -> str:
        """A regular expression for their names, which matches nothing where there are none."""
        return "|".join(map(re.escape, self.external())) or "(?!)"

    def multiview_pattern(self) -> str:
        """A regular expression for the frontalizers of the grid that look at several photographs together; matches nothing where there are none."""
        chosen = [choice.name for choice in self._config.frontalizers if self.card("frontalizer", choice.name).family == MULTIVIEW]
        return "|".join(map(re.escape, chosen)) or "(?!)"

    def conda_environment(self, frontalizer: str) -> str | None:
        """The conda environment that was made for a foreign system, for Snakemake to activate; None for a virtual environment and for none."""
        folder = foreign.environment_folder(external.read(self.card("frontalizer", frontalizer)))
        return str(folder) if (folder / "conda-meta").is_dir() else None
