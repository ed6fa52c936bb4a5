"""Layout ``frll``: Face Research Lab London Set, one folder per view, ``neutral_front/001_03.jpg``.

The camera position is in the last number: 01 left profile, 02 left three-quarter, 03 front, 04 right three-quarter, 05 right profile,
neutral; 06 to 10 the same, smiling. In the images of the *left* views the nose points to the left edge of the image, so their nominal yaw
is positive here. Nominal yaw is what the photographer asked for; people turn more or less than that, and measured pose is kept apart from
it.
"""

from __future__ import annotations

import os
import re

from frontalbench.datasets.card import DatasetCard, shard_of_identity
from frontalbench.datasets.filecache import FileCache
from frontalbench.datasets.members import NOMINAL, PROBE, REFERENCE, Listing, Member, find_base, look, relative, text_of

VIEW_YAW = (90.0, 45.0, 0.0, -45.0, -90.0)
"""Nominal yaw in degrees of camera positions 01..05 (and 06..10)."""
VIEW_NAMES = ("left_profile", "left_3quarter", "front", "right_3quarter", "right_profile")
EXPRESSIONS = ("neutral", "smiling")

_FOLDER = re.compile(rf"({'|'.join(EXPRESSIONS)})_({'|'.join(VIEW_NAMES)})$")
_FILE = re.compile(r"(\d+)_(\d\d)\.[A-Za-z]+$")


def scan(root: str, card: DatasetCard, cache: FileCache, shard: str | None = None) -> Listing:
    """List all views; reference: the neutral front. ``options.expressions`` says which expressions are used (default both)."""
    listing = Listing()
    base = find_base(listing, root, card.options.get("folders", ()), lambda path: any(_FOLDER.match(name) for name in look(path).folders))
    if base is None:
        return listing
    wanted = card.options.get("expressions", list(EXPRESSIONS))
    top = look(base)
    listing.ignore(top, root)
    listing.leave_out(relative(base, root) or ".", len(top.images), "they lie beside the views' folders")
    for name in top.folders:
        path = f"{base}{os.sep}{name}"
        if not _FOLDER.match(name):
            if not listing.leave_out_tree(path, root, "no view of this set (expected names like neutral_front)"):
                listing.problems.append(f"{text_of(name)}: no view of this set (expected names like neutral_front); left out")
            continue
        folder = look(path)
        listing.ignore(folder, root)
        own = next((sub for sub in folder.folders if sub == name), None) if not folder.images else None
        if own is not None:  # a zip that was unpacked into a folder of its own
            folder = look(f"{path}{os.sep}{own}")
            listing.ignore(folder, root)
        for sub in folder.folders:
            listing.leave_out_tree(f"{folder.path}{os.sep}{sub}", root, "a view's images are expected in the view's folder itself")
        for file in folder.images:
            path = f"{folder.path}{os.sep}{file}"
            match = _FILE.match(file)
            number = int(match[2]) - 1 if match else -1
            if match is None or not 0 <= number < 10 or f"{EXPRESSIONS[number // 5]}_{VIEW_NAMES[number % 5]}" != name:
                listing.problems.append(f"{relative(path, root)}: the name does not fit its folder (expected like 001_03.jpg); left out")
                listing.refused += 1
                continue
            identity, expression, yaw = match[1], EXPRESSIONS[number // 5], VIEW_YAW[number % 5]
            listing.identities.add(identity)
            place = shard_of_identity(identity, card.shards)
            if shard is not None and place != shard:
                continue
            member = Member(
                f"{name}/{text_of(file)}",
                identity,
                path,
                relative(path, root),
                role=REFERENCE if number == 2 else PROBE,
                subject=identity,
                sequence=expression,
                yaw=yaw,
                pitch=0.0,
                roll=0.0,
                pose_source=NOMINAL,
                shard=place,
            )
            listing.members.append(
                member if expression in wanted else member.left_out(f"expression {expression} is not among those wanted")
            )
    return listing
