"""Params of cards: a key that a family does not know, or a value of the wrong kind, is refused by name wherever the card is used."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np
import pytest

from frontalbench.catalogue import cards, families
from frontalbench.catalogue.cards import ModelCard
from frontalbench.catalogue.tryout import try_out
from frontalbench.embed.gradient import load_recognizer
from frontalbench.errors import BadConfig, BadInput
from frontalbench.stages.embed import embed_shard
from frontalbench.weights import store

CARDS = cards.all_cards()


def changed(card: ModelCard, **params: Any) -> ModelCard:
    return replace(card, params=MappingProxyType({**card.params, **params}))


@pytest.mark.parametrize("card", CARDS, ids=lambda card: f"{card.kind}/{card.name}")
def test_a_misspelt_param_is_refused_by_every_family_before_any_file_is_fetched(card: ModelCard, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("fetch", "locate"):
        monkeypatch.setattr(store, name, lambda *_: pytest.fail("a file was asked for first"))
    with pytest.raises(BadConfig, match="mispelt_key"):
        families.load(changed(card, mispelt_key=1))


def test_a_misspelt_param_of_a_judge_in_training_is_refused() -> None:
    with pytest.raises(BadConfig, match=r"params\.meen is not known.*did you mean 'mean'"):
        load_recognizer(changed(cards.find("backbone", "w600k_mbf"), meen=127.5))
    with pytest.raises(BadConfig, match="takes RGB"):
        load_recognizer(changed(cards.find("backbone", "w600k_mbf"), colour="bgr"))


@pytest.mark.parametrize("params", [{}, {"dimension": "512"}, {"dimension": 512, "precision": "half"}])
def test_params_of_a_backbone_that_are_missing_or_wrong_are_one_line_also_where_a_table_is_written(
    params: dict[str, Any], tmp_path: Path
) -> None:
    card = replace(cards.find("backbone", "w600k_mbf"), params=MappingProxyType(params))
    with pytest.raises(BadConfig, match=r"w600k_mbf\.yaml: params\.(dimension|precision)"):
        embed_shard(tmp_path / "crops.parquet", tmp_path / "out.parquet", card, lambda: pytest.fail("loaded"))


class Broken:
    name = "broken"

    takes_points = False

    def embed(self, crops: np.ndarray, points: object = None) -> np.ndarray:
        raise RuntimeError("Got invalid dimensions\nfor input")


def test_a_model_that_does_not_run_is_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(families, "load", lambda card: Broken())
    with pytest.raises(BadInput, match=r"w600k_mbf\.yaml: the model does not run \(.*Got invalid dimensions for input"):
        try_out(cards.find("backbone", "w600k_mbf"))
