"""Groups of plain folders compared by image: which rows are views of one photograph, and means and gains over the photographs that all groups gave.

A *family* are groups against the same references whose probes are views of the same photographs. Its *base* is the group of the photographs
themselves, where there is one. Groups come together when a ``rows.csv`` says what their images were made of, or the pairs file does (``of``).
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import PurePosixPath
from typing import TYPE_CHECKING, Any

import numpy as np

from frontalbench import status
from frontalbench.compare import groups as pair_groups
from frontalbench.compare import jackknife
from frontalbench.errors import BadInput
from frontalbench.types import Float

if TYPE_CHECKING:
    from frontalbench.plain.pairs import Embedded, Group

Row = dict[str, Any]


def pair_rows(groups: Sequence[Group], data: Embedded, rows: Mapping[str, list[Row]], where: str) -> list[str]:
    """Fill ``photo``, ``family`` and ``base`` of the rows of every family, and add a row for each photograph that a group with ``of`` lacks.

    Returns one line for each thing a person should know. Raises :class:`BadInput` where two images of one group claim the same photograph.
    """
    place = {str(name): i for i, name in enumerate(data.image_id)}
    probes = {group.name: group for group in groups if group.probe}
    views = {name for name, group in probes.items() if group.of or any(data.made[place[row["image_id"]]] for row in rows[name])}
    for name, group in probes.items():
        for row in rows[name]:
            row["photo"] = _key(row["image_id"], str(data.photo[place[row["image_id"]]]), group)
    photographs = {name: {row["photo"] for row in rows[name]} for name in probes if name not in views}
    notes: list[str] = []
    families: dict[tuple[Any, ...], list[str]] = {}
    bases: dict[str, str] = {}
    for name in (name for name in probes if name in views):
        group = probes[name]
        base = group.of
        if not base:
            own = {row["photo"] for row in rows[name]}
            same = [other for other in photographs if _against(probes[other]) == _against(group)]
            base = next((other for other in same if own <= photographs[other]), "")
        else:
            notes += _join(rows[name], rows[base], group, where)
        bases[name] = base
        families.setdefault(("", base) if base else _against(group), []).append(name)
    for members in families.values():
        base = bases[members[0]]
        whole = [base, *members] if base else members
        for name in whole:
            for row in rows[name]:
                row["family"], row["base"] = whole[0], base
        if not base and probes[members[0]].people == "same":
            notes.append(
                f"group {_words(members)}: no group of the photographs themselves, so there is no Net Gain; add one to {where} with the same "
                "reference (docs/folders.md)"
            )
        for name in members:
            _refuse_doubles(name, rows[name], where)
    for name in probes:
        if not any(row.get("family") for row in rows[name]):
            for row in rows[name]:
                row["photo"] = ""
    return notes


def _against(group: Group) -> tuple[Any, ...]:
    return group.reference, group.people


def _key(image_id: str, photo: str, group: Group) -> str:
    from frontalbench.plain.pairs import below_prefix

    return below_prefix(photo, group.probe, of=image_id)


def _join(rows: list[Row], base: Sequence[Row], group: Group, where: str) -> list[str]:
    """Give the rows of a group with ``of`` the names of its photographs: the same name, or the same without its ending where that is plain."""
    known = {row["photo"]: row for row in base}
    stems: dict[str, list[str]] = {}
    for photo in known:
        stems.setdefault(_stem(photo), []).append(photo)
    lost = []
    for row in rows:
        candidates = stems.get(_stem(row["photo"]), [])
        if row["photo"] not in known and len(candidates) == 1:
            row["photo"] = candidates[0]
        if row["photo"] not in known:
            lost.append(row["image_id"])
            row["photo"] = ""
    given = {row["photo"] for row in rows}
    for photo, original in known.items():
        if photo not in given:
            head = {
                "group": group.name,
                "image_id": f"{original['image_id']} ({group.name})",
                "identity": original["identity"],
                "other": "",
            }
            detail = f"no image of {original['image_id']}"
            rows.append({**head, "n_pairs": 0, "status": status.MODEL_ERROR, "detail": detail, "photo": photo})
    if not lost:
        return []
    return [
        f"{where}: group '{group.name}': {len(lost)} images match no photograph of '{group.of}' and are not compared by image: {lost[0]}"
    ]


def _stem(name: str) -> str:
    return PurePosixPath(name).with_suffix("").as_posix() if name else ""


def _refuse_doubles(name: str, rows: Sequence[Row], where: str) -> None:
    number = Counter(row["photo"] for row in rows if row["photo"])
    twice = next((photo for photo, count in number.items() if count > 1), None)
    if twice is not None:
        files = [row["image_id"] for row in rows if row["photo"] == twice]
        raise BadInput(
            f"{where}: group '{name}': {files[0]} and {files[1]} are both views of '{twice}'; keep one of them, or narrow the pattern"
        )


def _words(names: Sequence[str]) -> str:
    return ", ".join(f"'{name}'" for name in names)


def compare(rows: Sequence[Mapping[str, Any]]) -> dict[str, Row]:
    """Of every group in a family: mean over the photographs that all of its groups gave, gains over the base, 95 % intervals over people, a note.

    ``rows``: of metrics.csv. Net Gain is the mean of similarity(view, reference) - similarity(photograph, reference), impostor gain the same
    difference against other people's references, identity gain their difference, all over the same photographs.
    """
    families: dict[str, dict[str, list[Mapping[str, Any]]]] = {}
    for line in rows:
        if line["family"]:
            families.setdefault(line["family"], {}).setdefault(line["group"], []).append(line)
    out: dict[str, Row] = {}
    for members in families.values():
        base = next(iter(members.values()))[0]["base"]
        good = {
            name: {row["photo"]: row for row in found if row["status"] == status.OK and row["photo"]} for name, found in members.items()
        }
        common = sorted(set.intersection(*(set(found) for found in good.values())))
        differ = len({len(found) for found in good.values()}) > 1
        for name, found in good.items():
            chosen = [found[photo] for photo in common]
            people = [row["identity"] for row in chosen]
            values = _numbers(chosen, "similarity")
            sides = sides_of(chosen)
            mean, low, high = interval(values, chosen, **sides)
            row: Row = {"base": base, "n_common": len(common), "n_common_identities": len(set(people))}
            row |= {"mean_common": mean, "mean_common_low": low, "mean_common_high": high}
            if base and name != base:
                before = [good[base][photo] for photo in common]
                net, other = values - _numbers(before, "similarity"), _numbers(chosen, "impostor") - _numbers(before, "impostor")
                after, then = moves_of(chosen), moves_of(before)
                moves = after - then if after is not None and then is not None and after.shape == then.shape else None
                sides["moves"] = moves if sides["strangers"] else None
                row["net_gain"], row["net_gain_low"], row["net_gain_high"] = interval(
                    net, chosen, **sides, kurtosis=jackknife.KURTOSIS_OF_CHANGES
                )
                less = None if moves is None else -moves
                found_gain = interval(net - other, chosen, moves=less, strangers=True, kurtosis=jackknife.KURTOSIS_OF_CHANGES)
                row["identity_gain"], row["identity_gain_low"], row["identity_gain_high"] = found_gain
                row["impostor_gain"] = float(other.mean()) if len(other) else math.nan
            row["note"] = ""
            if differ:
                row["note"] = (
                    f"mean is over {len(found)} images, others' over {_others(good, name)}: compare mean_common, over {len(common)}"
                )
            out[name] = row
    return out


def _others(good: Mapping[str, Mapping[str, Any]], name: str) -> str:
    return ", ".join(str(number) for number in sorted({len(found) for other, found in good.items() if other != name}))


def _numbers(rows: Sequence[Mapping[str, Any]], key: str) -> Float:
    return np.array([row[key] for row in rows], dtype=np.float64)


def moves_of(rows: Sequence[Mapping[str, Any]]) -> Float | None:
    """(n, groups): how each row's mean similarity to strangers changes without each group's references; None where a row does not say."""
    lengths = {len(row["impostor_moves"]) for row in rows}
    return np.array([row["impostor_moves"] for row in rows], dtype=np.float64) if len(lengths) == 1 and lengths != {0} else None


def sides_of(rows: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Whether ``similarity`` of rows is one to strangers, with how it changes: arguments of :func:`interval`."""
    if any(row["other"] for row in rows):  # listed pairs
        return {"strangers": any(math.isfinite(row["impostor"]) for row in rows)}
    strangers = any(row["impostor_moves"] and not math.isfinite(row["impostor"]) for row in rows)
    return {"strangers": strangers, "moves": moves_of(rows) if strangers else None}


