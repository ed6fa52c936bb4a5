"""The long tables: every cell x group x yaw bin x subset, error rates, curves, identities, wins, counts, what is missing."""

from __future__ import annotations

import itertools
import math
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from frontalbench import status, tables
from frontalbench.compare import bootstrap, curves, groups, scores, stats
from frontalbench.compare.groups import BoolArray, FloatArray, Rows
from frontalbench.errors import BadInput
from frontalbench.tabulate.facts import ORIGINAL, Cell, Facts

Row = dict[str, Any]
YAW_GRID = np.arange(0.0, 91.0, 2.5)
"""Points of the smooth curves, degrees of \\|yaw\\|."""


@dataclass(frozen=True)
class Settings:
    """Bootstrap resamples, seed, default edges of the \\|yaw\\| bins in degrees."""

    resamples: int = bootstrap.RESAMPLES
    seed: int = 0
    edges: tuple[float, ...] = (0.0, 15.0, 30.0, 45.0, 60.0, 75.0, 90.0)


@dataclass
class Dataset:
    """The cells of one dataset with their rows, read once."""

    name: str
    rows: dict[Cell, Rows]

    def original(self, judge: tuple[str, str]) -> tuple[Cell, Rows] | None:
        """The cell of `original` of a judge."""
        return next(((c, r) for c, r in self.rows.items() if c.variant == ORIGINAL and c.judge == judge), None)

    @property
    def judges(self) -> list[tuple[str, str]]:
        return sorted({cell.judge for cell in self.rows})

    def of_judge(self, judge: tuple[str, str]) -> list[tuple[Cell, Rows]]:
        """Cells of a judge, `original` first, then by name."""
        chosen = [(c, r) for c, r in self.rows.items() if c.judge == judge]
        return sorted(chosen, key=lambda pair: (pair[0].variant != ORIGINAL, pair[0]))


def read_datasets(cells: Sequence[Cell]) -> Iterator[Dataset]:
    """Datasets one after the other (one in memory at a time), in name order. Raises :class:`BadInput` for cells that do not fit together."""
    for name in sorted({cell.dataset for cell in cells}):
        rows = {cell: groups.read_rows(cell.similarity) for cell in sorted(cells) if cell.dataset == name}
        dataset = Dataset(name, rows)
        for cell, table in rows.items():
            base = dataset.original(cell.judge)
            if base is None:
                raise BadInput(f"{cell.similarity}: the cell of variant 'original' with the same detector and backbone is needed beside it")
            groups.check_same_images(table, base[1], str(cell.similarity))
        yield dataset


def usable(rows: Rows, original: Rows) -> BoolArray:
    """Probes with a similarity to their own references."""
    return groups.eligible_probes(rows, original) & rows.ok


def is_missing(rows: Rows) -> bool:
    """Whether the cell holds no embedding at all."""
    return not bool(rows.ok.any())


# Notes --------------------------------------------------------------------------------------------------------------------


def lost_note(what: str, base: str, own: float, base_own: float, common_gain: float, n_common: int, n_lost: int) -> str:
    """A sentence when ``what`` has the higher own mean but not on the images that both gave; else empty."""
    if not (own > base_own and common_gain <= 0 and n_lost > 0):
        return ""
    return (
        f"looks better than {base} ({own:.3f} against {base_own:.3f}) only because {what} lost {n_lost} images: "
        f"on the {n_common} images that both gave it changes by {common_gain:+.3f}"
    )


def join_notes(*notes: str) -> str:
    return "; ".join(note for note in notes if note)


LEAK_NOTE = "the backbone took part in making this variant (leak), so it is not ranked"
SYNTHETIC_NOTE = "synthetic people: shows that the pipeline runs, says nothing about faces"


def standing_notes(head: Mapping[str, Any]) -> str:
    """Notes that follow from the cell alone."""
    return join_notes(LEAK_NOTE if head["leak"] else "", SYNTHETIC_NOTE if head["synthetic"] else "")


# Master -------------------------------------------------------------------------------------------------------------------


