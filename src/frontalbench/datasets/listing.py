"""What images a dataset has and in which shard each is: cheap (no image is opened), and a fingerprint of each shard's files.

The fingerprint decides whether a shard is prepared anew. It is made of names, roles, pose and file contents; moving the folder or touching
its files does not change it, and adding one image changes that of one shard.
"""

from __future__ import annotations

import functools
import hashlib
import json
import os
import unicodedata
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from frontalbench import status
from frontalbench.catalogue import cards
from frontalbench.datasets import choose, layouts
from frontalbench.datasets.card import AUTO, DatasetCard, check_shard, shard_names
from frontalbench.datasets.filecache import MISSING, FileCache
from frontalbench.datasets.members import (
    MOST_PLACES,
    Listing,
    Member,
    beside_base,
    by_ending,
    look,
    loose_are_probes,
    plural,
    some,
    unique_ids,
)
from frontalbench.errors import BadInput
from frontalbench.images import UNREADABLE_EXTENSIONS


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
    listing = layouts.scan_of(card.layout)(base, card, cache if cache is not None else FileCache(None, base), shard)
    if shard is None:
        beside_base(listing, base)
    listing.close()
    if not listing.identities:
        raise BadInput(_nothing(base, card, listing))
    loose_are_probes(listing)
    members = choose.apply(listing.members, card.select, card.yaw_bins, listing.identities)
    listing.members = sorted(unique_ids(members), key=lambda member: member.image_id)
    listing.problems += unreadable_kinds(listing.others)
    if shard is None:
        listing.problems += alike_names(listing.identities)
        listing.problems += _against_expected(card, listing)
    return listing


ARCHIVES = (".zip", ".tgz", ".tar", ".tar.gz", ".tbz2", ".bz2", ".xz", ".7z", ".rar", ".gz")


def _nothing(base: str, card: DatasetCard, listing: Listing) -> str:
    """Why nothing was found: where it was looked for, what is there instead, and what to do."""
    top = look(base)
    parts = [f"{base}: nothing of layout '{card.layout}' in this folder"]
    if listing.problems:
        parts.append(f"({listing.problems[0]})")
    if [place for place in listing.looked if place != "."]:
        parts.append(f"(looked in {', '.join(listing.looked)})")
    if top.folders or top.images or top.others:
        inside = [f"{name}/" for name in top.folders] + top.images + top.others
        parts.append(f"(it holds {some(sorted(inside), 5)})")
    packed = [name for name in sorted(top.others) if name.lower().endswith(ARCHIVES)]
    todo = f"unpack {some(packed)} here; or " if packed else ""
    return f"{' '.join(parts)}; {todo}{card.missing(base)}"


def unreadable_kinds(others: Iterable[str]) -> list[str]:
    """A line for each kind of image that cannot be read here (HEIC and the like), with what to do."""
    return [
        f"{plural(len(names), f'{ending} file')} cannot be read here: {some(names)}; save as JPEG or PNG"
        for ending, names in by_ending(others).items()
        if ending in UNREADABLE_EXTENSIONS
    ]


def ignored_by_ending(others: Iterable[str]) -> dict[str, tuple[int, str]]:
    """Ending -> (how many files that are no images have it, the first few), the most frequent first."""
    return {ending: (len(names), some(names)) for ending, names in by_ending(others).items()}


def alike_names(identities: Iterable[str]) -> list[str]:
    """A line for each group of names that differ only in capitals, blanks or the way characters are written: probably one person."""
    groups: dict[str, list[str]] = {}
    for identity in sorted(identities):
        groups.setdefault(" ".join(unicodedata.normalize("NFKC", identity).casefold().replace("_", " ").split()), []).append(identity)
    lines = [
        f"{', '.join(map(repr, names))}: {len(names)} people whose names differ only in capitals or blanks; one person needs one name"
        for names in groups.values()
        if len(names) > 1
    ]
    return lines[:MOST_PLACES] + ([f"{len(lines) - MOST_PLACES:,} more groups of such names"] if len(lines) > MOST_PLACES else [])


