"""Which images a grid shows, and their pixels: triples, variants, ordered similarity, failures. No matplotlib in here.

Every choice is fixed by the numbers (ties by ``image_id``): the same tables always give the same grid.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import cv2
import numpy as np
import pyarrow as pa

from frontalbench import images, status, tables
from frontalbench.errors import BadInput, Unreadable
from frontalbench.figures.series import Gains, numbers, strings
from frontalbench.images import RGB


@dataclass(frozen=True)
class Triple:
    """A probe whose frontal is shown between the probe and a reference of the same subject."""

    rank: str  # best | median | worst
    image_id: str
    reference_id: str
    subject: str
    yaw: float
    net: float
    identity: float
    before: float  # similarity of the probe to the references
    after: float  # similarity of the frontal to the references

    @property
    def words(self) -> str:
        """What it is called: a gain below zero is never best, a gain above zero never worst."""
        if self.rank == "best" and not self.net > 0:
            return "least bad"
        return "least gain" if self.rank == "worst" and self.net > 0 else self.rank


@dataclass(frozen=True)
class Neighbour:
    """One image of the ordered similarity strip: a reference of the gallery, or the frontal's own probe."""

    image_id: str
    subject: str
    similarity: float
    kind: str  # own | probe | other
    place: int  # 1 = the most similar reference; 0 for the probe, which is no reference


@dataclass(frozen=True)
class Step:
    """One step of the work: what is done (``label``, for people), of which variant, whose pixels it looks at, and its tables.

    ``makes``: it makes the variant's images (a detector only looks at them), so that its failures pass on to whoever looks at these.
    """

    label: str
    variant: str
    sees: str
    shards: tuple[Path, ...]
    makes: bool = True


@dataclass(frozen=True)
class Failure:
    """An image that failed: the first step where it did, with what was said there; ``also``: later steps where the same image failed."""

    image_id: str
    identity: str
    step: Step
    status: str
    detail: str
    also: tuple[str, ...] = ()


def references(similarity: pa.Table) -> dict[str, list[str]]:
    """image_ids of the usable references of every subject, from the similarity table of variant ``original``."""
    keep = (strings(similarity, "role") == "reference") & (strings(similarity, "status") == status.OK)
    found: dict[str, list[str]] = {}
    for image_id, subject in zip(strings(similarity, "image_id")[keep], strings(similarity, "subject")[keep], strict=True):
        found.setdefault(str(subject), []).append(str(image_id))
    return {subject: sorted(ids) for subject, ids in found.items()}


def triples(gains: Gains, original: pa.Table, variant: pa.Table, *, each: int = 3) -> list[Triple]:
    """The ``each`` best, most median and worst probes by Net Gain, of different subjects where there are enough.

    A probe is shown once: with few probes there are fewer rows, never the same row twice.
    """
    pool = references(original)
    genuine = [dict(zip(strings(t, "image_id"), numbers(t, "genuine"), strict=True)) for t in (original, variant)]
    order = [int(i) for i in np.lexsort((gains.image_id.astype(str), -gains.net)) if pool.get(str(gains.subject[i]))]
    if not order:
        raise BadInput("triples: no probe has an embedding before and after frontalization and a usable reference")
    middle = float(np.median(gains.net[order]))
    by_rank = {
        "best": order,
        "median": sorted(order, key=lambda i: (abs(float(gains.net[i]) - middle), str(gains.image_id[i]))),
        "worst": order[::-1],
    }
    taken: set[int] = set()
    people: set[str] = set()
    chosen: dict[str, list[int]] = {rank: [] for rank in by_rank}
    for new_people_only in (True, False):
        for number in range(each):
            for rank, candidates in by_rank.items():
                if len(chosen[rank]) > number:
                    continue
                for i in candidates:
                    if i not in taken and not (new_people_only and str(gains.subject[i]) in people):
                        taken.add(i)
                        people.add(str(gains.subject[i]))
                        chosen[rank].append(i)
                        break
    made = []
    for rank, picks in chosen.items():
        for i in sorted(picks, key=lambda i: (-float(gains.net[i]), str(gains.image_id[i]))):
            image_id, subject = str(gains.image_id[i]), str(gains.subject[i])
            made.append(
                Triple(
                    rank=rank,
                    image_id=image_id,
                    reference_id=pool[subject][0],
                    subject=subject,
                    yaw=float(gains.yaw[i]),
                    net=float(gains.net[i]),
                    identity=float(gains.identity[i]),
                    before=float(genuine[0][image_id]),
                    after=float(genuine[1][image_id]),
                )
            )
    return made


