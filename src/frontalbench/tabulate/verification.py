"""Tables of separation, identification and robustness to yaw: error rates, ranks and curves of every cell."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from frontalbench import tables
from frontalbench.compare import curves, groups, rates, scores, separation
from frontalbench.compare.jackknife import Estimate
from frontalbench.compare.rows import Rows, YawBins
from frontalbench.errors import BadInput
from frontalbench.plan.grid import Cell
from frontalbench.plan.variant import ORIGINAL
from frontalbench.tabulate.dataset import Dataset, Row, TableSettings, is_missing, usable
from frontalbench.tabulate.facts import Facts
from frontalbench.types import Bool, Float, Float32, Int

YAW_GRID = np.arange(0.0, 91.0, 2.5)
"""Points of the smooth curves, degrees of \\|yaw\\|."""
RANKS = 20
"""Highest rank of the cumulative match characteristic."""


def moments(rows: Rows, chosen: Bool, original: Rows) -> separation.PairMoments:
    """The pairs of the images ``chosen`` of a cell, with what the references of ``original`` do to them."""
    moves = None if rows.moves is None else np.where(chosen[:, None], rows.moves, np.float16(0.0))
    references = None if moves is None else groups.references_by_group(original, moves.shape[1])

    def of(name: str) -> Float:
        return np.where(chosen, getattr(rows, name), np.nan)

    return separation.PairMoments(
        genuine=of("genuine"),
        genuine_sd=of("genuine_sd"),
        n_genuine=of("n_references"),
        impostor=of("impostor"),
        impostor_sd=of("impostor_sd"),
        n_impostor=of("n_impostors"),
        moves=moves,
        references=references,
    )


@dataclass(frozen=True)
class Scored:
    """Genuine pair scores with their probes' places and people (codes), and the impostor distribution; ``lost``, ``gained``: its part of the probes
    that only `original`, or only this variant, gave."""

    genuine: Float32
    image: Int  # place of each pair's probe in the dataset's rows
    subject: Int
    impostors: scores.Impostors
    lost: scores.Impostors
    gained: scores.Impostors


def read_scores(cell: Cell, original: Rows) -> Scored | None:
    """The pair scores of a cell's probes; None where the cell has none. Raises :class:`BadInput` when they are of other images."""
    if cell.scores is None:
        return None
    table = tables.read(cell.scores, scores.SCORES)
    genuine, impostors = scores.from_table(table)
    lost, gained = (scores.from_table(table, role)[1] for role in ("lost", "gained"))
    place = {name: i for i, name in enumerate(original.image_id)}
    try:
        image = np.fromiter((place[name] for name in genuine.image_id), np.int64, len(genuine.image_id))
    except KeyError as error:
        raise BadInput(f"{cell.scores}: image {error} is not in {cell.similarity}; compare that cell again") from None
    code = np.unique(original.subject.astype(np.str_), return_inverse=True)[1].astype(np.int64)
    return Scored(genuine.scores, image, code[image], impostors, lost, gained)


def _estimate(prefix: str, value: Estimate) -> Row:
    return {prefix: value.value, f"{prefix}_low": value.low, f"{prefix}_high": value.high}


def verification_tables(dataset: Dataset, facts: Facts, settings: TableSettings) -> dict[str, list[Row]]:
    """Rows of ``verification``, ``error_rates``, ``fnmr_by_yaw``, ``det``, ``cmc``, ``curves`` of one dataset."""
    out: dict[str, list[Row]] = {name: [] for name in ("verification", "error_rates", "fnmr_by_yaw", "det", "cmc", "curves")}
    bins = YawBins(tuple(facts.edges.get(dataset.name, settings.edges)))
    for judge in dataset.judges:
        base = dataset.original(judge)
        assert base is not None
        base_cell, original = base
        base_scored = read_scores(base_cell, original)
        code = original.subject_code
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
            ranked = ok & np.isfinite(rows.rank)
            n_gallery = len(np.unique(subject[(original.role == "reference") & original.ok]))
            cmc = rates.cmc_estimates(rows.rank[ranked], subject[ranked], RANKS)
            alone = rows.fallback
            with_both = cmc if not alone.any() else rates.cmc_estimates(rows.rank[ranked & ~alone], subject[ranked & ~alone], RANKS)
            yaw = np.abs(original.yaw)
            genuine = np.where(ok, rows.genuine, np.nan)
            slope = curves.slope(yaw, genuine, subject)
            curve = curves.smooth(yaw, genuine, subject, YAW_GRID)
            drawn = genuine if not alone.any() else np.where(alone, np.nan, genuine)
            shown = curve if drawn is genuine else curves.smooth(yaw, drawn, subject, YAW_GRID)
            near = curves.near(yaw[np.isfinite(drawn)], YAW_GRID)
            reached = YAW_GRID[np.isfinite(curve.mean)]
            row: Row = {
                **head,
                "n_images": int(ok.sum()),
                "n_subjects": len(np.unique(subject[ok])),
                "n_fallback": int((ok & alone).sum()),
                "n_genuine": int(np.nansum(rows.n_references[ok])),
                "n_impostor": int(np.nansum(rows.n_impostors[ok])),
                "n_eligible": n_eligible,
                "n_fta": n_fta,
                "fta_rate": rate,
                **_estimate("dprime", separation.dprime_estimate(moments(rows, ok, original), subject)),
                **_estimate("rank1", cmc[0]),
                **_estimate("rank5", cmc[4]),
                "n_gallery": n_gallery,
                **_estimate("slope", slope),
                **_estimate("area", curve.area.estimate()),
                "yaw_reach": float(reached.max()) if len(reached) else math.nan,
            }
            row |= {
                "dprime_both": row["dprime"]
                if drawn is genuine
                else separation.dprime_left_out(moments(rows, ok & ~alone, original), code).value,
                "rank1_both": with_both[0].value,
                "rank5_both": with_both[4].value,
                "slope_both": slope.value if drawn is genuine else curves.slope(yaw, drawn, subject).value,
                "area_both": shown.area.value,
            }
            if cell.variant != ORIGINAL:
                change = separation.dprime_change(moments(rows, both, original), moments(original, both, original), subject)
                row.update(_estimate("dprime_change", change))
            out["curves"] += [
                {**head, "yaw": float(x), "mean": float(m), "ci_low": float(a), "ci_high": float(b), "weight": float(w)}
                for x, m, a, b, w, here in zip(shown.yaw, shown.mean, shown.low, shown.high, shown.weight, near, strict=True)
                if math.isfinite(m) and here
            ]
            out["cmc"] += [
                {**head, "rank": rank, "n_gallery": n_gallery, "n_images": int(ranked.sum()), **_estimate("share", share)}
                | {
                    "share_with_fta": (1 - rate) * share.value,
                    "n_fallback": int((ranked & alone).sum()),
                    "share_both": with_both[rank - 1].value,
                }
                for rank, share in enumerate(cmc[:n_gallery], start=1)
                if ranked.any()
            ]
            scored = base_scored if cell.variant == ORIGINAL else read_scores(cell, original)
            if scored is not None:
                row |= _estimate("eer", rates.eer_estimate(scored.genuine, scored.subject, scored.impostors))
                whole = scored.genuine[~alone[scored.image]]
                row["eer_both"] = row["eer"] if drawn is genuine else rates.eer(whole, scored.impostors)
                usual = rates.det(scored.genuine, scored.subject, scored.impostors)
                out["det"] += [
                    {**head, "threshold": float(t), "fmr": float(f), "fnmr": float(m), "fnmr_low": float(a), "fnmr_high": float(b)}
                    | {"fnmr_both": rates.fnmr(whole, float(t))}
                    for t, f, m, a, b in zip(usual.threshold, usual.fmr, usual.fnmr, usual.low, usual.high, strict=True)
                ]
                pair = (base_scored, both) if cell.variant != ORIGINAL and base_scored is not None else None
                out["error_rates"] += [{**head, **r} for r in _error_rates(scored, pair, rate, alone)]
                out["fnmr_by_yaw"] += [{**head, **r} for r in _fnmr_by_yaw(scored, original.yaw, bins, alone)]
            out["verification"].append(row)
    return out


