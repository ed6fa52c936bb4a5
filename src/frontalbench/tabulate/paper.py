"""The three tables of the study in its shape, but over the same images, with intervals, failures, and sentences where a mean misleads."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from frontalbench.compare import bootstrap, groups, stats
from frontalbench.compare.groups import BoolArray, FloatArray, Rows
from frontalbench.tabulate.dataset import SYNTHETIC_NOTE, Dataset, Settings, is_missing, join_notes, lost_note, standing_notes, usable
from frontalbench.tabulate.facts import ORIGINAL, Cell, Facts
from frontalbench.tabulate.write import csv_text, interval, markdown, number, signed

Row = dict[str, Any]
SIGNIFICANT = 0.05
_LEAVE = -1


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
                "identity_gain": identity["mean"],
                "identity_gain_low": identity["ci_low"],
                "identity_gain_high": identity["ci_high"],
                "p_holm": identity["p_holm"],
                "share_gaining": net["share_gaining"],
                "n_images": net["n_images"],
                "n_subjects": net["n_subjects"],
                "n_fallback": net["n_fallback"],
                "net_gain_both": net["mean_both"],
                "identity_gain_both": identity["mean_both"],
                "identity_gain_both_low": identity["both_low"],
                "identity_gain_both_high": identity["both_high"],
                "n_fta_angled": angled_own.get("n_fta"),
                "n_fta_frontal": frontal_own["n_fta"],
                "fta_rate_frontal": frontal_own["fta_rate"],
                "angled_gt_own": angled_own.get("mean"),
                "frontal_gt_own": frontal_own["mean"],
                "net_gain_penalised": found["Net Gain", "penalised"]["mean"],
                "best": False,
                "note": net["note"],
            }
        )
    return out


def mark_best_gain(rows: Sequence[Row], dataset: Dataset, facts: Facts, settings: Settings) -> None:
    """Mark, per judge, the variant with the highest identity gain when it beats the runner-up on the images that both gave."""
    rankings = []
    for judge in dataset.judges:
        base = dataset.original(judge)
        assert base is not None
        original = base[1]
        values: dict[int, FloatArray] = {}
        for cell, rows_of in dataset.of_judge(judge):
            place = next((i for i, r in enumerate(rows) if (r["variant"], r["detector"], r["backbone"]) == (cell.variant, *judge)), None)
            if place is None or rows[place]["leak"] or rows[place]["dataset"] != dataset.name:
                continue
            gain = (rows_of.genuine - original.genuine) - (rows_of.impostor - original.impostor)
            values[place] = np.where(usable(rows_of, original) & usable(original, original), gain, np.nan)
        means = {i: rows[i]["identity_gain"] for i in values}
        # leaving the picture as it is takes part too, with a gain of zero: a variant that loses least is not the best choice
        values[_LEAVE], means[_LEAVE] = np.zeros(len(original)), 0.0
        rankings.append((values, means, original.subject.astype(np.str_)))
    for place, p in _leaders(rankings, settings):
        if place != _LEAVE:
            rows[place]["best"] = p < SIGNIFICANT


MIRROR = "fuse_mean:mirror.none"
"""The control of every fusion: two pictures are better than one, even when the second is only the first one mirrored."""


def hold_against_mirror(rows: Sequence[Row], dataset: Dataset, settings: Settings) -> None:
    """For every fusion of a dataset: its identity gain minus that of the mirror fusion, over the images that both gave.

    A fusion that is not certainly better than the mirrored photograph says so in its note.
    """
    cells = {(cell.variant, cell.judge): table for cell, table in dataset.rows.items()}
    for row in rows:
        judge = (row["detector"], row["backbone"])
        control, original = cells.get((MIRROR, judge)), cells.get((ORIGINAL, judge))
        if not row["recipe"].startswith(("fuse_", "pose_matched")) or row["variant"] == MIRROR or control is None or original is None:
            continue
        fused = cells[row["variant"], judge]
        both = usable(fused, original) & usable(control, original) & usable(original, original)
        change = (fused.genuine - fused.impostor - (control.genuine - control.impostor))[both]
        if not len(change):
            continue
        _, code = np.unique(original.subject[both].astype(np.str_), return_inverse=True)
        sums, numbers = np.bincount(code, change).astype(np.float64)[:, None], np.bincount(code).astype(np.float64)[:, None]
        low, high = bootstrap.mean_intervals(sums, numbers, resamples=settings.resamples, seed=settings.seed)
        row |= {"over_mirror": float(change.mean()), "over_mirror_low": float(low[0]), "over_mirror_high": float(high[0])}
        if not low[0] > 0:
            row["note"] = join_notes(
                "not better than averaging with the mirrored photograph, so the frontal view adds nothing here", row["note"]
            )


def _leaders(rankings: Sequence[tuple[Mapping[int, FloatArray], Mapping[int, float], Any]], settings: Settings) -> list[tuple[int, float]]:
    """(row, Holm-adjusted p against the runner-up) of the leader of every ranking of at least two."""
    leaders, raw = [], []
    for values, means, subject in rankings:
        order = sorted((i for i in means if math.isfinite(means[i])), key=lambda i: (-means[i], i))
        if len(order) < 2:
            continue
        difference = stats.subject_means(values[order[0]] - values[order[1]], subject)
        leaders.append(order[0])
        raw.append(stats.sign_flip_p(difference, seed=settings.seed) if len(difference) else math.nan)
    return list(zip(leaders, stats.holm(raw).tolist(), strict=True)) if leaders else []


# Tables 2 and 3: several cells over the same images -------------------------------------------------------------------------


def _compare(cells: Sequence[tuple[Row, FloatArray, BoolArray, BoolArray]], subject: Any, settings: Settings) -> list[Row]:
    """Mean of each cell over the images that every cell gave. ``cells``: (head, values or NaN, eligible, failed), all (n,)."""
    everywhere = np.all([np.isfinite(values) for _, values, _, _ in cells], axis=0)
    code = np.unique(subject, return_inverse=True)[1]
    here = np.flatnonzero(everywhere)
    used, place = np.unique(code[here], return_inverse=True)
    counted = np.bincount(place, minlength=len(used)).astype(np.float64)
    sums: FloatArray = np.stack([np.bincount(place, values[here], minlength=len(used)) for _, values, _, _ in cells], axis=1).astype(
        np.float64
    )
    low, high = bootstrap.mean_intervals(
        sums, np.repeat(counted[:, None], len(cells), axis=1), resamples=settings.resamples, seed=settings.seed
    )
    out = []
    for (head, values, eligible, failed), a, b in zip(cells, low, high, strict=True):
        own = values[np.isfinite(values)]
        n_eligible, n_failed = int(eligible.sum()), int(failed.sum())
        out.append(
            {
                **head,
                "mean": float(values[here].mean()) if len(here) else math.nan,
                "ci_low": float(a),
                "ci_high": float(b),
                "n_images": len(here),
                "n_subjects": len(used),
                "mean_own": float(own.mean()) if len(own) else math.nan,
                "n_own": len(own),
                "n_eligible": n_eligible,
                "n_fta": n_failed,
                "fta_rate": n_failed / n_eligible if n_eligible else math.nan,
                "best": False,
                "p_runner_up": math.nan,
                "note": "",
            }
        )
    return out


def enhancement_rows(dataset: Dataset, facts: Facts, settings: Settings) -> list[Row]:
    """Table 2: Frontal vs GT of every enhancement of a frontalizer, judge by judge, over the images that all of them gave."""
    out: list[Row] = []
    rankings = []
    plain = [(c, r) for c, r in dataset.rows.items() if not c.recipe and c.variant != ORIGINAL and not is_missing(r)]
    for frontalizer in sorted({cell.parts[0] for cell, _ in plain}):
        chosen = sorted(
            ((c, r) for c, r in plain if c.parts[0] == frontalizer),
            key=lambda pair: (pair[0].parts[1] != "none", pair[0].parts[1], pair[0].judge),
        )
        parts = []
        subject: Any = None
        for cell, rows in chosen:
            original = _original(dataset, cell)
            subject = original.subject.astype(np.str_)
            eligible = groups.eligible_probes(rows, original)
            parts.append((facts.head(cell), np.where(eligible & rows.ok, rows.genuine, np.nan), eligible, eligible & rows.fta))
        found = _compare(parts, subject, settings)
        for judge in dataset.judges:
            of_judge = [i for i, (cell, _) in enumerate(chosen) if cell.judge == judge]
            base = next((i for i in of_judge if chosen[i][0].parts[1] == "none"), None)
            for i in of_judge:
                lost = ""
                if base is not None and i != base:
                    change = parts[i][1] - parts[base][1]
                    both = np.isfinite(change)
                    gone = int((np.isfinite(parts[base][1]) & ~np.isfinite(parts[i][1])).sum())
                    gain = float(change[both].mean()) if both.any() else math.nan
                    lost = lost_note("it", "no enhancement", found[i]["mean_own"], found[base]["mean_own"], gain, int(both.sum()), gone)
                found[i]["note"] = join_notes(lost, standing_notes(found[i]))
            fair = [i for i in of_judge if not found[i]["leak"]]
            offset = len(out)
            rankings.append(({offset + i: parts[i][1] for i in fair}, {offset + i: found[i]["mean"] for i in fair}, subject))
        out += found
    _mark(out, rankings, settings)
    return out


def backbone_rows(dataset: Dataset, facts: Facts, settings: Settings) -> list[Row]:
    """Table 3: the groups of the original pictures by judge, over the images that every judge gave."""
    out: list[Row] = []
    rankings = []
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
            row["note"] = standing_notes({**row, "leak": False})
            if row["n_images"] == 0:
                row["note"] = join_notes(
                    "no image has such a pair" if row["n_own"] == 0 else "no image was given by every judge", row["note"]
                )
        offset = len(out)
        rankings.append(({offset + i: p[1] for i, p in enumerate(parts)}, {offset + i: r["mean"] for i, r in enumerate(found)}, subject))
        out += found
    _mark(out, rankings, settings)
    return out


def _original(dataset: Dataset, cell: Cell) -> Rows:
    base = dataset.original(cell.judge)
    assert base is not None
    return base[1]


def _mark(rows: list[Row], rankings: Sequence[tuple[Mapping[int, FloatArray], Mapping[int, float], Any]], settings: Settings) -> None:
    same = []  # the means are over the images that all cells gave; so is the test
    for values, means, subject in rankings:
        everywhere = np.all([np.isfinite(v) for v in values.values()], axis=0) if values else np.zeros(0, np.bool_)
        same.append(({i: np.where(everywhere, v, np.nan) for i, v in values.items()}, means, subject))
    for place, p in _leaders(same, settings):
        rows[place]["p_runner_up"], rows[place]["best"] = p, p < SIGNIFICANT


# Shapes ---------------------------------------------------------------------------------------------------------------------


def _bold(text: str, best: bool) -> str:
    return f"**{text}**" if best and text else text


def _dataset(row: Row) -> str:
    return f"{row['dataset']} (synthetic people)" if row["synthetic"] else str(row["dataset"])


def _judge(row: Row) -> str:
    return f"{row['detector']}+{row['backbone']}"


HOW_TO_READ = (
    "Brackets: 95 % interval, bootstrap over people. N: images that every compared cell gave. FTA: failures to acquire (no embedding came out). "
    "Bold: best, and better than the runner-up (sign-flip test over people, Holm, p < 0.05). "
    "† the backbone took part in making this variant: shown, not ranked.\n"
)


def net_gain_markdown(rows: Sequence[Row]) -> str:
    """Table 1 for people."""
    header = [
        "Model",
        "Dataset",
        "Judge",
        "Angled-GT",
        "Frontal-GT",
        "Net Gain",
        "impostor gain",
        "identity gain",
        "p (Holm)",
        "N",
        "people",
        "FTA",
    ]
    body = []
    for row in rows:
        body.append(
            [
                row["variant"] + ("†" if row["leak"] else ""),
                _dataset(row),
                _judge(row),
                number(row["angled_gt"]),
                number(row["frontal_gt"]),
                interval(row["net_gain"], row["net_gain_low"], row["net_gain_high"], sign=True),
                signed(row["impostor_gain"]),
                _bold(interval(row["identity_gain"], row["identity_gain_low"], row["identity_gain_high"], sign=True), row["best"]),
                number(row["p_holm"], 4),
                str(row["n_images"]) + (f" ({row['n_fallback']} alone)" if row["n_fallback"] else ""),
                str(row["n_subjects"]),
                f"{row['n_fta_frontal']} ({100 * row['fta_rate_frontal']:.1f} %)",
            ]
        )
    title = "# Table 1: does frontalization help?\n\n"
    title += "Identity gain = Net Gain - impostor gain: what is left when drifting towards the average face is taken out.\n"
    if any(row["n_fallback"] for row in rows):
        title += "N (k alone): for k of them a fusion had only one of its two pictures; the note gives the Net Gain without those.\n"
    return f"{title}{HOW_TO_READ}\n{markdown(header, body)}{_notes(rows, ('variant', 'dataset'))}"


def _notes(rows: Sequence[Row], keys: Sequence[str]) -> str:
    lines = []
    for row in rows:
        own = join_notes(*(note for note in row["note"].split("; ") if note not in ("", SYNTHETIC_NOTE)))
        if own:
            lines.append(f"- {', '.join(str(row[key]) for key in keys)}, {_judge(row)}: {own}.")
    if any(row["synthetic"] for row in rows):
        lines.append(f"- {SYNTHETIC_NOTE}.")
    return "\nNotes\n\n" + "\n".join(lines) + "\n" if lines else ""


def _cell_text(row: Row | None) -> str:
    if row is None:
        return "-"
    shown = _bold(interval(row["mean"], row["ci_low"], row["ci_high"]), row["best"]) or "-"
    shown += "†" if row.get("leak") else ""
    return shown + (f" (FTA {row['n_fta']})" if row["n_fta"] else "")


def _wide(rows: Sequence[Row], keys: Sequence[str]) -> tuple[list[str], list[tuple[tuple[Any, ...], dict[str, Row]]]]:
    """(judges, [(row key, judge -> row)]) in the order of ``rows``."""
    judges = sorted({_judge(row) for row in rows})
    table: dict[tuple[Any, ...], dict[str, Row]] = {}
    for row in rows:
        table.setdefault(tuple(row[key] for key in keys), {})[_judge(row)] = row
    return judges, list(table.items())


def wide_csv(rows: Sequence[Row], keys: Sequence[str]) -> str:
    """Tables 2 and 3 in the study's shape: one line per ``keys``, per judge the mean, its interval, own mean, failures; then N and notes."""
    judges, lines = _wide(rows, keys)
    parts = ("", " low", " high", " own", " own N", " FTA", " best")
    columns = ("mean", "ci_low", "ci_high", "mean_own", "n_own", "n_fta", "best")
    body = []
    for key, found in lines:
        line: list[Any] = list(key)
        for judge in judges:
            row = found.get(judge)
            line += [None] * len(columns) if row is None else [_finite(row[column]) for column in columns]
        notes = join_notes(*(f"{judge}: {row['note']}" for judge, row in found.items() if row["note"]))
        body.append([*line, next(iter(found.values()))["n_images"], notes])
    return csv_text([*keys, *(judge + part for judge in judges for part in parts), "N", "note"], body)


