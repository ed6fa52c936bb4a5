"""Layout ``folder``: people's own pictures.

``root/identity/GT/*.jpg`` (references) and ``root/identity/Angle/*.jpg`` (probes); or ``root/identity/*.jpg``, where measured pose decides
which picture becomes the reference; or a table ``root/index.csv`` (see :mod:`frontalbench.datasets.index`), which is taken when it is
there.
"""

from __future__ import annotations

import os

from frontalbench.datasets import index
from frontalbench.datasets.card import DatasetCard, shard_of_identity
from frontalbench.datasets.filecache import FileCache
from frontalbench.datasets.members import AUTO, PROBE, REFERENCE, Listing, Member, look, relative, some, text_of

ROLE_FOLDERS = {"gt": REFERENCE, "angle": PROBE}


def scan(root: str, card: DatasetCard, cache: FileCache, shard: str | None = None) -> Listing:
    """List identities with their pictures; sub-folders other than GT and Angle are reported and left out."""
    if os.path.isfile(index.index_path(root, card)):  # noqa: PTH113
        return index.scan(root, card, cache, shard)
    listing = Listing()
    top = look(root)
    listing.ignored += len(top.others)
    if top.pictures:
        listing.problems.append(
            f"{len(top.pictures)} pictures lie beside the identities' folders, left out: {some(map(text_of, top.pictures))}"
        )
        listing.refused += len(top.pictures)
    for name in top.folders:
        identity = text_of(name)
        if name.lower() in ROLE_FOLDERS:
            listing.problems.append(f"{identity}: expected <identity>/{name}, found {name} at the top; left out")
            continue
        listing.identities.add(identity)
        place = shard_of_identity(identity, card.shards)
        if shard is not None and place != shard:
            continue
        folder = look(f"{root}{os.sep}{name}")
        listing.ignored += len(folder.others)
        found = [("", AUTO, folder)]
        for sub in folder.folders:
            role = ROLE_FOLDERS.get(sub.lower())
            if role is None:
                listing.problems.append(f"{identity}/{text_of(sub)}: expected a folder GT or Angle; left out")
                continue
            inside = look(f"{folder.path}{os.sep}{sub}")
            listing.ignored += len(inside.others)
            found.append((f"{text_of(sub)}/", role, inside))
        before = len(listing.members)
        for prefix, role, place_of in found:
            for file in place_of.pictures:
                path = f"{place_of.path}{os.sep}{file}"
                image_id = f"{identity}/{prefix}{text_of(file)}"
                listing.members.append(Member(image_id, identity, path, relative(path, root), role=role, subject=identity, shard=place))
        if len(listing.members) == before:
            listing.problems.append(f"{identity}: no pictures in this folder")
            listing.identities.discard(identity)
    return listing
