"""The references that probes are compared with: as they are, or turned to the probes' poses."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from frontalbench import status
from frontalbench.compare import derived
from frontalbench.compare.kernel import Gallery, by_columns
from frontalbench.compare.metadata import Metadata, places_of
from frontalbench.compare.shards import Embeddings, Shard
from frontalbench.errors import BadInput
from frontalbench.types import Int


def reference_gallery(meta: Metadata, originals: Sequence[Embeddings]) -> tuple[Gallery, Int]:
    """The usable references (role ``reference``, status ok, original images) sorted by subject, and their places in ``meta``."""
    if not originals:
        raise BadInput("references: no table given; expected the embeddings of variant 'original'")
    vectors, rows = [], []
    for one in originals:
        places = places_of(meta, one.image_id, one.path)
        chosen = one.ok & (meta.role[places] == "reference")
        vectors.append(one.vectors[chosen])
        rows.append(places[chosen])
    place = np.concatenate(rows)
    order = np.lexsort((place, meta.subject_code[place]))
    place = place[order]
    return Gallery(by_columns(np.concatenate(vectors)[order]), meta.subject_code[place], meta.photo[place]), place


@dataclass(frozen=True)
class Galleries:
    """The references that probes are compared with: as they are, then turned to some angles. ``which`` (N,): each image's gallery.

    ``missing``: status and detail where what turns them cannot run on this machine, so that there are none at all.
    """

    each: list[tuple[Gallery, Int]]
    which: Int
    missing: tuple[str, str] | None = None


def turned_galleries(meta: Metadata, plain: tuple[Gallery, Int], turned: Sequence[Embeddings], edges: Sequence[float]) -> Galleries:
    """Galleries of references turned to the middles of the yaw's bins; a reference that could not be turned is left out of them."""
    if not turned:
        raise BadInput("turned: no table given; expected the embeddings of the turned references")
    words = np.concatenate([one.status for one in turned])
    details = np.concatenate([one.detail for one in turned])
    vectors = np.concatenate([one.vectors for one in turned])
    named = [derived.split_turned_id(str(name)) for one in turned for name in one.image_id]
    place = places_of(meta, np.array([name for name, _ in named], dtype=np.str_), turned[0].path) if named else np.zeros(0, np.int64)
    angle = np.array([yaw for _, yaw in named], np.int64)
    ok = words == status.OK
    cannot = len(words) > 0 and words[0] in status.CANNOT_RUN_HERE and (words == words[0]).all()
    missing = (str(words[0]), str(details[0])) if cannot else None
    wanted = np.where(meta.role == "probe", derived.matched_angles(meta.yaw, edges), 0)
    angles = sorted(set(wanted.tolist()) - {0})
    galleries = [plain]
    for yaw in angles:
        here = np.flatnonzero(ok & (angle == yaw))
        here = here[np.lexsort((place[here], meta.subject_code[place[here]]))]
        rows = place[here]
        galleries.append((Gallery(by_columns(vectors[here]), meta.subject_code[rows], meta.photo[rows]), rows))
    which = np.where(wanted == 0, 0, 1 + np.searchsorted(angles, wanted))
    return Galleries(galleries, which, missing)


def shares(meta: Metadata, shard: Shard, galleries: Galleries) -> Iterator[tuple[tuple[Gallery, Int], str, Int]]:
    """(gallery, role, rows of the shard) for every part of a shard that is compared with one gallery."""
    which = galleries.which[shard.rows]
    for number, gallery in enumerate(galleries.each):
        for role in ("probe", "reference"):
            chosen = np.flatnonzero(shard.ok & (meta.role[shard.rows] == role) & (which == number))
            if len(chosen):
                yield gallery, role, chosen
