"""What is called best is best: in experiments with a known truth a wrong bold is rare, a real winner is found, and what n cannot decide says so."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from scipy import stats as reference

from frontalbench.compare import significance, verdict
from frontalbench.compare.subjects import people_of
from frontalbench.tabulate import Facts, master, paper, paper_text
from frontalbench.tabulate.dataset import Dataset

from . import peoplekit as kit
from .peoplekit import Variant

RUNS = 100
Maker = Callable[[np.random.Generator, int], tuple[Dataset, set[str]]]


def wrong_and_right(make: Maker, n: int, verdicts: Callable[[Dataset], list[str]], runs: int = RUNS) -> tuple[float, float]:
    """Shares of runs with something called best that truly is not, and with the truly best called so."""
    wrong = right = 0
    for run in range(runs):
        made, truly = make(np.random.default_rng([run, n]), n)
        found = verdicts(made)
        wrong += any(name not in truly for name in found)
        right += any(name in truly for name in found)
    return wrong / runs, right / runs


def table1(made: Dataset) -> list[str]:
    return kit.best(kit.marked(made))


def table2(made: Dataset) -> list[str]:
    return kit.best(paper.enhancement_rows(made, Facts(), kit.SETTINGS))


def won(made: Dataset) -> list[str]:
    """Variants that are called better than the original or than the other variant."""
    rows = master.win_rows(made, Facts(), kit.SETTINGS)
    better = {r["winner"] for r in rows} - {"original", ""}
    return [v for v in better if all(r["winner"] == v for r in rows if v in (r["variant_a"], r["variant_b"]))]


# Bold ---------------------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("make", kit.WRONG, ids=lambda make: make.__name__)
@pytest.mark.parametrize("n", [10, 35])
def test_bold_of_table_1_is_wrong_in_at_most_five_percent_of_experiments(make: Maker, n: int) -> None:
    wrong, _ = wrong_and_right(make, n, table1)
    assert wrong <= 0.05


@pytest.mark.slow
@pytest.mark.parametrize("make", [kit.lost_the_hard_ones, kit.one_person_holds_most, kit.no_gain], ids=lambda make: make.__name__)
@pytest.mark.parametrize("verdicts", [table2, won], ids=["table 2", "wins"])
def test_bold_of_table_2_and_winners_are_wrong_in_at_most_five_percent_of_experiments(
    make: Maker, verdicts: Callable[[Dataset], list[str]]
) -> None:
    wrong, _ = wrong_and_right(make, 35, verdicts, 100)
    assert wrong <= 0.05


def test_a_real_winner_is_found() -> None:
    for verdicts, runs in ((table1, RUNS), (table2, 50), (won, 50)):
        wrong, right = wrong_and_right(kit.real_winner, 10, verdicts, runs)
        assert wrong <= 0.05 and right >= 0.9, verdicts
    _, right = wrong_and_right(kit.lost_the_hard_ones, 35, table1, 50)
    assert right >= 0.9, "the variant that lost nothing is best where both gave an image"


def test_a_leader_that_is_not_best_says_why() -> None:
    rng = np.random.default_rng(0)
    made, _ = kit.one_person_holds_most(rng, 35)
    none, sharp = kit.marked(made)
    assert none["identity_gain"] > 0.04, "over images it looks like a gain: this is what was bold"
    assert not none["best"] and "not above leaving the image as it is" in none["note"] and sharp["note"] == ""
    made, _ = kit.equals(rng, 35)
    notes = [row["note"] for row in kit.marked(made) if row["note"]]
    assert len(notes) == 1 and "not certainly above mesh." in notes[0]
    made, _ = kit.lost_the_hard_ones(rng, 35)
    none, sharp = kit.marked(made)
    assert sharp["identity_gain"] > none["identity_gain"] and none["best"] and not sharp["best"]
    assert (
        "behind mesh.none over the" in sharp["note"]
        and sharp["gain_ranked"] < none["gain_ranked"]
        and sharp["n_images_ranked"] == none["n_images_ranked"]
    )


def test_mean_per_image_of_the_other_sign_takes_the_bold_away() -> None:
    crowd = kit.people(np.random.default_rng(0), 12, dominant=0.8)
    gain = np.where(crowd.subject == "s000", -0.2, 0.1)
    only = kit.marked(kit.dataset(crowd, {"mesh.none": Variant(gain)}))[0]
    assert only["identity_gain"] < 0 < only["gain_ranked"]
    assert (
        not only["best"] and "not above leaving the image as it is both in the mean over people and in the mean over images" in only["note"]
    )


def test_a_backbone_that_trained_the_winner_gives_it_no_bold() -> None:
    crowd = kit.people(np.random.default_rng(0), 12)
    gains = {"mesh.none": Variant(np.full(len(crowd.subject), 0.1)), "tddfa.none": Variant(np.full(len(crowd.subject), 0.05))}
    judges = (("yunet", "sface"), kit.JUDGE)
    made = kit.dataset(crowd, gains, judges)
    facts = Facts(trained_with={("frontalizer", "mesh"): frozenset({"sface"})})
    found = {(r["variant"], r["backbone"]): r["best"] for r in kit.marked(made, facts)}
    assert found == {("mesh.none", "w600k_mbf"): True, ("tddfa.none", "w600k_mbf"): False} | {
        ("mesh.none", "sface"): False,
        ("tddfa.none", "sface"): True,
    }
    # and through the whole of table 1
    long = master.master_rows(made, facts, kit.SETTINGS)
    master.adjust_master(long)
    whole = paper.net_gain_rows(long)
    paper.mark_best_gain(whole, made, facts, kit.SETTINGS)
    assert {(r["variant"], r["backbone"]): r["best"] for r in whole} == found
    assert "**+0.100" in paper_text.net_gain_markdown(whole)
    two = {(r["variant"], r["backbone"]): r["best"] for r in paper.enhancement_rows(made, facts, kit.SETTINGS)}
    assert two == {**dict.fromkeys(found, True), ("mesh.none", "sface"): False}


def test_one_variant_that_lost_almost_everything_takes_no_images_away_and_no_bold_passes_below_it() -> None:
    crowd = kit.people(np.random.default_rng(0), 12)
    few = crowd.difficulty > 0.1
    for gain, expected in ((0.02, ["mesh.none"]), (0.2, [])):
        flat = {"mesh.none": Variant(np.full(len(few), 0.1)), "tddfa.none": Variant(np.full(len(few), gain), few)}
        rows = {r["variant"]: r for r in kit.marked(kit.dataset(crowd, flat))}
        assert kit.best(list(rows.values())) == expected
        assert rows["mesh.none"]["n_images_ranked"] == len(few) and "lost more than half" in rows["tddfa.none"]["note"]
    assert "tddfa.none, left out because it lost most images" in rows["mesh.none"]["note"]


def test_the_bold_of_one_judge_does_not_hang_on_another() -> None:
    crowd = kit.people(np.random.default_rng(3), 8)
    rng = np.random.default_rng(4)
    gains = {f"{name}.none": Variant(0.03 * i + rng.normal(0, 0.02, len(crowd.subject))) for i, name in enumerate(("a", "b", "c", "d"))}
    alone, beside = (kit.dataset(crowd, gains, judges) for judges in ((kit.JUDGE,), (kit.JUDGE, ("yunet", "sface"))))
    for make in (lambda d: kit.marked(d), lambda d: paper.enhancement_rows(d, Facts(), kit.SETTINGS), _long):
        one, two = make(alone), [r for r in make(beside) if r["detector"] == kit.JUDGE[0]]
        assert [(r.get("p_runner_up"), r["best"], r.get("p_holm")) for r in one] == pytest.approx(
            [(r.get("p_runner_up"), r["best"], r.get("p_holm")) for r in two], nan_ok=True
        )


def _long(made: Dataset) -> list[dict[str, Any]]:
    rows = [{**r, "best": None} for r in master.master_rows(made, Facts(), kit.SETTINGS)]
    master.adjust_master(rows)
    return rows


def test_table_3_ranks_detectors_of_one_backbone_and_never_backbones() -> None:
    crowd = kit.people(np.random.default_rng(0), 12)
    lift = {("a", "good"): 0.1, ("b", "good"): 0.0, ("a", "collapsed"): None}
    found = {}
    for judge, up in lift.items():
        values = np.ones(len(crowd.subject)) if up is None else crowd.angled + up
        found[kit.cell("original", judge)] = kit.rows(crowd, values)
    rows = paper.backbone_rows(Dataset("toy", found), Facts(), kit.SETTINGS)
    angled = {(r["detector"], r["backbone"]): r for r in rows if r["group"] == "Angled vs GT"}
    assert angled["a", "collapsed"]["mean"] == 1.0 and not angled["a", "collapsed"]["best"]
    assert "not on one scale" in angled["a", "collapsed"]["note"]
    assert angled["a", "good"]["best"] and not angled["b", "good"]["best"]


@pytest.mark.slow
@pytest.mark.parametrize("make", [kit.lost_the_hard_ones, kit.equals, kit.five_equals], ids=lambda make: make.__name__)
def test_places_of_variants_are_wrong_in_at_most_five_percent_of_experiments(make: Maker) -> None:
    """A place is wrong where it puts one behind another that is truly no better; in these worlds only `mesh.none` may be ahead, if any."""
    wrong, runs = 0, 200
    for run in range(runs):
        made, truly = make(np.random.default_rng([run, 10]), 10)
        rows = [r for r in kit.marked(made) if "place" in r]
        wrong += any(r["first"] > 1 for r in rows if not truly or r["variant"] in truly)
        assert sorted(r["place"] for r in rows) == list(range(1, len(rows) + 1))
        assert all(r["first"] <= r["place"] <= r["last"] for r in rows)
    assert wrong / runs <= 0.05 + 2 * np.sqrt(0.05 * 0.95 / runs), (
        "with equals the test holds its level exactly: 5 %, and two standard errors"
    )


def test_places_follow_clear_differences() -> None:
    made, _ = kit.real_winner(np.random.default_rng(0), 35)
    assert [(r["place"], r["first"], r["last"]) for r in kit.marked(made)] == [(1, 1, 1), (2, 2, 2)]
    assert verdict.places({0: np.array([1.0, np.nan]), 1: np.array([np.nan, 1.0])}, ["a", "b"]) == {} and verdict.places({}, []) == {}


# What is tested -----------------------------------------------------------------------------------------------------------------


def ranking(p: float, n_people: int = 35) -> verdict.Ranking[int]:
    return verdict.Ranking((0, 1), {0: 1.0, 1: 0.0}, 100, n_people, p, 1, None, (), None)


def test_the_level_is_five_percent_after_the_family() -> None:
    names = {0: "a", 1: "b"}
    assert verdict.decide(ranking(0.049), 1, names).best and not verdict.decide(ranking(0.051), 1, names).best
    assert verdict.decide(ranking(0.0049), 10, names).best and not verdict.decide(ranking(0.0051), 10, names).best
    assert verdict.decide(ranking(0.0049), 10, names).p == pytest.approx(0.049)


def test_smallest_p_is_the_one_that_a_unanimous_crowd_gets() -> None:
    for n in (1, 5, 8, 14):
        assert significance.sign_flip_p(np.ones(n)) == verdict.smallest_p(n) == 2.0 ** (1 - n)
    assert verdict.smallest_p(0) == 1.0 and verdict.smallest_p(35) == 1e-4
    assert verdict.sign_flip(np.ones((35, 1)))[0] == verdict.smallest_p(35)
    family = 3000
    assert verdict.sign_flip(np.ones((35, 1)), family=family)[0] * family <= 0.026


def test_more_draws_refine_a_small_p_and_keep_a_large_one() -> None:
    d = np.random.default_rng(0).normal([0.75, 0.1, 5.0], 1.0, (30, 3))
    few, many = verdict.sign_flip(d), verdict.sign_flip(d, family=2000)
    assert few[1] == many[1] > 0.01
    assert many[2] == pytest.approx(1.25e-5, rel=0.01) and few[2] == 1e-4
    assert many[0] == pytest.approx(reference.ttest_1samp(d[:, 0], 0).pvalue, rel=2.0)


def test_a_family_that_can_never_be_small_says_so() -> None:
    """8 people and 48 variants; 12 people and 296 of the paper, in one judge; 5 people alone."""
    for n, family, able in ((8, 48, False), (8, 6, True), (12, 296, False), (12, 37, True), (5, 1, False), (35, 296, True)):
        rows = [{"n_subjects": n, "p_value": verdict.smallest_p(n), "note": "synthetic"} for _ in range(family)]
        master.adjust(rows, verdict.FLIPS)
        assert {r["decidable"] for r in rows} == {able}
        if able:
            assert all(r["p_holm"] < 0.05 and r["note"] == "synthetic" for r in rows)
        else:
            assert all(np.isnan(r["p_holm"]) and f"not decidable with {n} people" in r["note"] for r in rows)


def test_too_few_people_leave_the_bold_undecided_in_words() -> None:
    crowd = kit.people(np.random.default_rng(0), 5)
    made = kit.dataset(crowd, {"mesh.none": Variant(np.full(len(crowd.subject), 0.1))})
    only = kit.marked(made)[0]
    assert not only["best"] and np.isnan(only["p_runner_up"]) and "not decidable with 5 people (one test)" in only["note"]
    long = _long(made)
    table = paper.net_gain_rows(long)
    assert "not decidable with 5 people" in table[0]["note"] and "| not decidable |" in paper_text.net_gain_markdown(table)
    paper.mark_best_gain(table, made, Facts(), kit.SETTINGS)
    assert table[0]["note"].startswith("first of its ranking, but not best; not decidable with 5 people (")
    assert table[0]["note"].count("not decidable") == 1, "a reason is said once"


# Whose images -------------------------------------------------------------------------------------------------------------------


def test_people_behind_a_mean_per_image() -> None:
    found = people_of([1.0, 1.0, 1.0, -2.0, np.nan], ["a", "a", "a", "b", "c"])
    assert found.mean == pytest.approx(-0.5) and found.effective == pytest.approx(16 / 10) and found.largest == 0.75
    assert np.isnan(people_of([np.nan], ["a"]).mean)


def test_master_rows_stand_beside_the_mean_over_people_and_say_what_it_means() -> None:
    made, _ = kit.one_person_holds_most(np.random.default_rng(0), 35)
    rows = _long(made)
    for row in rows:
        assert np.isnan(row["n_effective"]) if row["n_images"] == 0 else row["n_effective"] <= row["n_subjects"] + 1e-9
    whole = next(r for r in rows if (r["variant"], r["group"], r["subset"], r["yaw_axis"]) == ("mesh.none", "Net Gain", "common", "all"))
    base, cell = made.original(kit.JUDGE), made.rows[kit.cell("mesh.none")]
    assert base is not None
    gain = cell.genuine - base[1].genuine
    probe = cell.role == "probe"
    assert whole["mean_people"] == pytest.approx(significance.subject_means(gain[probe], cell.subject[probe]).mean())
    n = np.unique(cell.subject[probe], return_counts=True)[1]
    assert whole["n_effective"] == pytest.approx(n.sum() ** 2 / (n**2).sum())
    assert whole["mean"] > 0 > whole["mean_people"]
    assert "one person holds 60 % of the images (effective number of people 2.7)" in whole["note"]
    assert "over images and -0.0" in whole["note"] and "the sign depends on who has many images" in whole["note"]
    bins = {r["yaw_bin"]: r for r in rows if (r["variant"], r["group"], r["yaw_axis"]) == ("mesh.none", "Net Gain", "abs")}
    steep = probe & (np.abs(base[1].yaw) >= 60) & (np.abs(base[1].yaw) < 75)
    assert bins["60 to 75"]["mean_people"] == pytest.approx(significance.subject_means(gain[steep], cell.subject[steep]).mean())


def test_p_and_interval_that_disagree_say_so() -> None:
    crowd = kit.people(np.random.default_rng(0), 20, dominant=0.15)
    rng = np.random.default_rng(1)
    gain = np.where(crowd.subject == "s000", -0.1, 0.03) + rng.normal(0, 0.01, len(crowd.subject))
    rows = _long(kit.dataset(crowd, {"mesh.none": Variant(gain)}))
    whole = next(r for r in rows if (r["group"], r["subset"], r["yaw_axis"]) == ("Net Gain", "common", "all"))
    assert whole["p_value"] < 0.05 and whole["ci_low"] < 0 < whole["ci_high"]
    assert "Net Gain: the interval holds 0 (mean over images)" in whole["note"] and "the two disagree" in whole["note"]


def test_one_person_alone_is_told_why_there_is_no_identity_gain() -> None:
    crowd = kit.people(np.random.default_rng(0), 1)
    base, turned = (kit.rows(crowd, crowd.angled + up, impostor=np.nan, n_impostors=np.zeros(len(crowd.subject))) for up in (0.0, 0.1))
    made = Dataset("toy", {kit.cell("original"): base, kit.cell("mesh.none"): turned})
    rows = _long(made)
    whole = next(r for r in rows if (r["group"], r["subset"], r["yaw_axis"]) == ("identity gain", "common", "all"))
    assert whole["n_images"] == 0 and "no identity gain: there is no other person's reference to compare with" in whole["note"]
    table = paper.net_gain_rows(rows)
    paper.mark_best_gain(table, made, Facts(), kit.SETTINGS)
    assert (
        np.isnan(table[0]["identity_gain"]) and "no identity gain: there is no other person's" in table[0]["note"] and not table[0]["best"]
    )


def test_a_winner_of_a_pair_needs_both_means_on_its_side() -> None:
    row = {"p_holm": 0.01, "mean_people": 0.1, "mean_difference": 0.1, "variant_a": "a", "variant_b": "b"}
    assert master._winner(row) == "a"
    assert master._winner({**row, "mean_people": -0.1, "mean_difference": -0.1}) == "b"
    assert master._winner({**row, "mean_difference": -0.1}) == "" and master._winner({**row, "p_holm": 0.06}) == ""
    assert master._winner({**row, "p_holm": float("nan")}) == ""


def test_an_interval_that_holds_zero_claims_no_absence() -> None:
    assert paper._against_mirror(0.01, 0.02) == "" and paper._against_mirror(-0.02, -0.01).startswith("worse")
    for low, high in ((-0.01, 0.02), (float("nan"), float("nan"))):
        assert paper._against_mirror(low, high).startswith("undecided")


def test_a_ranking_needs_an_image_that_all_gave() -> None:
    left, right = np.array([1.0, np.nan]), np.array([np.nan, 1.0])
    assert verdict.rank({0: left, 1: right}, ["a", "b"], family=1) is None and verdict.rank({0: left}, ["a", "b"], family=1) is None
    same = verdict.rank({0: np.ones(4), 1: np.ones(4)}, list("abcd"), family=1)
    assert same is not None and same.against == 1 and not verdict.decide(same, 1, {0: "x", 1: "y"}).best
