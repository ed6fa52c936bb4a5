"""Benchmarks find what they take from each other: they import within functions, in processes of their own, long after they have begun."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
BENCHMARKS = sorted((ROOT / "benchmarks").glob("*.py"))


def defined(path: Path) -> set[str]:
    """The names that a module has at its top level, those that it imports among them."""
    names: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.FunctionDef | ast.ClassDef):
            names.add(node.name)
        elif isinstance(node, ast.Assign | ast.AnnAssign):
            targets = node.targets if isinstance(node, ast.Assign) else [node.target]
            names.update(each.id for target in targets for each in ast.walk(target) if isinstance(each, ast.Name))
        elif isinstance(node, ast.Import | ast.ImportFrom):
            names.update((alias.asname or alias.name).partition(".")[0] for alias in node.names)
    return names


@pytest.mark.parametrize("script", BENCHMARKS, ids=lambda path: path.stem)
def test_a_benchmark_takes_only_what_the_others_have(script: Path) -> None:
    for node in ast.walk(ast.parse(script.read_text(encoding="utf-8"))):
        if not isinstance(node, ast.ImportFrom) or not (node.module or "").startswith("benchmarks"):
            continue
        place = ROOT.joinpath(*(node.module or "").split("."))
        for alias in node.names:
            if place.is_dir():
                assert (place / f"{alias.name}.py").exists(), f"line {node.lineno}: no benchmark is called {alias.name}"
            else:
                assert alias.name in defined(place.with_suffix(".py")), f"line {node.lineno}: {node.module} has no {alias.name}"
