"""Layout ``folder``: people's own images.

``root/identity/GT/*.jpg`` (references) and ``root/identity/Angle/*.jpg`` (probes), also in folders inside these two
(``Angle/30/*.jpg``); or ``root/identity/*.jpg``, where measured pose decides which image becomes the reference; or a table
``root/index.csv`` (see :mod:`frontalbench.datasets.index`), which is taken when it is there. Where a person has images in GT, images that
lie loose beside it are probes.
"""

from __future__ import annotations

import os

from frontalbench.datasets import index
from frontalbench.datasets.card import DatasetCard, shard_of_identity
from frontalbench.datasets.filecache import FileCache
from frontalbench.datasets.members import AUTO, PROBE, REFERENCE, Folder, Listing, Member, look, relative, some, text_of, tree

ROLE_FOLDERS = {"gt": REFERENCE, "angle": PROBE}


def scan(root: str, card: DatasetCard, cache: FileCache, shard: str | None = None) -> Listing:
    """List identities with their images; images in sub-folders other than GT and Angle are counted and left out."""
    if index.find_index(root, card) is not None:
        return index.scan(root, card, cache, shard)
    listing = Listing(base=root, looked=["."])
    top = look(root)
    listing.ignore(top, root)
    if top.images:
        named = some(map(text_of, top.images))
        listing.leave_out(".", len(top.images), f"they lie beside the identities' folders (expected <identity>/<image>): {named}")
    for name in top.folders:
        identity = text_of(name)
        if name.lower() in ROLE_FOLDERS:
            listing.leave_out_tree(f"{root}{os.sep}{name}", root, f"expected <identity>/{name}, found {name} at the top")
            continue
        listing.identities.add(identity)
        place = shard_of_identity(identity, card.shards)
        if shard is not None and place != shard:
            continue
        folder = look(f"{root}{os.sep}{name}")
        listing.ignore(folder, root)
        found: list[tuple[str, Folder]] = [(AUTO, folder)]
        for sub in folder.folders:
            path = f"{folder.path}{os.sep}{sub}"
            role = ROLE_FOLDERS.get(sub.lower())
            if role is None:
                listing.leave_out_tree(path, root, "expected a folder GT or Angle")
                continue
            for inside in tree(path, root):
                listing.ignore(inside, root)
                found.append((role, inside))
        before = len(listing.members)
        for role, inside in found:
            prefix = text_of(inside.path[len(folder.path) + 1 :]).replace(os.sep, "/")
            for file in inside.images:
                path = f"{inside.path}{os.sep}{file}"
                image_id = "/".join(filter(None, (identity, prefix, text_of(file))))
                listing.members.append(Member(image_id, identity, path, relative(path, root), role=role, subject=identity, shard=place))
        if len(listing.members) == before:
            listing.problems.append(f"{identity}: no images in this folder")
            listing.identities.discard(identity)
    return listing
