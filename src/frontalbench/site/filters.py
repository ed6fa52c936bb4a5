"""What templates ask for: names, numbers and tags as text. Names from tables are text, never markup."""

from __future__ import annotations

import re
from pathlib import Path

import jinja2
from markupsafe import Markup

from frontalbench.figures import palette
from frontalbench.plain.export import safe_name
from frontalbench.site import charts
from frontalbench.site.master import Row, Verdict
from frontalbench.tabulate.write import number

TEMPLATES = Path(__file__).parent / "templates"


def slug(name: str) -> str:
    """A file name for a dataset or a frontalizer: itself where it is plain, as the cards demand."""
    return name if re.fullmatch(r"[a-z0-9][a-z0-9_.-]{0,80}", name) and ".." not in name else safe_name(name)


def environment() -> jinja2.Environment:
    made = jinja2.Environment(
        loader=jinja2.FileSystemLoader(TEMPLATES),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    made.filters.update(
        breakable=_breakable, slug=slug, number=_number, signed=_signed, percent=_percent, seconds=_seconds, millions=_millions
    )
    made.globals.update(
        interval_bar=charts.interval_bar,
        look=charts.look,
        frontalizer_of=palette.frontalizer_of,
        shade=charts.shade,
        tag=tag,
        verdict_tag=verdict_tag,
    )
    return made


def is_control(row: Row) -> bool:
    """Controls are ranked to be compared with, not to win: by the frontalizer's card, or by the recipe of a derived variant."""
    return palette.is_control(row["variant"]) or row["recipe"].startswith("control_")


def tag(row: Row) -> str:
    """What a row is beside a method's own images; derived variants are made of embeddings and have no images of their own."""
    return "control" if is_control(row) else "derived" if row["recipe"] else ""


def verdict_tag(row: Row, found: Verdict) -> str:
    """``best`` only where the table says so; the first method of a ranking in which nothing gains is the least bad."""
    if row["best"]:
        return "best"
    return "least bad" if found.kind == "least bad" and found.leader is row else ""


def _breakable(name: str) -> Markup:
    """A name that may be broken after its marks."""
    return Markup("<wbr>").join(re.split(r"(?<=[:.@+])", name))


def _number(value: float | None, digits: int = 3) -> str:
    return number(value, digits).replace("-", "\N{MINUS SIGN}") or "\N{EN DASH}"


def _signed(value: float | None, digits: int = 3) -> str:
    shown = _number(value, digits)
    return f"+{shown}" if value is not None and value > 0 and float(f"{value:.{digits}f}") else shown


def _percent(value: float | None) -> str:
    return "\N{EN DASH}" if value is None else f"{100 * value:.1f} %"


def _seconds(value: float | None) -> str:
    if value is None:
        return "\N{EN DASH}"
    return f"{1000 * value:.0f} ms" if value < 1 else f"{value:.1f} s"


def _millions(value: int | None) -> str:
    return "\N{EN DASH}" if value is None else f"{value / 1e6:.1f} million" if value else "none"
