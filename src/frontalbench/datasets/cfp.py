"""Layout ``cfp``: Celebrities in Frontal-Profile, ``Data/Images/001/{frontal,profile}/01.jpg``.

Frontal pictures are references, profiles are probes. Nominal yaw is 0 and +-90 degrees; which way a profile looks is read from its landmark
file (``Data/Fiducials/001/profile/01.txt``: 30 rows ``x,y``, row 1 at the ear, row 22 the tip of the nose). Without that file it stays
unknown.
"""

from __future__ import annotations

import os

from frontalbench.datasets.card import DatasetCard, shard_of_identity
from frontalbench.datasets.filecache import FileCache
from frontalbench.datasets.members import NOMINAL, PROBE, REFERENCE, Listing, Member, find_base, look, relative, some, text_of

KINDS = {"frontal": REFERENCE, "profile": PROBE}
EAR, NOSE_TIP, POINTS = 0, 21, 30


def images_folder(root: str, card: DatasetCard) -> str | None:
    """The folder that holds ``001``, ``002``, ...; None when there is none."""
    return find_base(root, card.options.get("folders", ()), lambda path: any(name.isdecimal() for name in look(path).folders))


def scan(root: str, card: DatasetCard, cache: FileCache, shard: str | None = None) -> Listing:
    """List frontal and profile pictures of every person."""
    listing = Listing()
    base = images_folder(root, card)
    if base is None:
        return listing
    fiducials = os.path.join(os.path.dirname(base), "Fiducials")  # noqa: PTH118, PTH120
    blind: list[str] = []
    for identity in look(base).folders:
        if not identity.isdecimal():
            listing.problems.append(f"{text_of(identity)}: no person's folder (expected a number); left out")
            continue
        listing.identities.add(identity)
        place = shard_of_identity(identity, card.shards)
        if shard is not None and place != shard:
            continue
        for kind, role in KINDS.items():
            folder = look(os.path.join(base, identity, kind))  # noqa: PTH118
            listing.ignored += len(folder.others)
            if not folder.pictures:
                listing.problems.append(f"{identity}/{kind}: no pictures")
            for file in folder.pictures:
                path = f"{folder.path}{os.sep}{file}"
                yaw: float | None = 0.0
                aux: tuple[str, ...] = ()
                if kind == "profile":
                    points = os.path.join(fiducials, identity, kind, f"{os.path.splitext(file)[0]}.txt")  # noqa: PTH118, PTH122
                    yaw, aux = cache.value(points, profile_yaw), (points,)
                    if yaw is None:
                        blind.append(f"{identity}/{kind}/{text_of(file)}")
                        aux = ()
                known = yaw is not None
                listing.members.append(
                    Member(
                        f"{identity}/{kind}/{text_of(file)}",
                        identity,
                        path,
                        relative(path, root),
                        role=role,
                        subject=identity,
                        sequence=kind,
                        yaw=yaw,
                        pitch=0.0 if known else None,
                        roll=0.0 if known else None,
                        pose_source=NOMINAL if known else "",
                        aux=aux,
                        shard=place,
                    )
                )
    if blind:
        listing.problems.append(f"{len(blind)} profiles without a readable landmark file, so their side is unknown: {some(blind)}")
    return listing


def profile_yaw(data: bytes) -> float | None:
    """+90 (nose points to the left edge of the image) or -90 from a landmark file's bytes; None when it does not hold 30 points."""
    try:
        rows = [[float(value) for value in line.split(",")] for line in data.decode("ascii").split()]
    except ValueError:
        return None
    if len(rows) != POINTS or any(len(row) != 2 for row in rows) or rows[NOSE_TIP][0] == rows[EAR][0]:
        return None
    return 90.0 if rows[NOSE_TIP][0] < rows[EAR][0] else -90.0
