"""The three tables of the study in its shape, but over the same images, with intervals, failures, and sentences where a mean misleads."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from frontalbench.compare import gates, groups, jackknife, verdict
from frontalbench.compare.rows import Rows
from frontalbench.compare.subjects import people_of
from frontalbench.plan.grid import Cell
from frontalbench.plan.variant import LEARNED, ORIGINAL, parse
from frontalbench.tabulate.dataset import (
    Dataset,
    TableSettings,
    is_missing,
    join_notes,
    lost_note,
    standing_notes,
    usable,
    weight_note,
)
from frontalbench.tabulate.facts import Facts
from frontalbench.types import Bool, Float, Float32

Row = dict[str, Any]
_LEAVE = -1
"""Leaving the image as it is: a rival in every ranking of variants that is never marked itself."""
_LEAVE_NAME = "leaving the image as it is"


# Table 1: Net Gain ----------------------------------------------------------------------------------------------------------


def net_gain_rows(master: Sequence[Row]) -> list[Row]:
    """Rows of table 1 from the master rows (``p_holm`` filled in), without ``best``."""
    cells: dict[tuple[str, str, str, str], dict[tuple[str, str], Row]] = {}
    for row in master:
        if row["yaw_axis"] == "all":
            key = (row["dataset"], row["variant"], row["detector"], row["backbone"])
            cells.setdefault(key, {})[row["group"], row["subset"]] = row
    out = []
    for (dataset, variant, detector, backbone), found in sorted(cells.items()):
        net = found.get(("Net Gain", "common"))
        if variant == ORIGINAL or net is None:
            continue
        base = cells[dataset, ORIGINAL, detector, backbone]
        identity = found["identity gain", "common"]
        frontal_own, angled_own = found["Frontal vs GT", "own"], base.get(("Angled vs GT", "own"), {})
        out.append(
            {
                **{
                    key: net[key]
                    for key in ("dataset", "synthetic", "variant", "recipe", "frontalizer", "enhancement", "detector", "backbone")
                },
                **{key: net[key] for key in ("leak", "verified")},
                "angled_gt": found["Angled vs GT", "common"]["mean"],
                "frontal_gt": found["Frontal vs GT", "common"]["mean"],
                "net_gain": net["mean"],
                "net_gain_low": net["ci_low"],
                "net_gain_high": net["ci_high"],
                "impostor_gain": found["impostor gain", "common"]["mean"],
                "impostor_gain_low": found["impostor gain", "common"]["ci_low"],
                "impostor_gain_high": found["impostor gain", "common"]["ci_high"],
                "identity_gain": identity["mean"],
                "identity_gain_low": identity["ci_low"],
                "identity_gain_high": identity["ci_high"],
                "net_gain_people": net["mean_people"],
                "identity_gain_people": identity["mean_people"],
                "p_holm": identity["p_holm"],
                "decidable": identity["decidable"],
                "share_gaining": net["share_gaining"],
                "share_gaining_low": net["share_gaining_low"],
                "share_gaining_high": net["share_gaining_high"],
                "n_images": net["n_images"],
                "n_subjects": net["n_subjects"],
                "n_fallback": net["n_fallback"],
                "net_gain_both": net["mean_both"],
                "identity_gain_both": identity["mean_both"],
                "identity_gain_both_low": identity["both_low"],
                "identity_gain_both_high": identity["both_high"],
                "n_effective": net["n_effective"],
                "n_fta_angled": angled_own.get("n_fta"),
                "n_fta_frontal": frontal_own["n_fta"],
                "fta_rate_frontal": frontal_own["fta_rate"],
                "angled_gt_own": angled_own.get("mean"),
                "frontal_gt_own": frontal_own["mean"],
                "net_gain_penalised": found["Net Gain", "penalised"]["mean"],
                "best": False,
                "p_runner_up": math.nan,
                "note": join_notes(*dict.fromkeys(part for row in (net, identity) for part in row["note"].split("; "))),
            }
        )
    return out


def say_of_gates(rows: Sequence[Row], dataset: Dataset) -> None:
    """Fill in which share of the probes each gate turned, and how well the chances of a learned one came true (:func:`.gates.calibration`)."""
    at = {(row["variant"], row["detector"], row["backbone"]): row for row in rows if row["dataset"] == dataset.name}
    for judge in dataset.judges:
        base = dataset.original(judge)
        assert base is not None
        original = base[1]
        tables = {cell.variant: table for cell, table in dataset.of_judge(judge)}
        for variant, table in tables.items():
            row, named = at.get((variant, *judge)), parse(variant)
            if row is None or not named.is_gate:
                continue
            probes = usable(table, original)
            turned, chance = gates.decided(table.detail.tolist())
            row["turned"] = float(turned[probes].mean()) if probes.any() else math.nan
            if blind := gates.not_seen(table.detail.tolist()):
                row["note"] = join_notes(row["note"], f"the gate did not see {blind}: not measured on the photographs")
            frontal = tables.get(named.base)
            if named.recipe == LEARNED and frontal is not None:
                gain = (frontal.genuine - original.genuine) - (frontal.impostor - original.impostor)
                row["brier"] = gates.calibration(chance, np.where(usable(frontal, original), gain, np.nan))[1]


def mark_best_gain(rows: Sequence[Row], dataset: Dataset, facts: Facts, settings: TableSettings) -> None:
    """Mark, per judge, the variant with the highest identity gain, if it is above every other one and above leaving the image as it is: over the
    images that all ranked variants of the judge gave, a value per person (:mod:`frontalbench.compare.verdict`). The leader's note says why not."""
    at = {(row["variant"], row["detector"], row["backbone"]): i for i, row in enumerate(rows) if row["dataset"] == dataset.name}
    for judge in dataset.judges:
        base = dataset.original(judge)
        assert base is not None
        original = base[1]
        leave = np.where(usable(original, original), 0.0, np.nan)
        values: dict[int, Float] = {}
        moves: dict[int, Float32] = {}
        for cell, table in dataset.of_judge(judge):
            place = at.get((cell.variant, *judge))
            if place is not None and not facts.leak(cell):
                gain = (table.genuine - original.genuine) - (table.impostor - original.impostor)
                values[place] = np.where(usable(table, original), gain + leave, np.nan)
                moves[place] = -groups.moves_between(table, original)
        names = {place: str(rows[place]["variant"]) for place in values}
        subject = original.subject.astype(np.str_)
        found = _mark(rows, [_Ranked(values, leave, subject, names, moves)], settings)
        for place, open_ in verdict.places(values, subject, moves=moves, seed=settings.seed).items():
            rows[place] |= {"place": open_.place, "first": open_.first, "last": open_.last}
        for ranking in found:
            for place in set(ranking.order) - {_LEAVE}:
                rows[place] |= {"gain_ranked": ranking.value[place], "n_images_ranked": ranking.n_images}
                if ranking.leader not in (place, _LEAVE) and rows[place]["identity_gain"] > rows[ranking.leader]["identity_gain"]:
                    rows[place]["note"] = join_notes(_behind(ranking, place, names), rows[place]["note"])


