"""What a job reruns for besides its inputs: the texts that rules put into ``params``, each a short hash of what decides the job's result."""

from __future__ import annotations

import functools
import hashlib
import json
from collections.abc import Mapping
from pathlib import Path

from frontalbench import tables
from frontalbench.catalogue import cards, external, families
from frontalbench.catalogue.config import Config
from frontalbench.datasets import layouts
from frontalbench.datasets.card import DatasetCard
from frontalbench.plan import fingerprint, grid
from frontalbench.plan.used import UsedCards
from frontalbench.quality import measures
from frontalbench.weights import foreign, store


class Reruns:
    """Of a configuration with its cards and datasets; ``scripts``: the folder of the scripts that the rules run."""

    def __init__(self, config: Config, datasets: Mapping[str, DatasetCard], cards: UsedCards, scripts: Path) -> None:
        self._config, self._datasets, self._cards, self._scripts = config, datasets, cards, scripts

    @functools.cache  # noqa: B019 - one plan per process
    def code(self, stage: str, script: str, *used: tuple[str, str], schema: str = "", dataset: str = "", meant: bool = True) -> str:
        """Fingerprint of what is behind a job: the code of its stage, of its script and of the families of the cards it ``used`` (kind, name), what
        these cards say about results (unless not ``meant``), the columns of its table, the code of the layout of the ``dataset`` that it lists."""
        modules = [f"frontalbench.stages.{stage}"]
        if dataset:
            modules.append(layouts.target(self._datasets[dataset].layout)[0])
        waiting = [self._cards.card(kind, part) for kind, name in used for part in name.split("+")]
        while waiting:
            card = waiting.pop()
            modules += families.modules(card)
            if card.turn is not None:
                modules.append(f"frontalbench.frontalize.{'partly' if card.turn.step is None else 'stepwise'}")
            waiting += [cards.find_any(name) for name in card.uses]
        shape = str(tables.SCHEMAS[schema]) if schema else ""
        return fingerprint.code_fingerprint(
            modules, self._scripts / script, [shape, *(self.digest(kind, name) for kind, name in used if meant)]
        )

    def summary_code(self, script: str) -> str:
        """Fingerprint of the code behind a summary: its script and all that this imports."""
        path = self._scripts / script
        return fingerprint.code_fingerprint(fingerprint.imports(path), path)

    @functools.cache  # noqa: B019 - one plan per process
    def digest(self, kind: str, name: str) -> str:
        """Hash of what a card (or a chain of enhancements) says about results."""
        parts = name.split("+") if kind == "enhancement" else [name]
        return "+".join(self._cards.card(kind, part).digest()[:16] for part in parts)

    def weights_state(self, kind: str, name: str) -> str:
        """Changes when a fetch that failed before could succeed now without the network: its files, or what a foreign system needs, have appeared on
        this machine. A receipt says for what it was made anew, so that nothing changes again afterwards."""
        path = Path(grid.RESULTS, "weights", kind, f"{name}.json")
        if not path.is_file():
            return ""
        receipt = json.loads(path.read_text(encoding="utf-8"))
        if receipt["status"] == "ok":
            return str(receipt.get("state", ""))
        card = self._cards.card(kind, name)
        lacks = foreign.lacks(card) if card.family == external.FAMILY else []
        return "present" if store.available(card) and not lacks else ""

    @functools.cache  # noqa: B019 - one plan per process
    def made_of(self, frontalizer: str) -> str:
        """Hash of what makes the images of a foreign system beside its card: commit, environment, adapter; "" for every other card."""
        card = self._cards.card("frontalizer", frontalizer)
        return external.read(card).digest()[:16] if card.family == external.FAMILY else ""

    def quality_meaning(self, *, of_sets: bool = False) -> list[str]:
        """What decides the values of the quality tables (``of_sets``: of FID and KID) besides their inputs and code: a text per measure."""
        asked = measures.asked(self._config.quality.measures, of_sets=of_sets)
        return [f"{measure.meaning()} {self.digest(*measure.card) if measure.card else ''}".rstrip() for measure in asked]

    def facts(self) -> str:
        """What the cards say in the tables beside numbers (leaks, verification levels, synthetic people, yaw bins), as a hash."""
        named = {(kind, part) for kind, name in self._cards.used() for part in name.split("+")}
        said = {
            "models": {
                f"{kind}/{name}": [
                    sorted(self._cards.card(kind, name).trained_with),
                    self._cards.card(kind, name).data.get("verified", {}).get("level"),
                ]
                for kind, name in named
            },
            "datasets": {
                name: [bool(card.data.get("synthetic")), list(card.yaw_bins), *sorted(card.data.get("made_with", ()))]
                for name, card in self._datasets.items()
            },
        }
        return hashlib.sha256(json.dumps(said, sort_keys=True).encode()).hexdigest()[:16]

    def card_texts(self) -> str:
        """Everything that the cards of the grid say, as a hash: the site shows it."""
        named = sorted({(kind, part) for kind, name in self._cards.used() for part in name.split("+")})
        said = [
            [{"kind": kind, "name": name, **self._cards.card(kind, name).data} for kind, name in named],
            [{key: value for key, value in card.data.items() if key != "root"} for card in self._datasets.values()],
        ]
        return hashlib.sha256(json.dumps(said, sort_keys=True, default=str).encode()).hexdigest()[:16]

    def looks(self) -> dict[str, list[str]]:
        """What the frontalizers' cards say about how figures show them."""
        named = sorted({name for kind, name in self._cards.used() if kind == "frontalizer"})
        return {name: [str(self._cards.card("frontalizer", name).data.get(key, "")) for key in ("role", "view")] for name in named}
