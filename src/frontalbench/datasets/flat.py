"""Layout ``flat``: all images in one folder, the person in the file's name (CPLFW, CALFW, AgeDB, and anything sorted like them).

``Aaron_Eckhart_1.jpg`` shows ``Aaron_Eckhart``: ``options.identity`` is a regular expression over the name without its ending, and its first group is
the person.
"""

from __future__ import annotations

import os
import re

from frontalbench.datasets.card import DatasetCard, shard_of_identity
from frontalbench.datasets.filecache import FileCache
from frontalbench.datasets.members import AUTO, Listing, Member, find_base, look, relative, some, text_of
from frontalbench.errors import BadConfig

IDENTITY = r"^(.+)_[0-9]+$"
"""The person's name, a number at the end."""


def scan(root: str, card: DatasetCard, cache: FileCache, shard: str | None = None) -> Listing:
    """List the images of one folder; every role is ``auto``. Names without a person are counted and left out.

    Raises :class:`BadConfig` for an expression that is none, or has no group.
    """
    pattern = identity_pattern(card)
    listing = Listing()
    base = find_base(listing, root, card.options.get("folders", ()), lambda path: any(_person(pattern, name) for name in look(path).images))
    if base is None:
        return listing
    folder = look(base)
    listing.ignore(folder, root)
    nameless = []
    for file in folder.images:
        identity = _person(pattern, file)
        if identity is None:
            nameless.append(file)
            continue
        listing.identities.add(identity)
        place = shard_of_identity(identity, card.shards)
        if shard is not None and place != shard:
            continue
        path = f"{base}{os.sep}{file}"
        listing.members.append(Member(text_of(file), identity, path, relative(path, root), AUTO, identity, shard=place))
    if nameless:
        named = some(map(text_of, nameless))
        listing.leave_out(relative(base, root) or ".", len(nameless), f"options.identity '{pattern.pattern}' finds no person in: {named}")
    return listing


def identity_pattern(card: DatasetCard) -> re.Pattern[str]:
    """The card's expression. Raises :class:`BadConfig`, one line."""
    text = str(card.options.get("identity", IDENTITY))
    try:
        pattern = re.compile(text)
    except re.error as error:
        raise BadConfig(f"{card.name}: options.identity: not a regular expression ({error})") from None
    if pattern.groups < 1:
        raise BadConfig(f"{card.name}: options.identity: needs one group in parentheses, around the person, as in '{IDENTITY}'")
    return pattern


def _person(pattern: re.Pattern[str], file: str) -> str | None:
    match = pattern.search(text_of(os.path.splitext(file)[0]))  # noqa: PTH122 - a Path per file would cost more than the scan
    return match.group(1) if match is not None and match.group(1) else None
