"""What the room of the networks may and may not do."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

from frontalbench.plan import fingerprint

ROOM = Path(__file__).parents[2] / "src" / "frontalbench" / "networks"
FILES = sorted(ROOM.rglob("*.py"))


def imported(path: Path) -> set[str]:
    """Dotted names that a file imports, wherever in it."""
    names: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path.name}: relative imports are not followed here"
            names |= {f"{node.module}.{alias.name}" for alias in node.names}
    return names


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(ROOM)))
def test_a_network_imports_nothing_of_this_project_but_networks_and_errors(path: Path) -> None:
    own = {name for name in imported(path) if name.split(".")[0] == "frontalbench"}
    allowed = {name for name in own if name.startswith(("frontalbench.networks.", "frontalbench.errors."))}
    assert own == allowed


@pytest.mark.parametrize("path", [path for path in FILES if path.name == "__init__.py"], ids=lambda path: str(path.relative_to(ROOM)))
def test_the_room_s_own_files_import_nothing(path: Path) -> None:
    """So that a change in one network reruns what uses it, and not what uses another."""
    assert imported(path) == set()


def test_the_room_is_not_empty() -> None:
    assert len(FILES) > 5


def test_a_change_in_one_network_reruns_what_uses_it_and_not_what_uses_another() -> None:
    uses = {name: fingerprint.closure([f"frontalbench.{name}"]) for name in ("detect.retinaface", "enhance.gfpgan", "frontalize.refiner")}
    room = {
        name: {module.removeprefix("frontalbench.networks.") for module in used if ".networks." in module} for name, used in uses.items()
    }
    filtering = {"asked", "layers", "machine_code", "memory", "minimal", "minimal_tiles", "packed", "precision"}
    assert room == {
        "detect.retinaface": {"retinaface", "resnet", "blocks", "checkpoints", *filtering},
        "enhance.gfpgan": {"gfpgan", "stylegan2", "blocks", "checkpoints", *filtering},
        "frontalize.refiner": {"refiner", "checkpoints", "asked", "precision"},  # the cards that one uses bring their own code
    }