PER_SHARD = 400
"""Images that make a job worth starting: about a minute of detection or of a network on one core."""


def with_shards(card: DatasetCard) -> DatasetCard:
    """The card with a number of shards: its own, or where it leaves that open (``auto``, or no ``shards``) one that follows from how many images
    are used; 1 where there is no dataset to count."""
    if card.data["shards"] != AUTO:
        return card
    try:
        used = sum(member.status != status.NOT_USED for member in scan(card).members)
    except BadInput:
        used = 0
    return card.with_options({"shards": shards_for(used)})


def shards_for(images: int) -> int:
    """A power of two, at most 64, with :data:`PER_SHARD` to twice as many images in a shard: so some more images seldom change it (and then make
    everything anew)."""
    return int(min(64, 2 ** max(0, (images // PER_SHARD).bit_length() - 1)))


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
    return _cache(cards.state_root() / "results" / ".cache" / f"files_{card.name}.json", base)


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
    return survey(card, root, cache).fingerprints


@dataclass(frozen=True)
class Survey:
    """What one look at a dataset's folder gave: a fingerprint and the number of images in use per shard, and a line on what was not used ('' when
    all was)."""

    fingerprints: dict[str, str]
    counts: dict[str, int]
    note: str


def survey(card: DatasetCard, root: str | os.PathLike[str] | None = None, cache: FileCache | None = None) -> Survey:
    """:func:`fingerprints`, and what to tell a person whose run begins. Raises :class:`BadInput` as :func:`scan`."""
    memory = cache if cache is not None else default_cache(card, root)
    by_shard: dict[str, list[Member]] = {name: [] for name in shard_names(card)}
    found = scan(card, root, cache=memory)
    for member in found.members:
        by_shard[member.shard].append(member)
    result = {name: _digest(members, memory) for name, members in by_shard.items()}
    memory.save()
    counts = {name: sum(member.status == status.OK for member in members) for name, members in by_shard.items()}
    return Survey(result, counts, note_of(card, found))


def note_of(card: DatasetCard, found: Listing) -> str:
    """One line: how many images or rows are left out and how many files are ignored, by ending with examples; '' for none."""
    parts = []
    if found.refused:
        parts.append(f"{plural(found.refused, 'image or row', 'images or rows')} left out")
    if found.others:
        kinds = "; ".join(f"{number:,} {ending}: {names}" for ending, (number, names) in list(ignored_by_ending(found.others).items())[:4])
        parts.append(f"{plural(found.ignored, 'file')} ignored that are no images by their names ({kinds})")
    if not parts:
        return ""
    return f"dataset {card.name}: {', '.join(parts)}; 'python workflow/scripts/prepare_dataset.py --dataset {card.name} --check' says more"


def _digest(members: list[Member], cache: FileCache) -> str:
    used = [member for member in members if member.status == status.OK]
    cache.warm(path for member in used for path in (member.path, *member.aux))
    # Of a clip every frame is a member, and a file that was just written is in no cache.
    content = functools.cache(cache.sha256)
    digest = hashlib.sha256()
    for member in members:
        line: list[object] = [member.image_id, member.identity, member.subject, member.sequence, member.role, member.status, member.detail]
        if member.status == status.OK:
            line += [
                member.yaw,
                member.pitch,
                member.roll,
                member.pose_source,
                *(content(path) for path in (member.path, *member.aux)),
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
    content_of = functools.cache(cache.sha256)
    rows = []
    for member in used:
        content = content_of(member.path)
        if member.frame >= 0 and content != MISSING:
            content = hashlib.sha256(f"{content} {member.frame}".encode()).hexdigest()
        rows.append(
            {
                "image_id": member.image_id,
                "identity": member.identity,
                "subject": member.subject,
                "sha256": "" if content == MISSING else content,
            }
        )
    return rows
