"""The long tables: every cell x group x yaw bin x subset, identities, wins, counts, what is missing."""

from __future__ import annotations

import itertools
import math
from collections import Counter
from collections.abc import Sequence
from typing import Any

import numpy as np

from frontalbench import status
from frontalbench.compare import groups, jackknife, scores, significance, verdict
from frontalbench.compare.rows import Rows, YawBins
from frontalbench.compare.subjects import People, people_of
from frontalbench.plan.variant import ORIGINAL
from frontalbench.tabulate.dataset import (
    LEAK_NOTE,
    SYNTHETIC_NOTE,
    Dataset,
    Row,
    TableSettings,
    disagreement_note,
    fallback_note,
    is_missing,
    join_notes,
    lost_note,
    sign_note,
    standing_notes,
    usable,
    weight_note,
)
from frontalbench.tabulate.facts import Facts
from frontalbench.types import Bool, Float

STRANGERS = ("GT vs other GT", "Angled vs other GT", "Frontal vs other GT", "impostor gain", "identity gain")
"""Groups that need another person's reference."""


def master_rows(dataset: Dataset, facts: Facts, settings: TableSettings) -> list[Row]:
    """Rows of the master table of one dataset, without ``p_holm``."""
    bins = YawBins(tuple(facts.edges.get(dataset.name, settings.edges)))
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
            found = groups.summarize_cell(rows, original, is_original=cell.variant == ORIGINAL, bins=bins, seed=settings.seed)
            whole = {(r["group"], r["subset"]): r for r in found if r["yaw_axis"] == "all"}
            if cell.variant == ORIGINAL:
                angled_own = whole.get(("Angled vs GT", "own"), {}).get("mean", float("nan"))
            lost = ""
            own, net = whole.get(("Frontal vs GT", "own")), whole.get(("Net Gain", "common"))
            if own is not None and net is not None:
                lost = lost_note("it", ORIGINAL, own["mean"], angled_own, net["mean"], net["n_images"], own["n_fta"])
            for row in found:
                about = lost if row["yaw_axis"] == "all" and row["group"] in ("Frontal vs GT", "Net Gain") else ""
                if row["yaw_axis"] == "all" and row["subset"] == "common" and row["group"] in groups.GAINS:
                    about = join_notes(about, fallback_note(row))
                who = People(row["mean_people"], row["n_effective"], row.pop("largest"))
                out.append({**head, **row, "note": join_notes(about, _about_people(row, who, original), standing)})
    return out


def _about_people(row: Row, who: People, original: Rows) -> str:
    """Notes that follow from whose images a row stands on."""
    if row["group"] in STRANGERS and row["n_images"] == 0:
        others = len(set(original.subject[(original.role == "reference") & original.ok]))
        return f"no {row['group']}: there is no other person's reference to compare with" if others < 2 else ""
    if row["group"] not in groups.GAINS:
        return weight_note(who)
    signs = sign_note(row["group"], row["mean"], who)
    return join_notes(weight_note(who), signs, disagreement_note(row["group"], row["ci_low"], row["ci_high"], row["p_value"]))


def adjust_master(rows: list[Row]) -> None:
    """Fill ``p_holm`` and ``decidable``: Holm over the variants without a leak of one dataset, judge, group, subset and yaw bin, so that a judge or a
    dataset that is added changes no p of another."""
    families: dict[tuple[str, ...], list[Row]] = {}
    for row in rows:
        row["p_holm"], row["decidable"] = math.nan, None
        if math.isfinite(row["p_value"]) and not row["leak"]:
            key = tuple(row[name] for name in ("dataset", "detector", "backbone", "group", "subset", "yaw_axis", "yaw_bin"))
            families.setdefault(key, []).append(row)
    for family in families.values():
        adjust(family, verdict.FLIPS)


def adjust(family: Sequence[Row], flips: int) -> None:
    """Holm over ``p_value`` of a family into ``p_holm``; where so few people cannot decide, ``p_holm`` is empty and the note says so. ``flips``:
    random sign flips behind a ``p_value``."""
    able = verdict.decidable([verdict.smallest_p(row["n_subjects"], flips) for row in family])
    for row, p, can in zip(family, significance.holm([row["p_value"] for row in family]), able, strict=True):
        row["p_holm"], row["decidable"] = float(p) if can else math.nan, can
        if not can:
            row["note"] = join_notes(verdict.undecidable_note(row["n_subjects"], len(family)), row["note"])


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
            alone = np.bincount(code[both & rows.fallback], minlength=len(names))

            def per_person(values: Float, code: Any = code, both: Bool = both, n: Any = n) -> Float:
                with np.errstate(invalid="ignore", divide="ignore"):
                    means: Float = np.bincount(code[both], values[both], minlength=len(n)) / n
                return means

            angled, frontal = per_person(original.genuine), per_person(rows.genuine)
            other = per_person(rows.impostor) - per_person(original.impostor)
            for i in np.flatnonzero((n > 0) | (failed > 0)):
                out.append(
                    {
                        **head,
                        "subject": str(names[i]),
                        "n_images": int(n[i]),
                        "n_fallback": int(alone[i]),
                        "n_fta": int(failed[i]),
                        "angled_gt": float(angled[i]),
                        "frontal_gt": float(frontal[i]),
                        "net_gain": float(frontal[i] - angled[i]),
                        "impostor_gain": float(other[i]),
                        "identity_gain": float(frontal[i] - angled[i] - other[i]),
                    }
                )
    return out


