"""The faces of the first page: a variant's best, median and worst probe by Net Gain, each between the photograph and the GT."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from frontalbench.errors import BadInput
from frontalbench.figures import examples, series
from frontalbench.figures.inputs import Inputs
from frontalbench.plan import grid
from frontalbench.plan.variant import ORIGINAL
from frontalbench.site import browser


@dataclass(frozen=True)
class Face:
    """A row: what it is an example of, its numbers, and the files of the three images ("" where there is none)."""

    words: str
    subject: str
    yaw: float | None
    net: float
    before: float
    after: float
    angled: str
    frontal: str
    reference: str


def choose(files: Inputs, judge: tuple[str, str], variant: str, out: Path, folder: str) -> list[Face]:
    """Best, median and worst of ``variant`` as ``judge`` sees it; images go to ``out/folder`` (names are hashes). None where there is no value."""
    if any(grid.cell(files.dataset, v, *judge) not in files.similarity for v in (ORIGINAL, variant)) or not files.images.get(variant):
        return []
    tables = [series.read_similarity(files.similarity_of(v, judge)) for v in (ORIGINAL, variant)]
    try:
        chosen = examples.triples(series.gains(variant, *tables), *tables, each=1)
    except BadInput:
        return []
    before = examples.pixels_of(files.images.get(ORIGINAL, ()), [i for t in chosen for i in (t.image_id, t.reference_id)])
    after = examples.pixels_of(files.images[variant], [t.image_id for t in chosen])

    def file(of: str, image_id: str) -> str:
        pixels = (before if of == ORIGINAL else after).get(image_id)
        return "" if pixels is None else browser.write(pixels, out, folder, f"{of}/{image_id}")

    return [
        Face(
            words=t.words,
            subject=t.subject,
            yaw=t.yaw if t.yaw == t.yaw else None,
            net=t.net,
            before=t.before,
            after=t.after,
            angled=file(ORIGINAL, t.image_id),
            frontal=file(variant, t.image_id),
            reference=file(ORIGINAL, t.reference_id),
        )
        for t in chosen
    ]
