"""A workflow run names what it does not use of a dataset's folder, and only the layout that a dataset has can rerun it."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.project import Project, copy_checkout, people, write_card

pytestmark = [pytest.mark.e2e]

TABLES = [f"results/images/tiny/{shard}.parquet" for shard in ("0000", "0001")]


def edit(project: Project, module: str) -> None:
    file = project.folder / "src" / "frontalbench" / "datasets" / f"{module}.py"
    file.write_text(file.read_text() + "\nEDITED = 1\n")


def test_a_run_names_files_it_ignores_and_reruns_for_its_own_layout_only(tmp_path: Path) -> None:
    project = copy_checkout(tmp_path / "project")
    root = people(project.folder / "data" / "tiny", 2)
    person = next(path.name for path in sorted(root.iterdir()))
    for name in ("GT/phone.heic", "GT/notes.txt", "old/again.jpg"):
        file = root / person / name
        file.parent.mkdir(exist_ok=True)
        file.write_bytes(b"x")
    write_card(project, "tiny", root)
    project.configure()
    done = project.snakemake(*TABLES)
    (note,) = {line for line in done.stderr.splitlines() if line.startswith("dataset tiny: ")}
    assert "1 image or row left out" in note and "2 files ignored" in note
    assert f"1 .heic: {person}/GT/phone.heic" in note and f"1 .txt: {person}/GT/notes.txt" in note and "--check" in note
    logs = "".join((project.folder / "logs" / "prepare" / "tiny" / f"{Path(table).stem}.log").read_text() for table in TABLES)
    assert f"warning: 1 .heic file cannot be read here: {person}/GT/phone.heic" in logs
    assert f"warning: {person}/old: 1 image left out: expected a folder GT or Angle" in logs and "note: not images, ignored: 2" in logs

    edit(project, "biwi")
    edit(project, "near")
    assert project.planned(*TABLES) == {}
    edit(project, "folder")
    assert project.planned(*TABLES)["prepare"] == 2