def win_rows(dataset: Dataset, facts: Facts, settings: TableSettings) -> list[Row]:
    """Wins, ties, losses of every pair of variants over the probes that both gave."""
    out: list[Row] = []
    for judge in dataset.judges:
        base = dataset.original(judge)
        assert base is not None
        original = base[1]
        cells = [
            (cell, np.where(usable(rows, original), rows.genuine, np.nan), rows.fallback)
            for cell, rows in dataset.of_judge(judge)
            if not is_missing(rows)
        ]
        _, code = np.unique(original.subject.astype(np.str_), return_inverse=True)
        n_subjects = int(code.max(initial=-1)) + 1
        found: list[Row] = []
        sums: list[Float] = []
        squares: list[Float] = []
        numbers: list[Float] = []
        who: list[People] = []
        for (a, left, left_alone), (b, right, right_alone) in itertools.combinations(cells, 2):
            difference = left - right
            here = np.isfinite(difference)
            d = difference[here]
            alone = (left_alone | right_alone)[here]
            number = np.bincount(code[here], minlength=n_subjects).astype(np.float64)
            total, square = (np.bincount(code[here], x, minlength=n_subjects).astype(np.float64) for x in (d, d**2))
            means = total[number > 0] / number[number > 0]
            wins = [int((d > scores.TIE).sum()), int((d < -scores.TIE).sum())]
            people = [int((means > scores.TIE).sum()), int((means < -scores.TIE).sum())]
            leak = facts.leak(a) or facts.leak(b)
            who.append(people_of(difference, code))
            sums.append(total)
            squares.append(square)
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
                    "p_probes": significance.sign_test_p(*wins),
                    "subjects_a": people[0],
                    "subjects_b": people[1],
                    "p_subjects": significance.sign_test_p(*people),
                    "p_value": math.nan,
                    "p_holm": math.nan,
                    "decidable": None,
                    "mean_people": who[-1].mean,
                    "n_effective": who[-1].effective,
                    "winner": "",
                    "mean_difference": float(d.mean()) if len(d) else math.nan,
                    "n_fallback": int(alone.sum()),
                    "difference_both": float(d[~alone].mean()) if not alone.all() else math.nan,
                    "leak": leak,
                    "note": join_notes(LEAK_NOTE if leak else "", SYNTHETIC_NOTE if dataset.name in facts.synthetic else ""),
                }
            )
        if not found:
            continue
        part = np.flatnonzero(np.any([number > 0 for number in numbers], axis=0))
        total_of, number_of, square_of = (np.stack(one, axis=1)[part] for one in (sums, numbers, squares))
        low, high = jackknife.mean_intervals(total_of, number_of, squares=square_of, kurtosis=jackknife.KURTOSIS_OF_CHANGES)
        ranked = [row for row in found if not row["leak"] and row["n_images"]]
        with np.errstate(invalid="ignore", divide="ignore"):
            means = total_of / number_of
        p_values = verdict.sign_flip(means, family=len(ranked), seed=settings.seed)
        for row, a_end, b_end, p, of_whom in zip(found, low, high, p_values, who, strict=True):
            row["ci_low"], row["ci_high"], row["p_value"] = float(a_end), float(b_end), float(p)
            signs = sign_note("the difference", row["mean_difference"], of_whom)
            disagree = disagreement_note("the difference", row["ci_low"], row["ci_high"], row["p_value"])
            fallbacks = fallback_note({**row, "group": "difference", "mean_both": row["difference_both"]})
            row["note"] = join_notes(weight_note(of_whom), signs, disagree, fallbacks, row["note"])
        adjust(ranked, verdict.enough_flips(len(ranked)))
        for row in ranked:
            row["winner"] = _winner(row)
        out += found
    return out


def _winner(row: Row) -> str:
    """The better variant of a pair when the test says so and the mean over people and the mean over images agree; else empty."""
    if not row["p_holm"] < verdict.SIGNIFICANT:
        return ""
    for variant, sign in (("variant_a", 1.0), ("variant_b", -1.0)):
        if sign * row["mean_people"] > 0 and sign * row["mean_difference"] > 0:
            return str(row[variant])
    return ""


def count_rows(dataset: Dataset, facts: Facts, edges: Sequence[float]) -> list[Row]:
    """What the dataset holds, as each judge sees its original images."""
    bins = YawBins(tuple(facts.edges.get(dataset.name, edges)))
    labels = [label for _, label, *_ in bins.labels]
    out = []
    for judge in dataset.judges:
        base = dataset.original(judge)
        assert base is not None
        rows = base[1]
        probe, reference = rows.role == "probe", rows.role == "reference"
        words = Counter(rows.status.tolist())
        used = probe | reference
        with_reference = set(rows.subject[reference & rows.ok])
        by_bin = Counter(bins.codes(rows.yaw[probe])[0].tolist())
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
                "probes_by_yaw": ", ".join(f"{labels[place]}: {count}" for place, count in sorted(by_bin.items())),
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
        (word, detail), _ = min(reasons.items(), key=lambda item: (item[0][0] not in status.CANNOT_RUN_HERE, -item[1], item[0]))
        out.append(
            {
                **{"dataset": cell.dataset, "variant": cell.variant, "detector": cell.detector, "backbone": cell.backbone},
                "status": word,
                "n_images": int(used.sum()),
                "reason": detail or "no image gave an embedding",
            }
        )
    return out