def _behind(ranking: verdict.Ranking[int], place: int, names: Mapping[int, str]) -> str:
    """Why a variant with a higher printed gain than the leader's is not the first."""
    return (
        f"behind {names[ranking.leader]} over the {ranking.n_images} images that all ranked variants gave, a value per person "
        f"({ranking.value[place]:+.3f} against {ranking.value[ranking.leader]:+.3f})"
    )


@dataclass(frozen=True)
class _Ranked:
    """What is ranked together: place of a row -> values per image (n,), NaN where it gave none; ``leave``: the same of leaving the image as it is,
    None where that is no choice; ``subject`` (n,); ``names``: what the notes call the rows; ``moves``: how each image's value changes without the
    references of each group of people (n, groups), where strangers are part of it."""

    values: Mapping[int, Float]
    leave: Float | None
    subject: Any
    names: Mapping[int, str]
    moves: Mapping[int, Float32] | None = None

    @property
    def all_values(self) -> dict[int, Float]:
        return {**self.values, **({} if self.leave is None else {_LEAVE: self.leave})}


def _mark(rows: Sequence[Row], ranked: Sequence[_Ranked], settings: TableSettings) -> list[verdict.Ranking[int]]:
    """Set ``best`` and ``p_runner_up`` of the leaders of all rankings of one judge and table (one family), and write into the note why a leader
    is not best. Returns the rankings that could be made."""
    ranked = [replace(one, values={i: v for i, v in one.values.items() if np.isfinite(v).any()}) for one in ranked]
    ranked = [one for one in ranked if one.values]
    family = sum(max(0, len(verdict.complete_enough(one.all_values)) - 1) for one in ranked)
    made = []
    for one in ranked:
        ranking = verdict.rank(one.all_values, one.subject, family=family, moves=one.moves, seed=settings.seed)
        if ranking is None:
            if len(one.values) > 1:
                for place in one.values:
                    rows[place]["note"] = join_notes(rows[place]["note"], "not ranked: no image was given by all that are compared")
            continue
        made.append(ranking)
        names = {**one.names, _LEAVE: _LEAVE_NAME}
        first = next((place for place in ranking.order if place != _LEAVE), None)
        if first is not None:
            note = _settle(rows[first], ranking, first, family, names)
            counts = {place: int(np.isfinite(values).sum()) for place, values in one.values.items()}
            if note and ranking.n_images < max(counts.values()):
                note += f" (over the {ranking.n_images} of {max(counts.values())} images that all gave)"
            rows[first]["note"] = join_notes(note, rows[first]["note"])
        for place in ranking.left_out:
            if place != _LEAVE:
                rows[place]["note"] = join_notes("not ranked: it lost more than half of the images", rows[place]["note"])
    return made


