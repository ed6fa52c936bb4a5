"""Tables of the documentation that are made from cards and code, so that they cannot disagree with them.

README: all models; docs/frontalizers.md: the contract of each frontalizer; docs/cards.md: the params of each family, from the paragraph "Params:" in
the docstring of its ``load``; docs/datasets.md: all datasets.
"""

from __future__ import annotations

import ast
import inspect
from collections.abc import Mapping
from pathlib import Path

from frontalbench.catalogue import cards, families
from frontalbench.catalogue.pages import Parts, marks

KINDS_IN_CARDS: Mapping[str, tuple[str, ...]] = {
    "detectors": ("detector",),
    "backbones": ("backbone",),
    "frontalizers": ("frontalizer",),
    "enhancements and matting": ("enhancement", "matting"),
    "landmarks, pose, features, quality": ("landmarks", "pose", "feature", "quality"),
    "drivers": ("driver",),
}
"""The tables of params in docs/cards.md, by their names, and the kinds of card in each."""


def pages(root: Path | None = None) -> dict[str, Parts]:
    """Every page with tables made here, relative to the project folder: page -> its tables."""
    return {
        "README.md": {marks("model table"): model_table(root)},
        "docs/frontalizers.md": {marks("frontalizers"): frontalizer_table(root)},
        "docs/cards.md": {marks(f"params of {name}"): params_table(*kinds) for name, kinds in KINDS_IN_CARDS.items()},
        "docs/datasets.md": {marks("datasets"): dataset_table()},
    }


def frontalizer_table(root: Path | None = None) -> str:
    """Markdown table of all frontalizer cards: what can be asked of each and what it gives, by its contract."""
    lines = ["| card | what it does | needs a face | target pose | returns |", "|---|---|---|---|---|"]
    for card in sorted(cards.all_cards("frontalizer", root), key=lambda item: item.name):
        driver = "".join(f"; driver `{used.name}`" for used in card.used_cards() if used.kind == "driver")
        control = "; a control" if card.data.get("role") == "control" and "control" not in card.title else ""
        asked = ["not said"] * 3
        if card.contract is not None:
            size = f" of {card.contract.size} pixels" if card.contract.size else ""
            pose = "any" if card.contract.target_pose == "any" else "frontal"
            asked = ["yes" if card.contract.face else "no", pose, f"a square{size}" if card.contract.gives == "crop" else "the photograph"]
        lines.append(f"| `{card.name}` | {card.title}{driver}{control} | {' | '.join(asked)} |")
    return "\n".join(lines)


def params_table(*kinds: str) -> str:
    """Markdown table of the families of ``kinds`` and the params that each takes."""
    lines = ["| family | params |", "|---|---|"]
    for kind in kinds:
        for family in families.of_kind(kind):
            name = f"`{family}` ({kind})" if sum(family in families.of_kind(other) for other in kinds) > 1 else f"`{family}`"
            lines.append(f"| {name} | {params_words(kind, family) or 'none'} |")
    return "\n".join(lines)


def params_words(kind: str, family: str) -> str:
    """What the docstring of the family's ``load`` says behind "Params:", in one line of Markdown; "" where it says nothing. Imports no model code."""
    module, function = families.target(kind, family)
    path = families.PACKAGE.joinpath(*module.split(".")[1:]).with_suffix(".py")
    for node in ast.parse(path.read_text(encoding="utf-8")).body:
        if isinstance(node, ast.FunctionDef) and node.name == function:
            for paragraph in inspect.cleandoc(ast.get_docstring(node) or "").split("\n\n"):
                if paragraph.startswith("Params:"):
                    words = " ".join(paragraph.removeprefix("Params:").split())
                    return words.replace("``", "`").removesuffix(".").replace("|", "\\|")
    return ""


def dataset_table() -> str:
    """Markdown table of all dataset cards: size, people, pose, how it comes, and whether its images may be shown."""
    from frontalbench import datasets

    lines = ["| card | layout | images | identities | pose | get it | images in what is passed on |", "|---|---|---|---|---|---|---|"]
    for name in sorted(datasets.names()):
        card = datasets.find(name)
        expected = card.data.get("expected", {})
        counts = [f"{expected[key]:,}" if key in expected else "" for key in ("images", "identities")]
        sources = card.data.get("sources", [])
        way = "direct" if any(source.get("fetch") for source in sources) else "by hand" if sources else "a folder here"
        shown = "yes" if card.data["licence"]["publish"] else "no"
        pose = str(card.data.get("pose", "")).replace("|", "\\|")
        lines.append(f"| `{name}` | {card.layout} | {counts[0]} | {counts[1]} | {pose} | {way} | {shown} |")
    return "\n".join(lines)


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
