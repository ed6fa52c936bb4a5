"""Layout ``aflw2000``: AFLW2000-3D, ``image00002.jpg`` with ``image00002.mat`` beside it. For checking pose; people are not named.

``Pose_Para[0, :3]`` of a ``.mat`` file holds pitch, yaw, roll in radians of ``Rx(pitch) @ Ry(yaw) @ Rz(roll)`` with transposed
(left-handed) matrices in a frame with y up and z towards the viewer. In the camera frame of this project (see docs/architecture.md) the
same rotation is ``Rx(-pitch) @ Ry(yaw) @ Rz(roll)``; its angles in the project's own order follow from the matrix.
"""

from __future__ import annotations

import io
import math
import os

import numpy as np

from frontalbench.datasets.card import DatasetCard, shard_of_identity
from frontalbench.datasets.filecache import FileCache
from frontalbench.datasets.members import GROUND_TRUTH, UNUSED, Listing, Member, find_base, look, plural, relative, some, text_of
from frontalbench.geometry.rotation import angles_from_matrix, matrix_from_angles
from frontalbench.types import Float


def scan(root: str, card: DatasetCard, cache: FileCache, shard: str | None = None) -> Listing:
    """List images with ground-truth pose; each is an identity of its own with role ``unused`` (its status stays ok, so pose is
    measured)."""
    listing = Listing()
    base = find_base(listing, root, card.options.get("folders", ()), lambda path: bool(look(path).images))
    if base is None:
        return listing
    folder = look(base)
    listing.ignore(folder, root, (".mat",))
    for sub in folder.folders:
        listing.leave_out_tree(f"{base}{os.sep}{sub}", root, "images are expected beside each other in one folder")
    mats = {name.lower(): name for name in folder.others}
    blind: dict[str, list[str]] = {}
    for file in folder.images:
        stem = os.path.splitext(file)[0]  # noqa: PTH122
        identity = text_of(stem)
        listing.identities.add(identity)
        place = shard_of_identity(identity, card.shards)
        if shard is not None and place != shard:
            continue
        path = f"{base}{os.sep}{file}"
        truth = f"{base}{os.sep}{mats.get(f'{stem}.mat'.lower(), f'{stem}.mat')}"
        read = cache.value(truth, pose_of) or NO_FILE
        angles = None if isinstance(read, str) else read
        if isinstance(read, str):
            blind.setdefault(read, []).append(f"{text_of(stem)}.mat")
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
                detail=f"no usable pose file: {read}" if isinstance(read, str) else "",
                aux=(truth,) if angles else (),
                shard=place,
            )
        )
    if blind:
        named = "; ".join(f"{reason}: {some(names)}" for reason, names in blind.items())
        listing.problems.append(
            f"{plural(sum(map(len, blind.values())), 'image')} without a usable pose file, their pose is unknown ({named})"
        )
    return listing


NO_FILE = "not there"
MOST_RADIANS = math.pi + 1e-3


def pose_of(data: bytes) -> list[float] | str:
    """[yaw, pitch, roll] in degrees, project's convention, from the bytes of a ``.mat`` file; else why it holds no pose.

    Angles beyond pi are no radians (some copies were rewritten in degrees) and are not guessed at.
    """
    from scipy.io import loadmat

    try:
        pose = np.asarray(loadmat(io.BytesIO(data))["Pose_Para"], dtype=np.float64).ravel()
    except Exception:  # noqa: BLE001 - a broken .mat file raises nearly anything; every one of them means "no pose"
        return "not readable"
    if pose.size < 3 or not np.isfinite(pose[:3]).all():
        return "not three numbers"
    if np.abs(pose[:3]).max() > MOST_RADIANS:
        return "an angle beyond pi, so these are not radians; take the original file"
    yaw, pitch, roll = angles_from_matrix(rotation(*np.degrees(pose[:3])))
    return [float(yaw), float(pitch), float(roll)]


def rotation(pitch: float, yaw: float, roll: float) -> Float:
    """``(3, 3)`` head -> camera of this project from the file's three angles in degrees (also the convention of 300W-LP)."""
    combined: Float = matrix_from_angles(0, -pitch, 0) @ matrix_from_angles(yaw, 0, 0) @ matrix_from_angles(0, 0, roll)
    return combined
