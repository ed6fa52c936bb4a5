"""Gates: which images are turned, what a regression learns and from whom, and what a sweep of angles gives."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression

from frontalbench import tables
from frontalbench.compare import gates
from frontalbench.errors import BadInput
from tests.unit.test_compare_cell import World, crowd, image, unit


def rows_of(world: World, variant: str) -> dict[str, dict[str, object]]:
    return {row["image_id"]: row for row in world.cell(variant).similarity.to_pylist()}


@pytest.fixture
def world(tmp_path: Path) -> World:
    rows = [image(f"r{p}", p, "reference", yaw=0.0, pose_source="ground_truth") for p in "abc"]
    for p in "abc":
        rows += [image(f"{p}{yaw:+}", p, "probe", yaw=float(yaw), pose_source="ground_truth") for yaw in (-60, -30, 0, 29, 80)]
    rows.append(image("a_unknown", "a", "probe"))
    return World(tmp_path, rows)


def test_a_gate_takes_the_frontal_from_its_angle_on_and_else_the_photograph(world: World) -> None:
    gated, plain, original = (rows_of(world, name) for name in ("gate@30:turned.none", "turned.none", "original"))
    for name, row in gated.items():
        if row["role"] == "probe":
            turned = row["yaw"] is not None and abs(row["yaw"]) >= 30  # type: ignore[arg-type]
            assert row["genuine"] == pytest.approx((plain if turned else original)[name]["genuine"], abs=1e-6), name
            assert row["detail"] == ("turned: |yaw| from 30" if turned else "photograph: |yaw| below 30") or name == "a_unknown"
    assert gated["a_unknown"]["detail"] == "photograph: the yaw is not known"


def test_a_gate_over_a_fusion_takes_the_fusion_in_the_frontal_s_place(world: World) -> None:
    gated, fused, original = (rows_of(world, name) for name in ("gate_fuse@30:turned.none", "fuse_mean:turned.none", "original"))
    assert gated["a-60"]["genuine"] == pytest.approx(fused["a-60"]["genuine"], abs=1e-6)
    assert gated["a+29"]["genuine"] == pytest.approx(original["a+29"]["genuine"], abs=1e-6)


def test_an_open_gate_is_the_frontal_and_a_closed_one_the_photograph(world: World) -> None:
    known = [name for name in rows_of(world, "original") if name != "a_unknown" and not name.startswith("r")]
    for gate, plain in (("gate@0:turned.none", "turned.none"), ("gate@180:turned.none", "original")):
        one, two = rows_of(world, gate), rows_of(world, plain)
        assert [one[name]["genuine"] for name in known] == pytest.approx([two[name]["genuine"] for name in known], abs=1e-6)


def test_a_missing_frontal_falls_back_only_where_it_was_asked_for(world: World) -> None:
    world.failed["turned.none"] = {"a-60": "no_face", "a+0": "no_face"}
    gated = rows_of(world, "gate@30:turned.none")
    assert gated["a-60"]["status"] == gated["a+0"]["status"] == "ok"
    assert str(gated["a-60"]["detail"]).startswith("original alone") and gated["a+0"]["detail"] == "photograph: |yaw| below 30"


# The learned gate -----------------------------------------------------------------------------------------------------------


def test_the_regression_is_that_of_scikit_learn() -> None:
    rng = np.random.default_rng(0)
    seen = rng.normal(size=(300, 4))
    better = rng.uniform(size=300) < 1 / (1 + np.exp(-(seen @ [1.5, -0.5, 0.0, 0.3] + 0.4)))
    theirs = LogisticRegression(C=1.0 / gates.RIDGE, tol=1e-8, max_iter=2000).fit(seen, better)
    weights = gates.fit(seen, better)
    assert weights == pytest.approx([*theirs.intercept_, *theirs.coef_[0]], abs=2e-4)
    assert gates.chances(seen, weights) == pytest.approx(theirs.predict_proba(seen)[:, 1], abs=1e-4)


def people(seed: int, n: int = 60, each: int = 8) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """(seen, gain, person): the frontal is the better one at large yaw."""
    rng = np.random.default_rng(seed)
    person = np.repeat(np.arange(n), each)
    yaw = rng.uniform(-90, 90, n * each)
    gain = (np.abs(yaw) - 45) / 45 + rng.logistic(scale=0.5, size=n * each)
    return gates.design(yaw, rng.normal(size=n * each), rng.uniform(0.5, 1, n * each), rng.uniform(10, 20, n * each)), gain, person


def test_nobody_s_own_images_change_what_is_expected_of_them() -> None:
    seen, gain, person = people(1)
    chance = gates.cross_fitted(seen, gain, person)
    fold = gates.folds(person)
    assert all(len(set(fold[person == p])) == 1 for p in np.unique(person)) and len(set(fold)) == gates.FOLDS
    mine = fold == 2
    other = gain.copy()
    other[mine] = -other[mine]
    again = gates.cross_fitted(seen, other, person)
    assert again[mine] == pytest.approx(chance[mine], abs=0) and np.abs(again[~mine] - chance[~mine]).max() > 0.01


def test_chances_are_calibrated_and_the_gate_gains_over_turning_all_or_none() -> None:
    seen, gain, person = people(2, n=300)
    chance = gates.cross_fitted(seen, gain, person)
    bins, brier = gates.calibration(chance, gain)
    assert all(abs(one.expected - one.found) < 0.07 for one in bins) and sum(one.n for one in bins) == len(gain)
    assert brier == pytest.approx(np.mean((chance - (gain > 0)) ** 2)) and brier < 0.22
    turned = gates.learned(chance).turned
    assert gain[turned].sum() > max(gain.sum(), 0.0)


def test_with_too_few_to_learn_from_no_image_is_turned() -> None:
    seen, gain, person = people(3, n=4)
    gate = gates.learned(gates.cross_fitted(seen, gain, person))
    assert not gate.turned.any() and set(gate.words) == {"photograph: no chance was learned"}


def test_unknown_values_count_as_the_mean_and_are_judged() -> None:
    seen, gain, person = people(4)
    seen[::5, 2] = np.nan
    gain[::7] = np.nan
    assert np.isfinite(gates.cross_fitted(seen, gain, person)).all()


def test_a_learned_cell_turns_those_whose_frontal_helps(tmp_path: Path) -> None:
    """At large yaw the photograph is noise and the frontal is the person; at small yaw the other way round."""
    rng = np.random.default_rng(0)
    rows = []
    for p in range(30):
        rows.append(image(f"r{p}", f"p{p:02d}", "reference", yaw=0.0, pose_source="ground_truth"))
        rows += [image(f"{p}_{yaw}", f"p{p:02d}", "probe", yaw=float(yaw), pose_source="ground_truth") for yaw in (0, 5, 70, 80)]
    world = World(tmp_path, rows)
    for row in rows:
        if row["role"] == "probe":
            person = world.original[f"r{int(row['subject'][1:])}"]
            good, bad = unit(person + 0.1 * rng.normal(size=len(person))), unit(rng.normal(size=len(person)))
            world.original[row["image_id"]], world.turned[row["image_id"]] = (bad, good) if row["yaw"] >= 70 else (good, bad)
    found = [row for row in rows_of(world, "gate_learned:turned.none").values() if row["role"] == "probe"]
    assert all(str(row["detail"]).startswith("turned: chance" if row["yaw"] >= 70 else "photograph: chance") for row in found)  # type: ignore[operator]
    assert min(row["genuine"] for row in found) > 0.5  # type: ignore[type-var]


def test_the_gate_learns_from_sharpness_and_quality_where_they_were_measured_and_says_where_not(tmp_path: Path) -> None:
    """Nothing but the sharpness of the photograph tells which frontal helps."""
    rng = np.random.default_rng(0)
    rows = [image(f"r{p}", f"p{p:02d}", "reference", yaw=0.0, pose_source="ground_truth") for p in range(30)]
    rows += [image(f"{p}_{k}", f"p{p:02d}", "probe", yaw=40.0, pose_source="ground_truth") for p in range(30) for k in range(4)]
    world = World(tmp_path, rows)
    blurred = {row["image_id"]: row["image_id"][-1] in "01" for row in rows if row["role"] == "probe"}
    for name, bad in blurred.items():
        person = world.original[f"r{name.partition('_')[0]}"]
        near, far = unit(person + 0.1 * rng.normal(size=len(person))), unit(rng.normal(size=len(person)))
        world.original[name], world.turned[name] = (far, near) if bad else (near, far)
    measured = [
        {**{key: row[key] for key in ("image_id", "identity", "role", "subject")}, "status": "ok", "detail": ""}
        | {"sharpness": float(np.exp(rng.normal(2.0 if blurred.get(row["image_id"]) else 6.0, 0.5)))}
        for row in rows
    ]
    table = tmp_path / "quality.parquet"
    tables.write(table, tables.from_rows(measured, tables.QUALITY))
    seeing = world.cell("gate_learned:turned.none", quality=table).similarity.to_pylist()
    blind = world.cell("gate_learned:turned.none").similarity.to_pylist()
    told = {row["image_id"]: str(row["detail"]) for row in seeing if row["role"] == "probe"}
    assert all(text.startswith("turned: chance" if blurred[name] else "photograph: chance") for name, text in told.items())
    quality = "brisque, ediffiqa_tiny, ofiq_unified"
    assert all(text.endswith(f"; not seen: |pitch|, detector score, log length of the embedding, {quality}") for text in told.values())
    _, chance = gates.decided([row["detail"] for row in blind if row["role"] == "probe"])
    assert np.abs(chance - 0.5).max() < 0.2
    assert gates.not_seen([row["detail"] for row in blind]).endswith(f"log sharpness, {quality}")
    assert gates.not_seen([row["detail"] for row in world.cell("gate@30:turned.none").similarity.to_pylist()]) == ""


def test_a_quality_table_of_other_images_is_refused(world: World, tmp_path: Path) -> None:
    table = tmp_path / "quality.parquet"
    row = {"image_id": "nobody", "identity": "a", "role": "probe", "subject": "a", "status": "ok", "detail": "", "sharpness": 1.0}
    tables.write(table, tables.from_rows([row], tables.QUALITY))
    with pytest.raises(BadInput, match="'nobody' is not in the images tables; the quality table belongs to another version"):
        world.cell("gate_learned:turned.none", quality=table)
    with pytest.raises(BadInput, match="column 'sharpness' should be float"):
        world.cell("gate_learned:turned.none", quality=world.images()[0])


# Sweeps ---------------------------------------------------------------------------------------------------------------------


def test_a_sweep_is_the_mean_over_all_probes_of_what_the_turned_ones_gain() -> None:
    rng = np.random.default_rng(0)
    person = np.repeat(np.arange(12), 10)
    yaw, gain = rng.uniform(-90, 90, 120), rng.normal(size=120)
    gain[:9] = np.nan
    yaw[10] = np.nan
    for step in gates.sweep(yaw, gain, person, [0.0, 30.0, 60.0, 120.0]):
        turned = (np.abs(yaw) >= step.angle) & np.isfinite(gain)
        assert step.share == pytest.approx(turned.mean()) and step.gain == pytest.approx(gain[turned].sum() / 120)
        assert step.low <= step.gain <= step.high
    assert gates.sweep(yaw, gain, person, [120.0])[0].share == 0.0


def test_a_sweep_agrees_with_the_cells_of_its_gates(tmp_path: Path) -> None:
    world = World(tmp_path, crowd())
    for number, row in enumerate(world.rows):
        row.update(yaw=float(number * 7 % 90), pose_source="ground_truth")
    original, plain = rows_of(world, "original"), rows_of(world, "turned.none")
    probes = [name for name, row in original.items() if row["role"] == "probe"]

    def identity(rows: dict[str, dict[str, object]]) -> np.ndarray:
        return np.array([float(rows[name]["genuine"]) - float(rows[name]["impostor"]) for name in probes])  # type: ignore[arg-type]

    gain = identity(plain) - identity(original)
    (step,) = gates.sweep([original[name]["yaw"] for name in probes], gain, [original[name]["subject"] for name in probes], [40.0])  # type: ignore[arg-type]
    assert step.gain == pytest.approx((identity(rows_of(world, "gate@40:turned.none")) - identity(original)).mean(), abs=1e-6)


def test_the_tables_and_the_figure_say_what_a_gate_turned_and_whether_its_chances_came_true(tmp_path: Path) -> None:
    from frontalbench.figures import angles, series

    rng = np.random.default_rng(3)
    rows = [image(f"{p:02}_r", f"{p:02}", "reference", yaw=0.0, pose_source="ground_truth") for p in range(40)]
    rows += [
        image(f"{p:02}_p{i}", f"{p:02}", "probe", yaw=float(rng.uniform(-90, 90)), pose_source="ground_truth")
        for p in range(40)
        for i in range(6)
    ]
    world = World(tmp_path, rows)
    original, frontal, gated = (world.cell(name).similarity for name in ("original", "turned.none", "gate_learned:turned.none"))
    turned, chance = gates.decided(gated.column("detail").to_pylist())
    probes = np.array(gated.column("role").to_pylist()) == "probe"
    assert np.isfinite(chance[probes]).all() and (turned[probes] == (chance[probes] >= 0.5)).mean() > 0.99  # the words have four digits
    found = series.reliability(original, gated, frontal)

    def margin(table: object) -> np.ndarray:
        return np.array(table.column("genuine").to_pylist(), float) - np.array(table.column("impostor").to_pylist(), float)  # type: ignore[attr-defined]

    better = (margin(frontal) - margin(original))[probes] > 0
    assert found.brier == pytest.approx(float(((chance[probes] - better) ** 2).mean()), abs=1e-6)
    assert sum(one.n for one, _ in found.bins) == 240
    for one, share in found.bins:
        inside = (chance[probes] >= one.low) & (chance[probes] < one.high)
        assert (one.n, share.mean) == (int(inside.sum()), pytest.approx(better[inside].mean()))
    drawn = angles.gate_calibration({"gate_learned:turned.none": found})
    marks = drawn.axes[0].lines[-1]
    assert list(marks.get_ydata()) == pytest.approx([one.found for one, _ in found.bins])
    assert f"Brier score {found.brier:.3f}" in drawn.axes[0].get_title("left")
