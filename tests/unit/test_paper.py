"""The paper's tables against numbers by hand: which images a mean is over, who is counted as lost, what the notes say, and who is ranked."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from scipy import stats as scipy_stats

from frontalbench.tabulate import Facts, paper, paper_text
from frontalbench.tabulate.dataset import Dataset
from tests.unit import peoplekit as kit

N, EACH = 12, 4
JUDGES = (("d1", "a"), ("d2", "a"), ("d1", "b"))


@pytest.fixture(scope="module")
def crowd() -> kit.People:
    return kit.people(np.random.default_rng(4), N, EACH)


def lost_by(crowd: kit.People, *places: int) -> np.ndarray:
    gone = np.zeros(len(crowd.subject), np.bool_)
    gone[list(places)] = True
    return gone


def by_variant(rows: list[dict[str, Any]], judge: tuple[str, str] = kit.JUDGE) -> dict[str, dict[str, Any]]:
    return {row["variant"]: row for row in rows if (row["detector"], row["backbone"]) == judge}


def student(values: np.ndarray, subject: np.ndarray) -> float:
    """Mean of people's means: the value that a test is about."""
    return float(np.mean([values[subject == name].mean() for name in np.unique(subject)]))


# Table 2 ----------------------------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def enhanced(crowd: kit.People) -> tuple[Dataset, list[dict[str, Any]], dict[str, np.ndarray]]:
    """`mesh.sharp` lost three images and looks better for it; `mesh.blend` lost two others. A second judge took part in training `sharp`."""
    n = len(crowd.subject)
    hard = np.argsort(crowd.angled)[:3]
    given = {
        "mesh.none": kit.Variant(np.full(n, 0.02)),
        "mesh.sharp": kit.Variant(np.full(n, 0.01), lost_by(crowd, *hard)),
        "mesh.blend": kit.Variant(np.full(n, 0.05), lost_by(crowd, 7, 8)),
    }
    made = kit.dataset(crowd, given, (kit.JUDGE, ("scrfd_500m", "sface")))
    facts = Facts(trained_with={("enhancement", "sharp"): frozenset({"sface"})}, synthetic=frozenset({"toy"}))
    rows = paper.enhancement_rows(made, facts, kit.SETTINGS)
    return (
        made,
        rows,
        {name: np.where(one.lost if one.lost is not None else False, np.nan, crowd.angled + one.gain) for name, one in given.items()},
    )


def test_a_mean_of_table_2_is_over_the_images_that_all_enhancements_gave_and_the_own_one_beside_it(
    crowd: kit.People, enhanced: tuple[Dataset, list[dict[str, Any]], dict[str, np.ndarray]]
) -> None:
    _, rows, values = enhanced
    assert [row["variant"] for row in rows] == ["mesh.none"] * 2 + ["mesh.blend"] * 2 + ["mesh.sharp"] * 2, "the plain one first"
    common = np.isfinite(np.stack(list(values.values()))).all(axis=0)
    assert len(crowd.subject) - 5 <= common.sum() < len(crowd.subject) - 2
    for name, row in by_variant(rows).items():
        here = values[name][common]
        assert row["mean"] == pytest.approx(here.mean()) and row["n_images"] == common.sum() and row["n_subjects"] == N
        assert row["mean_own"] == pytest.approx(np.nanmean(values[name])) and row["n_own"] == np.isfinite(values[name]).sum()
        gone = int(np.isnan(values[name]).sum())
        assert (row["n_eligible"], row["n_fta"]) == (N * EACH, gone) and row["fta_rate"] == gone / (N * EACH)
        assert row["mean_people"] == pytest.approx(student(here, crowd.subject[common]))
        assert row["ci_low"] < row["mean"] < row["ci_high"]
        counts = np.unique(crowd.subject[common], return_counts=True)[1]
        assert row["n_effective"] == pytest.approx(counts.sum() ** 2 / (counts**2).sum())


def test_an_enhancement_that_only_lost_the_hard_images_says_so_and_one_that_helps_does_not(
    enhanced: tuple[Dataset, list[dict[str, Any]], dict[str, np.ndarray]],
) -> None:
    found = by_variant(enhanced[1])
    assert "looks better than no enhancement" in found["mesh.sharp"]["note"] and "lost 3 images" in found["mesh.sharp"]["note"]
    assert f"on the {N * EACH - 3} images that both gave it changes by -0.010" in found["mesh.sharp"]["note"]
    assert "looks better" not in found["mesh.blend"]["note"] + found["mesh.none"]["note"]
    assert all("synthetic" in row["note"] for row in found.values())


