"""Experiments with a known truth, in memory: people, their probes, what variants truly change. For tests of verdicts, hundreds of runs in seconds."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from frontalbench import tables
from frontalbench.compare.rows import _NUMBERS, Rows, read_rows
from frontalbench.stages.compare import compare
from frontalbench.tabulate import Cell, Facts, TableSettings, cell_of
from frontalbench.tabulate.dataset import Dataset
from frontalbench.tabulate.paper import mark_best_gain

JUDGE = ("scrfd_500m", "w600k_mbf")
SETTINGS = TableSettings()


@dataclass(frozen=True)
class People:
    """``subject`` (n,) of the probes, ``difficulty`` (n,) 0 .. 1 of each, ``angled`` (n,) similarity of the originals to GT."""

    subject: np.ndarray
    difficulty: np.ndarray
    angled: np.ndarray

    def per_person(self, rng: np.random.Generator, spread: float) -> np.ndarray:
        """A normal effect of each person, mean 0, at the probes (n,)."""
        names, code = np.unique(self.subject, return_inverse=True)
        return rng.normal(0.0, spread, len(names))[code]


def people(rng: np.random.Generator, n: int, probes: int = 8, dominant: float = 0.0) -> People:
    """``n`` people with ``probes`` probes each; ``dominant``: the share of all probes that the first one holds."""
    counts = np.full(n, probes)
    if dominant:
        counts[0] = round(dominant / (1 - dominant) * probes * (n - 1))
    subject = np.repeat([f"s{i:03d}" for i in range(n)], counts)
    difficulty = rng.uniform(size=len(subject))
    made = People(subject, difficulty, np.zeros(len(subject)))
    return replace(made, angled=0.7 - 0.3 * difficulty + made.per_person(rng, 0.08) + rng.normal(0.0, 0.05, len(subject)))


def rows(
    crowd: People, genuine: np.ndarray, lost: np.ndarray | None = None, impostor: float | np.ndarray = 0.1, **more: np.ndarray
) -> Rows:
    """A similarity table: the probes, then one reference per person; ``lost`` (n,): no face was found; ``more``: other numbers of the probes."""
    names = np.unique(crowd.subject)
    n, m = len(crowd.subject), len(names)
    gone = np.zeros(n, np.bool_) if lost is None else lost
    numbers = {name: np.full(n + m, np.nan) for name in _NUMBERS}
    probes: dict[str, Any] = {"genuine": genuine, "impostor": impostor, "genuine_sd": 0.0, "impostor_sd": 0.1, "n_references": 1.0}
    probes |= {
        "n_impostors": m - 1.0,
        "rank": 1.0,
        "within": genuine,
        "n_within": 1.0,
        "to_original": 0.9,
        "yaw": 90 * crowd.difficulty,
        **more,
    }
    for name, values in probes.items():
        numbers[name][:n] = np.where(gone & (name != "yaw"), np.nan, values)
    numbers["genuine"][n:] = 0.9
    numbers["n_same_photo"][:] = 0.0
    words = np.full(n + m, "", dtype=object)
    subject = np.concatenate([crowd.subject, names]).astype(object)
    return Rows(
        image_id=np.array([f"{i:05d}" for i in range(n + m)], dtype=object),
        identity=subject,
        subject=subject,
        role=np.array(["probe"] * n + ["reference"] * m, dtype=object),
        status=np.array([*np.where(gone, "no_face", "ok"), *["ok"] * m], dtype=object),
        detail=words,
        yaw_source=words,
        numbers=numbers,
        moves=np.zeros((n + m, m), np.float16),  # everybody is as similar to every stranger
    )


def cell(variant: str, judge: tuple[str, str] = JUDGE) -> Cell:
    return Cell("toy", variant, *judge, Path(variant, *judge))


@dataclass(frozen=True)
class Variant:
    """What a variant does to each probe: ``gain`` (n,) added to the similarity to GT, ``lost`` (n,) where it gave nothing."""

    gain: np.ndarray
    lost: np.ndarray | None = None


def dataset(crowd: People, variants: Mapping[str, Variant], judges: tuple[tuple[str, str], ...] = (JUDGE,)) -> Dataset:
    """`original` and the variants, the same for every judge."""
    found = {}
    for judge in judges:
        found[cell("original", judge)] = rows(crowd, crowd.angled)
        for name, variant in variants.items():
            found[cell(name, judge)] = rows(crowd, crowd.angled + variant.gain, variant.lost)
    return Dataset("toy", found)


@dataclass
class Stub:
    """Rows of table 1 with only what the marking reads; the whole table takes far longer than its verdict."""

    rows: list[dict[str, Any]] = field(default_factory=list)

    @staticmethod
    def of(made: Dataset, facts: Facts) -> list[dict[str, Any]]:
        out = []
        for one, table in made.rows.items():
            base = made.original(one.judge)
            assert base is not None
            if one.variant != "original":
                gain = np.nanmean(np.where(table.role == "probe", table.genuine - base[1].genuine, np.nan))
                head = {"dataset": "toy", "variant": one.variant, "detector": one.detector, "backbone": one.backbone}
                out.append(
                    {**head, "leak": facts.leak(one), "identity_gain": float(gain), "best": False, "p_runner_up": np.nan, "note": ""}
                )
        return out


def marked(made: Dataset, facts: Facts | None = None) -> list[dict[str, Any]]:
    """Rows of table 1 with their verdicts."""
    facts = facts or Facts()
    found = Stub.of(made, facts)
    mark_best_gain(found, made, facts, SETTINGS)
    return found


def best(found: list[dict[str, Any]]) -> list[str]:
    return [row["variant"] for row in found if row["best"]]


# Worlds: each returns the data and the variants that may truly be called best ---------------------------------------------------


def lost_the_hard_ones(rng: np.random.Generator, n: int) -> tuple[Dataset, set[str]]:
    """`mesh.sharp` is .01 worse than `mesh.none` on every image, but it gave nothing for the hard ones, where both lose."""
    crowd = people(rng, n)
    gain = 0.08 - 0.12 * crowd.difficulty + crowd.per_person(rng, 0.02) + rng.normal(0, 0.01, len(crowd.subject))
    lost = crowd.difficulty > 0.6
    return dataset(crowd, {"mesh.none": Variant(gain), "mesh.sharp": Variant(gain - 0.01, lost)}), {"mesh.none"}


def one_person_holds_most(rng: np.random.Generator, n: int) -> tuple[Dataset, set[str]]:
    """`mesh.none` makes everybody worse but one, who holds 60 % of the probes; `mesh.sharp` is worse still."""
    crowd = people(rng, n, dominant=0.6)
    gain = np.where(crowd.subject == "s000", 0.1, -0.02) + rng.normal(0, 0.01, len(crowd.subject))
    return dataset(crowd, {"mesh.none": Variant(gain), "mesh.sharp": Variant(gain - 0.01)}), set()


def no_gain(rng: np.random.Generator, n: int) -> tuple[Dataset, set[str]]:
    """`mesh.none` helps some people as much as it harms others; `mesh.sharp` does the same, always .003 less, so it is often the runner-up."""
    crowd = people(rng, n)
    gain = crowd.per_person(rng, 0.03) + rng.normal(0, 0.02, len(crowd.subject))
    return dataset(crowd, {"mesh.none": Variant(gain), "mesh.sharp": Variant(gain - 0.003)}), set()


def equals(rng: np.random.Generator, n: int, variants: int = 2) -> tuple[Dataset, set[str]]:
    """All variants help, none more than another."""
    crowd = people(rng, n)
    shared = 0.05 + crowd.per_person(rng, 0.03)
    made = {
        f"mesh.{name}": Variant(shared + crowd.per_person(rng, 0.01) + rng.normal(0, 0.02, len(crowd.subject)))
        for name in ("none", "sharp", "smooth", "sr", "gfpgan")[:variants]
    }
    return dataset(crowd, made), set()


def equal_detectors(rng: np.random.Generator, n: int) -> tuple[Dataset, set[str]]:
    """Three detectors with one backbone, none better than another: for table 3."""
    crowd = people(rng, n)
    found = {}
    for detector in ("one", "two", "three"):
        values = crowd.angled + crowd.per_person(rng, 0.02) + rng.normal(0, 0.02, len(crowd.subject))
        found[cell("original", (detector, JUDGE[1]))] = rows(crowd, values)
    return Dataset("toy", found), set()


def five_equals(rng: np.random.Generator, n: int) -> tuple[Dataset, set[str]]:
    """As :func:`equals`, five of them."""
    return equals(rng, n, 5)


def real_winner(rng: np.random.Generator, n: int) -> tuple[Dataset, set[str]]:
    """`mesh.none` helps, `mesh.sharp` helps less."""
    crowd = people(rng, n)
    shared = crowd.per_person(rng, 0.02)
    noise = [shared + crowd.per_person(rng, 0.01) + rng.normal(0, 0.02, len(crowd.subject)) for _ in range(2)]
    return dataset(crowd, {"mesh.none": Variant(0.06 + noise[0]), "mesh.sharp": Variant(0.03 + noise[1])}), {"mesh.none"}


WRONG = (lost_the_hard_ones, one_person_holds_most, no_gain, equals, five_equals)


# Judges: embeddings of the same people by two networks -------------------------------------------------------------------------

DIMENSION = 64
YAW_SHARE = 0.45
"""How much of a face's own direction is gone at 90 degrees of yaw."""