def master_rows(dataset: Dataset, facts: Facts, settings: Settings) -> list[Row]:
    """Rows of the master table of one dataset, without ``p_holm``."""
    bins = groups.YawBins(tuple(facts.edges.get(dataset.name, settings.edges)))
    out = []
    for judge in dataset.judges:
        base = dataset.original(judge)
        assert base is not None
        original = base[1]
        angled_own = float("nan")
        for cell, rows in dataset.of_judge(judge):
            if is_missing(rows):
                continue
            head = facts.head(cell)
            standing = standing_notes(head)
            found = groups.summarise_cell(
                rows, original, is_original=cell.variant == ORIGINAL, bins=bins, resamples=settings.resamples, seed=settings.seed
            )
            whole = {(r["group"], r["subset"]): r for r in found if r["yaw_axis"] == "all"}
            if cell.variant == ORIGINAL:
                angled_own = whole.get(("Angled vs GT", "own"), {}).get("mean", float("nan"))
            lost = ""
            own, net = whole.get(("Frontal vs GT", "own")), whole.get(("Net Gain", "common"))
            if own is not None and net is not None:
                lost = lost_note("it", ORIGINAL, own["mean"], angled_own, net["mean"], net["n_images"], own["n_fta"])
            for row in found:
                about = lost if row["yaw_axis"] == "all" and row["group"] in ("Frontal vs GT", "Net Gain") else ""
                out.append({**head, **row, "note": join_notes(about, standing)})
    return out


def adjust_master(rows: list[Row]) -> None:
    """Fill ``p_holm``: Holm over all rows of one dataset, group, subset and yaw bin (all variants and judges without a leak)."""
    families: dict[tuple[str, ...], list[Row]] = {}
    for row in rows:
        row["p_holm"] = math.nan
        if math.isfinite(row["p_value"]) and not row["leak"]:
            families.setdefault((row["dataset"], row["group"], row["subset"], row["yaw_axis"], row["yaw_bin"]), []).append(row)
    for family in families.values():
        for row, p in zip(family, stats.holm([r["p_value"] for r in family]), strict=True):
            row["p_holm"] = float(p)


# Verification -------------------------------------------------------------------------------------------------------------


def _moments(rows: Rows, chosen: BoolArray) -> stats.PairMoments:
    return stats.PairMoments(
        *(np.where(chosen, getattr(rows, name), np.nan) for name in ("genuine", "genuine_sd", "n_references")),
        *(np.where(chosen, getattr(rows, name), np.nan) for name in ("impostor", "impostor_sd", "n_impostors")),
    )


@dataclass(frozen=True)
class Scored:
    """Genuine pair scores with their probes' places and people (codes), and the impostor distribution."""

    genuine: npt.NDArray[np.float32]
    image: npt.NDArray[np.int64]  # place of each pair's probe in the dataset's rows
    subject: npt.NDArray[np.int64]
    impostors: scores.Impostors


def read_scores(cell: Cell, original: Rows) -> Scored | None:
    """The pair scores of a cell's probes; None where the cell has none. Raises :class:`BadInput` when they are of other images."""
    if cell.scores is None:
        return None
    genuine, impostors = scores.from_table(tables.read(cell.scores, scores.SCORES))
    place = {name: i for i, name in enumerate(original.image_id)}
    try:
        image = np.fromiter((place[name] for name in genuine.image_id), np.int64, len(genuine.image_id))
    except KeyError as error:
        raise BadInput(f"{cell.scores}: image {error} is not in {cell.similarity}; compare that cell again") from None
    code = np.unique(original.subject.astype(np.str_), return_inverse=True)[1].astype(np.int64)
    return Scored(genuine.scores, image, code[image], impostors)


def _estimate(prefix: str, value: stats.Estimate) -> Row:
    return {prefix: value.value, f"{prefix}_low": value.low, f"{prefix}_high": value.high}