def probes_to_show(original: pa.Table, *, most: int = 3) -> list[str]:
    """Probes for the grid of variants: different subjects, angles from small to large, as far as there are."""
    keep = (strings(original, "role") == "probe") & (strings(original, "status") == status.OK) & np.isfinite(numbers(original, "genuine"))
    ids, people = strings(original, "image_id")[keep], strings(original, "subject")[keep]
    size = np.nan_to_num(np.abs(numbers(original, "yaw")[keep]), nan=0.0)
    order = [int(i) for i in np.lexsort((ids.astype(str), size))]
    chosen: list[int] = []
    for target in np.linspace(0.25, 0.95, most) if order else []:
        places = sorted(range(len(order)), key=lambda place: abs(place - target * (len(order) - 1)))
        fresh = [order[p] for p in places if people[order[p]] not in {people[c] for c in chosen}] or [
            order[p] for p in places if order[p] not in chosen
        ]
        chosen += fresh[:1]
    return [str(ids[i]) for i in chosen]


def ordered(
    image_id: str, similarity: pa.Table, original_embeddings: pa.Table, variant_embeddings: pa.Table, *, most: int = 9
) -> tuple[list[Neighbour], int]:
    """The gallery beside one frontal, most similar first, with its own reference and its own probe always among them; and the gallery's size.

    ``similarity``: of variant ``original``, for roles and subjects; the embeddings are L2-normalised, so similarities are dot products. Of every
    subject the most similar reference is shown. Raises :class:`BadInput` when the frontal has no embedding.
    """
    pool = references(similarity)
    subject_of = dict(zip(strings(similarity, "image_id"), strings(similarity, "subject"), strict=True))
    where = {str(i): row for row, i in enumerate(strings(original_embeddings, "image_id"))}
    vectors = tables.embedding_matrix(original_embeddings).astype(np.float64)
    usable = strings(original_embeddings, "status") == status.OK
    frontal_rows = np.flatnonzero(
        (strings(variant_embeddings, "image_id") == image_id) & (strings(variant_embeddings, "status") == status.OK)
    )
    if not len(frontal_rows):
        raise BadInput(f"ordered similarity: '{image_id}' has no embedding in this variant; choose another image")
    frontal = tables.embedding_matrix(variant_embeddings.slice(int(frontal_rows[0]), 1))[0].astype(np.float64)
    own = str(subject_of.get(image_id, ""))
    gallery = []
    for subject, ids in pool.items():
        rows = [where[i] for i in ids if i in where and usable[where[i]]]
        if rows:
            scores = vectors[rows] @ frontal
            best = int(np.argmax(scores))
            gallery.append((float(scores[best]), str(strings(original_embeddings.slice(rows[best], 1), "image_id")[0]), subject))
    gallery.sort(key=lambda entry: (-entry[0], entry[1]))
    made = [Neighbour(i, s, score, "own" if s == own else "other", place) for place, (score, i, s) in enumerate(gallery, 1)]
    shown = made[: max(1, most - 1)]
    shown += [n for n in made[len(shown) :] if n.kind == "own"]
    if image_id in where and usable[where[image_id]]:
        shown.append(Neighbour(image_id, own, float(vectors[where[image_id]] @ frontal), "probe", 0))
    return sorted(shown, key=lambda n: (-n.similarity, n.image_id)), len(gallery)