def _settle(row: Row, ranking: verdict.Ranking[int], first: int, family: int, names: Mapping[int, str]) -> str:
    """Write the verdict into the row of the first variant of a ranking; returns why it is not best (empty when it is)."""
    if ranking.leader == _LEAVE:
        return "first of its ranking, but not above leaving the image as it is, so nothing is best"
    found = verdict.decide(ranking, family, names)
    row["best"], row["p_runner_up"] = found.best, found.p
    said = not found.decidable and found.reason.partition(" (")[0] in row["note"]  # too few people: the row's own p says so already
    if not found.reason:
        return ""
    return "first of its ranking, but not best" if said else f"first of its ranking, but not best: {found.reason}"


MIRROR = "fuse_mean:mirror.none"
"""The control of every fusion: two images are better than one, even when the second is only the first one mirrored."""


def hold_against_mirror(rows: Sequence[Row], dataset: Dataset, settings: TableSettings) -> None:
    """For every fusion of a dataset: its identity gain minus that of the mirror fusion, over the images that both gave.

    A fusion that is not certainly better than the mirrored photograph says so in its note.
    """
    cells = {(cell.variant, cell.judge): table for cell, table in dataset.rows.items()}
    for row in rows:
        judge = (row["detector"], row["backbone"])
        control, original = cells.get((MIRROR, judge)), cells.get((ORIGINAL, judge))
        if (
            not row["recipe"].startswith(("fuse_", "gate_flip", "pose_matched"))
            or row["variant"] == MIRROR
            or control is None
            or original is None
        ):
            continue
        fused = cells[row["variant"], judge]
        both = usable(fused, original) & usable(control, original) & usable(original, original)
        change = (fused.genuine - fused.impostor - (control.genuine - control.impostor))[both]
        if not len(change):
            continue
        found = groups.mean_estimate(change, original.subject_code[both], -groups.moves_between(fused, control)[both])
        row |= {"over_mirror": found.value, "over_mirror_low": found.low, "over_mirror_high": found.high}
        row["note"] = join_notes(_against_mirror(found.low, found.high), row["note"])


def _against_mirror(low: float, high: float) -> str:
    """What the interval of ``over_mirror`` says in words; an interval that holds 0 says nothing about absence."""
    if low > 0:
        return ""
    if high < 0:
        return "worse than averaging with the mirrored photograph"
    return "undecided whether the frontal view adds anything to what averaging with the mirrored photograph gives"


# Tables 2 and 3: several cells over the same images -------------------------------------------------------------------------


