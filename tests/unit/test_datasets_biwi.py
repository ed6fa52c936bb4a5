"""BIWI: angles, signs, projection, choice of references, and bad files."""

from __future__ import annotations

import os
import time
from pathlib import Path

import numpy as np
import pytest

from frontalbench import status
from frontalbench.datasets import listing
from frontalbench.geometry.rotation import angles_from_matrix, matrix_from_angles
from frontalbench.stages import prepare
from tests.unit import datasetkit as kit

WORKED_EXAMPLE = np.array([[0.988397, 0.0731349, 0.133128], [-0.0441539, 0.976945, -0.208876], [-0.145334, 0.200575, 0.968838]])


def literature_angles(rotation: np.ndarray) -> tuple[float, float, float]:
    """yaw, pitch, roll as the pose literature (HopeNet and others) takes them from a BIWI matrix."""
    t = rotation.T
    yaw = -np.arctan2(-t[2, 0], np.hypot(t[2, 1], t[2, 2]))
    return float(np.degrees(yaw)), float(np.degrees(np.arctan2(t[2, 1], t[2, 2]))), float(-np.degrees(np.arctan2(t[1, 0], t[0, 0])))


def test_worked_example_is_the_same_rotation_in_both_conventions() -> None:
    yaw, pitch, roll = literature_angles(WORKED_EXAMPLE)
    assert (yaw, pitch, roll) == pytest.approx((7.6504, -12.1664, -4.2318), abs=1e-3)
    # The literature's angles mean Rx(-pitch) Ry(yaw) Rz(roll) in our camera frame: that must give the file's matrix back.
    rebuilt = matrix_from_angles(0, -pitch, 0) @ matrix_from_angles(yaw) @ matrix_from_angles(0, 0, roll)
    np.testing.assert_allclose(rebuilt, WORKED_EXAMPLE, atol=5e-6)
    ours = angles_from_matrix(WORKED_EXAMPLE)
    assert [float(angle) for angle in ours] == pytest.approx([8.3568, 11.6966, -2.5578], abs=1e-3)
    np.testing.assert_allclose(matrix_from_angles(*ours), WORKED_EXAMPLE, atol=5e-6)


AUTHORS_MATRIX = np.array([[0.45684, -0.404949, -0.792031], [-0.103806, 0.860022, -0.499587], [0.883471, 0.310449, 0.350856]])
"""Frame 501 of sequence 01 (quoted in deep-head-pose issue 39)."""
AUTHORS_ANGLES = {"pitch": 41.50346755981445, "yaw": -62.06394958496094, "roll": -12.801728248596191}
"""The same frame in the authors' own binary annotations."""


def test_our_angles_are_the_ones_that_the_authors_annotate() -> None:
    yaw, pitch, roll = (float(angle) for angle in angles_from_matrix(AUTHORS_MATRIX))
    assert {"yaw": yaw, "pitch": pitch, "roll": roll} == pytest.approx(AUTHORS_ANGLES, abs=2e-3)
    # What head-pose papers share as "the" conversion is another order of the same turns: tens of degrees away at this pose.
    others = np.abs(np.abs(literature_angles(AUTHORS_MATRIX)) - np.abs([yaw, pitch, roll]))
    assert others == pytest.approx([9.7, 13.4, 28.8], abs=0.1)


def test_reference_is_the_smallest_turn_of_both_recordings_and_frames_around_it_are_unused(tmp_path: Path) -> None:
    root = tmp_path / "biwi"
    for sequence, yaws in {"03": [-20, -4, -2, 6, 30], "15": [-1, 12, 40], "04": [3, 25]}.items():
        for frame, yaw in enumerate(yaws):
            kit.put(root / "hpdb" / sequence / f"frame_{frame * 10:05d}_rgb.png", kit.image(frame))
            kit.put(root / "hpdb" / sequence / f"frame_{frame * 10:05d}_pose.txt", kit.pose_text(yaw))
    roles = {"exclude_frames": 10}
    by_id = {m.image_id: m for m in listing.list_members(kit.card("biwi", root, roles=roles))}
    assert sorted(i for i, m in by_id.items() if m.role == "reference") == ["04/frame_00000_rgb.png", "15/frame_00000_rgb.png"]
    near = by_id["15/frame_00010_rgb.png"]
    assert (near.role, near.status) == ("unused", status.NOT_USED)
    assert near.detail == "near a reference: within 10 frames of 15/frame_00000_rgb.png"
    assert by_id["03/frame_00020_rgb.png"].role == "probe"
    # Across recordings: the own recording of the reference is left out, people recorded once stay.
    across = {m.image_id: m for m in listing.list_members(kit.card("biwi", root, roles={**roles, "cross_sequence": True}))}
    assert across["15/frame_00020_rgb.png"].status == status.NOT_USED
    assert across["03/frame_00020_rgb.png"].role == "probe"
    assert across["04/frame_00000_rgb.png"].role == "reference"
    # Counted as sequences, each has its own reference.
    single = listing.list_members(kit.card("biwi", root, roles=roles, options={"identity": "sequence"}))
    assert {m.identity: m.image_id for m in single if m.role == "reference"} == {
        "03": "03/frame_00020_rgb.png",
        "04": "04/frame_00000_rgb.png",
        "15": "15/frame_00000_rgb.png",
    }
    assert {m.subject for m in single if m.identity in ("03", "15")} == {"F03"}


