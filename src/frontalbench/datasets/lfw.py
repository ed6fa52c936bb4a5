"""Layout ``lfw``: one folder per person, ``Person_Name/Person_Name_0001.jpg`` (original, funneled and deep-funneled LFW, and anything
sorted like it)."""

from __future__ import annotations

import os

from frontalbench.datasets.card import DatasetCard, shard_of_identity
from frontalbench.datasets.filecache import FileCache
from frontalbench.datasets.members import AUTO, Listing, Member, find_base, look, relative, text_of


def scan(root: str, card: DatasetCard, cache: FileCache, shard: str | None = None) -> Listing:
    """List people and images; every role is ``auto``. With ``shard`` only the folders of that shard are opened."""
    listing = Listing()
    base = find_base(listing, root, card.options.get("folders", ()), _holds_people)
    if base is None:
        return listing
    top = look(base)
    listing.ignore(top, root)
    listing.leave_out(relative(base, root) or ".", len(top.images), "they lie beside the people's folders")
    for name in top.folders:
        identity = text_of(name)
        listing.identities.add(identity)
        place = shard_of_identity(identity, card.shards)
        if shard is not None and place != shard:
            continue
        folder = look(f"{base}{os.sep}{name}")
        source = relative(folder.path, root)
        listing.ignore(folder, root)
        for sub in folder.folders:
            listing.leave_out_tree(f"{folder.path}{os.sep}{sub}", root, "a person's images are expected in the person's folder itself")
        if not folder.images:
            listing.problems.append(f"{source}: no images in this folder")
            listing.identities.discard(identity)
        for file in folder.images:
            text = text_of(file)
            path = f"{folder.path}{os.sep}{file}"
            listing.members.append(Member(f"{identity}/{text}", identity, path, f"{source}/{text}", AUTO, identity, shard=place))
    return listing


def _holds_people(path: str) -> bool:
    with os.scandir(path) as entries:
        return any(entry.is_dir() and look(entry.path).images for entry in entries if not entry.name.startswith("."))