def _compare(cells: Sequence[tuple[Row, Float, Bool, Bool]], subject: Any, settings: TableSettings) -> list[Row]:
    """Mean of each cell over the images that every cell gave. ``cells``: (head, values or NaN, eligible, failed), all (n,)."""
    everywhere = np.all([np.isfinite(values) for _, values, _, _ in cells], axis=0)
    code = np.unique(subject, return_inverse=True)[1]
    here = np.flatnonzero(everywhere)
    used, place = np.unique(code[here], return_inverse=True)
    counted = np.bincount(place, minlength=len(used)).astype(np.float64)
    sums: Float = np.stack([np.bincount(place, values[here], minlength=len(used)) for _, values, _, _ in cells], axis=1).astype(np.float64)
    squares = np.stack([np.bincount(place, values[here] ** 2, minlength=len(used)) for _, values, _, _ in cells], axis=1).astype(np.float64)
    low, high = jackknife.mean_intervals(sums, np.repeat(counted[:, None], len(cells), axis=1), squares=squares)
    out = []
    for (head, values, eligible, failed), a, b in zip(cells, low, high, strict=True):
        own = values[np.isfinite(values)]
        who = people_of(values[here], subject[here])
        n_eligible, n_failed = int(eligible.sum()), int(failed.sum())
        out.append(
            {
                **head,
                "mean": float(values[here].mean()) if len(here) else math.nan,
                "ci_low": float(a),
                "ci_high": float(b),
                "mean_people": who.mean,
                "n_effective": who.effective,
                "n_images": len(here),
                "n_subjects": len(used),
                "mean_own": float(own.mean()) if len(own) else math.nan,
                "n_own": len(own),
                "n_eligible": n_eligible,
                "n_fta": n_failed,
                "fta_rate": n_failed / n_eligible if n_eligible else math.nan,
                "best": False,
                "p_runner_up": math.nan,
                "note": weight_note(who),
            }
        )
    return out


def _against(values: Sequence[Float], plain: Sequence[int | None], subject: Any) -> list[Row]:
    """What each cell changes against the cell ``plain`` says (its place; None, or its own: no number), over the images that every cell gave."""
    here = np.flatnonzero(np.all([np.isfinite(one) for one in values], axis=0))
    used, place = np.unique(np.unique(subject, return_inverse=True)[1][here], return_inverse=True)
    counted = np.bincount(place, minlength=len(used)).astype(np.float64)
    out: list[Row] = []
    for i, base in enumerate(plain):
        found = (math.nan, math.nan, math.nan)
        if base is not None and base != i and len(here):
            change = values[i][here] - values[base][here]
            sums = np.bincount(place, change, minlength=len(used)).astype(np.float64)
            low, high = jackknife.mean_intervals(sums[:, None], counted[:, None])
            found = (float(change.mean()), float(low[0]), float(high[0]))
        out.append(dict(zip(("change", "change_low", "change_high"), found, strict=True)))
    return out


