"""Layout ``biwi``: BIWI Kinect Head Pose Database, ``hpdb/01/frame_00003_rgb.png`` with ``frame_00003_pose.txt`` (Kaggle:
``faces_0/01/...``).

24 sequences of 20 people; four were recorded twice. A pose file holds a rotation matrix, head -> depth camera (x right, y down, z away,
millimetres), and the head's centre. That is the project's own frame, so yaw, pitch and roll are the matrix' angles in the project's order;
laying the head template ``01.obj`` with this matrix onto the depth image fits within 2 mm, with its transpose it does not
(tests/models/test_datasets_biwi.py). The colour camera is turned by about one degree against the depth camera; as in the literature, pose is
left in the depth camera's frame.
"""

from __future__ import annotations

import codecs
import os
import re
from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from frontalbench import status
from frontalbench.datasets.card import DatasetCard
from frontalbench.datasets.choose import kept_identities
from frontalbench.datasets.filecache import FileCache
from frontalbench.datasets.members import (
    GROUND_TRUTH,
    PROBE,
    REFERENCE,
    UNUSED,
    Listing,
    Member,
    find_base,
    look,
    plural,
    relative,
    some,
    text_of,
)
from frontalbench.geometry.rotation import angles_from_matrix, geodesic_degrees
from frontalbench.types import Float

SUBJECTS: Mapping[str, str] = {
    **{f"{n:02d}": f"F{n:02d}" for n in range(1, 7)},
    **{f"{n:02d}": f"M{n - 6:02d}" for n in range(7, 15)},
    "15": "F03", "16": "M09", "17": "M10", "18": "F05", "19": "M11", "20": "M12", "21": "F02", "22": "M01", "23": "M13", "24": "M14",
}  # fmt: skip
"""Sequence -> person."""

NO_ROTATION = 0.02
"""A pose matrix may differ from a rotation by this in ``R R^T`` (files hold six digits)."""

_DECIMAL_COMMA = re.compile(rb"\d,\d")
_FRAME = re.compile(r"frame_(\d+)_rgb\.(?:png|jpg|jpeg)$", re.IGNORECASE)


def scan(root: str, card: DatasetCard, cache: FileCache, shard: str | None = None) -> Listing:
    """List frames with pose, and choose references. With ``shard`` only the sequences of its people are opened.

    Frames without a usable pose are ``not_used``. ``roles`` of the card: ``references`` per identity, ``max_angle`` (degrees, each of yaw,
    pitch, roll), ``exclude_frames`` around a reference, ``cross_sequence`` (people recorded twice: probes only from the recording the
    reference is not from).
    """
    listing = Listing(companions=COMPANIONS)
    base = find_base(listing, root, card.options.get("folders", ()), _holds_sequences, _holds_frames)
    if base is None:
        return listing
    by_sequence = card.options.get("identity", "subject") == "sequence"
    top = look(base)
    listing.ignore(top, root)
    listing.leave_out(relative(base, root) or ".", len(top.images), "they lie beside the sequences' folders")
    folder_of = {name: name for name in top.folders if name in SUBJECTS}
    unknown: list[str] = []
    for name in top.folders:
        if name in SUBJECTS:
            continue
        sequence, path = sequence_of(name), f"{base}{os.sep}{name}"
        if sequence in folder_of:
            listing.leave_out_tree(path, root, f"this sequence's folder is {folder_of[sequence]}, which is there too")
        elif sequence in SUBJECTS:
            folder_of[sequence] = name
        elif name.lower() not in COMPANIONS and not listing.leave_out_tree(path, root, "no sequence of this dataset (01 to 24)"):
            unknown.append(text_of(name))
    if unknown:
        listing.problems.append(f"{some(unknown)}: no sequence of this dataset (01 to 24); left out")
    sequences = sorted(folder_of)
    identity_of = {name: name if by_sequence else SUBJECTS[name] for name in sequences}
    listing.identities.update(identity_of.values())
    wanted = {SUBJECTS[name] for name in sequences if shard is None or _shard(name, card) == shard}
    kept = kept_identities(listing.identities, card.select)
    frames: dict[str, list[tuple[Member, Float | None]]] = defaultdict(list)
    for name in sequences:
        if SUBJECTS[name] in wanted:
            frames[identity_of[name]] += _sequence(listing, f"{base}{os.sep}{folder_of[name]}", name, identity_of[name], root, card, cache)
    for identity, group in frames.items():
        chosen = _choose_roles(group, card.roles)
        if not any(member.role == REFERENCE for member in chosen) and (kept is None or identity in kept):
            if any(rotation is not None for _, rotation in group):
                why = (
                    f"no frame with every angle below {card.roles.get('max_angle', 5.0):g} degrees, so no reference; raise roles.max_angle"
                )
            else:
                why = f"no reference, because none of its {plural(len(group), 'frame')} has a usable pose file (see there)"
            listing.problems.append(f"{identity}: {why}")
        listing.members += [member for member in chosen if shard is None or member.shard == shard]
    return listing