def verification_tables(dataset: Dataset, facts: Facts, settings: Settings) -> dict[str, list[Row]]:
    """Rows of ``verification``, ``error_rates``, ``fnmr_by_yaw``, ``det``, ``curves`` of one dataset."""
    out: dict[str, list[Row]] = {name: [] for name in ("verification", "error_rates", "fnmr_by_yaw", "det", "curves")}
    bins = groups.YawBins(tuple(facts.edges.get(dataset.name, settings.edges)))
    more = {"resamples": settings.resamples, "seed": settings.seed}
    for judge in dataset.judges:
        base = dataset.original(judge)
        assert base is not None
        base_cell, original = base
        base_scored = read_scores(base_cell, original)
        for cell, rows in dataset.of_judge(judge):
            if is_missing(rows):
                continue
            head = facts.head(cell)
            eligible = groups.eligible_probes(rows, original)
            ok = eligible & rows.ok
            n_eligible, n_fta = int(eligible.sum()), int((eligible & rows.fta).sum())
            rate = n_fta / n_eligible if n_eligible else math.nan
            both = ok & usable(original, original)
            subject = original.subject.astype(np.str_)
            ranks = rows.rank[ok & np.isfinite(rows.rank)]
            cmc = stats.cmc(ranks, 5)
            yaw = np.abs(original.yaw)
            genuine = np.where(ok, rows.genuine, np.nan)
            slope = curves.slope(yaw, genuine, subject, **more)
            curve = curves.smooth(yaw, genuine, subject, YAW_GRID, **more)
            reached = YAW_GRID[np.isfinite(curve.mean)]
            row: Row = {
                **head,
                "n_images": int(ok.sum()),
                "n_subjects": len(np.unique(subject[ok])),
                "n_genuine": int(np.nansum(rows.n_references[ok])),
                "n_impostor": int(np.nansum(rows.n_impostors[ok])),
                "n_eligible": n_eligible,
                "n_fta": n_fta,
                "fta_rate": rate,
                **_estimate("dprime", stats.dprime_estimate(_moments(rows, ok), subject, **more)),
                "rank1": float(cmc[0]),
                "rank5": float(cmc[4]),
                "n_gallery": len(np.unique(subject[(original.role == "reference") & original.ok])),
                **_estimate("slope", slope),
                **_estimate("area", curve.area.estimate()),
                "yaw_reach": float(reached.max()) if len(reached) else math.nan,
            }
            if cell.variant != ORIGINAL:
                change = stats.dprime_change(_moments(rows, both), _moments(original, both), subject, **more)
                row.update(_estimate("dprime_change", change))
            out["curves"] += [
                {**head, "yaw": float(x), "mean": float(m), "ci_low": float(a), "ci_high": float(b), "weight": float(w)}
                for x, m, a, b, w in zip(curve.yaw, curve.mean, curve.low, curve.high, curve.weight, strict=True)
                if math.isfinite(m)
            ]
            scored = base_scored if cell.variant == ORIGINAL else read_scores(cell, original)
            if scored is not None:
                row["eer"] = stats.eer(scored.genuine, scored.impostors)
                usual = stats.det(scored.genuine, scored.subject, scored.impostors, **more)
                out["det"] += [
                    {**head, "threshold": float(t), "fmr": float(f), "fnmr": float(m), "fnmr_low": float(a), "fnmr_high": float(b)}
                    for t, f, m, a, b in zip(usual.threshold, usual.fmr, usual.fnmr, usual.low, usual.high, strict=True)
                ]
                pair = (base_scored, both) if cell.variant != ORIGINAL and base_scored is not None else None
                out["error_rates"] += [{**head, **r} for r in _error_rates(scored, pair, rate, more)]
                out["fnmr_by_yaw"] += [{**head, **r} for r in _fnmr_by_yaw(scored, original.yaw, bins, more)]
            out["verification"].append(row)
    return out


def _error_rates(scored: Scored, base: tuple[Scored, BoolArray] | None, fta_rate: float, more: Mapping[str, int]) -> Iterator[Row]:
    """Error rates at every FMR target; ``base``: the originals' scores and which images both gave."""
    for target in stats.FMR_TARGETS:
        point = stats.operating_point(scored.impostors, target)
        row: Row = {"fmr_target": target, "supported": point.supported}
        if not point.supported:
            yield {**row, "note": stats.NOT_SUPPORTED}
            continue
        estimate = stats.fnmr_estimate(scored.genuine, point.threshold, scored.subject, **more)
        row |= {"threshold": point.threshold, "fmr": point.fmr, **_estimate("fnmr", estimate), "note": ""}
        row["fnmr_with_fta"] = fta_rate + (1 - fta_rate) * estimate.value
        if base is not None:
            before, both = base
            other = stats.operating_point(before.impostors, target)
            if other.supported:
                now, then = both[scored.image], both[before.image]
                change = stats.fnmr_change(
                    *(scored.genuine[now], point.threshold, scored.subject[now]),
                    *(before.genuine[then], other.threshold, before.subject[then]),
                    **more,
                )
                row |= _estimate("fnmr_change", change)
        yield row


