"""One word for one thing: the words that docs/glossary.md retired do not come back."""

from __future__ import annotations

import re
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
PLACES = ("src", "rules", "workflow", "adapters", "docs", "config", "reports/captions", "profiles", "tests", "benchmarks")
KINDS = {".py", ".smk", ".md", ".yaml", ".j2", ".js", ".css", ".rst", ".sh"}


def texts() -> dict[str, str]:
    found = [
        ROOT / "README.md",
        ROOT / "Snakefile",
        *(path for place in PLACES for path in (ROOT / place).rglob("*") if path.suffix in KINDS),
    ]
    return {str(path.relative_to(ROOT)): path.read_text("utf-8") for path in found if path.name not in ("glossary.md", Path(__file__).name)}


def kept() -> list[str]:
    """The names of the table "Names that are kept", longest first."""
    table = (ROOT / "docs/glossary.md").read_text("utf-8").split("## Names that are kept")[1]
    rows = [line.split("|")[1] for line in table.splitlines() if line.startswith("| `")]
    return sorted({name for row in rows for name in re.findall(r"`([^`]+)`", row)}, key=len, reverse=True)


def test_no_text_says_picture_but_where_the_glossary_says_that_the_name_is_kept() -> None:
    names = [name for name in kept() if name != "pictures"]
    # As a key of a file the word stands in quotes, or in backticks.
    keys = re.compile("|".join([*map(re.escape, names), r"([\"'`])pictures\1"]))
    said = [
        f"{path}: {line.strip()[:100]}"
        for path, text in texts().items()
        for line in text.splitlines()
        if "picture" in keys.sub("", line).lower()
    ]
    assert not said, said


def test_rnr_is_the_name_of_two_cards_and_of_nothing_else() -> None:
    said = [path for path, text in texts().items() if re.search("rnr", text.replace("frontalbench_rnr", ""), re.IGNORECASE)]
    files = [path for path in texts() if "rnr" in Path(path).name and not Path(path).name.startswith("frontalbench_rnr")]
    assert not said and not files, (said, files)


def test_every_kind_of_settings_says_whose_they_are() -> None:
    assert [path for path, text in texts().items() if re.search(r"^class Settings\b", text, re.MULTILINE)] == []


def test_spelling_is_that_of_the_glossary() -> None:
    wrong = re.compile(r"\b(summaris\w+|licenses?)\b", re.IGNORECASE)
    # Names of files, fields and programs of others: LICENSE, a package's licence field, SPDX.
    said = [f"{path}: {found.group()}" for path, text in texts().items() if path.startswith("src/") for found in wrong.finditer(text)]
    assert [line for line in said if "LICENSE" not in line] == [], said
