"""images + faces -> frontals, by a foreign system in its own environment."""

from __future__ import annotations

import os
import resource
import time
from collections.abc import Callable, Iterator

from frontalbench import images, status, tables
from frontalbench.catalogue.cards import ModelCard
from frontalbench.detect.select import Face
from frontalbench.detect.upright import upright
from frontalbench.errors import Unreadable, WeightsMissing
from frontalbench.frontalize.base import FRONTAL
from frontalbench.frontalize.external import ExternalFrontalizer, Pose, report
from frontalbench.images import RGB
from frontalbench.stages.common import IMAGES, Row, failed, passed_through, provenance
from frontalbench.stages.faces import beside, read_faces
from frontalbench.stages.outcomes import image_row

BATCH = 16


def frontalize_external(
    shard: str | os.PathLike[str],
    faces: str | os.PathLike[str],
    out: str | os.PathLike[str],
    card: ModelCard,
    make: Callable[[], ExternalFrontalizer],
    *,
    made_of: str = "",
    threads: int = 1,
    device: str = "cpu",
) -> dict[str, int]:
    """Frontalize a shard in one start of the foreign system; ``faces``: the locator's crops table; ``made_of``: hash of commit, environment
    and adapter.

    Images go to disk one by one and come back one by one. Where the system cannot run on this machine the shard is written all the same, its rows
    ``environment_missing``, ``repository_missing`` or ``weights_missing``. Returns rows by status. Raises BadInput when the tables do not belong
    together.
    """
    record = provenance(
        "external", [shard, faces], card=card.name, card_digest=card.digest(), threads=threads, device=device, made_of=made_of
    )
    began = time.perf_counter()
    try:
        system = make()
    except WeightsMissing as error:
        with tables.Writer(out, tables.FRONTALS, record) as writer:
            for rows in tables.iterate(shard, IMAGES, batch=BATCH):
                writer.add(failed(row, error.word, str(error)) if row["status"] == status.OK else passed_through(row) for row in rows)
        return writer.counts
    loaded = time.perf_counter()
    found = read_faces(faces)
    lost: dict[str, Row] = {}
    places: dict[str, int] = {}

    def asked() -> Iterator[tuple[RGB, Face | None, Pose]]:
        for rows in tables.iterate(shard, IMAGES, batch=BATCH):
            of_row, faceless = beside(rows, found, faces, needed=True)
            for i, row in enumerate(rows):
                if row["status"] != status.OK or i in faceless:
                    lost[row["image_id"]] = faceless.get(i) or passed_through(row)
                    continue
                try:
                    image, face = upright(images.decode(row["image"]), of_row[i])
                except Unreadable as error:
                    lost[row["image_id"]] = failed(row, status.UNREADABLE, str(error))
                    continue
                places[row["image_id"]] = len(places)
                yield image, face, FRONTAL

    with system.turned(asked()) as done:
        report(done)
        with tables.Writer(out, tables.FRONTALS, record) as writer:
            for rows in tables.iterate(shard, IMAGES, batch=BATCH):
                writer.add(lost.get(row["image_id"]) or image_row(row, done.outcome(places[row["image_id"]])) for row in rows)
            spent = {"load_seconds": loaded - began, "work_seconds": time.perf_counter() - loaded}
            writer.note_run({**spent, "host_mb": _host_mb(), "gpu_mb": done.gpu_mb, "gpu": ""})
    return writer.counts


def _host_mb() -> float:
    """Peak memory in MB of this process or of one that it started, whichever is larger."""
    return max(resource.getrusage(who).ru_maxrss for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)) / 1024