def _fnmr_by_yaw(scored: Scored, yaw: FloatArray, bins: groups.YawBins, more: Mapping[str, int]) -> Iterator[Row]:
    """FNMR in bins of \\|yaw\\| at the cell's own threshold of every supported FMR; one threshold for all bins, as a user has one."""
    labels = [(place, label) for place, label in enumerate(bins.labels) if label[0] == "abs"]
    absolute, _ = bins.codes(yaw)
    names, person = np.unique(scored.subject, return_inverse=True)
    column = np.full(len(bins.labels), -1)
    column[[place for place, _ in labels]] = np.arange(len(labels))
    where = column[absolute[scored.image]]
    inside = where >= 0
    n, m = len(names), len(labels)

    def per_person(weight: FloatArray) -> FloatArray:
        sums: FloatArray = np.bincount(person[inside] * m + where[inside], weight[inside], minlength=n * m).reshape(n, m).astype(np.float64)
        return sums

    numbers = per_person(np.ones(len(where)))
    images = np.array([len(np.unique(scored.image[where == k])) for k in range(m)])
    for target in stats.FMR_TARGETS:
        point = stats.operating_point(scored.impostors, target)
        if not point.supported or not n:
            continue
        misses = per_person((scored.genuine < np.float32(point.threshold)).astype(np.float64))
        low, high = bootstrap.mean_intervals(misses, numbers, resamples=more["resamples"], seed=more["seed"])
        for k, (_, (_, label, start, stop)) in enumerate(labels):
            if images[k]:
                yield {
                    "fmr_target": target,
                    "yaw_bin": label,
                    "yaw_low": start,
                    "yaw_high": stop,
                    "n_images": int(images[k]),
                    "n_pairs": int(numbers[:, k].sum()),
                    "n_subjects": int((numbers[:, k] > 0).sum()),
                    "fnmr": float(misses[:, k].sum() / numbers[:, k].sum()),
                    "fnmr_low": float(low[k]),
                    "fnmr_high": float(high[k]),
                }


# Identities, wins, counts, missing ------------------------------------------------------------------------------------------


def identity_rows(dataset: Dataset, facts: Facts) -> list[Row]:
    """One row per person and cell."""
    out = []
    for judge in dataset.judges:
        base = dataset.original(judge)
        assert base is not None
        original = base[1]
        for cell, rows in dataset.of_judge(judge):
            if cell.variant == ORIGINAL or is_missing(rows):
                continue
            head = facts.head(cell)
            eligible = groups.eligible_probes(rows, original)
            both = eligible & rows.ok & usable(original, original)
            names, code = np.unique(original.subject.astype(np.str_), return_inverse=True)
            n = np.bincount(code[both], minlength=len(names))
            failed = np.bincount(code[eligible & rows.fta], minlength=len(names))

            def per_person(values: FloatArray, code: Any = code, both: BoolArray = both, n: Any = n) -> FloatArray:
                with np.errstate(invalid="ignore", divide="ignore"):
                    means: FloatArray = np.bincount(code[both], values[both], minlength=len(n)) / n
                return means

            angled, frontal = per_person(original.genuine), per_person(rows.genuine)
            other = per_person(rows.impostor) - per_person(original.impostor)
            for i in np.flatnonzero((n > 0) | (failed > 0)):
                out.append(
                    {
                        **head,
                        "subject": str(names[i]),
                        "n_images": int(n[i]),
                        "n_fta": int(failed[i]),
                        "angled_gt": float(angled[i]),
                        "frontal_gt": float(frontal[i]),
                        "net_gain": float(frontal[i] - angled[i]),
                        "impostor_gain": float(other[i]),
                        "identity_gain": float(frontal[i] - angled[i] - other[i]),
                    }
                )
    return out


