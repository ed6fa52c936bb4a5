"""References by measured pose, counts, duplicates."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from frontalbench import datasets, tables
from frontalbench.catalogue import validation
from frontalbench.datasets import counting
from frontalbench.datasets.roles import away_from_frontal, resolve
from frontalbench.errors import BadConfig, BadInput


def images_table(rows: list[dict[str, Any]]) -> pa.Table:
    return tables.from_rows(
        [{"role": "auto", "status": "ok", "detail": "", "subject": row["identity"], "sha256": "", **row} for row in rows], tables.IMAGES
    )


def pose_table(yaws: dict[str, float | None], pitch: float = 0.0) -> pa.Table:
    rows = [
        {"image_id": image_id, "status": "ok" if yaw is not None else "no_face", "yaw": yaw, "pitch": pitch if yaw is not None else None}
        for image_id, yaw in yaws.items()
    ]
    return tables.from_rows(rows, tables.POSE)


def test_the_image_nearest_frontal_becomes_the_reference_and_ties_go_to_the_first_name() -> None:
    images = images_table([{"image_id": f"{who}/{n}", "identity": who} for who in "ab" for n in range(3)])
    pose = pose_table({"a/0": 20.0, "a/1": -4.0, "a/2": 5.0, "b/0": 30.0, "b/1": -7.0, "b/2": 7.0})
    assert resolve(images, pose) == ["probe", "reference", "probe", "probe", "reference", "probe"]
    shuffled = pose.take([5, 3, 1, 0, 4, 2])
    assert resolve(images.take([5, 0, 4, 1, 3, 2]), shuffled) == ["probe", "probe", "reference", "reference", "probe", "probe"]
    assert resolve(images, pose, {"references": 2}).count("reference") == 4
    assert resolve(images, pose, {"max_angle": 5.0}) == ["probe", "reference", "probe", "probe", "probe", "probe"]


def test_roles_that_are_given_stay_and_unusable_images_are_never_references() -> None:
    images = images_table(
        [
            {"image_id": "a/0", "identity": "a", "status": "unreadable"},
            {"image_id": "a/1", "identity": "a"},
            {"image_id": "a/2", "identity": "a"},
            {"image_id": "a/3", "identity": "a", "status": "not_used", "role": "unused"},
            {"image_id": "b/0", "identity": "b", "role": "reference"},
            {"image_id": "b/1", "identity": "b", "role": "probe"},
            {"image_id": "c/0", "identity": "c"},
        ]
    )
    pose = pose_table({"a/0": 0.0, "a/1": None, "a/2": 80.0, "a/3": 0.0, "b/0": 50.0, "b/1": 0.0})
    assert resolve(images, pose) == ["probe", "probe", "reference", "unused", "reference", "probe", "probe"]


def test_pose_comes_from_ground_truth_then_measurement_then_name() -> None:
    images = images_table(
        [
            {"image_id": "a/0", "identity": "a", "yaw": 1.0, "pitch": 0.0, "pose_source": "nominal"},
            {"image_id": "a/1", "identity": "a", "yaw": 2.0, "pitch": 0.0, "pose_source": "ground_truth"},
            {"image_id": "a/2", "identity": "a", "yaw": 3.0, "pitch": None, "pose_source": "nominal"},
        ]
    )
    assert resolve(images, None) == ["reference", "probe", "probe"]
    assert resolve(images, pose_table({"a/0": 30.0, "a/1": 60.0, "a/2": 4.0})) == ["probe", "reference", "probe"]


def test_roll_does_not_count_and_angles_combine() -> None:
    assert away_from_frontal(0.0, 0.0) == 0.0
    assert away_from_frontal(30.0, 0.0) == pytest.approx(30.0)
    assert away_from_frontal(-30.0, 40.0) == pytest.approx(48.43, abs=0.01)


def test_an_image_that_stands_on_its_head_is_never_a_reference() -> None:
    images = images_table([{"image_id": name, "identity": name[0]} for name in ("a/0", "a/1", "b/0")])
    pose = pose_table({"a/0": 1.0, "a/1": 30.0, "b/0": 2.0})
    upside_down = pose.set_column(pose.column_names.index("roll"), "roll", pa.array([-175.0, 8.0, 178.0], pa.float32()))
    assert resolve(images, upside_down) == ["probe", "reference", "probe"]
    assert resolve(images, pose) == ["reference", "probe", "reference"]
    known = images.set_column(images.column_names.index("yaw"), "yaw", pa.array([1.0, 30.0, 2.0], pa.float32()))
    known = known.set_column(known.column_names.index("roll"), "roll", pa.array([180.0, None, 0.0], pa.float32()))
    assert resolve(known) == ["probe", "reference", "reference"]


@given(st.dictionaries(st.integers(0, 30), st.tuples(st.sampled_from("abcd"), st.one_of(st.none(), st.floats(-90, 90))), min_size=1))
def test_every_identity_with_a_pose_gets_exactly_one_reference_whatever_the_row_order(rows: dict[int, tuple[str, float | None]]) -> None:
    images = images_table([{"image_id": f"{n:02d}", "identity": who} for n, (who, _) in rows.items()])
    pose = pose_table({f"{n:02d}": yaw for n, (_, yaw) in rows.items()})
    roles = resolve(images, pose)
    by_id = dict(zip(images["image_id"].to_pylist(), roles, strict=True))
    for who in {who for who, _ in rows.values()}:
        mine = {f"{n:02d}": yaw for n, (owner, yaw) in rows.items() if owner == who}
        references = [image_id for image_id in mine if by_id[image_id] == "reference"]
        posed = {image_id: yaw for image_id, yaw in mine.items() if yaw is not None}
        assert len(references) == bool(posed)
        if posed:
            assert abs(posed[references[0]]) == pytest.approx(min(abs(yaw) for yaw in posed.values()), abs=1e-3)
    backwards = list(range(len(images)))[::-1]
    assert resolve(images.take(backwards), pose) == roles[::-1]


def test_a_table_of_another_stage_is_refused() -> None:
    with pytest.raises(BadInput, match="lacks the column"):
        resolve(pa.table({"image_id": ["a"]}))


def test_counts_by_role_bin_and_status() -> None:
    images = images_table(
        [
            {"image_id": "a/0", "identity": "a", "role": "reference", "yaw": 0.0},
            {"image_id": "a/1", "identity": "a", "role": "probe", "yaw": -15.0},
            {"image_id": "a/2", "identity": "a", "role": "probe", "yaw": 95.0},
            {"image_id": "a/3", "identity": "a", "role": "probe", "status": "unreadable"},
            {"image_id": "b/0", "identity": "b", "role": "probe", "yaw": 14.9},
            {"image_id": "c/0", "identity": "c", "role": "reference"},
            {"image_id": "d/0", "identity": "d"},
            {"image_id": "e/0", "identity": "e", "role": "unused", "status": "not_used"},
        ]
    )
    counts = datasets.counts(images)
    assert (counts.images, counts.identities, counts.references, counts.probes, counts.undecided, counts.unused) == (8, 5, 2, 4, 1, 1)
    assert counts.statuses == {"not_used": 1, "ok": 6, "unreadable": 1}
    assert counts.probes_by_yaw == {"0-15": 1, "15-30": 1, "30-45": 0, "45-60": 0, "60-75": 0, "75-90": 1, "unknown": 1}
    assert (counts.without_reference, counts.without_probe, counts.of_one_image) == (1, 2, 3)
    assert datasets.counts([images.slice(0, 3), images.slice(3)]) == counts
    assert datasets.counts(images, roles=["unused"] * 8).unused == 8


def test_every_key_of_roles_is_read_by_somebody(project_root: Path) -> None:
    schema = validation.read_yaml(project_root / "config" / "schemas" / "dataset.schema.yaml")
    code = "".join(path.read_text() for path in (project_root / "src" / "frontalbench" / "datasets").glob("*.py"))
    assert [key for key in schema["properties"]["roles"]["properties"] if f'.get("{key}"' not in code] == []


def test_a_key_of_roles_that_nobody_reads_is_refused_by_name() -> None:
    with pytest.raises(BadConfig, match=r"roles\.rule: unknown key"):
        datasets.find("lfw").with_options({"roles": {"rule": "given"}})


def test_duplicates_within_and_across_people() -> None:
    rows = [("a/0", "a", "x"), ("a/1", "a", "x"), ("b/0", "b", "y"), ("c/0", "c", "y"), ("d/0", "d", ""), ("e/0", "e", "")]
    found = datasets.duplicates(images_table([{"image_id": i, "identity": who, "sha256": digest} for i, who, digest in rows]))
    assert found == [
        counting.Duplicate("x", ("a/0", "a/1"), ("a",), False),
        counting.Duplicate("y", ("b/0", "c/0"), ("b", "c"), True),
    ]


def test_a_face_rolled_by_a_right_angle_is_still_a_portrait_and_beyond_it_is_none() -> None:
    images = images_table([{"image_id": f"{who}/{n}", "identity": who} for who in "ab" for n in range(2)])
    pose = pose_table({"a/0": 0.0, "a/1": 30.0, "b/0": 0.0, "b/1": 30.0})
    rolled = pose.set_column(pose.column_names.index("roll"), "roll", pa.array([90.0, 0.0, -90.5, 0.0], pa.float32()))
    assert resolve(images, rolled) == ["reference", "probe", "probe", "reference"]


def test_a_measurement_that_failed_or_lacks_an_angle_does_not_count() -> None:
    images = images_table([{"image_id": f"a/{n}", "identity": "a"} for n in range(4)])
    rows = [
        {"image_id": "a/0", "status": "model_error", "yaw": 0.0, "pitch": 0.0},
        {"image_id": "a/1", "status": "ok", "yaw": 0.0, "pitch": None},
        {"image_id": "a/2", "status": "ok", "yaw": None, "pitch": 0.0},
        {"image_id": "a/3", "status": "ok", "yaw": 40.0, "pitch": 0.0},
    ]
    assert resolve(images, tables.from_rows(rows, tables.POSE)) == ["probe", "probe", "probe", "reference"]
