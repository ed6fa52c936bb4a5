"""What images a dataset has and in which shard each is: cheap (no picture is opened), and a fingerprint of each shard's files.

The fingerprint decides whether a shard is prepared anew. It is made of names, roles, pose and file contents; moving the folder or touching
its files does not change it, and adding one image changes that of one shard.
"""

from __future__ import annotations

import functools
import hashlib
import json
import os
from collections.abc import Callable, Mapping
from pathlib import Path

from frontalbench import cards, status
from frontalbench.datasets import aflw2000, biwi, cfp, choose, folder, frll, index, lfw
from frontalbench.datasets.card import AUTO, DatasetCard, check_shard, shard_names
from frontalbench.datasets.filecache import FileCache
from frontalbench.datasets.members import Listing, Member, unique_ids
from frontalbench.errors import BadInput

LAYOUTS: Mapping[str, Callable[[str, DatasetCard, FileCache, str | None], Listing]] = {
    "aflw2000": aflw2000.scan,
    "biwi": biwi.scan,
    "cfp": cfp.scan,
    "csv": index.scan,
    "folder": folder.scan,
    "frll": frll.scan,
    "lfw": lfw.scan,
}


def scan(
    card: DatasetCard, root: str | os.PathLike[str] | None = None, *, shard: str | None = None, cache: FileCache | None = None
) -> Listing:
    """Everything that the dataset's folder holds (of one shard only, with ``shard``), in ``image_id`` order, with problems in words.

    Raises :class:`BadInput`, one line that says what to fetch, when the folder is not there or holds nothing of this layout.
    """
    base = os.path.abspath(card.root if root is None else root)  # noqa: PTH100 - a dataset's folder may be a link
    if shard is not None:
        check_shard(card, shard)
    if not os.path.isdir(base):  # noqa: PTH112
        raise BadInput(f"{base}: the folder of dataset {card.name} is not there; {card.missing(base)}")
    listing = LAYOUTS[card.layout](base, card, cache if cache is not None else FileCache(None, base), shard)
    if not listing.identities:
        why = f" ({listing.problems[0]})" if listing.problems else ""
        raise BadInput(f"{base}: nothing of layout '{card.layout}' in this folder{why}; {card.missing(base)}")
    members = choose.apply(listing.members, card.select, card.yaw_bins, listing.identities)
    listing.members = sorted(unique_ids(members), key=lambda member: member.image_id)
    if shard is None:
        listing.problems += _against_expected(card, listing)
    return listing


PER_SHARD = 400
"""Pictures that make a job worth starting: about a minute of detection or of a network on one core."""


def with_shards(card: DatasetCard) -> DatasetCard:
    """The card with a number of shards: its own, or where it leaves that open (``auto``, or no ``shards``) one that follows from how many pictures
    are used; 1 where there is no dataset to count."""
    if card.data["shards"] != AUTO:
        return card
    try:
        used = sum(member.status != status.NOT_USED for member in scan(card).members)
    except BadInput:
        used = 0
    return card.with_options({"shards": shards_for(used)})


def shards_for(pictures: int) -> int:
    """A power of two, at most 64, with :data:`PER_SHARD` to twice as many pictures in a shard: so some more pictures seldom change it (and then make
    everything anew)."""
    return int(min(64, 2 ** max(0, (pictures // PER_SHARD).bit_length() - 1)))


def list_members(
    card: DatasetCard, root: str | os.PathLike[str] | None = None, *, shard: str | None = None, cache: FileCache | None = None
) -> list[Member]:
    """The images of a dataset (or of one of its shards), in ``image_id`` order."""
    return scan(card, root, shard=shard, cache=cache).members


def shards(card: DatasetCard) -> list[str]:
    """Names of the dataset's shards."""
    return shard_names(card)


def default_cache(card: DatasetCard, root: str | os.PathLike[str] | None = None) -> FileCache:
    """The cache of a dataset's file hashes below ``results/.cache`` of the project; loaded once per process."""
    base = os.path.abspath(card.root if root is None else root)  # noqa: PTH100
    return _cache(cards.project_root() / "results" / ".cache" / f"files_{card.name}.json", base)


@functools.lru_cache(maxsize=16)
def _cache(path: Path, root: str) -> FileCache:
    return FileCache(path, root)


def shard_fingerprint(card: DatasetCard, root: str | os.PathLike[str] | None, shard: str, cache: FileCache | None = None) -> str:
    """sha256 (hex) over the images of a shard: id, identity, role, pose, content of the file and of its pose file.

    Of images that the card leaves out only the name counts. Raises :class:`BadInput` as :func:`scan`.
    """
    memory = cache if cache is not None else default_cache(card, root)
    digest = _digest(scan(card, root, shard=shard, cache=memory).members, memory)
    memory.save()
    return digest


def fingerprints(card: DatasetCard, root: str | os.PathLike[str] | None = None, cache: FileCache | None = None) -> dict[str, str]:
    """:func:`shard_fingerprint` of every shard, from one look at the folder."""
    memory = cache if cache is not None else default_cache(card, root)
    by_shard: dict[str, list[Member]] = {name: [] for name in shard_names(card)}
    for member in scan(card, root, cache=memory).members:
        by_shard[member.shard].append(member)
    result = {name: _digest(members, memory) for name, members in by_shard.items()}
    memory.save()
    return result


def _digest(members: list[Member], cache: FileCache) -> str:
    used = [member for member in members if member.status == status.OK]
    cache.warm(path for member in used for path in (member.path, *member.aux))
    digest = hashlib.sha256()
    for member in members:
        line: list[object] = [member.image_id, member.identity, member.subject, member.sequence, member.role, member.status, member.detail]
        if member.status == status.OK:
            line += [
                member.yaw,
                member.pitch,
                member.roll,
                member.pose_source,
                *(cache.sha256(path) for path in (member.path, *member.aux)),
            ]
        digest.update(json.dumps(line).encode() + b"\n")
    return digest.hexdigest()


def _against_expected(card: DatasetCard, listing: Listing) -> list[str]:
    expected = card.data.get("expected", {})
    found = {"images": len(listing.members), "identities": len(listing.identities)}
    if card.options.get("identity") == "sequence":
        found.pop("identities")
    less, more = "a subset, or an archive that is only half unpacked", "something else lies in this folder too"
    return [
        f"{found[what]:,} {what} found, {number:,} expected: {less if found[what] < number else more}"
        for what, number in expected.items()
        if what in found and found[what] != number
    ]


def with_content(members: list[Member], cache: FileCache) -> list[dict[str, str]]:
    """image_id, identity, subject and sha256 of the images in use, for :func:`frontalbench.datasets.counting.duplicates_of_rows`."""
    used = [member for member in members if member.status == status.OK]
    cache.warm(member.path for member in used)
    rows = []
    for member in used:
        content = cache.sha256(member.path)
        rows.append(
            {
                "image_id": member.image_id,
                "identity": member.identity,
                "subject": member.subject,
                "sha256": "" if content == "missing" else content,
            }
        )
    return rows