def two_judges(rng: np.random.Generator, n: int, folder: Path | None, *, probes: int = 6, worse: float = 0.0) -> Dataset:
    """`original` of two judges that are equally good: of the same people (some hard to match, some alike to all others), with networks of their own.

    ``worse``: by how much more the second one loses with the yaw. The tables are made by the product's own comparison, in ``folder``; without one
    they are made in memory, a tenth of the time, and no judge has an FNMR (:func:`judged`).
    """
    subject = np.r_[np.repeat(np.arange(n), 2), np.repeat(np.arange(n), probes)]
    reference = np.arange(len(subject)) < 2 * n
    goat = np.where(rng.random(n) < 0.1, 0.7, 1.0) * rng.normal(1.0, 0.08, n)
    lamb = np.where(rng.random(n) < 0.1, 0.3, 0.0) + rng.normal(0.25, 0.08, n)
    yaw = np.where(reference, 0.0, rng.uniform(-85, 85, len(subject)))
    turn = np.abs(yaw) / 90
    found = {}
    for backbone, loss in (("one", YAW_SHARE), ("two", YAW_SHARE + worse)):
        face, noise = (rng.normal(size=(size, DIMENSION)) / np.sqrt(DIMENSION) for size in (n, len(subject)))
        face /= np.linalg.norm(face, axis=1, keepdims=True)
        vectors = (goat[subject] * (1 - loss * turn))[:, None] * face[subject] + (0.6 + 0.5 * turn)[:, None] * noise
        vectors[:, 0] += lamb[subject] + 0.12 * rng.normal(size=len(subject))
        if folder is None:
            found[Cell("toy", "original", "detector", backbone, Path(backbone))] = judged(subject, reference, yaw, vectors)
        else:
            made, rows_of = compared(subject, reference, yaw, vectors, folder, backbone)
            found[made] = rows_of
    return Dataset("toy", found)