@pytest.mark.parametrize("kaggle", [False, True])
def test_a_tree_of_24_sequences_is_listed_by_sequence_and_sampled_per_bin(tmp_path: Path, kaggle: bool) -> None:
    root = kit.biwi_tree(tmp_path / "biwi", frames=121, kaggle=kaggle)
    card = kit.card("biwi", root, select={"per_bin": 3})
    found = listing.scan(card)
    assert len(found.members) == 24 * 121 and len(found.identities) == 20
    assert len({m.subject for m in found.members}) == 20
    used = [m for m in found.members if m.status == status.OK]
    assert sum(m.role == "reference" for m in used) == 20
    probes = [m for m in used if m.role == "probe"]
    assert len(probes) == len({m.image_id for m in probes})
    # 5 bins up to 75 degrees hold frames; the first two of a sequence with a reference lose those within 30 frames.
    for sequence in ("01", "24"):
        per_bin: dict[int, int] = {}
        for m in probes:
            if m.sequence == sequence:
                per_bin[int(abs(m.yaw or 0) // 15)] = per_bin.get(int(abs(m.yaw or 0) // 15), 0) + 1
        assert max(per_bin.values()) == 3
    left_out = [m.detail for m in found.members if m.status == status.NOT_USED]
    of_bin, near = (sum(words in detail for detail in left_out) for words in ("are kept (seed 0)", "near a reference"))
    assert of_bin > 0 and near > 0 and of_bin + near == len(left_out)
    other_seed = kit.card("biwi", root, select={"per_bin": 3, "seed": 1})
    assert {m.image_id for m in listing.list_members(other_seed) if m.role == "probe"} != {m.image_id for m in probes}
    assert [m for m in found.members if m.shard == "0002"] == listing.list_members(card, shard="0002")


@pytest.mark.slow
def test_the_second_listing_of_a_biwi_sized_tree_opens_none_of_its_frames(tmp_path: Path) -> None:
    """15,000 frames; nothing but names, sizes and times is looked at the second time (benchmarks/dag.py has the seconds)."""
    root = kit.biwi_tree(tmp_path / "biwi", frames=626, step=0.19)
    past = time.time_ns() - 10**10
    for path in root.rglob("*"):
        os.utime(path, ns=(past, past))
    card = kit.card("biwi", root)
    seen = {}
    for turn in ("first", "second"):
        with kit.file_access() as accesses:
            seen[turn] = listing.fingerprints(card, cache=listing.FileCache(tmp_path / "cache.json", root))
        opened = {path for event, path in accesses if event == "open" and path.startswith(str(root))}
        assert len(opened) > 15_000 if turn == "first" else len(opened) <= 24, "one calibration file a sequence"
    assert seen["first"] == seen["second"] and len(set(seen["first"].values())) == 24


def test_broken_pose_files_are_counted_and_the_rest_goes_on(tmp_path: Path) -> None:
    root = kit.biwi_tree(tmp_path / "biwi", sequences=2, frames=6, start=-2.0)
    folder = root / "hpdb" / "02"
    (folder / "frame_00004_pose.txt").unlink()
    (folder / "frame_00005_pose.txt").write_text("1 2 3")
    (folder / "frame_00006_pose.txt").write_text("2 0 0 0 1 0 0 0 1 0 0 0")
    (folder / "frame_00007_pose.txt").write_text("1 0 0 0 1 0 0 0 -1 0 0 0")
    (folder / "frame_00008_pose.txt").write_text("nan 0 0 0 1 0 0 0 1 0 0 0")
    (folder / "rgb.cal").unlink()
    (root / "hpdb" / "01" / "rgb.cal").write_text("rubbish")
    found = listing.scan(kit.card("biwi", root, roles={"exclude_frames": 0}))
    bad = {m.image_id: m for m in found.members if m.status == status.NOT_USED}
    assert len(bad) == 5 and len(found.members) == 12
    assert bad["02/frame_00004_rgb.png"].detail == "no usable pose: frame_00004_pose.txt: not there"
    assert bad["02/frame_00005_rgb.png"].detail == "no usable pose: frame_00005_pose.txt: not twelve numbers"
    assert bad["02/frame_00007_rgb.png"].detail == "no usable pose: frame_00007_pose.txt: its matrix is no rotation"
    assert bad["02/frame_00006_rgb.png"].yaw is None
    lines = "\n".join(found.problems)
    assert "hpdb/02: 5 of 6 frames without a usable pose file" in lines
    assert (
        "not there: frame_00004_pose.txt; not twelve numbers: frame_00005_pose.txt; its matrix is no rotation: frame_00006_pose.txt"
        in lines
    )
    assert "hpdb/02/rgb.cal: missing" in lines and "hpdb/01/rgb.cal: expected 27 numbers" in lines
    assert prepare.prepare_shard(kit.card("biwi", root), None, "0001", tmp_path / "out.parquet").left_out["no usable pose"] == 5


def test_a_person_without_a_near_frontal_frame_is_reported(tmp_path: Path) -> None:
    root = kit.biwi_tree(tmp_path / "biwi", sequences=1, frames=3, start=40.0)
    found = listing.scan(kit.card("biwi", root))
    assert {m.role for m in found.members} == {"probe"}
    assert any(line.startswith("F01: no frame with every angle below 5 degrees") for line in found.problems)
