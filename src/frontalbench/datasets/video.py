"""Layout ``video``: clips of people, every chosen frame an image.

``root/identity/*.mp4`` (mov, m4v, avi, mkv, webm, gif), also in folders inside; a clip on top is a person of its own name. ``root/identity/GT``
holds references, images or clips; ``root/identity/Angle`` probes; anywhere else the measured pose decides. Images in another folder are frames
with numbers in their names. Every clip, and every such folder, is a sequence. Nothing is decoded here: frames are counted by the clip's own table.
"""

from __future__ import annotations

import bisect
import math
import os
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from frontalbench import images
from frontalbench.datasets.card import DatasetCard, shard_of_identity
from frontalbench.datasets.filecache import FileCache
from frontalbench.datasets.members import AUTO, PROBE, REFERENCE, Folder, Listing, Member, look, relative, some, text_of, tree
from frontalbench.errors import BadInput, Unreadable
from frontalbench.sequences import video
from frontalbench.sequences.order import by_number

ROLE_FOLDERS = {"gt": REFERENCE, "angle": PROBE}


def scan(root: str, card: DatasetCard, cache: FileCache, shard: str | None = None) -> Listing:
    """List people with the frames of their clips. A file that is no clip is a line and counts as refused.

    Options of the card, of which none is needed: ``from`` and ``to`` in seconds; of what lies between, ``every`` n-th frame of the clip, or the first
    frame of every ``every_seconds``; or those with ``numbers`` (from 0), or the nearest to ``times`` in seconds.
    """
    listing = Listing(base=root, looked=["."])
    top = look(root)
    clips, images, others = sorted_by_kind(top)
    listing.others += map(text_of, others)
    listing.leave_out(".", len(images), f"they lie beside the people's folders (expected <identity>/<clip>): {some(map(text_of, images))}")
    people: dict[str, list[str]] = {}
    for name in top.folders:
        if name.lower() in ROLE_FOLDERS:
            listing.leave_out_tree(f"{root}{os.sep}{name}", root, f"expected <identity>/{name}, found {name} at the top")
            continue
        people.setdefault(text_of(name), []).append(f"{root}{os.sep}{name}")
    for clip in clips:
        people.setdefault(text_of(os.path.splitext(clip)[0]), []).append(f"{root}{os.sep}{clip}")  # noqa: PTH122
    for identity, places in people.items():
        listing.identities.add(identity)
        where = shard_of_identity(identity, card.shards)
        if shard is not None and where != shard:
            continue
        before, refused = len(listing.members), listing.refused
        for path in places:
            read = _person if os.path.isdir(path) else _loose  # noqa: PTH112
            found = read(listing, path, root, card, cache)
            listing.members += [member._replace(identity=identity, subject=identity, shard=where) for member in found]
        if len(listing.members) == before:
            if listing.refused == refused:
                listing.problems.append(f"{identity}: no clips and no images in this folder")
            listing.identities.discard(identity)
    return listing


def sorted_by_kind(folder: Folder) -> tuple[list[str], list[str], list[str]]:
    """(clips, images, other files) of a folder by their names."""
    names = [*folder.images, *folder.others]
    clips = sorted(name for name in names if os.path.splitext(name)[1].lower() in video.ENDINGS)  # noqa: PTH122
    taken = set(clips)
    return clips, [name for name in folder.images if name not in taken], [name for name in folder.others if name not in taken]


def _person(listing: Listing, path: str, root: str, card: DatasetCard, cache: FileCache) -> Iterator[Member]:
    for folder in tree(path, root):
        inside = folder.path[len(path) + 1 :]
        role = ROLE_FOLDERS.get(inside.partition(os.sep)[0].lower(), AUTO)
        clips, images, others = sorted_by_kind(folder)
        listing.others += [relative(f"{folder.path}{os.sep}{name}", root) for name in others]
        for clip in clips:
            yield from _clip(listing, f"{folder.path}{os.sep}{clip}", root, card, cache, role)
        is_sequence = role == AUTO and inside != ""
        images = sorted(images, key=by_number)
        numbers = chosen(None, len(images), card.options) if is_sequence else range(len(images))
        for number in numbers:
            file = f"{folder.path}{os.sep}{images[number]}"
            sequence = relative(folder.path, root) if is_sequence else ""
            yield Member(relative(file, root), "", file, relative(file, root), role, sequence=sequence)