def judged(subject: np.ndarray, reference: np.ndarray, yaw: np.ndarray, vectors: np.ndarray) -> Rows:
    """The similarity table of `original` of embeddings (n, D), two references a person first, as :func:`compared` reads it from the product, without
    its files: what is not about probes' pairs is left out."""
    unit = (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.float32)
    n, people = len(subject), int(subject.max()) + 1
    who = subject[~reference]
    score = (unit[~reference] @ unit[reference].T).astype(np.float64).reshape(len(who), people, 2)
    own = score[np.arange(len(who)), who]
    score[np.arange(len(who)), who] = 0.0
    total, strangers = score.sum(axis=(1, 2)), 2.0 * (people - 1)
    moves = np.zeros((n, people))
    moves[~reference] = (total[:, None] - score.sum(axis=2)) / (strangers - 2.0) - (total / strangers)[:, None]
    moves[np.flatnonzero(~reference), who] = 0.0
    numbers = {name: np.full(n, np.nan) for name in _NUMBERS}
    impostor = total / strangers
    known = {
        "genuine": own.mean(axis=1),
        "genuine_sd": own.std(axis=1),
        "n_references": 2.0,
        "impostor": impostor,
        "n_impostors": strangers,
    }
    known |= {"impostor_sd": np.sqrt(np.maximum((score**2).sum(axis=(1, 2)) / strangers - impostor**2, 0.0)), "n_same_photo": 0.0}
    for name, values in known.items():
        numbers[name][~reference] = values
    numbers["yaw"][:] = yaw
    word = np.full(n, "", dtype=object)
    names = np.array([f"s{s:04d}" for s in subject], dtype=object)
    role = np.where(reference, "reference", "probe").astype(object)
    ids = np.array([f"i{i:06d}" for i in range(n)], dtype=object)
    ok = np.full(n, "ok", dtype=object)
    return Rows(
        image_id=ids,
        identity=names,
        subject=names,
        role=role,
        status=ok,
        detail=word,
        yaw_source=word,
        numbers=numbers,
        moves=moves.astype(np.float16),
    )


