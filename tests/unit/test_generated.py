"""What stands in README, docs and captions of cards, columns and figures is what cards and code say; one program writes it, and finds what is old."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from frontalbench.catalogue.pages import SCRIPT, marks, put
from frontalbench.console import generated
from frontalbench.errors import BadInput

PAGES = generated.pages()
FILES = [*PAGES, *generated.files()]


@pytest.fixture(autouse=True)
def made_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every card is read for the pages, which takes a second or two."""
    monkeypatch.setattr(generated, "pages", lambda: PAGES)


@pytest.fixture
def copied(tmp_path: Path, project_root: Path) -> Path:
    """The pages and files that are made, alone in a folder."""
    for name in FILES:
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(project_root / name, tmp_path / name)
    return tmp_path


def test_everything_that_is_made_from_cards_and_code_is_up_to_date(project_root: Path) -> None:
    assert generated.write(project_root, check=True) == [], "run: python workflow/scripts/write_pages.py"


def test_every_part_that_says_it_is_made_is_made(project_root: Path) -> None:
    """A mark that nothing writes is a table that grows old."""
    made = {begin for parts in PAGES.values() for begin, _ in parts}
    found = {
        line
        for page in [project_root / "README.md", *sorted((project_root / "docs").glob("*.md"))]
        for line in page.read_text(encoding="utf-8").splitlines()
        if line.startswith("<!-- ") and f": made by {SCRIPT} " in line
    }
    assert found == made


@pytest.mark.parametrize("name", FILES)
def test_one_changed_word_in_any_of_them_is_named_and_mended(name: str, copied: Path) -> None:
    path = copied / name
    text = path.read_text(encoding="utf-8")
    first = next(iter(PAGES[name]))[0] if name in PAGES else ""
    path.write_text(text.replace(first, f"{first}\nold", 1) if first else f"old {text}", encoding="utf-8")
    assert generated.write(copied, check=True) == [name]
    assert "old" in path.read_text(encoding="utf-8"), "--check writes nothing"
    assert generated.write(copied) == [name] and generated.write(copied, check=True) == []
    assert path.read_text(encoding="utf-8") == text


def test_what_stands_outside_of_the_marks_stays_and_a_page_without_them_is_refused(tmp_path: Path) -> None:
    page, (begin, end) = tmp_path / "page.md", marks("things")
    page.write_text(f"before\n{begin}\nold\n{end}\nbehind\n", encoding="utf-8")
    assert not put(page, {(begin, end): "new"}) and put(page, {(begin, end): "new"}, check=True)
    assert page.read_text(encoding="utf-8") == f"before\n{begin}\nnew\n{end}\nbehind\n"
    page.write_text("no table here", encoding="utf-8")
    with pytest.raises(BadInput, match=r"page\.md: the marks '<!-- things: made by"):
        put(page, {(begin, end): "new"})


@pytest.mark.slow
def test_the_script_says_in_one_line_what_is_out_of_date(copied: Path, project_root: Path) -> None:
    command = [sys.executable, str(project_root / "workflow" / "scripts" / "write_pages.py"), "--root", str(copied)]
    (copied / "reports" / "captions" / "cost.rst").unlink()
    late = subprocess.run([*command, "--check"], capture_output=True, text=True, check=False)
    assert late.returncode == 2 and late.stderr == "out of date: reports/captions/cost.rst; run: python workflow/scripts/write_pages.py\n"
    assert subprocess.run(command, capture_output=True, text=True, check=False).returncode == 0
    assert subprocess.run([*command, "--check"], capture_output=True, text=True, check=False).returncode == 0
