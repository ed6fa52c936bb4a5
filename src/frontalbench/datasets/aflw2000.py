"""Layout ``aflw2000``: AFLW2000-3D, ``image00002.jpg`` with ``image00002.mat`` beside it. For checking pose; people are not named.

``Pose_Para[0, :3]`` of a ``.mat`` file holds pitch, yaw, roll in radians of ``Rx(pitch) @ Ry(yaw) @ Rz(roll)`` with transposed
(left-handed) matrices in a frame with y up and z towards the viewer. In the camera frame of this project (see docs/architecture.md) the
same rotation is ``Rx(-pitch) @ Ry(yaw) @ Rz(roll)``; its angles in the project's own order follow from the matrix.
"""

from __future__ import annotations

import io
import os

import numpy as np
import numpy.typing as npt

from frontalbench.datasets.card import DatasetCard, shard_of_identity
from frontalbench.datasets.filecache import FileCache
from frontalbench.datasets.members import GROUND_TRUTH, UNUSED, Listing, Member, find_base, look, relative, some, text_of
from frontalbench.geometry.rotation import angles_from_matrix, matrix_from_angles


def scan(root: str, card: DatasetCard, cache: FileCache, shard: str | None = None) -> Listing:
    """List pictures with ground-truth pose; each is an identity of its own with role ``unused`` (its status stays ok, so pose is
    measured)."""
    listing = Listing()
    base = find_base(root, card.options.get("folders", ()), lambda path: bool(look(path).pictures))
    if base is None:
        return listing
    folder = look(base)
    listing.ignored += sum(not name.endswith(".mat") for name in folder.others)
    blind: list[str] = []
    for file in folder.pictures:
        stem = os.path.splitext(file)[0]  # noqa: PTH122
        identity = text_of(stem)
        listing.identities.add(identity)
        place = shard_of_identity(identity, card.shards)
        if shard is not None and place != shard:
            continue
        path = f"{base}{os.sep}{file}"
        truth = f"{base}{os.sep}{stem}.mat"
        angles = cache.value(truth, pose_of)
        if angles is None:
            blind.append(f"{stem}.mat")
        yaw, pitch, roll = angles or (None, None, None)
        listing.members.append(
            Member(
                text_of(file),
                identity,
                path,
                relative(path, root),
                role=UNUSED,
                subject=identity,
                yaw=yaw,
                pitch=pitch,
                roll=roll,
                pose_source=GROUND_TRUTH if angles else "",
                detail="" if angles else "no readable pose file",
                aux=(truth,) if angles else (),
                shard=place,
            )
        )
    if blind:
        listing.problems.append(f"{len(blind)} pictures without a readable pose file, their pose is unknown: {some(blind)}")
    return listing


def pose_of(data: bytes) -> list[float] | None:
    """[yaw, pitch, roll] in degrees, project's convention, from the bytes of a ``.mat`` file; None when it holds no pose."""
    from scipy.io import loadmat

    try:
        pose = np.asarray(loadmat(io.BytesIO(data))["Pose_Para"], dtype=np.float64).ravel()
    except Exception:  # noqa: BLE001 - a broken .mat file raises nearly anything; every one of them means "no pose"
        return None
    if pose.size < 3 or not np.isfinite(pose[:3]).all():
        return None
    yaw, pitch, roll = angles_from_matrix(rotation(*np.degrees(pose[:3])))
    return [float(yaw), float(pitch), float(roll)]


def rotation(pitch: float, yaw: float, roll: float) -> npt.NDArray[np.float64]:
    """``(3, 3)`` head -> camera of this project from the file's three angles in degrees (also the convention of 300W-LP)."""
    combined: npt.NDArray[np.float64] = matrix_from_angles(0, -pitch, 0) @ matrix_from_angles(yaw, 0, 0) @ matrix_from_angles(0, 0, roll)
    return combined