def drifting(rng: np.random.Generator, n: int, folder: Path, *, probes: int = 6, drift: float = 0.5) -> Dataset:
    """`original` and two variants, none truly better or worse in anything: what each is shown of a face is moved into a direction of its own.

    A stranger's reference lies this way or that of the direction, and so moves the values of all probes at once: people matter as references too.
    """
    subject = np.r_[np.repeat(np.arange(n), 2), np.repeat(np.arange(n), probes)]
    reference = np.arange(len(subject)) < 2 * n
    yaw = np.where(reference, 0.0, rng.uniform(-85, 85, len(subject)))
    turn = np.abs(yaw)[:, None] / 90
    noise, face = (rng.normal(size=(size, DIMENSION)) / np.sqrt(DIMENSION) for size in (len(subject), n))
    vectors = face[subject] / np.linalg.norm(face[subject], axis=1, keepdims=True) + 0.6 * noise
    vectors[:, 0] += np.where(rng.random(n) < 0.1, 0.6, 0.3)[subject]
    found = {}
    for variant in ("original", "mesh.none", "mesh.sharp"):
        way = np.r_[0.0, rng.normal(size=DIMENSION - 1)]
        moved = drift * turn * way / np.linalg.norm(way) + 0.2 * rng.normal(size=vectors.shape) / np.sqrt(DIMENSION)
        moved += (0.05 * rng.normal(size=n))[subject][:, None] * turn * face[subject]
        made, rows_of = compared(subject, reference, yaw, vectors + np.where(reference[:, None], 0.0, moved), folder, "one", variant)
        found[made] = rows_of
    return Dataset("toy", found)


def compared(
    subject: np.ndarray, reference: np.ndarray, yaw: np.ndarray, vectors: np.ndarray, folder: Path, backbone: str, variant: str = "original"
) -> tuple[Cell, Rows]:
    """The cell and the similarity table of embeddings (n, D), as the product makes them; `original` of a folder comes first."""
    n = len(subject)
    ids = [f"i{i:06d}" for i in range(n)]
    head = {
        "image_id": ids,
        "identity": [f"s{s:04d}" for s in subject],
        "role": np.where(reference, "reference", "probe").tolist(),
        "status": ["ok"] * n,
        "detail": [""] * n,
    }
    unit = (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.float32)

    def table(schema: pa.Schema, **more: Any) -> pa.Table:
        columns = {**head, **more}
        return pa.table([columns[f.name] if f.name in columns else pa.nulls(n, f.type) for f in schema], schema=schema)

    images, embeddings = folder / "images.parquet", folder / f"{variant}.{backbone}.parquet"
    known = {"subject": head["identity"], "sha256": ids, "yaw": pa.array(yaw, pa.float32()), "pose_source": ["ground_truth"] * n}
    tables.write(images, table(tables.IMAGES, **known))
    flat = pa.FixedSizeListArray.from_arrays(pa.array(unit.reshape(-1)), unit.shape[1])
    tables.write(embeddings, table(tables.embeddings_schema(unit.shape[1]), embedding=flat))
    path = folder / "similarity" / "toy" / variant / "detector" / f"{backbone}.parquet"
    originals = folder / f"original.{backbone}.parquet"
    compare([images], [embeddings], [originals], path, path.with_name(f"{backbone}.scores.parquet"), variant=variant)
    made = cell_of(path)
    return made, read_rows(path)
