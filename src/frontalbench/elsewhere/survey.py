"""What the plan asks of a delivery: a fingerprint per shard of what was delivered, and a line for people. Reads every file once."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from frontalbench import status
from frontalbench.catalogue import cards
from frontalbench.catalogue.cards import ModelCard
from frontalbench.datasets import listing
from frontalbench.datasets.card import DatasetCard, shard_names
from frontalbench.datasets.filecache import FileCache
from frontalbench.datasets.members import AUTO, PROBE, Member, plural, some
from frontalbench.elsewhere.delivery import FAMILY, Joined, Photo, all_datasets, base_of, folder_of, join

__all__ = ["FAMILY", "Survey", "counted", "survey"]
MOST_NAMED = 5


@dataclass(frozen=True)
class Survey:
    """``fingerprints``: dataset -> shard -> sha256 (hex) of what was delivered for it; ``delivered``: dataset -> photographs in use that have a
    result; ``counts``: a line per dataset; ``notes``: those of them that miss something, and one line for the files that belong to none."""

    fingerprints: dict[str, dict[str, str]]
    delivered: Mapping[str, int]
    counts: list[str]
    notes: list[str]


def survey(card: ModelCard, datasets: Mapping[str, DatasetCard], cache: FileCache | None = None) -> Survey:
    """Join the folder of a card with the photographs of all ``datasets``, and hash every file that is somebody's result.

    File times and where the folder lies do not count, nor does a file's name once it is joined. Raises as :func:`.delivery.join`, and
    :class:`BadInput` when a dataset's own folder is not there.
    """
    folder = folder_of(card)
    memory = cache or FileCache(cards.state_root() / "results" / ".cache" / f"delivered_{card.name}.json", folder)
    known = all_datasets()
    prints: dict[str, dict[str, str]] = {}
    numbers: dict[str, int] = {}
    counts: list[str] = []
    notes: list[str] = []
    strangers: dict[str, list[set[str]]] = {}
    for name, dataset in datasets.items():
        members = listing.scan(dataset).members
        joined = join(card, name, [Photo(member.image_id, member.source) for member in members], known)
        memory.warm(joined.files.values())
        prints[name] = _fingerprints(dataset, members, joined, memory)
        numbers[name] = sum(member.status == status.OK and member.image_id in joined.files for member in members)
        line, whole = counted(members, joined)
        counts.append(f"{card.name} on {name}: {line}")
        notes += [] if whole else counts[-1:]
        strangers.setdefault(str(base_of(folder, name, known)), []).append(set(joined.unmatched))
    memory.save()
    nobodys = sorted({file for found in strangers.values() for file in set.intersection(*found)})
    if nobodys:
        notes.append(f"{folder}: {plural(len(nobodys), 'file')} of no photograph, not used: {some(nobodys, MOST_NAMED)}")
    return Survey(prints, numbers, counts, notes)


def turned(card: ModelCard, datasets: Iterable[str], cache: FileCache | None = None) -> dict[str, str]:
    """Dataset -> sha256 (hex) of every image in the folder of a card that brings turned references: which of them are needed is known only when the
    pose has been measured. Raises :class:`BadInput` where the folder is not there."""
    folder = folder_of(card)
    memory = cache or FileCache(cards.state_root() / "results" / ".cache" / f"delivered_{card.name}.json", folder)
    known = all_datasets()
    prints = {}
    for name in datasets:
        base = base_of(folder, name, known)
        digest = hashlib.sha256()
        files = sorted(path for path in base.rglob("*") if path.is_file()) if base is not None else []
        memory.warm(str(path) for path in files)
        for path in files:
            digest.update(f"{path.relative_to(folder).as_posix()} {memory.sha256(str(path))}\n".encode())
        prints[name] = digest.hexdigest()
    memory.save()
    return prints


def counted(members: list[Member], joined: Joined) -> tuple[str, bool]:
    """``14 of 16 probes delivered``, and whether that is all; all photographs are counted where the dataset leaves the roles to the measured pose."""
    used = [member for member in members if member.status == status.OK]
    open_roles = any(member.role == AUTO for member in used)
    asked = used if open_roles else [member for member in used if member.role == PROBE]
    there = sum(member.image_id in joined.files for member in asked)
    missing = [member.source for member in asked if member.image_id not in joined.files]
    gone = f" (the first without: {missing[0]})" if missing and there and not open_roles else ""
    return f"{there:,} of {len(asked):,} {'photographs' if open_roles else 'probes'} delivered{gone}", not missing


def _fingerprints(dataset: DatasetCard, members: list[Member], joined: Joined, cache: FileCache) -> dict[str, str]:
    digests = {name: hashlib.sha256() for name in shard_names(dataset)}
    for member in members:
        if member.status == status.OK:
            file = joined.files.get(member.image_id)
            content = cache.sha256(file) if file else joined.absent.get(member.image_id, "")
            digests[member.shard].update(json.dumps([member.image_id, content]).encode() + b"\n")
    return {name: digest.hexdigest() for name, digest in digests.items()}
