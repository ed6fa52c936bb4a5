"""LFW, CFP, FRLL, AFLW2000-3D, folders and tables: what is listed, with which role and pose, and what is refused.

With real weights or photographs.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from frontalbench import status
from frontalbench.datasets import cfp, listing
from frontalbench.geometry.rotation import geodesic_degrees, matrix_from_angles, nearest_rotation
from tests.unit import datasetkit as kit


def test_real_lfw_images_are_listed_with_roles_left_to_pose(shared: Path) -> None:
    found = listing.scan(kit.card("lfw", shared / "testdata" / "lfw"))
    assert len(found.members) == 360 and len(found.identities) == 30
    assert {m.role for m in found.members} == {"auto"}
    assert found.members[0].image_id == "Alejandro_Toledo/Alejandro_Toledo_0001.jpg"
    assert any("half unpacked" in line for line in found.problems)


def test_frll_left_views_turn_to_the_left_edge_and_the_neutral_front_is_the_reference(shared: Path) -> None:
    root = shared / "testdata" / "frll"
    members = {m.image_id: m for m in listing.list_members(kit.card("frll", root))}
    assert len(members) == 680
    assert [m.image_id for m in members.values() if m.role == "reference" and m.identity == "001"] == ["neutral_front/001_03.jpg"]
    assert members["neutral_left_profile/001_01.jpg"].yaw == members["smiling_left_profile/001_06.jpg"].yaw == 90.0
    assert members["neutral_right_3quarter/001_04.jpg"].yaw == -45.0
    assert {m.pose_source for m in members.values()} == {"nominal"}
    neutral = listing.list_members(kit.card("frll", root, options={"expressions": ["neutral"]}))
    assert sum(m.status == status.OK for m in neutral) == 340
    assert len(neutral) == 680


def test_frll_view_signs_agree_with_the_images(shared: Path) -> None:
    """The skin (the face) lies on the side that the nose points to, seen from the middle of the head (skin and hair)."""
    import cv2

    from frontalbench import images

    root = shared / "testdata" / "frll"
    right = 0
    members = [m for m in listing.list_members(kit.card("frll", root)) if m.yaw in (90.0, -90.0) and m.sequence == "neutral"][:40]
    for member in members:
        rgb = images.decode(Path(member.path).read_bytes())[:300]
        lab = cv2.cvtColor(rgb, cv2.COLOR_RGB2LAB).astype(np.float64)
        head = np.linalg.norm(lab - np.median(lab[:40].reshape(-1, 3), axis=0), axis=2) > 25
        skin = head & (lab[..., 1] > 135) & (lab[..., 0] > 110)
        face_x, head_x = np.nonzero(skin)[1].mean(), np.nonzero(head)[1].mean()
        right += (face_x < head_x) == (member.yaw == 90.0)
    assert right >= 0.9 * len(members)


def test_cfp_roles_views_and_sides(shared: Path, tmp_path: Path) -> None:
    root = shared / "testdata" / "cfp"
    members = {m.image_id: m for m in listing.list_members(kit.card("cfp", root))}
    assert len(members) == 1400
    assert sum(m.role == "reference" for m in members.values()) == 1000
    # Seen in the images: person 001 looks right, left, left, right in profiles 01 to 04.
    assert [members[f"001/profile/0{n}.jpg"].yaw for n in (1, 2, 3, 4)] == [-90.0, 90.0, 90.0, -90.0]
    assert members["001/frontal/01.jpg"].yaw == 0.0
    for kind in ("frontal", "profile"):
        kit.put(tmp_path / "Data" / "Images" / "007" / kind / "01.jpg", kit.jpeg(3))
    found = listing.scan(kit.card("cfp", tmp_path))
    profile = next(m for m in found.members if m.sequence == "profile")
    assert profile.yaw is None and profile.pose_source == ""
    assert any("without a readable landmark file" in line and "007/profile/01.jpg" in line for line in found.problems)
    assert cfp.profile_yaw(b"1,2\n3,4\n") is None and cfp.profile_yaw(b"\xff") is None


def test_aflw2000_angles_agree_with_the_landmarks_in_three_dimensions(shared: Path) -> None:
    """An independent look: a rigid fit of a mean 3-D face to the file's 68 points in 3-D gives the same rotation."""
    from scipy.io import loadmat

    root = shared / "testdata" / "aflw2000"
    model = np.asarray(loadmat(shared / "weights" / "hassner" / "model3Ddlib.mat")["model_dlib"]["threedee"][0, 0], np.float64)
    model = model[:, [0, 2, 1]] * [1.0, -1.0, 1.0]  # x right, y away, z up -> camera frame
    members = listing.list_members(kit.card("aflw2000", root))
    assert len(members) == 16 and {m.role for m in members} == {"unused"} and {m.status for m in members} == {status.OK}
    fits, truths = [], []
    for member in members:
        points = np.asarray(loadmat(root / f"{member.identity}.mat")["pt3d_68"], np.float64).T @ np.diag([1.0, 1.0, -1.0])
        fits.append(nearest_rotation((points - points.mean(0)).T @ (model - model.mean(0))))
        truths.append(matrix_from_angles(member.yaw, member.pitch, member.roll))
    # The two mean faces look up by a different amount; that turn is one and the same for all images (of +-71 degrees yaw, +-40 pitch).
    between = nearest_rotation(np.mean([truth.T @ fit for truth, fit in zip(truths, fits, strict=True)], axis=0))
    assert geodesic_degrees(between, np.eye(3)) < 9.0
    left = [float(geodesic_degrees(fit, truth @ between)) for truth, fit in zip(truths, fits, strict=True)]
    assert max(left) < 3.0
