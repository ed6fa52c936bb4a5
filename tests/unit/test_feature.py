"""``feature_frontal``: the filter, the gate, the map's file, and a cell made with it."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from types import MappingProxyType

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from frontalbench.catalogue import cards
from frontalbench.compare import derived, feature
from frontalbench.compare.feature import FeatureMap, covariances, wiener
from frontalbench.errors import BadConfig, BadInput
from frontalbench.tabulate import cell_of
from frontalbench.tabulate.facts import models_of

CARDS = cards.all_cards(feature.KIND)


def unit(rows: np.ndarray) -> np.ndarray:
    return (rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(np.float32)


def test_the_filter_is_the_best_linear_guess() -> None:
    random = np.random.default_rng(0)
    between, within = np.diag(random.uniform(0.1, 3, 6)), np.diag(random.uniform(0.1, 3, 6))
    people = random.multivariate_normal(np.zeros(6), between, 200_000)
    seen = people + random.multivariate_normal(np.zeros(6), within, len(people))
    regression = np.linalg.lstsq(seen, people, rcond=None)[0].T
    found = wiener(between, within, 0.0)
    np.testing.assert_allclose(found * np.trace(regression) / 6, regression, atol=0.02)


@given(st.floats(0.0, 50.0), st.integers(0, 100))
def test_more_shrinkage_is_nearer_to_leaving_everything_as_it_is(shrinkage: float, seed: int) -> None:
    random = np.random.default_rng(seed)
    between, within = (a @ a.T + 0.01 * np.eye(5) for a in random.standard_normal((2, 5, 5)))
    near, far = (np.abs(wiener(between, within, value) - np.eye(5)).max() for value in (10 * shrinkage + 1000, shrinkage))
    assert near <= far + 1e-9 and np.trace(wiener(between, within, shrinkage)) == pytest.approx(5)


def test_covariances_are_those_the_people_were_drawn_with() -> None:
    random = np.random.default_rng(1)
    between, within = np.diag([4.0, 1.0, 0.25]), np.diag([0.1, 1.0, 2.0])
    people = random.multivariate_normal(np.zeros(3), between, 3000)
    who = np.repeat(np.arange(3000), 4)
    frontal = np.tile([False, True, False, False], 3000)
    noise = random.multivariate_normal(np.zeros(3), within, len(who))
    rows = people[who] + np.where(frontal[:, None], 0.0, noise)
    b, w = covariances(rows, who, frontal)
    np.testing.assert_allclose(b, between, atol=0.3)
    np.testing.assert_allclose(w, within, atol=0.15)
    with pytest.raises(BadInput, match="one frontal"):
        covariances(rows, who, np.ones(len(who), bool))


@given(st.floats(-90, 90))
def test_the_gate_is_shut_at_the_front_and_for_an_unknown_yaw_and_open_at_the_profile(yaw: float) -> None:
    found = FeatureMap(np.eye(2), (30.0, 70.0))
    share = found.share([yaw, -yaw, np.nan])
    assert share[0] == share[1] and share[2] == 0.0 and 0.0 <= share[0] <= 1.0
    assert (share[0] == 0.0) == (abs(yaw) <= 30.0) and (share[0] == 1.0) == (abs(yaw) >= 70.0)


def test_a_frontal_image_gets_the_plain_mean_and_a_profile_the_map() -> None:
    random = np.random.default_rng(2)
    first, second = (unit(random.standard_normal((2, 4))) for _ in range(2))
    matrix = np.diag([2.0, 1.0, 0.5, 0.5])
    got = FeatureMap(matrix, (30.0, 70.0)).apply(first, second, [0.0, 90.0])
    mean = derived.fuse_mean(first, second)
    np.testing.assert_allclose(got[0], mean[0], atol=1e-6)
    np.testing.assert_allclose(got[1], unit(mean[1:] @ matrix.T)[0], atol=1e-6)


@pytest.mark.parametrize("card", CARDS, ids=[card.name for card in CARDS])
def test_the_shipped_maps_are_sound_and_belong_to_a_backbone(card: cards.ModelCard) -> None:
    found = feature.load(card)
    (backbone,) = card.used_cards()
    assert card.name == feature.card_name(backbone.name) and card.trained_with == (backbone.name,)
    assert found.matrix.shape == (backbone.params["dimension"],) * 2
    assert np.trace(found.matrix) == pytest.approx(len(found.matrix), rel=0.01)
    change = np.linalg.norm(found.matrix - np.eye(len(found.matrix))) / np.sqrt(len(found.matrix))
    assert 0.01 < change < 0.5, "a filter weighs; it neither leaves all as it is nor turns it round"


def test_a_file_of_another_size_is_refused() -> None:
    card = CARDS[0]
    with pytest.raises(BadConfig, match="rising gate"):
        feature.load(dataclasses.replace(card, params=MappingProxyType({"dimension": 7})))


def test_saved_and_loaded_is_the_same_to_half_precision(tmp_path: Path) -> None:
    found = FeatureMap(wiener(np.diag([1.0, 2.0, 3.0]), np.eye(3), 1.0), (20.0, 60.0))
    feature.save(tmp_path / "map.safetensors", found, {"people": "3"})
    from safetensors import safe_open

    with safe_open(tmp_path / "map.safetensors", "np") as handle:
        np.testing.assert_allclose(handle.get_tensor("matrix"), found.matrix, rtol=1e-3)
        assert handle.metadata() == {"people": "3", "gate": "[20.0, 60.0]"}


def test_a_cell_of_feature_frontal_stands_on_its_map() -> None:
    cell = cell_of("results/similarity/d/feature_frontal:stretch_mirror.none/scrfd_500m/w600k_mbf.parquet")
    assert ("feature", "feature_w600k_mbf") in models_of(cell) and cell.of.recipe == "feature_frontal"
