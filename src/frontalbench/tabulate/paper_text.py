"""The three tables of the study as they are read: Markdown, and wide CSV with a column per judge. Their rows: :mod:`.paper`."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from frontalbench.tabulate.dataset import (
    SYNTHETIC_NOTE,
    join_notes,
)
from frontalbench.tabulate.write import csv_text, interval, markdown, number, signed

Row = dict[str, Any]


def _bold(text: str, best: bool) -> str:
    return f"**{text}**" if best and text else text


def _dataset(row: Row) -> str:
    return f"{row['dataset']} (synthetic people)" if row["synthetic"] else str(row["dataset"])


def _judge(row: Row) -> str:
    return f"{row['detector']}+{row['backbone']}"


HOW_TO_READ = (
    "Brackets: 95 % interval over people. N: images that every compared cell gave. FTA: failures to acquire (no embedding came out). "
    "Bold: above every rival of its ranking and above leaving the image as it is, over the images that all of them gave, a value per person "
    "(sign-flip test, counted for every comparison, p < 0.05). Nothing bold: the notes say why. "
    "† the backbone took part in making this variant: shown, not ranked.\n"
)

HOW_TO_READ_CHANGES = (
    "What each changes against no enhancement, image by image over the same N images; bold: the 95 % interval over people leaves out 0 "
    "(interval by interval: of twenty that change nothing one is bold by chance).\n"
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
        "over people",
        "p (Holm)",
        "N",
        "people",
        "effective",
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
                signed(row["identity_gain_people"]),
                "not decidable" if row["decidable"] is False else number(row["p_holm"], 4),
                str(row["n_images"]) + (f" ({row['n_fallback']} alone)" if row["n_fallback"] else ""),
                str(row["n_subjects"]),
                number(row["n_effective"], 1),
                f"{row['n_fta_frontal']} ({100 * row['fta_rate_frontal']:.1f} %)",
            ]
        )
    title = "# Table 1: does frontalization help?\n\n"
    title += (
        "Identity gain = Net Gain - impostor gain: what is left when drifting towards the average face is taken out. "
        "Over people: everybody counts once; effective: as many people as that if all had equally many images.\n"
    )
    if any(row["n_fallback"] for row in rows):
        title += "N (k alone): for k of them a fusion had only one of its two images; the note gives the Net Gain without those.\n"
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
        changes = [[key[0], *(_change_text(found.get(j)) for j in judges)] for key, found in lines]
        if changed := [line for line in changes if any(cell != "-" for cell in line[1:])]:
            text += f"\n{HOW_TO_READ_CHANGES}\n{markdown(['Enhancement', *judges], changed)}"
        text += _notes(chosen, ("enhancement",))
    return text


def _change_text(row: Row | None) -> str:
    """What an enhancement changes against none; bold where the interval leaves out 0."""
    if row is None or not math.isfinite(row["change"]):
        return "-"
    shown = interval(row["change"], row["change_low"], row["change_high"], 4, sign=True)
    return _bold(shown, row["change_low"] > 0 or row["change_high"] < 0) + ("†" if row.get("leak") else "")


def backbone_markdown(rows: Sequence[Row]) -> str:
    """Table 3 for people: one block per dataset."""
    text = f"# Table 3: which judge is the most robust to pose? (original images)\n\n{HOW_TO_READ}"
    for dataset in dict.fromkeys(_dataset(r) for r in rows):
        chosen = [r for r in rows if _dataset(r) == dataset]
        judges, lines = _wide(chosen, ["group"])
        body = [[key[0], *(_cell_text(found.get(j)) for j in judges), str(next(iter(found.values()))["n_images"])] for key, found in lines]
        text += f"\n## {dataset}\n\n{markdown(['Group', *judges, 'N'], body)}{_notes(chosen, ('group',))}"
    return text