def enhancement_rows(dataset: Dataset, facts: Facts, settings: TableSettings) -> list[Row]:
    """Table 2: Frontal vs GT of every enhancement of a frontalizer, judge by judge, over the images that all of them gave.

    A row also says what its enhancement changes against the frontal view without any, over the same images.

    Ranked are the enhancements of a frontalizer and leaving the image as it is; all rankings of a judge are one family.
    """
    out: list[Row] = []
    rankings: dict[tuple[str, str], list[_Ranked]] = {}
    plain = [(c, r) for c, r in dataset.rows.items() if c.of.has_pixels and not c.of.is_original and not is_missing(r)]
    for frontalizer in sorted({cell.of.frontalizer for cell, _ in plain}):
        chosen = sorted(
            ((c, r) for c, r in plain if c.of.frontalizer == frontalizer),
            key=lambda pair: (not pair[0].of.is_plain, pair[0].of.enhancement, pair[0].judge),
        )
        parts = []
        subject: Any = None
        for cell, rows in chosen:
            original = _original(dataset, cell)
            subject = original.subject.astype(np.str_)
            eligible = groups.eligible_probes(rows, original)
            parts.append((facts.head(cell), np.where(eligible & rows.ok, rows.genuine, np.nan), eligible, eligible & rows.fta))
        found = _compare(parts, subject, settings)
        unchanged = {cell.judge: i for i, (cell, _) in enumerate(chosen) if cell.of.is_plain}
        changes = _against([one[1] for one in parts], [unchanged.get(cell.judge) for cell, _ in chosen], subject)
        found = [{**row, **change} for row, change in zip(found, changes, strict=True)]
        for judge in dataset.judges:
            of_judge = [i for i, (cell, _) in enumerate(chosen) if cell.judge == judge]
            base = unchanged.get(judge)
            for i in of_judge:
                lost = ""
                if base is not None and i != base:
                    change = parts[i][1] - parts[base][1]
                    both = np.isfinite(change)
                    gone = int((np.isfinite(parts[base][1]) & ~np.isfinite(parts[i][1])).sum())
                    gain = float(change[both].mean()) if both.any() else math.nan
                    lost = lost_note("it", "no enhancement", found[i]["mean_own"], found[base]["mean_own"], gain, int(both.sum()), gone)
                found[i]["note"] = join_notes(lost, found[i]["note"], standing_notes(found[i]))
            fair = {len(out) + i: parts[i][1] for i in of_judge if not found[i]["leak"]}
            if fair:
                original = _original(dataset, chosen[of_judge[0]][0])
                leave = np.where(usable(original, original), original.genuine, np.nan)
                names = {len(out) + i: chosen[i][0].variant for i in of_judge}
                rankings.setdefault(judge, []).append(_Ranked(fair, leave, subject, names))
        out += found
    for ranked in rankings.values():
        _mark(out, ranked, settings)
    return out


OTHER_SCALE = "not ranked: similarities of two backbones are not on one scale, and there is no other detector with this one"


def backbone_rows(dataset: Dataset, facts: Facts, settings: TableSettings) -> list[Row]:
    """Table 3: the groups of the original images by judge, over the images that every judge gave.

    Ranked are detectors with the same backbone: two backbones' similarities are not on one scale, and one that maps every face to one vector would
    come first. All rankings of a backbone are one family.
    """
    out: list[Row] = []
    rankings: dict[str, list[_Ranked]] = {}
    cells = sorted(((c, r) for c, r in dataset.rows.items() if c.variant == ORIGINAL and not is_missing(r)), key=lambda pair: pair[0])
    if not cells:
        return out
    for group, role, column in (
        ("Angled vs GT", "probe", "genuine"),
        ("Angled vs Angled", "probe", "within"),
        ("GT vs GT", "reference", "genuine"),
    ):
        parts = []
        for cell, rows in cells:
            eligible = groups.eligible_probes(rows, rows) if role == "probe" else (rows.role == "reference") & (rows.ok | rows.fta)
            head = {key: value for key, value in facts.head(cell).items() if key not in ("recipe", "frontalizer", "enhancement", "leak")}
            parts.append(
                ({**head, "group": group}, np.where(eligible & rows.ok, getattr(rows, column), np.nan), eligible, eligible & rows.fta)
            )
        subject = cells[0][1].subject.astype(np.str_)
        found = _compare(parts, subject, settings)
        for row in found:
            row["note"] = join_notes(row["note"], standing_notes({**row, "leak": False}))
            if row["n_images"] == 0:
                row["note"] = join_notes(
                    "no image has such a pair" if row["n_own"] == 0 else "no image was given by every judge", row["note"]
                )
        for backbone in dict.fromkeys(cell.backbone for cell, _ in cells):
            beside = [i for i, (cell, _) in enumerate(cells) if cell.backbone == backbone]
            if len(beside) == 1 and len(cells) > 1:
                found[beside[0]]["note"] = join_notes(OTHER_SCALE, found[beside[0]]["note"])
            if len(beside) > 1 and found[beside[0]]["n_images"]:
                names = {len(out) + i: cells[i][0].detector for i in beside}
                values = {len(out) + i: parts[i][1] for i in beside}
                rankings.setdefault(backbone, []).append(_Ranked(values, None, subject, names))
        out += found
    for ranked in rankings.values():
        _mark(out, ranked, settings)
    return out


def _original(dataset: Dataset, cell: Cell) -> Rows:
    base = dataset.original(cell.judge)
    assert base is not None
    return base[1]