def win_rows(dataset: Dataset, facts: Facts, settings: Settings) -> list[Row]:
    """Wins, ties, losses of every pair of variants over the probes that both gave."""
    out: list[Row] = []
    for judge in dataset.judges:
        base = dataset.original(judge)
        assert base is not None
        original = base[1]
        cells = [
            (cell, np.where(usable(rows, original), rows.genuine, np.nan)) for cell, rows in dataset.of_judge(judge) if not is_missing(rows)
        ]
        _, code = np.unique(original.subject.astype(np.str_), return_inverse=True)
        n_subjects = int(code.max(initial=-1)) + 1
        found: list[Row] = []
        sums: list[FloatArray] = []
        numbers: list[FloatArray] = []
        for (a, left), (b, right) in itertools.combinations(cells, 2):
            difference = left - right
            here = np.isfinite(difference)
            d = difference[here]
            number = np.bincount(code[here], minlength=n_subjects).astype(np.float64)
            total = np.bincount(code[here], d, minlength=n_subjects)
            means = total[number > 0] / number[number > 0]
            wins = [int((d > stats.TIE).sum()), int((d < -stats.TIE).sum())]
            people = [int((means > stats.TIE).sum()), int((means < -stats.TIE).sum())]
            leak = facts.leak(a) or facts.leak(b)
            sums.append(total.astype(np.float64))
            numbers.append(number)
            found.append(
                {
                    "dataset": dataset.name,
                    "synthetic": dataset.name in facts.synthetic,
                    "detector": judge[0],
                    "backbone": judge[1],
                    "variant_a": a.variant,
                    "variant_b": b.variant,
                    "n_images": len(d),
                    "n_subjects": int((number > 0).sum()),
                    "wins_a": wins[0],
                    "ties": len(d) - sum(wins),
                    "wins_b": wins[1],
                    "p_probes": stats.sign_test_p(*wins),
                    "subjects_a": people[0],
                    "subjects_b": people[1],
                    "p_subjects": stats.sign_test_p(*people),
                    "p_holm": math.nan,
                    "mean_difference": float(d.mean()) if len(d) else math.nan,
                    "leak": leak,
                    "note": join_notes(LEAK_NOTE if leak else "", SYNTHETIC_NOTE if dataset.name in facts.synthetic else ""),
                }
            )
        if not found:
            continue
        part = np.flatnonzero(np.any([number > 0 for number in numbers], axis=0))
        low, high = bootstrap.mean_intervals(
            np.stack(sums, axis=1)[part], np.stack(numbers, axis=1)[part], resamples=settings.resamples, seed=settings.seed
        )
        ranked = [row for row in found if not row["leak"]]
        for row, p in zip(ranked, stats.holm([row["p_subjects"] for row in ranked]), strict=True):
            row["p_holm"] = float(p)
        for row, a_end, b_end in zip(found, low, high, strict=True):
            row["ci_low"], row["ci_high"] = float(a_end), float(b_end)
        out += found
    return out


def count_rows(dataset: Dataset, facts: Facts) -> list[Row]:
    """What the dataset holds, as each judge sees its original pictures."""
    out = []
    for judge in dataset.judges:
        base = dataset.original(judge)
        assert base is not None
        rows = base[1]
        probe, reference = rows.role == "probe", rows.role == "reference"
        words = Counter(rows.status.tolist())
        used = probe | reference
        with_reference = set(rows.subject[reference & rows.ok])
        sources = Counter(rows.yaw_source[probe & np.isfinite(rows.yaw)].tolist())
        out.append(
            {
                "dataset": dataset.name,
                "synthetic": dataset.name in facts.synthetic,
                "detector": judge[0],
                "backbone": judge[1],
                "n_images": len(rows),
                "n_identities": len(set(rows.identity[used])),
                "n_subjects": len(set(rows.subject[used])),
                "n_references": int(reference.sum()),
                "n_references_usable": int((reference & rows.ok).sum()),
                "n_probes": int(probe.sum()),
                "n_probes_usable": int((probe & rows.ok).sum()),
                "n_no_reference": words["no_reference"],
                "n_unused": words[status.NOT_USED],
                "n_unreadable": words[status.UNREADABLE],
                "n_no_face": words[status.NO_FACE],
                "n_subjects_without_reference": len(set(rows.subject[used]) - with_reference),
                "n_subjects_without_probe": len(set(rows.subject[used]) - set(rows.subject[probe])),
                "n_same_photo": int((rows.n_same_photo > 0).sum()),
                "yaw_known": sum(sources.values()),
                "yaw_source": ", ".join(f"{name} {count}" for name, count in sorted(sources.items())),
            }
        )
    return out


def missing_rows(dataset: Dataset) -> list[Row]:
    """Cells without a single embedding, and why."""
    out = []
    for cell, rows in sorted(dataset.rows.items()):
        if not is_missing(rows):
            continue
        used = np.isin(rows.role.astype(np.str_), ["probe", "reference"])
        reasons = Counter(zip(rows.status[used].tolist(), rows.detail[used].tolist(), strict=True))
        if not reasons:
            continue
        (word, detail), _ = min(reasons.items(), key=lambda item: (item[0][0] != status.WEIGHTS_MISSING, -item[1], item[0]))
        out.append(
            {
                **{"dataset": cell.dataset, "variant": cell.variant, "detector": cell.detector, "backbone": cell.backbone},
                "status": word,
                "n_images": int(used.sum()),
                "reason": detail or "no image gave an embedding",
            }
        )
    return out
