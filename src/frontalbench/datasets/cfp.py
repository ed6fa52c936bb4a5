"""Layout ``cfp``: Celebrities in Frontal-Profile, ``Data/Images/001/{frontal,profile}/01.jpg``.

Frontal images are references, profiles are probes. Nominal yaw is 0 and +-90 degrees; which way a profile looks is read from its landmark
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


PERSON_DIGITS = 3


def identity_of(name: str) -> str:
    """``001`` of a person's folder ``001``, ``01`` or ``1``: what the protocol's lists call the person."""
    return name.zfill(PERSON_DIGITS)


def _holds_people(path: str) -> bool:
    return any(name.isdecimal() for name in look(path).folders)


def _holds_images(path: str) -> bool:
    """Of people, by kind: ``Fiducials`` is sorted in the same way and holds none."""
    people = (look(f"{path}{os.sep}{name}") for name in look(path).folders if name.isdecimal())
    return any(look(f"{person.path}{os.sep}{sub}").images for person in people for sub in person.folders if sub.lower() in KINDS)


def _fiducials(base: str) -> str:
    """The folder of landmark files beside the images' folder (or in it), whatever its capitals."""
    for place in (os.path.dirname(base), base):  # noqa: PTH120
        for name in look(place).folders:
            if name.lower() == "fiducials":
                return f"{place}{os.sep}{name}"
    return os.path.join(os.path.dirname(base), "Fiducials")  # noqa: PTH118, PTH120


def scan(root: str, card: DatasetCard, cache: FileCache, shard: str | None = None) -> Listing:
    """List frontal and profile images of every person."""
    listing = Listing()
    base = find_base(listing, root, card.options.get("folders", ()), _holds_people, _holds_images)
    if base is None:
        return listing
    fiducials = _fiducials(base)
    blind: list[str] = []
    top = look(base)
    listing.ignore(top, root)
    listing.leave_out(relative(base, root) or ".", len(top.images), "they lie beside the people's folders")
    for name in top.folders:
        if not name.isdecimal():
            path = f"{base}{os.sep}{name}"
            if path != fiducials and not listing.leave_out_tree(path, root, "no person's folder (expected a number)"):
                listing.problems.append(f"{text_of(name)}: no person's folder (expected a number); left out")
            continue
        identity = identity_of(name)
        if identity != name and identity in top.folders:
            listing.leave_out_tree(f"{base}{os.sep}{name}", root, f"this person's folder is {identity}, which is there too")
            continue
        listing.identities.add(identity)
        place = shard_of_identity(identity, card.shards)
        if shard is not None and place != shard:
            continue
        person = look(f"{base}{os.sep}{name}")
        listing.ignore(person, root)
        listing.leave_out(relative(person.path, root), len(person.images), "expected in frontal/ or profile/")
        points_of = identity if name != identity and not os.path.isdir(f"{fiducials}{os.sep}{name}") else name  # noqa: PTH112
        kinds = {sub.lower(): sub for sub in person.folders if sub.lower() in KINDS}
        for sub in person.folders:
            if sub not in kinds.values():
                listing.leave_out_tree(f"{person.path}{os.sep}{sub}", root, "expected folders frontal and profile")
        for kind, role in KINDS.items():
            folder = look(os.path.join(person.path, kinds.get(kind, kind)))  # noqa: PTH118
            listing.ignore(folder, root)
            for sub in folder.folders:
                listing.leave_out_tree(f"{folder.path}{os.sep}{sub}", root, f"images are expected in {kind}/ itself")
            if not folder.images:
                listing.problems.append(f"{identity}/{kind}: no images")
            for file in folder.images:
                path = f"{folder.path}{os.sep}{file}"
                yaw: float | None = 0.0
                aux: tuple[str, ...] = ()
                if kind == "profile":
                    points = os.path.join(fiducials, points_of, kinds[kind], f"{os.path.splitext(file)[0]}.txt")  # noqa: PTH118, PTH122
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
