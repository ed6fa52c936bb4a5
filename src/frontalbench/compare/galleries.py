"""The references that probes are compared with: as they are, or turned to the probes' poses."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from frontalbench import status
from frontalbench.compare import derived as recipes
from frontalbench.compare.kernel import Gallery, by_columns
from frontalbench.compare.metadata import Metadata, Path, places_of
from frontalbench.compare.shards import Shard, read_embeddings
from frontalbench.errors import BadInput
from frontalbench.types import Int


def read_gallery(meta: Metadata, references: Sequence[Path]) -> tuple[Gallery, Int]:
    """The usable references (role ``reference``, status ok, original pictures) sorted by subject, and their places in ``meta``."""
    vectors, rows = [], []
    for path in references:
        ids, words, _, matrix = read_embeddings(path)
        places = places_of(meta, ids, path)
        chosen = (words == status.OK) & (meta.role[places] == "reference")
        vectors.append(matrix[chosen])
        rows.append(places[chosen])
    if not rows:
        raise BadInput("references: no table given; expected the embeddings of variant 'original'")
    place = np.concatenate(rows)
    order = np.lexsort((place, meta.subject_code[place]))
    place = place[order]
    return Gallery(by_columns(np.concatenate(vectors)[order]), meta.subject_code[place], meta.photo[place]), place


@dataclass(frozen=True)
class Galleries:
    """The references that probes are compared with: as they are, then turned to some angles. ``which`` (N,): each image's gallery.

    ``missing``: why there are no turned references at all, "" when there are some.
    """

    each: list[tuple[Gallery, Int]]
    which: Int
    missing: str = ""


def turned_galleries(meta: Metadata, plain: tuple[Gallery, Int], turned: Sequence[Path], edges: Sequence[float]) -> Galleries:
    """Galleries of references turned to the middles of the yaw's bins; a reference that could not be turned is left out of them."""
    parts = [read_embeddings(path) for path in turned]
    if not parts:
        raise BadInput("turned: no table given; expected the embeddings of the turned references")
    ids = np.concatenate([part[0] for part in parts])
    words = np.concatenate([part[1] for part in parts])
    details = np.concatenate([part[2] for part in parts])
    vectors = np.concatenate([part[3] for part in parts])
    named = [recipes.split_turned_id(str(name)) for name in ids]
    place = places_of(meta, np.array([name for name, _ in named], dtype=np.str_), turned[0]) if named else np.zeros(0, np.int64)
    angle = np.array([yaw for _, yaw in named], np.int64)
    ok = words == status.OK
    missing = str(details[0]) if len(words) and words[0] in status.CANNOT_RUN_HERE and (words == words[0]).all() else ""
    wanted = np.where(meta.role == "probe", recipes.matched_angles(meta.yaw, edges), 0)
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