COMPANIONS = ("db_annotations", "head_pose_masks", "annotations")
"""Folders (in small letters) that copies of the dataset have beside its sequences; nothing here needs them."""


def sequence_of(name: str) -> str:
    """``01`` of a folder ``01``, ``1`` or ``001``."""
    return f"{int(name):02d}" if name.isascii() and name.isdecimal() else name


def _holds_sequences(path: str) -> bool:
    return any(sequence_of(name) in SUBJECTS for name in look(path).folders)


def _holds_frames(path: str) -> bool:
    folders = (f"{path}{os.sep}{name}" for name in look(path).folders if sequence_of(name) in SUBJECTS)
    return any(_FRAME.match(file) for folder in folders for file in look(folder).images)


def _shard(sequence: str, card: DatasetCard) -> str:
    return f"{(int(sequence) - 1) % card.shards:04d}"


def _sequence(
    listing: Listing, path: str, name: str, identity: str, root: str, card: DatasetCard, cache: FileCache
) -> list[tuple[Member, Float | None]]:
    """Frames of one recording with their rotation (None where there is no usable pose file)."""
    folder = look(path)
    others = {other.lower(): other for other in folder.others}
    where = relative(path, root)
    listing.ignore(folder, root, ("_pose.txt", "_depth.bin", ".cal", ".obj"))
    for sub in folder.folders:
        listing.leave_out_tree(f"{path}{os.sep}{sub}", root, "frames are expected in the sequence's folder itself")
    files: list[tuple[str, str]] = []
    numbers: list[list[float] | str] = []
    strangers: list[str] = []
    taken: dict[int, str] = {}
    again: list[str] = []
    for file in sorted(folder.images, key=lambda name: not name.lower().endswith(".png")):
        match = _FRAME.match(file)
        if match is None:
            strangers.append(text_of(file))
            continue
        if taken.setdefault(int(match[1]), file) != file:
            again.append(file)
            continue
        wanted = f"frame_{match[1]}_pose.txt"
        pose = others.get(wanted, wanted)
        files.append((file, pose))
        if wanted not in others:
            numbers.append("not there")
        else:
            numbers.append(cache.value(f"{path}{os.sep}{pose}", read_twelve) or "not readable")
    if strangers:
        listing.leave_out(where, len(strangers), f"no frames (expected frame_00003_rgb.png): {some(strangers)}")
    if again:
        listing.leave_out(where, len(again), f"their frames are there as other files already: {some(again)}")
    without = "head boxes cannot be projected for this sequence (nothing else needs it)"
    if "rgb.cal" not in others:
        listing.problems.append(f"{where}/rgb.cal: missing; {without}")
    elif cache.value(f"{path}{os.sep}{others['rgb.cal']}", parse_calibration) is None:
        listing.problems.append(f"{where}/rgb.cal: expected 27 numbers; {without}; unpack it anew")
    rotations, reasons = _rotations(numbers)
    bad: dict[str, list[str]] = defaultdict(list)
    for (_, pose), reason in zip(files, reasons, strict=True):
        if reason:
            bad[reason].append(pose)
    if bad:
        number = sum(map(len, bad.values()))
        named = "; ".join(f"{reason}: {some(names)}" for reason, names in bad.items())
        listing.problems.append(
            f"{where}: {number} of {len(files)} frames without a usable pose file, not used ({named}); unpack them anew"
        )
    yaw, pitch, roll = angles_from_matrix(rotations) if files else (np.zeros(0),) * 3
    result: list[tuple[Member, Float | None]] = []
    for index, (file, pose) in enumerate(files):
        reason = reasons[index]
        whole = f"{path}{os.sep}{file}"
        member = Member(
            f"{name}/{file}",
            identity,
            whole,
            relative(whole, root),
            role=UNUSED if reason else PROBE,
            subject=SUBJECTS[name],
            sequence=name,
            yaw=None if reason else float(yaw[index]),
            pitch=None if reason else float(pitch[index]),
            roll=None if reason else float(roll[index]),
            pose_source="" if reason else GROUND_TRUTH,
            status=status.NOT_USED if reason else status.OK,
            detail=f"no usable pose: {pose}: {reason}" if reason else "",
            aux=(f"{path}{os.sep}{pose}",) if pose.lower() in others else (),
            shard=_shard(name, card),
        )
        result.append((member, None if reason else rotations[index]))
    return result


