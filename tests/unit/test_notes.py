"""Sentences beside numbers: each is said when its condition holds, and never otherwise."""

from __future__ import annotations

import math
from types import SimpleNamespace
from typing import Any

import pytest

from frontalbench.compare import scores
from frontalbench.tabulate import facts
from frontalbench.tabulate.dataset import SIGNIFICANT, disagreement_note, fallback_note, lost_note, sign_note, weight_note


@pytest.mark.parametrize(
    ("own", "base_own", "common_gain", "n_lost", "said"),
    [
        (0.6, 0.5, -0.1, 3, True),
        (0.6, 0.5, 0.0, 3, True),
        (0.5, 0.5, -0.1, 3, False),
        (0.4, 0.5, -0.1, 3, False),
        (0.6, 0.5, 0.1, 3, False),
        (0.6, 0.5, -0.1, 0, False),
    ],
)
def test_a_mean_that_is_higher_only_for_what_was_lost_is_told(
    own: float, base_own: float, common_gain: float, n_lost: int, said: bool
) -> None:
    note = lost_note("mesh.none", "original", own, base_own, common_gain, 40, n_lost)
    assert bool(note) == said and (not said or f"lost {n_lost} images: on the 40 images" in note)


@pytest.mark.parametrize(
    ("low", "high", "p", "said"),
    [
        (0.1, 0.3, SIGNIFICANT / 2, ""),
        (-0.3, -0.1, SIGNIFICANT / 2, ""),
        (-0.1, 0.1, 0.5, ""),
        (0.1, 0.3, 0.5, "leaves 0 out"),
        (-0.3, -0.1, 0.5, "leaves 0 out"),
        (0.1, 0.3, SIGNIFICANT, "leaves 0 out"),
        (-0.1, 0.1, SIGNIFICANT / 2, "holds 0"),
        (0.0, 0.1, SIGNIFICANT / 2, "holds 0"),
        (-0.1, 0.0, SIGNIFICANT / 2, "holds 0"),
        (-0.2, 0.5, SIGNIFICANT / 2, "holds 0"),
        (math.nan, 0.1, 0.01, ""),
        (0.1, math.inf, 0.5, ""),
        (0.1, 0.2, math.nan, ""),
    ],
)
def test_an_interval_and_a_p_that_answer_differently_are_told(low: float, high: float, p: float, said: str) -> None:
    note = disagreement_note("identity gain", low, high, p)
    assert said in note if said else not note


def people(mean: float = 0.0, largest: float = 0.0, effective: float = 4.0) -> Any:
    return SimpleNamespace(mean=mean, largest=largest, effective=effective)


def test_a_sign_that_depends_on_who_has_many_images_is_told() -> None:
    much = 10 * scores.TIE
    assert sign_note("gain", much, people(-much)) and sign_note("gain", -much, people(much))
    for mean, of_people in ((much, much), (-much, -much), (much, 0.0), (0.0, -much), (scores.TIE, -much)):
        assert not sign_note("gain", mean, people(of_people))


def test_one_person_s_weight_and_a_fusion_s_fallbacks_are_told() -> None:
    assert "one person holds 40 %" in weight_note(people(largest=0.4)) and not weight_note(people(largest=0.25))
    row = {"n_fallback": 3, "n_images": 10, "mean_both": 0.5, "group": "Net Gain"}
    assert fallback_note(row) == (
        "3 of 10 images rest on one embedding alone, as the other image gave none: over the 7 with both the Net Gain is +0.5000"
    )
    assert fallback_note({**row, "n_fallback": 10}).endswith("none has both") and not fallback_note({**row, "n_fallback": 0})


def test_backbones_are_one_network_where_a_file_of_theirs_has_the_same_bytes() -> None:
    def card(name: str, *digests: str) -> Any:
        return SimpleNamespace(name=name, weights={str(i): SimpleNamespace(sha256=digest) for i, digest in enumerate(digests)})

    found = facts.same_networks([card("a", "1", "2"), card("b", "2"), card("c", "3"), card("d", "1"), card("none"), card("empty", "")])
    assert found == {
        "a": {"a", "b", "d"},
        "b": {"a", "b"},
        "c": {"c"},
        "d": {"a", "d"},
        "none": {"none"},
        "empty": {"empty"},
    }