def _loose(listing: Listing, path: str, root: str, card: DatasetCard, cache: FileCache) -> Iterator[Member]:
    yield from _clip(listing, path, root, card, cache, AUTO)


def _clip(listing: Listing, path: str, root: str, card: DatasetCard, cache: FileCache, role: str) -> Iterator[Member]:
    source = relative(path, root)
    found = cache.value_at(path, _looked_at)
    if not isinstance(found, list):
        listing.refused += 1
        listing.problems.append(f"{source}: {found or 'cannot be read'}")
        return
    numbers = chosen(found, len(found), card.options)
    if not numbers:
        listing.problems.append(
            f"{source}: none of its {len(found):,} frames ({found[-1]:.2f} s) is among those that the card's options choose"
        )
    lacking = [number for number in card.options.get("numbers", ()) if number >= len(found)]
    if lacking:
        listing.problems.append(f"{source}: no frame {some(map(str, lacking))}; it has {len(found):,}, from 0 on")
    late = [second for second in card.options.get("times", ()) if second > found[-1] + 1.0]
    if late:
        listing.problems.append(
            f"{source}: nothing at {some(f'{second:g} s' for second in late)}; its last frame, at {found[-1]:.2f} s, was taken"
        )
    for number in numbers:
        name = f"{source}/{number:06d}.png"
        yield Member(name, "", path, name, role, sequence=source, frame=number)


def _looked_at(path: str) -> list[float] | str:
    try:
        return video.times(Path(path))
    except BadInput as error:
        return str(error).removeprefix(f"{path}: ")


def chosen(times: Sequence[float] | None, frames: int, options: Mapping[str, Any]) -> list[int]:
    """Numbers of the frames that the options of a card choose, rising; ``times`` (frames,): seconds, rising, None where they are not known: then
    options in seconds choose nothing away."""
    within = list(range(frames))
    if times is not None:
        low, high = options.get("from", 0.0), options.get("to", math.inf)
        within = [number for number in within if low <= times[number] <= high]
    if "numbers" in options:
        return sorted(set(options["numbers"]) & set(within))
    if "times" in options and times is not None:
        return sorted({_nearest(times, second) for second in options["times"]} & set(within))
    if "every_seconds" in options and times is not None:
        taken: list[int] = []
        last = -1
        for number in within:
            step = math.floor((times[number] - options.get("from", 0.0)) / options["every_seconds"] + 1e-6)
            if step > last:
                taken.append(number)
                last = step
        return taken
    return [number for number in within if number % options.get("every", 1) == 0]


def _nearest(times: Sequence[float], second: float) -> int:
    place = bisect.bisect_left(times, second)
    around = [number for number in (place - 1, place) if 0 <= number < len(times)]
    return min(around, key=lambda number: abs(times[number] - second))


class Clips:
    """The frames of clips as PNG files, see :class:`~frontalbench.datasets.layouts.Frames`. One clip is open at a time, and one frame held."""

    def __init__(self) -> None:
        self._path = ""
        self._frames: Iterator[video.Frame] = iter(())
        self._held: video.Frame | None = None

    def image(self, path: str, number: int) -> bytes:
        if path != self._path or self._held is None or self._held.number > number:
            self._path, self._frames = path, self._opened(path)
            self._held = next(self._frames, None)
        while self._held is not None and self._held.number < number:
            self._held = next(self._frames, None)
        if self._held is None or self._held.number != number:
            raise Unreadable(f"damaged: frame {number} of the clip cannot be decoded")
        if self._held.image is None:
            raise Unreadable(self._held.detail)
        return images.encode_png(self._held.image)

    def _opened(self, path: str) -> Iterator[video.Frame]:
        try:
            yield from video.numbered(Path(path))
        except BadInput as error:
            raise Unreadable(str(error)) from None

    def close(self) -> None:
        self._path, self._frames, self._held = "", iter(()), None


FRAMES = Clips