def test_a_leak_of_table_2_is_said_and_takes_no_part_in_its_ranking(
    enhanced: tuple[Dataset, list[dict[str, Any]], dict[str, np.ndarray]],
) -> None:
    rows = enhanced[1]
    leaky, fair = by_variant(rows, ("scrfd_500m", "sface")), by_variant(rows)
    assert [name for name, row in leaky.items() if row["leak"]] == ["mesh.sharp"] and not any(row["leak"] for row in fair.values())
    assert kit.best(list(fair.values())) == ["mesh.blend"] == kit.best(list(leaky.values()))
    assert np.isfinite(fair["mesh.blend"]["p_runner_up"]) and np.isnan(fair["mesh.sharp"]["p_runner_up"])
    # The leader is held against fewer rivals where one is left out, all rankings of a judge being one family.
    assert fair["mesh.blend"]["p_runner_up"] >= leaky["mesh.blend"]["p_runner_up"]


def test_a_frontalizer_is_compared_with_itself_and_judges_one_by_one(crowd: kit.People) -> None:
    n = len(crowd.subject)
    made = kit.dataset(
        crowd, {"mesh.none": kit.Variant(np.full(n, 0.05)), "tddfa.none": kit.Variant(np.full(n, 0.09), lost_by(crowd, 0, 1))}
    )
    found = by_variant(paper.enhancement_rows(made, Facts(), kit.SETTINGS))
    assert (found["mesh.none"]["n_images"], found["tddfa.none"]["n_images"]) == (n, n - 2)


