"""Which listed images are left out on purpose: a limit on identities or images, on pitch and roll, and a sample per yaw bin.

Every choice ranks by a hash of the seed and the name instead of drawing random numbers: adding an image changes the choice of at most one
other.
"""

from __future__ import annotations

import bisect
import hashlib
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from frontalbench import status
from frontalbench.datasets.members import PROBE, REFERENCE, Member


def rank(seed: int, name: str) -> str:
    """The place of ``name`` in a shuffled order that ``seed`` fixes."""
    return hashlib.sha256(f"{seed}:{name}".encode()).hexdigest()


def kept_identities(identities: Iterable[str], select: Mapping[str, Any]) -> set[str] | None:
    """The identities that ``select.identities`` keeps; None: all."""
    number = select.get("identities")
    if not number:
        return None
    seed = int(select.get("seed", 0))
    return set(sorted(identities, key=lambda identity: rank(seed, identity))[:number])


def apply(members: Sequence[Member], select: Mapping[str, Any], yaw_bins: Sequence[float], identities: Iterable[str]) -> list[Member]:
    """Members with those that ``select`` leaves out marked ``not_used``; references stay, unless their whole identity goes.

    Keys of ``select``: ``identities`` (how many to keep), ``max_pitch``, ``max_roll`` (degrees, absolute, probes), ``per_bin`` (how many
    probes per identity, sequence and |yaw| bin), ``images_per_identity`` (probes, and images whose role pose decides), ``seed``.
    """
    kept = kept_identities(identities, select)
    seed = int(select.get("seed", 0))
    result = list(members)
    if kept is not None:
        why = f"limit: not among the {len(kept)} identities kept (seed {seed})"
        result = [member if member.identity in kept else member.left_out(why) for member in result]
    for name in ("pitch", "roll"):
        most = select.get(f"max_{name}")
        if most is not None:
            result = [_within(member, name, float(most)) for member in result]
    if select.get("per_bin"):
        result = _sample(result, int(select["per_bin"]), seed, yaw_bins)
    if select.get("images_per_identity"):
        result = _sample(result, int(select["images_per_identity"]), seed, None)
    return result


def yaw_bin(yaw: float, edges: Sequence[float]) -> int:
    """Index of the |yaw| bin (lower edge belongs to it; the last bin is open upwards), -1 below the first edge."""
    return min(bisect.bisect_right(edges, abs(yaw)) - 1, len(edges) - 2)


def _within(member: Member, name: str, most: float) -> Member:
    value = getattr(member, name)
    if member.status != status.OK or member.role == REFERENCE or value is None or abs(value) <= most:
        return member
    return member.left_out(f"{name} {value:.1f} is beyond {most:g} degrees")


def _sample(members: list[Member], most: int, seed: int, edges: Sequence[float] | None) -> list[Member]:
    groups: dict[tuple[Any, ...], list[int]] = defaultdict(list)
    for index, member in enumerate(members):
        if member.status != status.OK or member.role == REFERENCE:
            continue
        if edges is None:
            groups[(member.identity,)].append(index)
        elif member.role == PROBE and member.yaw is not None:
            groups[(member.identity, member.sequence, yaw_bin(member.yaw, edges))].append(index)
    result = list(members)
    for indices in groups.values():
        indices.sort(key=lambda i: rank(seed, members[i].image_id))
        for index in indices[most:]:
            what = "of this identity" if edges is None else f"of this sequence in its yaw bin ({members[index].yaw:.1f} degrees)"
            result[index] = members[index].left_out(f"sample: {most} images {what} are kept (seed {seed})")
    return result