def _both(scored: Scored, inside: Bool | slice, threshold: float, alone: Bool) -> Row:
    """Fallbacks among the images of the genuine pairs ``inside``, and FNMR without them."""
    image, genuine = scored.image[inside], scored.genuine[inside]
    single = alone[image]
    return {"n_fallback": len(np.unique(image[single])), "fnmr_both": rates.fnmr(genuine[~single], threshold)}


def _error_rates(scored: Scored, base: tuple[Scored, Bool] | None, fta_rate: float, alone: Bool) -> Iterator[Row]:
    """Error rates at every FMR target; ``base``: the originals' scores and which images both gave; ``alone``: fallbacks."""
    for target in rates.FMR_TARGETS:
        point = rates.operating_point(scored.impostors, target)
        row: Row = {"fmr_target": target, "supported": point.supported}
        if not point.supported:
            yield {**row, "note": rates.NOT_SUPPORTED}
            continue
        estimate = rates.fnmr_estimate(scored.genuine, point.threshold, scored.subject, scored.impostors)
        row |= {"threshold": point.threshold, "fmr": point.fmr, **_estimate("fnmr", estimate), "note": ""}
        row["fnmr_with_fta"] = fta_rate + (1 - fta_rate) * estimate.value
        row |= _both(scored, slice(None), point.threshold, alone)
        if base is not None:
            before, both = base
            after_strangers, strangers = scored.impostors.without(scored.gained), before.impostors.without(scored.lost)
            here, other = rates.operating_point(after_strangers, target), rates.operating_point(strangers, target)
            if here.supported and other.supported:
                now, then = both[scored.image], both[before.image]
                change = rates.fnmr_change(
                    *(scored.genuine[now], here.threshold, scored.subject[now]),
                    *(before.genuine[then], other.threshold, before.subject[then]),
                    impostors=(after_strangers, strangers),
                )
                row |= _estimate("fnmr_change", change)
        yield row


def _fnmr_by_yaw(scored: Scored, yaw: Float, bins: YawBins, alone: Bool) -> Iterator[Row]:
    """FNMR in bins of \\|yaw\\| at the cell's own threshold of every supported FMR; one threshold for all bins, as a user has one."""
    labels = [(place, label) for place, label in enumerate(bins.labels) if label[0] == "abs"]
    absolute, _ = bins.codes(yaw)
    where = absolute[scored.image]
    targets = [point for point in (rates.operating_point(scored.impostors, t) for t in rates.FMR_TARGETS) if point.supported]
    if not targets:
        return
    thresholds = np.array([point.threshold for point in targets])
    for place, (_, label, start, stop) in labels:
        inside = where == place
        if not inside.any():
            continue
        people = scored.subject[inside]
        found = rates.miss_rates(scored.genuine[inside], people, scored.impostors, thresholds).estimates()
        for point, estimate in zip(targets, found, strict=True):
            yield {
                "fmr_target": point.target,
                "yaw_bin": label,
                "yaw_low": start,
                "yaw_high": stop,
                "n_images": len(np.unique(scored.image[inside])),
                "n_pairs": int(inside.sum()),
                "n_subjects": len(np.unique(people)),
                **_estimate("fnmr", estimate),
                **_both(scored, inside, point.threshold, alone),
            }