def interval(
    values: Float,
    rows: Sequence[Mapping[str, Any]],
    *,
    moves: Float | None = None,
    strangers: bool = False,
    kurtosis: float = jackknife.KURTOSIS,
) -> tuple[float, float, float]:
    """(mean, low, high) of ``values`` (n,) of ``rows``, interval over people; NaN without values, or where one is not known.

    ``strangers``: they are part of the values; people are left out as references too then, by ``moves`` (n, groups), and without those there is no
    interval. ``kurtosis`` of people.
    """
    if not len(values) or not np.isfinite(values).all():
        return math.nan, math.nan, math.nan
    if strangers:
        if moves is None:
            return float(values.mean()), math.nan, math.nan
        found = pair_groups.mean_estimate(values, np.array([row["person"] for row in rows], dtype=np.int64), moves, kurtosis)
        return found.value, found.low, found.high
    code = np.unique(np.array([row["identity"] for row in rows], dtype=np.str_), return_inverse=True)[1]
    found = jackknife.mean_estimate(values, code, kurtosis)
    return found.value, found.low, found.high


def report_lines(rows: Sequence[Mapping[str, Any]]) -> list[str]:
    """What a person wants to see of a report at once: one line per group, warnings last."""
    lines, warned = [], []
    for row in rows:
        text = f"{row['group']}: N {row['n_images']}, FTA {row['n_fta']} ({100 * row['fta_rate']:.1f} %), mean {_short(row['mean'])}"
        if row["n_no_reference"]:
            text += f", without a reference {row['n_no_reference']}"
        if "n_common" in row:
            text += f"; over the {row['n_common']} photographs that all gave: mean {_short(row['mean_common'])}"
            if "net_gain" in row:
                span = f"[{_short(row['identity_gain_low'], '+')}, {_short(row['identity_gain_high'], '+')}]"
                if not math.isfinite(row["identity_gain_low"]):
                    span = f"(no interval: {row['n_common_identities']} people)"
                text += f", Net Gain {_short(row['net_gain'], '+')}, identity gain {_short(row['identity_gain'], '+')} {span}"
        lines.append(text)
        if row.get("note"):
            warned.append(f"warning: {row['group']}: {row['note']}")
    return [*lines, *warned]


def _short(value: float, sign: str = "") -> str:
    return format(value, f"{sign}.4f") if math.isfinite(value) else "unknown"