def parse_pose(data: bytes) -> list[float] | None:
    """The twelve numbers of a pose file (matrix row by row, head centre in millimetres); None when it does not hold twelve."""
    return _parse_numbers(data, 12)


def read_twelve(data: bytes) -> list[float] | str:
    """:func:`parse_pose`, or why it does not hold twelve numbers."""
    return parse_pose(data) or ("decimal commas (write points)" if _DECIMAL_COMMA.search(data) else "not twelve numbers")


def parse_calibration(data: bytes) -> list[float] | None:
    """The 27 numbers of a ``.cal`` file; None when it does not hold them."""
    return _parse_numbers(data, 27)


def _parse_numbers(data: bytes, number: int) -> list[float] | None:
    try:
        values = [float(word) for word in data.removeprefix(codecs.BOM_UTF8).split()]
    except ValueError:
        return None
    return values if len(values) == number else None


def _rotations(numbers: Sequence[list[float] | str]) -> tuple[Float, list[str]]:
    """Rotations ``(N, 3, 3)`` and, per frame, why it is none ('' where it is one)."""
    filled = [[1.0, 0, 0, 0, 1.0, 0, 0, 0, 1.0] if isinstance(item, str) else item[:9] for item in numbers]
    rotations = np.asarray(filled, dtype=np.float64).reshape(-1, 3, 3)
    finite = np.asarray(np.isfinite(rotations).all(axis=(1, 2)), dtype=np.bool_)
    safe = np.where(finite[:, None, None], rotations, np.eye(3))
    error = np.abs(safe @ safe.transpose(0, 2, 1) - np.eye(3)).max(axis=(1, 2)) if len(safe) else np.zeros(0)
    proper = finite & (error <= NO_ROTATION) & (np.linalg.det(safe) > 0)
    reasons = [
        item if isinstance(item, str) else "" if good else "its matrix is no rotation" for item, good in zip(numbers, proper, strict=True)
    ]
    return np.where(proper[:, None, None], safe, np.eye(3)), reasons


def _choose_roles(group: Sequence[tuple[Member, Float | None]], roles: Mapping[str, Any]) -> list[Member]:
    """References of one identity (smallest turn from zero first), and the frames around them taken out."""
    number, limit = int(roles.get("references", 1)), float(roles.get("max_angle", 5.0))
    around = int(roles.get("exclude_frames", 30))
    candidates = []
    posed = [(member, rotation) for member, rotation in group if rotation is not None]
    if posed:
        turn = geodesic_degrees(np.stack([rotation for _, rotation in posed]), np.eye(3))
        candidates = sorted(
            (float(angle), member.image_id, member)
            for (member, _), angle in zip(posed, turn, strict=True)
            if max(abs(member.yaw or 0.0), abs(member.pitch or 0.0), abs(member.roll or 0.0)) <= limit
        )
    chosen: list[Member] = []
    for _, _, member in candidates:
        if len(chosen) == number:
            break
        if roles.get("cross_sequence") and chosen and member.sequence != chosen[0].sequence:
            continue
        if all(_distance(member, other) > around for other in chosen):
            chosen.append(member)
    ids = {member.image_id for member in chosen}
    home = {member.sequence for member in chosen}
    twice = len({member.sequence for member, _ in group}) > 1
    result = []
    for member, rotation in group:
        near = next((other for other in chosen if _distance(member, other) <= around), None)
        if rotation is None:
            result.append(member)
        elif member.image_id in ids:
            result.append(member._replace(role=REFERENCE))
        elif near is not None:
            result.append(member.left_out(f"near a reference: within {around} frames of {near.image_id}"))
        elif roles.get("cross_sequence") and twice and member.sequence in home:
            result.append(member.left_out(f"cross-sequence: the reference is from this recording ({member.sequence})"))
        else:
            result.append(member)
    return result


def _distance(first: Member, second: Member) -> float:
    if first.sequence != second.sequence:
        return float("inf")
    return abs(frame_number(first.image_id) - frame_number(second.image_id))


def frame_number(image_id: str) -> int:
    """3 of ``01/frame_00003_rgb.png``."""
    return int(image_id.split("_")[1])