def failures(steps: Iterable[Step], *, most: int = 12) -> tuple[list[Failure], Counter[tuple[str, str]]]:
    """Images that failed, each once, at the first step where it did, and the count of every (label, status).

    ``steps`` in the order of the work. An image that could not be made or read has no later steps: the rows that only pass this on are neither
    shown nor counted. An image at which several steps fail (two detectors, three frontalizers) is counted for each and shown once. Rows not used
    on purpose are no failures. At most ``most`` images, spread over the kinds of failure.
    """
    unmade: set[tuple[str, str]] = set()
    shown: dict[tuple[str, str], Failure] = {}
    counted: Counter[tuple[str, str]] = Counter()
    for step in steps:
        for shard in step.shards:
            table = tables.read(shard, columns=["image_id", "identity", "status", "detail"])
            for image_id, identity, state, detail in zip(
                *(strings(table, c) for c in ("image_id", "identity", "status", "detail")), strict=True
            ):
                if state in (status.OK, status.NOT_USED, status.NO_REFERENCE):
                    continue
                passed_on = (step.sees, image_id) in unmade or (not step.makes and (step.variant, image_id) in unmade)
                if step.makes:
                    unmade.add((step.variant, image_id))
                if passed_on:
                    continue
                counted[step.label, state] += 1
                key = (step.sees, image_id)
                if key in shown:
                    shown[key] = replace(shown[key], also=(*shown[key].also, step.label))
                else:
                    shown[key] = Failure(image_id, identity, step, state, detail)
    found = list(shown.values())
    kinds: dict[tuple[str, str], list[Failure]] = {}
    for failure in sorted(found, key=lambda f: f.image_id):
        kinds.setdefault((failure.step.label, failure.status), []).append(failure)
    chosen: list[Failure] = []
    while len(chosen) < most and any(kinds.values()):
        for kind in sorted(kinds):
            if kinds[kind] and len(chosen) < most:
                chosen.append(kinds[kind].pop(0))
    return sorted(chosen, key=lambda f: (f.step.label, f.status, f.image_id)), counted


def pixels_of(shards: Sequence[str | Path], image_ids: Iterable[str]) -> dict[str, RGB | None]:
    """Decoded images of ``image_ids`` from tables with an ``image`` column; None where the row has no image or cannot be decoded.

    Only the asked rows are held in memory. Ids that no shard has are missing from the answer.
    """
    import pyarrow.dataset as pads  # a second, as it brings pandas

    wanted = sorted(set(image_ids))
    found: dict[str, RGB | None] = {}
    for shard in shards if wanted else []:
        try:
            table = pads.dataset(str(shard), format="parquet").to_table(
                columns=["image_id", "image"], filter=pads.field("image_id").isin(wanted)
            )
        except FileNotFoundError:
            raise BadInput(f"{shard}: not found; run the stage that writes it first") from None
        except (pa.ArrowException, OSError) as error:
            raise BadInput(
                f"{shard}: not a readable table of images ({str(error).splitlines()[0]}); delete it and run again to rebuild it"
            ) from error
        for image_id, data in zip(table.column("image_id").to_pylist(), table.column("image").to_pylist(), strict=True):
            found[image_id] = _decoded(data)
    return found


def shrink(image: RGB, side: int) -> RGB:
    """The image with its longer side at most ``side`` pixels (never enlarged)."""
    height, width = image.shape[:2]
    factor = side / max(height, width)
    if factor >= 1:
        return image
    small: RGB = np.asarray(
        cv2.resize(image, (max(1, round(width * factor)), max(1, round(height * factor))), interpolation=cv2.INTER_AREA), np.uint8
    )
    return small


def _decoded(data: bytes | None) -> RGB | None:
    if data is None:
        return None
    try:
        return images.decode(data, max_side=1024)
    except Unreadable:
        return None
