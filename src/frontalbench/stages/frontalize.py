"""images + faces -> frontals."""

from __future__ import annotations

import os
from collections.abc import Callable

from frontalbench import tables
from frontalbench.catalogue import families
from frontalbench.catalogue.cards import ModelCard
from frontalbench.detect.upright import upright
from frontalbench.frontalize.base import Frontalizer, View
from frontalbench.images import RGB
from frontalbench.stages import overlap
from frontalbench.stages.common import Row, each_image, provenance, run_shard
from frontalbench.stages.faces import beside, read_faces
from frontalbench.stages.outcomes import image_row

BATCH = 8


def frontalize_shard(
    images: str | os.PathLike[str],
    faces: str | os.PathLike[str],
    out: str | os.PathLike[str],
    card: ModelCard,
    make: Callable[[], Frontalizer],
    *,
    threads: int = 1,
    device: str = "cpu",
) -> dict[str, int]:
    """Frontalize every image of a shard; ``faces``: the locator's crops table over the same shard. Returns rows by status.

    Raises BadInput when the two tables do not belong together.
    """
    about = {"card": card.name, "card_digest": card.digest(), "precision": families.precision(card, device)}
    record = provenance("frontalize", [images, faces], threads=threads, device=device, **about)
    found = read_faces(faces)

    def work(frontalizer: Frontalizer, rows: list[Row]) -> list[Row]:
        of_row, faceless = beside(rows, found, faces, needed=frontalizer.needs_face)

        def run(places: list[int], decoded: list[RGB]) -> list[Row]:
            views = [View(*upright(image, of_row[i])) for i, image in zip(places, decoded, strict=True)]
            return [image_row(rows[i], outcome, pool) for i, outcome in zip(places, frontalizer.frontalize(views), strict=True)]

        return each_image(rows, run, skip=faceless, pool=pool)

    with overlap.helpers(device) as pool:
        return run_shard(images, out, tables.FRONTALS, record, make, work, batch=BATCH)
