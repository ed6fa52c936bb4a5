"""The README's model table, made from the cards so that it cannot disagree with them."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from frontalbench.catalogue import cards
from frontalbench.errors import BadInput
from frontalbench.files import atomic

BEGIN = "<!-- model table: made by workflow/scripts/model_table.py -->"
END = "<!-- end of model table -->"


def model_table(root: Path | None = None) -> str:
    """Markdown table of all model cards: name, kind, what it is, weights, licence, how far it is verified."""
    lines = ["| card | kind | what | weights | licence (weights) | verified |", "|---|---|---|---|---|---|"]
    for kind in cards.FOLDERS:
        for card in sorted(cards.all_cards(kind, root), key=lambda item: item.name):
            weights = weights_words(card)
            licence = str(card.data.get("licence", {}).get("weights", "")).replace("|", "/")
            verified = card.data.get("verified", {})
            date = f" ({verified['date']})" if verified.get("date") else ""
            lines.append(f"| `{card.name}` | {kind} | {card.title} | {weights} | {licence} | {verified.get('level', 'none')}{date} |")
    return "\n".join(lines)


def weights_words(card: cards.ModelCard) -> str:
    """How much there is to fetch and by which ways, in a few words."""
    assets = card.data.get("external", {}).get("assets", ())
    if assets:
        return f"{len(assets)} {'file' if len(assets) == 1 else 'files'} by hand"
    if not card.weights:
        return "of " + ", ".join(card.uses) if card.uses else "none"
    ways = sorted({_way(source) for weight in card.weights.values() for source in weight.sources})
    if not ways:
        ways = ["by hand" if all(weight.sha256 for weight in card.weights.values()) else "by hand, no known sha256"]
    size = sum(weight.bytes or 0 for weight in card.weights.values())
    amount = f"{size / 1e6:.1f} MB, " if size >= 100_000 else f"{size / 1e3:.0f} kB, " if size else ""
    return amount + " / ".join(ways)


def _way(source: cards.Source) -> str:
    if isinstance(source, cards.UrlSource):
        return "official address"
    if isinstance(source, cards.PackageSource):
        return "pip" if source.registry == "python" else "npm"
    return "local file"


def put_into(readme: Path, table: str, *, check: bool = False) -> bool:
    """Replace the table between the two marks of ``readme``; returns whether it was up to date. ``check``: write nothing.

    Raises :class:`BadInput` when the marks are not there.
    """
    return put_all(readme, {(BEGIN, END): table}, check=check)


def put_all(page: Path, parts: Mapping[tuple[str, str], str], *, check: bool = False) -> bool:
    """:func:`put_into` for several tables of one page: (first mark, last mark) -> what stands between them."""
    text = new = page.read_text(encoding="utf-8")
    for (begin, end), table in parts.items():
        before, found, rest = new.partition(begin)
        _, closed, after = rest.partition(end)
        if not found or not closed:
            raise BadInput(f"{page}: the marks '{begin}' and '{end}' are not there; put them where the table belongs")
        new = f"{before}{begin}\n{table}\n{end}{after}"
    if new == text:
        return True
    if not check:
        atomic.write_text(page, new)
    return False
