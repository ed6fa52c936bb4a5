"""The numbers behind the figures: gains, bins, intervals, choices of images."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
import scipy.stats

from frontalbench import tables
from frontalbench.compare.rows import YawBins, read_rows
from frontalbench.errors import BadInput
from frontalbench.figures import examples, series
from frontalbench.figures.inputs import sort_out
from tests.unit import figure_tables as made


def _table(variant: str):
    return tables.from_rows(made.similarity_rows(variant), tables.SIMILARITY)


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    return made.write_run(tmp_path_factory.mktemp("run"))


@pytest.mark.parametrize("variant", made.VARIANTS)
def test_gains_are_paired_differences(variant: str) -> None:
    gains = series.gains(variant, _table("original"), _table(variant))
    np.testing.assert_allclose(gains.net, made.NET[variant], atol=1e-6)
    np.testing.assert_allclose(gains.identity, made.NET[variant] - made.IMPOSTOR[variant], atol=1e-6)
    assert gains.probes == 24
    assert gains.lost == (1 if variant == "tddfa.sharp" else 0)
    assert len(gains.net) == 24 - gains.lost


def test_references_and_failed_rows_are_in_no_gain() -> None:
    gains = series.gains("tddfa.sharp", _table("original"), _table("tddfa.sharp"))
    assert "0/0" not in gains.image_id and not any(str(i).endswith(("/2", "/3")) for i in gains.image_id)


def test_interval_is_that_of_an_independent_bootstrap() -> None:
    generator = np.random.default_rng(3)
    values = generator.normal(0.3, 0.2, 150)
    people = np.array([f"p{i}" for i in range(150)], dtype=object)  # one image each: the plain bootstrap of the mean
    own = series.mean_interval(values, people)
    other = scipy.stats.bootstrap(
        (values,), np.mean, n_resamples=4000, method="percentile", rng=np.random.default_rng(1)
    ).confidence_interval
    assert own.mean == pytest.approx(values.mean())
    assert (own.low, own.high) == pytest.approx((other.low, other.high), abs=0.003)


def test_interval_widens_when_images_belong_to_few_people() -> None:
    generator = np.random.default_rng(4)
    values = np.repeat(generator.normal(0, 1, 20), 50)
    few = series.mean_interval(values, np.repeat([f"p{i}" for i in range(20)], 50).astype(object))
    many = series.mean_interval(values, np.array([f"p{i}" for i in range(1000)], dtype=object))
    assert few.high - few.low > 4 * (many.high - many.low)
    assert (few.n, few.subjects) == (1000, 20)


def test_one_person_has_a_mean_and_no_interval() -> None:
    interval = series.mean_interval(np.array([0.25, 0.75]), np.array(["a", "a"], dtype=object))
    assert interval.mean == 0.5 and np.isnan(interval.low) and np.isnan(interval.high)


def test_bins_hold_every_probe_once_and_the_last_is_open() -> None:
    gains = series.gains("tddfa.none", _table("original"), _table("tddfa.none"))
    bins = series.by_yaw(gains, (0, 30, 45, 60))
    assert [b.net.n for b in bins] == [6, 6, 0, 12]  # 25; 40; none; 60 and 80
    assert [b.net.n for b in series.by_yaw(gains, (0, 10, 20))] == [0, 0, 24]
    label = {(low, high): name for axis, name, low, high in YawBins((0.0, 30.0, 45.0, 60.0)).labels if axis == "abs"}
    assert all((b.low, b.high) in label for b in bins), "the bins of the master table"
    with pytest.raises(BadInput, match="rising"):
        series.by_yaw(gains, (0, 30, 30))


def test_heat_map_cell_counts_failures_to_acquire() -> None:
    cell = series.cell_value("identity_gain", "d", "b", _table("tddfa.sharp"), _table("original"))
    assert cell.value.mean == pytest.approx(-0.25) and cell.value.n == 23
    assert cell.fta == pytest.approx(1 / 24)
    rank = series.cell_value("rank1", "d", "b", _table("original"))
    assert rank.value.mean == pytest.approx(23 / 24)
    with pytest.raises(BadInput, match="original"):
        series.cell_value("net_gain", "d", "b", _table("tddfa.none"))
    with pytest.raises(BadInput, match="not known"):
        series.cell_value("auc", "d", "b", _table("original"))


def test_groups_are_those_of_the_study() -> None:
    found = {g.label: g for g in series.groups(_table("original"), {"tddfa.none": _table("tddfa.none")})}
    assert [len(found[label].values) for label in ("GT vs GT", "Angled vs GT", "Angled vs Angled", "Frontal vs GT, tddfa.none")] == [
        12,
        24,
        24,
        24,
    ]
    assert found["Frontal vs Angled, tddfa.none"].values == pytest.approx(0.875)
    assert found["impostor, angled"].values == pytest.approx(0.125)


def test_curve_is_refused_between_nominal_angles() -> None:
    def gains(yaw: np.ndarray) -> series.Gains:
        names = np.array([f"p{i}" for i in range(len(yaw))], dtype=object)
        return series.Gains("v", names, names, yaw, np.zeros(len(yaw)), np.zeros(len(yaw)), 0, len(yaw))

    assert not series.curve_drawable(gains(np.tile([-45.0, 0.0, 45.0, 90.0], 100)))
    assert not series.curve_drawable(gains(np.arange(10.0)))
    assert not series.curve_drawable(gains(np.full(100, np.nan)))
    assert series.curve_drawable(gains(np.linspace(-90, 90, 50)))


def test_triples_are_the_extremes_each_once_and_of_different_people() -> None:
    original, variant = _table("original"), made.similarity_rows("tddfa.none")
    for place, row in enumerate(row for row in variant if row["role"] == "probe"):
        row["genuine"] = made.genuine(row) + (place - 12) / 64
    table = tables.from_rows(variant, tables.SIMILARITY)
    chosen = examples.triples(series.gains("tddfa.none", original, table), original, table, each=1)
    assert [t.rank for t in chosen] == ["best", "median", "worst"]
    assert chosen[0].net == pytest.approx(11 / 64) and chosen[2].net == pytest.approx(-12 / 64)
    many = examples.triples(series.gains("tddfa.none", original, table), original, table, each=50)
    assert len({t.image_id for t in many}) == len(many) == 24
    for triple in many:
        assert triple.reference_id.split("/")[0] == triple.image_id.split("/")[0]
        assert triple.after - triple.before == pytest.approx(triple.net)


def test_ordered_gallery_is_sorted_and_has_the_own_reference_and_probe(run: list[Path]) -> None:
    original = _table("original")
    files = {str(p): p for p in run}
    vectors = [tables.read(next(p for n, p in files.items() if f"embeddings/toy/{v}/scrfd" in n)) for v in ("original", "tddfa.none")]
    strip, size = examples.ordered("5/0", original, *vectors, most=4)
    assert size == 6
    values = [n.similarity for n in strip]
    assert values == sorted(values, reverse=True)
    assert [n.kind for n in strip].count("own") == 1 and [n.kind for n in strip].count("probe") == 1
    own = next(n for n in strip if n.kind == "own")
    assert own.place == 1 and own.subject == made.NAMES[5]
    assert own.similarity == pytest.approx(np.cos(np.radians(2.0)), abs=1e-6)  # both at 60 degrees, the frontal half of 80 / 20 further
    with pytest.raises(BadInput, match="no embedding"):
        examples.ordered("0/2", original, *vectors)


def test_failures_are_counted_where_they_first_happen(run: list[Path]) -> None:
    inputs = sort_out(run)
    photos = examples.Step("reading", "original", "original", inputs.images["original"])
    turned = examples.Step("tddfa", "tddfa.none", "original", inputs.images["tddfa.none"])
    found, counted = examples.failures([photos, turned])
    assert counted == {("reading", "unreadable"): 1, ("tddfa", "model_error"): 1}
    assert {f.detail for f in found} == {"broken data stream", "no convergence after 50 steps"}


def test_a_failed_image_is_shown_once_at_its_first_step_and_every_step_is_counted(tmp_path: Path) -> None:
    def step(label: str, variant: str, sees: str, *states: str) -> examples.Step:
        rows = [{"image_id": f"{i}", "identity": "anna", "role": "probe", "status": s, "detail": ""} for i, s in enumerate(states, 1)]
        path = tmp_path / f"{label}.parquet"
        tables.write(path, tables.from_rows(rows, tables.FRONTALS))
        return examples.Step(label, variant, sees, (path,), makes=" on " not in label)

    ok, lost, error, unread = "ok", "no_face", "model_error", "unreadable"
    steps = [
        step("reading", "original", "original", ok, unread, ok, ok),
        step("scrfd on photos", "original", "original", lost, unread, ok, ok),
        step("yunet on photos", "original", "original", lost, unread, ok, ok),
        step("mesh.none", "mesh.none", "original", lost, unread, error, ok),
        step("scrfd on mesh.none", "mesh.none", "mesh.none", lost, lost, lost, lost),
        step("mesh.sharp", "mesh.sharp", "mesh.none", lost, unread, error, ok),
        step("scrfd on mesh.sharp", "mesh.sharp", "mesh.sharp", lost, lost, lost, ok),
    ]
    found, counted = examples.failures(steps)
    assert {(f.image_id, f.step.label, f.also) for f in found} == {
        ("2", "reading", ()),
        ("1", "scrfd on photos", ("yunet on photos", "mesh.none")),
        ("3", "mesh.none", ()),
        ("4", "scrfd on mesh.none", ()),
    }
    assert counted == {
        ("reading", unread): 1,
        ("scrfd on photos", lost): 1,
        ("yunet on photos", lost): 1,
        ("mesh.none", lost): 1,
        ("mesh.none", error): 1,
        ("scrfd on mesh.none", lost): 1,
    }


def test_a_loss_is_never_called_best_and_a_gain_never_worst() -> None:
    def words(rank: str, net: float) -> str:
        return examples.Triple(rank, "i", "r", "s", 0.0, net, net, 0.5, 0.5 + net).words

    assert [words("best", v) for v in (0.1, 0.0, -0.109)] == ["best", "least bad", "least bad"]
    assert [words("worst", v) for v in (0.1, -0.1)] == ["least gain", "worst"] and words("median", -0.1) == "median"


def test_images_are_decoded_and_missing_ones_are_told_apart(run: list[Path]) -> None:
    inputs = sort_out(run)
    found = examples.pixels_of(inputs.images["original"], ["0/0", "5/5", "nobody"])
    assert found["0/0"] is not None and found["0/0"].shape == (64, 64, 3)
    assert found["5/5"] is None and "nobody" not in found
    with pytest.raises(BadInput, match="not found"):
        examples.pixels_of([Path("/nowhere/x.parquet")], ["0/0"])


def test_inputs_are_recognised_by_path_and_wrong_ones_are_named(run: list[Path]) -> None:
    inputs = sort_out(run)
    assert inputs.dataset == "toy" and inputs.variants == list(made.VARIANTS) and inputs.judges == list(made.JUDGES)
    assert len(inputs.images["original"]) == 2
    with pytest.raises(BadInput, match=r"notes\.txt"):
        sort_out([*run, Path("results/notes.txt")])
    with pytest.raises(BadInput, match="one dataset"):
        sort_out([*run, Path("results/images/other/0000.parquet")])
    with pytest.raises(BadInput, match="similarity"):
        inputs.similarity_of("ffwm.none", made.JUDGES[0])


def test_bins_leave_out_fusions_that_had_one_image_and_count_them() -> None:
    rows = made.similarity_rows("tddfa.none")
    probes = [row for row in rows if row["role"] == "probe" and row["status"] == "ok"]
    for row in probes[:3]:
        row["detail"] = "original alone: the frontal has no embedding"
    gains = series.gains("fuse_mean:tddfa.none", _table("original"), tables.from_rows(rows, tables.SIMILARITY))
    bins = series.by_yaw(gains, (0, 30, 45, 60))
    assert int(gains.alone.sum()) == sum(b.alone for b in bins) == 3
    assert sum(b.net.n for b in bins) == len(gains.net) - 3 == len(gains.drawn().net)
    assert not set(gains.drawn().image_id) & {row["image_id"] for row in probes[:3]}


def test_the_steps_of_gates_go_from_no_image_turned_to_all_that_have_a_frontal() -> None:
    def table(shift: float, lost: tuple[int, ...] = ()) -> pa.Table:
        rows = []
        for i in range(24):
            row = {"image_id": f"{i:02d}", "identity": f"p{i % 8}", "subject": f"p{i % 8}", "role": "probe", "yaw": 4.0 * i}
            row |= {"status": "ok", "detail": "", "yaw_source": "", "genuine": 0.5 + shift * i, "impostor": 0.1}
            rows.append(row | ({"status": "no_face", "genuine": None, "impostor": None} if i in lost else {}))
        return tables.from_rows(rows, tables.SIMILARITY)

    steps = series.gate_steps(table(0.0), table(0.01, lost=(23,)), [0.0, 50.0, 95.0])
    assert [step.share for step in steps] == pytest.approx([23 / 24, 10 / 24, 0.0])
    assert [step.gain for step in steps] == pytest.approx([0.01 * sum(range(23)) / 24, 0.01 * sum(range(13, 23)) / 24, 0.0], abs=1e-6)


def test_a_turn_curve_joins_the_shares_of_one_method_and_the_frontal_view() -> None:
    names = ["original", "mesh.none", "tddfa.none", "tddfa@1.none", "tddfa@0.5.none", "tddfa@20deg.none", "fuse_mean@0.3:tddfa@1.none"]
    assert series.turn_shares(names) == {
        "tddfa.none": {0.0: "tddfa.none", 0.5: "tddfa@0.5.none", 1.0: "tddfa@1.none"},
        "fuse_mean@0.3:tddfa.none": {1.0: "fuse_mean@0.3:tddfa@1.none"},
    }


def test_every_point_of_a_turn_curve_stands_on_the_same_probes(run: list[Path], tmp_path: Path) -> None:
    paths = {name: tmp_path / f"{name}.parquet" for name in ("original", *made.VARIANTS)}
    for name, path in paths.items():
        tables.write(path, _table(name))
    rows = {name: read_rows(path) for name, path in paths.items()}
    curve = series.turn_curve(rows["original"], {0.0: rows["tddfa.none"], 1.0: rows["tddfa.sharp"]}, [0, 45, 90])
    assert sorted(curve) == [(0.0, 45.0), (45.0, 90.0)]
    for size, points in (
        (11, curve[(45.0, 90.0)]),
        (12, curve[(0.0, 45.0)]),
    ):  # `anna` at -80 fails in one of the two, so it counts in none
        assert [point.share for point in points] == [0.0, 1.0] and {point.similarity.n for point in points} == {size}
        assert {point.dprime.n for point in points} == {size}
        for point, name in zip(points, made.VARIANTS, strict=True):
            assert point.identity.mean == pytest.approx(made.NET[name] - made.IMPOSTOR[name], abs=1e-6)