def test_what_lost_more_than_half_is_not_ranked_and_does_not_make_the_others_rest_on_few(crowd: kit.People) -> None:
    n = len(crowd.subject)
    rng = np.random.default_rng(1)
    given = {
        "mesh.none": kit.Variant(0.05 + rng.normal(0, 0.001, n)),
        "mesh.sharp": kit.Variant(0.02 + rng.normal(0, 0.001, n), lost_by(crowd, 3)),
    }
    half = lost_by(crowd, *range(n // 2 + 1))
    for gain, best in ((0.01, True), (0.3, False)):
        made = kit.dataset(crowd, {**given, "mesh.blend": kit.Variant(np.full(n, gain), half)})
        found = by_variant(paper.enhancement_rows(made, Facts(), kit.SETTINGS))
        assert "not ranked: it lost more than half of the images" in found["mesh.blend"]["note"] and not found["mesh.blend"]["best"]
        assert found["mesh.none"]["best"] == best and "not ranked" not in found["mesh.none"]["note"] + found["mesh.sharp"]["note"]
        assert ("mesh.blend, left out because it lost most images, is not below it" in found["mesh.none"]["note"]) == (not best)


def test_a_leader_that_is_not_best_says_over_how_many_images_it_was_ranked(crowd: kit.People) -> None:
    n = len(crowd.subject)
    noise = np.random.default_rng(2).normal(0, 0.05, n)
    given = {"mesh.none": kit.Variant(0.01 + noise), "mesh.sharp": kit.Variant(0.0101 + noise[::-1], lost_by(crowd, 2, 5))}
    rows = list(by_variant(paper.enhancement_rows(kit.dataset(crowd, given), Facts(), kit.SETTINGS)).values())
    assert not kit.best(rows)
    assert any(f"(over the {n - 2} of {n} images that all gave)" in row["note"] for row in rows)


def test_a_change_against_no_enhancement_is_that_of_the_same_images_with_an_interval_over_people(crowd: kit.People) -> None:
    n = len(crowd.subject)
    noise = np.random.default_rng(3).normal(0, 0.01, n)
    lost = lost_by(crowd, 2)
    given = {
        "mesh.none": kit.Variant(0.05 + noise),
        "mesh.sharp": kit.Variant(0.05 + noise + 0.02),
        "mesh.blend": kit.Variant(np.full(n, 0.05), lost),
        "tddfa.sharp": kit.Variant(np.full(n, 0.3)),
    }
    rows = paper.enhancement_rows(kit.dataset(crowd, given), Facts(), kit.SETTINGS)
    found = by_variant(rows)
    assert found["mesh.sharp"]["change"] == pytest.approx(0.02, abs=1e-6)
    assert found["mesh.sharp"]["change_low"] == pytest.approx(0.02, abs=1e-6) == found["mesh.sharp"]["change_high"]
    assert found["mesh.blend"]["change"] == pytest.approx(-noise[~lost].mean(), abs=1e-6)
    assert found["mesh.blend"]["change_low"] < found["mesh.blend"]["change"] < found["mesh.blend"]["change_high"]
    assert np.isnan(found["mesh.none"]["change"])
    assert np.isnan(found["tddfa.sharp"]["change"]), "there is no plain frontal view beside it"
    text = paper_text.enhancement_markdown(rows)
    mesh, tddfa = text.split("## tddfa")
    assert "**+0.0200 [+0.0200, +0.0200]**" in mesh and "against no enhancement" not in tddfa


# Table 3 ----------------------------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def judged(crowd: kit.People) -> tuple[Dataset, dict[str, list[dict[str, Any]]]]:
    """Three judges of the photographs; the second detector lost four, and nothing has a second probe to be compared with under the third judge."""
    n = len(crowd.subject)
    within = np.linspace(0.2, 0.8, n)
    tables = {
        JUDGES[0]: kit.rows(crowd, crowd.angled, within=within),
        JUDGES[1]: kit.rows(crowd, crowd.angled + 0.1, lost_by(crowd, 0, 1, 2, 3), within=within + 0.1),
        JUDGES[2]: kit.rows(crowd, crowd.angled - 0.1, within=np.full(n, np.nan)),
    }
    made = Dataset("toy", {kit.cell("original", judge): table for judge, table in tables.items()})
    rows = paper.backbone_rows(made, Facts(), kit.SETTINGS)
    return made, {group: [row for row in rows if row["group"] == group] for group in ("Angled vs GT", "Angled vs Angled", "GT vs GT")}


def test_table_3_has_every_group_of_every_judge_over_the_images_that_all_gave(
    crowd: kit.People, judged: tuple[Dataset, dict[str, list[dict[str, Any]]]]
) -> None:
    groups = judged[1]
    order = sorted(JUDGES)
    assert all([(row["detector"], row["backbone"]) for row in rows] == order for rows in groups.values())
    common = slice(4, None)
    for row in groups["Angled vs GT"]:
        shift = {("d1", "a"): 0.0, ("d2", "a"): 0.1, ("d1", "b"): -0.1}[row["detector"], row["backbone"]]
        assert row["mean"] == pytest.approx(crowd.angled[common].mean() + shift) and row["n_images"] == N * EACH - 4
        lost = 4 if row["detector"] == "d2" else 0
        assert (row["n_eligible"], row["n_fta"], row["n_own"]) == (N * EACH, lost, N * EACH - lost)
    for row in groups["GT vs GT"]:
        assert (row["n_images"], row["n_eligible"], row["n_fta"]) == (N, N, 0) and row["mean"] == pytest.approx(0.9)


def test_a_group_without_images_says_whether_nobody_or_only_not_everybody_gave_one(
    judged: tuple[Dataset, dict[str, list[dict[str, Any]]]],
) -> None:
    notes = {(row["detector"], row["backbone"]): row["note"] for row in judged[1]["Angled vs Angled"]}
    assert notes["d1", "b"].startswith(paper.OTHER_SCALE) and "no image has such a pair" in notes["d1", "b"]
    for judge in JUDGES[:2]:
        assert "no image was given by every judge" in notes[judge] and "no image has such a pair" not in notes[judge]


def test_detectors_are_ranked_with_one_backbone_and_a_backbone_alone_says_why_it_is_not(
    judged: tuple[Dataset, dict[str, list[dict[str, Any]]]],
) -> None:
    found = {(row["detector"], row["backbone"]): row for row in judged[1]["Angled vs GT"]}
    assert paper.OTHER_SCALE in found["d1", "b"]["note"] and not found["d1", "b"]["best"]
    assert paper.OTHER_SCALE not in found["d1", "a"]["note"] + found["d2", "a"]["note"]
    assert found["d2", "a"]["best"] and not found["d1", "a"]["best"] and found["d2", "a"]["p_runner_up"] < 0.01


def test_one_judge_alone_has_nobody_to_be_ranked_with_and_no_excuse(crowd: kit.People) -> None:
    made = Dataset("toy", {kit.cell("original", JUDGES[0]): kit.rows(crowd, crowd.angled)})
    rows = paper.backbone_rows(made, Facts(), kit.SETTINGS)
    assert len(rows) == 3 and not any(row["best"] or "not ranked" in row["note"] for row in rows)
    assert paper.backbone_rows(Dataset("toy", {}), Facts(), kit.SETTINGS) == []


# Against the mirrored photograph ------------------------------------------------------------------------------------------------------


def fusions(crowd: kit.People, change: np.ndarray | float, lost: np.ndarray | None = None) -> list[dict[str, Any]]:
    """Rows of a fusion that is ``change`` above the fusion with the mirror image, and of three others that are not held against it."""
    n = len(crowd.subject)
    mirror = np.linspace(-0.02, 0.05, n)
    made = kit.dataset(
        crowd,
        {
            "mesh.none": kit.Variant(np.full(n, 0.3)),
            "fuse_mean:mesh.none": kit.Variant(mirror + change, lost),
            paper.MIRROR: kit.Variant(mirror, lost_by(crowd, 1)),
        },
    )
    rows = []
    for variant in ("mesh.none", "fuse_mean:mesh.none", paper.MIRROR):
        head = Facts().head(kit.cell(variant))
        rows.append({**head, "note": "as before"})
    paper.hold_against_mirror(rows, made, kit.SETTINGS)
    return rows


def test_a_fusion_is_held_against_the_mirrored_photograph_over_the_images_that_both_gave(crowd: kit.People) -> None:
    n = len(crowd.subject)
    change = np.random.default_rng(5).normal(0.03, 0.01, n)
    plain, fused, mirror = fusions(crowd, change, lost_by(crowd, 2))
    assert plain == {**plain, "note": "as before"} and "over_mirror" not in plain and "over_mirror" not in mirror
    both = ~lost_by(crowd, 1, 2)
    assert fused["over_mirror"] == pytest.approx(change[both].mean(), abs=1e-9)
    half = scipy_stats.sem([change[both & (crowd.subject == name)].mean() for name in np.unique(crowd.subject)])
    assert fused["over_mirror"] - 4 * half < fused["over_mirror_low"] < fused["over_mirror"] - half
    assert fused["over_mirror"] + half < fused["over_mirror_high"] < fused["over_mirror"] + 4 * half
    assert fused["note"] == "as before", "certainly better: nothing to say"


def test_a_fusion_that_is_not_certainly_better_than_the_mirrored_photograph_says_so(crowd: kit.People) -> None:
    noise = np.random.default_rng(6).normal(0.0, 0.02, len(crowd.subject))
    _, undecided, _ = fusions(crowd, noise - noise.mean())
    assert undecided["note"].startswith("undecided whether the frontal view adds anything") and undecided["note"].endswith("as before")
    _, worse, _ = fusions(crowd, noise / 4 - 0.1)
    assert worse["note"].startswith("worse than averaging with the mirrored photograph")
    _, nothing, _ = fusions(crowd, 0.1, lost_by(crowd, *range(len(crowd.subject))))
    assert "over_mirror" not in nothing and nothing["note"] == "as before"


# Gates --------------------------------------------------------------------------------------------------------------------------------


def test_the_share_that_a_gate_turned_is_that_of_its_probes_that_gave_an_embedding(crowd: kit.People) -> None:
    n = len(crowd.subject)
    gate = "gate@30:mesh.none"
    made = kit.dataset(crowd, {"mesh.none": kit.Variant(np.full(n, 0.1)), gate: kit.Variant(np.full(n, 0.05), lost_by(crowd, 0, 1))})
    table = made.rows[kit.cell(gate)]
    turned = np.arange(len(table.detail)) % 3 == 0  # of the references too, which are no probes
    made.rows[kit.cell(gate)] = replace(table, detail=np.where(turned, "turned: above 30 degrees", "kept").astype(object))
    rows = [{**Facts().head(kit.cell(variant)), "note": ""} for variant in ("mesh.none", gate)]
    paper.say_of_gates(rows, made)
    assert "turned" not in rows[0] and rows[1]["turned"] == pytest.approx(turned[2:n].mean()) and "brier" not in rows[1]


# Table 1 ------------------------------------------------------------------------------------------------------------------------------


def test_a_gain_that_strangers_share_is_no_gain(crowd: kit.People) -> None:
    n = len(crowd.subject)
    noise = np.random.default_rng(8).normal(0, 0.002, n)
    made = Dataset(
        "toy",
        {
            kit.cell("original"): kit.rows(crowd, crowd.angled, impostor=0.1),
            kit.cell("mesh.none"): kit.rows(crowd, crowd.angled + 0.09, impostor=0.18),
            kit.cell("mesh.sharp"): kit.rows(crowd, crowd.angled + 0.05 + noise, impostor=0.1),
        },
    )
    rows = kit.marked(made)
    assert kit.best(rows) == ["mesh.sharp"]
    assert by_variant(rows)["mesh.none"]["gain_ranked"] == pytest.approx(0.01, abs=1e-6)
    leaky = kit.marked(made, Facts(trained_with={("enhancement", "sharp"): frozenset({kit.JUDGE[1]})}))
    assert kit.best(leaky) == ["mesh.none"] and "gain_ranked" not in by_variant(leaky)["mesh.sharp"]