def _finite(value: Any) -> Any:
    return None if isinstance(value, float) and not math.isfinite(value) else value


def enhancement_markdown(rows: Sequence[Row]) -> str:
    """Table 2 for people: one block per dataset and frontalizer."""
    text = f"# Table 2: what does post-processing change? (Frontal vs GT)\n\n{HOW_TO_READ}"
    for dataset, frontalizer in dict.fromkeys((_dataset(r), r["frontalizer"]) for r in rows):
        chosen = [r for r in rows if (_dataset(r), r["frontalizer"]) == (dataset, frontalizer)]
        judges, lines = _wide(chosen, ["enhancement"])
        body = [[key[0], *(_cell_text(found.get(j)) for j in judges), str(next(iter(found.values()))["n_images"])] for key, found in lines]
        text += f"\n## {frontalizer}, {dataset}\n\n{markdown(['Enhancement', *judges, 'N'], body)}"
        text += _notes(chosen, ("enhancement",))
    return text


def backbone_markdown(rows: Sequence[Row]) -> str:
    """Table 3 for people: one block per dataset."""
    text = f"# Table 3: which judge is the most robust to pose? (original pictures)\n\n{HOW_TO_READ}"
    for dataset in dict.fromkeys(_dataset(r) for r in rows):
        chosen = [r for r in rows if _dataset(r) == dataset]
        judges, lines = _wide(chosen, ["group"])
        body = [[key[0], *(_cell_text(found.get(j)) for j in judges), str(next(iter(found.values()))["n_images"])] for key, found in lines]
        text += f"\n## {dataset}\n\n{markdown(['Group', *judges, 'N'], body)}{_notes(chosen, ('group',))}"
    return text
