"""The long tables' own decisions: when a pair has a winner, which notes a row gets, what a judge that saw everything counts."""

from __future__ import annotations

import dataclasses
import math
from typing import Any

import numpy as np
import pytest

from frontalbench.compare import derived, groups, verdict
from frontalbench.compare.subjects import NOBODY, People
from frontalbench.tabulate import Facts, master
from frontalbench.tabulate.dataset import Dataset, TableSettings
from tests.unit import peoplekit as kit

QUICK = TableSettings()


def pair(p: float, people: float, images: float) -> dict[str, Any]:
    return {"variant_a": "a", "variant_b": "b", "p_holm": p, "mean_people": people, "mean_difference": images}


@pytest.mark.parametrize(
    ("row", "winner"),
    [
        (pair(0.01, 0.2, 0.1), "a"),
        (pair(0.01, -0.2, -0.1), "b"),
        (pair(verdict.SIGNIFICANT, 0.2, 0.1), ""),
        (pair(math.nan, 0.2, 0.1), ""),
        (pair(0.01, 0.2, -0.1), ""),
        (pair(0.01, -0.2, 0.1), ""),
        (pair(0.01, 0.0, 0.1), ""),
        (pair(0.01, 0.1, 0.0), ""),
        (pair(0.01, 0.0, 0.0), ""),
    ],
)
def test_a_pair_has_a_winner_only_where_the_test_and_both_means_say_the_same(row: dict[str, Any], winner: str) -> None:
    assert master._winner(row) == winner


@pytest.fixture(scope="module")
def fused() -> Dataset:
    """Six people with four probes each; `mesh.none` loses the last probe of everybody, and half of what it gave rests on one image alone."""
    rng = np.random.default_rng(4)
    crowd = kit.people(rng, 6, probes=4)
    last = np.tile([False, False, False, True], 6)
    made = kit.dataset(crowd, {"mesh.none": kit.Variant(rng.normal(0.05, 0.02, 24), last), "tddfa.none": kit.Variant(np.zeros(24))})
    detail = np.full(30, "", dtype=object)
    detail[:24:2] = f"{derived.ALONE[0]}: the frontal has no embedding"
    return Dataset("toy", {c: dataclasses.replace(r, detail=detail) if c.variant == "mesh.none" else r for c, r in made.rows.items()})


def test_notes_about_a_lost_image_or_a_fallback_stand_at_the_rows_that_they_are_about(
    fused: Dataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(master, "lost_note", lambda *_: "LOST")
    monkeypatch.setattr(master, "fallback_note", lambda _: "FALLBACK")
    found = master.master_rows(fused, Facts(), QUICK)
    assert {row["yaw_axis"] for row in found} > {"all"}, "there are rows of yaw bins too"
    for row in found:
        whole = row["yaw_axis"] == "all" and row["variant"] != "original"
        assert ("LOST" in row["note"]) == (whole and row["group"] in ("Frontal vs GT", "Net Gain")), row
        assert ("FALLBACK" in row["note"]) == (row["yaw_axis"] == "all" and row["subset"] == "common" and row["group"] in groups.GAINS), row


def about(fused: Dataset, row: dict[str, Any], who: People) -> str:
    original = next(rows for cell, rows in fused.rows.items() if cell.variant == "original")
    return master._about_people({"n_images": 5, "ci_low": 0.1, "ci_high": 0.2, "p_value": 0.01, "mean": 0.15, **row}, who, original)


def test_a_gain_says_where_its_sign_or_its_answer_depends_on_who_has_many_images(fused: Dataset) -> None:
    one = People(-0.3, 2.0, 0.9)
    gain = about(fused, {"group": "Net Gain", "p_value": 0.5}, one)
    assert "one person holds 90 %" in gain and "the sign depends on who has many images" in gain and "the two disagree" in gain
    plain = about(fused, {"group": "Frontal vs GT", "p_value": 0.5}, one)
    assert "one person holds 90 %" in plain and "sign" not in plain and "disagree" not in plain
    assert about(fused, {"group": "Net Gain"}, People(0.1, 20.0, 0.1)) == ""


def test_a_group_of_strangers_without_an_image_says_why_only_where_there_are_no_strangers(fused: Dataset) -> None:
    assert about(fused, {"group": "identity gain", "n_images": 0}, NOBODY) == "", "there are other people's references"
    alone = {c: dataclasses.replace(r, subject=np.full(len(r), "one", dtype=object)) for c, r in fused.rows.items()}
    text = about(Dataset(fused.name, alone), {"group": "identity gain", "n_images": 0}, NOBODY)
    assert text == "no identity gain: there is no other person's reference to compare with"
    assert about(Dataset(fused.name, alone), {"group": "Net Gain", "n_images": 0, "p_value": math.nan}, NOBODY) == ""


def test_a_person_s_row_counts_what_both_gave_what_was_lost_and_what_rests_on_one_image(fused: Dataset) -> None:
    found = [row for row in master.identity_rows(fused, Facts()) if row["variant"] == "mesh.none"]
    assert len(found) == 6
    assert {(row["n_images"], row["n_fta"], row["n_fallback"]) for row in found} == {(3, 1, 2)}
    original, turned = (next(r for c, r in fused.rows.items() if c.variant == name) for name in ("original", "mesh.none"))
    own = (original.subject == found[0]["subject"]) & (original.role == "probe") & turned.ok
    assert found[0]["net_gain"] == pytest.approx(float((turned.genuine - original.genuine)[own].mean()))


@pytest.mark.parametrize("synthetic", [True, False])
def test_pairs_of_synthetic_people_say_so(fused: Dataset, synthetic: bool) -> None:
    found = master.win_rows(fused, Facts(synthetic=frozenset({"toy"} if synthetic else ())), QUICK)
    assert found and all(("synthetic people" in row["note"]) == synthetic for row in found)


def test_what_a_judge_saw_is_counted(fused: Dataset) -> None:
    cell, original = next((c, r) for c, r in fused.rows.items() if c.variant == "original")
    same, states = original.numbers["n_same_photo"].copy(), original.status.copy()
    same[:2], same[2] = 1.0, 2.0
    states[0], states[1], states[2], states[24] = "no_face", "unreadable", "no_reference", "no_face"
    changed = dataclasses.replace(original, status=states, numbers={**original.numbers, "n_same_photo": same})
    (row,) = master.count_rows(Dataset("toy", {cell: changed}), Facts(), (0.0, 45.0, 90.0))
    wanted = {
        "n_images": 30, "n_subjects": 6, "n_references": 6, "n_references_usable": 5, "n_probes": 24, "n_probes_usable": 21, "n_no_face": 2,
        "n_unreadable": 1, "n_no_reference": 1, "n_same_photo": 3, "n_subjects_without_reference": 1, "n_subjects_without_probe": 0,
    }  # fmt: skip
    assert {name: row[name] for name in wanted} == wanted
