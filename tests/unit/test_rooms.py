"""``tests/unit`` runs on every machine: a test that needs weights or photographs is found in it and named."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.rooms import Asked, complaint, misplaced


def asked(file: str, name: str = "test_a", *, fixtures: tuple[str, ...] = (), marks: tuple[str, ...] = ()) -> Asked:
    return Asked(file, name, frozenset(fixtures), frozenset(marks))


def test_what_needs_weights_or_photographs_is_misplaced_among_the_unit_tests_and_nowhere_else() -> None:
    tests = [
        asked("tests/unit/test_a.py", "test_plain", fixtures=("tmp_path",)),
        asked("tests/unit/test_a.py", "test_weight", fixtures=("tmp_path", "weight")),
        asked("tests/unit/test_a.py", "test_weight", fixtures=("weight",)),
        asked("tests/unit/test_a.py", "test_photograph", fixtures=("shared",)),
        asked("tests/unit/test_a.py", "test_marked", marks=("weights",)),
        asked("tests/models/test_a.py", "test_weight", fixtures=("weight",), marks=("weights",)),
        asked("tests/golden/test_a.py", "test_weight", fixtures=("weight",)),
    ]
    found = misplaced(tests)
    assert found == [f"tests/unit/test_a.py::test_{name}" for name in ("marked", "photograph", "weight")]
    assert "3 of its tests do" in complaint(found) and "tests/unit/test_a.py::test_weight" in complaint(found)
    assert complaint([]) == ""


@pytest.mark.slow
@pytest.mark.parametrize("workers", [[], ["-n", "1"]])
def test_a_run_names_what_is_in_the_wrong_folder(tmp_path: Path, project_root: Path, workers: list[str]) -> None:
    """On a small project with this one's ``conftest.py``; by itself and by way of xdist."""
    unit = tmp_path / "tests" / "unit"
    unit.mkdir(parents=True)
    for file in (tmp_path / "tests" / "__init__.py", unit / "__init__.py"):
        file.write_text("")
    for name in ("conftest", "rooms", "skips", "project", "warm"):
        (tmp_path / "tests" / f"{name}.py").write_text((project_root / "tests" / f"{name}.py").read_text())
    (tmp_path / "pyproject.toml").write_text((project_root / "pyproject.toml").read_text())
    (unit / "test_a.py").write_text("def test_plain():\n    pass\n\n\ndef test_photograph(shared):\n    pass\n")
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", *workers, "tests"]
    # What the run around this one requires (tests/skips.py) is not required of the small one.
    environment = {name: value for name, value in os.environ.items() if not name.startswith("FRONTALBENCH_")}
    for strict, code in ((False, 0), (True, 1)):
        (tmp_path / "tests" / "rooms.py").write_text(
            (project_root / "tests" / "rooms.py").read_text() + f"\n\nSTRICT = {strict}\n", encoding="utf-8"
        )
        done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False)
        assert "1 of its tests do and belong in tests/models: tests/unit/test_a.py::test_photograph" in done.stdout
        assert done.returncode == code, done.stdout
