"""The documentation names what is there: links, headings, files, rooms, and the lines of code that it quotes."""

from __future__ import annotations

import re
import unicodedata
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PAGES = sorted(
    path.relative_to(ROOT).as_posix()
    for pattern in ("*.md", "docs/*.md", "config/*.md", "demo/**/*.md", "tests/golden/data/*.md")
    for path in ROOT.glob(pattern)
)
MADE_BY_A_RUN = ("results/", "reports/", "logs/", "data/", "weights/", "out/", ".venv/")
"""Folders that a checkout does not have until something ran."""


def text_of(page: str) -> str:
    return (ROOT / page).read_text(encoding="utf-8")


def prose(text: str) -> str:
    """A page without its blocks of code."""
    return re.sub(r"^ *```.*?^ *```", "", text, flags=re.MULTILINE | re.DOTALL)


def anchors(text: str) -> set[str]:
    """What a heading is called in an address: small letters, no punctuation, a hyphen for every blank; a number behind a second one of the name."""
    found: dict[str, int] = {}
    names = set()
    for heading in re.findall(r"^#+ (.+)$", prose(text), flags=re.MULTILINE):
        plain = re.sub(r"\[([^]]*)\]\([^)]*\)", r"\1", heading).lower()
        name = "".join(c for c in plain if c in "-_ " or unicodedata.category(c)[0] in "LN").replace(" ", "-")
        names.add(f"{name}-{found[name]}" if name in found else name)
        found[name] = found.get(name, 0) + 1
    return names | set(re.findall(r'<a (?:id|name)="([^"]+)"', text))


def broken(page: str, text: str) -> list[str]:
    """Links of ``page`` to files or headings of this project that are not there."""
    wrong = []
    for link in re.findall(r"\]\(([^()\s]+)\)", prose(text)):
        if re.match(r"[a-z]+:", link):
            continue
        file, _, heading = link.partition("#")
        target = (ROOT / page).parent / file if file else ROOT / page
        there = target.read_text(encoding="utf-8") if file and target.suffix == ".md" and target.is_file() else text if not file else ""
        if not target.exists() or (heading and target.suffix == ".md" and heading not in anchors(there)):
            wrong.append(link)
    return wrong


@pytest.mark.parametrize("page", PAGES)
def test_every_link_leads_to_a_file_and_a_heading_that_exist(page: str) -> None:
    assert broken(page, text_of(page)) == []


def test_a_link_that_leads_nowhere_is_found() -> None:
    text = "# One `b`\n[a](#one-b) [b](no.md) [c](#two) [d](glossary.md#no) [e](https://x.y) ![f](images/no.png)\n```\n[g](no.md)\n```\n"
    assert anchors(text) == {"one-b"}
    assert broken("docs/api.md", text) == ["no.md", "#two", "glossary.md#no", "images/no.png"]


def test_every_page_of_the_documentation_is_linked_from_another() -> None:
    linked = {
        ((ROOT / page).parent / link.partition("#")[0]).resolve()
        for page in PAGES
        for link in re.findall(r"\]\(([^()\s:]+)\)", text_of(page))
        if link.partition("#")[0] and (ROOT / page).parent.joinpath(link.partition("#")[0]).resolve() != (ROOT / page).resolve()
    }
    assert [page for page in PAGES if page.startswith("docs/") and (ROOT / page).resolve() not in linked] == []


@pytest.mark.parametrize("page", [page for page in PAGES if page != "CHANGELOG.md"])  # which tells of files that have moved since
def test_every_file_of_this_project_that_a_page_names_is_there(page: str) -> None:
    """Whole paths, in prose and in commands; what a run makes, and names with a placeholder in CAPITALS, are not looked for."""
    named = set(
        re.findall(r"(?<![\w./~$}-])((?:workflow|benchmarks|src|rules|profiles|tests|docs|demo|envs|\.ci)/[\w./-]+\.\w+)", text_of(page))
    )
    assert sorted(name for name in named if not re.search(r"[A-Z]{4}|\.\.\.", name) and not (ROOT / name).exists()) == []


def test_every_page_that_a_message_or_a_card_names_is_there() -> None:
    files = [path for top in ("src", "workflow", "rules", "config", "profiles") for path in (ROOT / top).rglob("*.*") if path.is_file()]
    files = [path for path in files if path.suffix in (".py", ".smk", ".yaml", ".sh", ".html", ".rst")]
    named = {name for path in files for name in re.findall(r"\bdocs/\w+\.md", path.read_text(encoding="utf-8"))}
    assert len(named) > 10
    assert sorted(name for name in named if not (ROOT / name).is_file()) == []


def lines_under(text: str, heading: str) -> list[str]:
    return text.split(f"{heading}\n")[1].split("\n## ")[0].split("\n### ")[0].splitlines()


def test_every_room_and_module_that_the_architecture_names_exists_and_every_room_is_named() -> None:
    text = text_of("docs/architecture.md")
    package = ROOT / "src/frontalbench"
    rows = [row.split("|") for row in lines_under(text, "### The library") if row.startswith("| `")]
    rooms = {name for row in rows for name in re.findall(r"`([\w./]+)`", row[1])}
    assert [name for name in sorted(rooms) if not (package / name).exists()] == []
    there = {f"{path.parent.name}/" for path in package.glob("*/__init__.py")}
    assert sorted(there - rooms) == [], "rooms without a row in docs/architecture.md"
    loose = {path.name for path in package.glob("*.py")} - {"__init__.py"}
    assert sorted(loose - rooms) == [], "modules on top without a row in docs/architecture.md"
    others = {path.stem for path in package.glob("*.py")} | {path.stem for path in ROOT.glob("config/models/*/*.yaml")} | {package.name}
    for row in rows:
        room = package / re.findall(r"`([\w./]+)`", row[1])[0]
        for name in re.findall(r"`(\w+)`", row[2]) if room.is_dir() else ():
            assert (room / f"{name}.py").is_file() or (room / name).is_dir() or name in others, f"{room.name}/ has no module '{name}'"
    for row in (row.split("|") for row in lines_under(text, "## Rooms") if row.startswith("| `")):
        for name in re.findall(r"`([\w./]+)`", row[1]):
            assert (ROOT / name).exists(), name
        for name in re.findall(r"`(\w+/)`", row[2]):
            assert (ROOT / re.findall(r"`([\w./]+)`", row[1])[0] / name).is_dir(), f"{row[1].strip()}: {name}"
    for name in re.findall(r"`((?:\w+/)+\w+\.py)`", text):
        assert (package / name).is_file() or (ROOT / name).is_file(), name


@pytest.mark.parametrize("page", [page for page in PAGES if "```diff" in text_of(page)])
def test_every_line_that_a_page_shows_as_added_stands_in_that_file(page: str) -> None:
    """So that a "real diff" stays one."""
    seen = 0
    for block in re.findall(r"```diff\n(.*?)```", text_of(page), flags=re.DOTALL):
        source: list[str] = []
        for line in block.splitlines():
            if line.startswith("+++ b/"):
                source = text_of(line.removeprefix("+++ b/")).splitlines()
            elif line.startswith("+") and line[1:].strip():
                assert line[1:] in source, f"{page}: {line}"
                seen += 1
    assert seen
