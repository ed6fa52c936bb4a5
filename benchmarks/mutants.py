"""How many small faults in a module its unit tests notice: one edit at a time, in a copy, and the tests must fail.

    python benchmarks/mutants.py --minutes 10 src/frontalbench/datasets/roles.py:tests/unit/test_datasets_roles.py
    python benchmarks/mutants.py --minutes 30 --sample 60 $(cat benchmarks/mutants.txt)

Each argument is MODULE:TESTS[,TESTS]; ``benchmarks/mutants.txt`` names those whose numbers a wrong edit would change. Not part of the CI: it takes
hours over all of them. ``--sample N`` takes N edits of each module, drawn by ``--seed``. It prints the survivors and the score, killed of tried. A
survivor is a missing test or an edit that means the same; only a person can tell.

Edits: a comparison turned or moved to the next, ``and`` for ``or``, ``+`` for ``-``, ``*`` for ``/``, ``min`` for ``max``, a condition negated, a
constant changed (True, False, a number plus one), ``return`` of None. Third-party modules are loaded once and every edit is tried in a fork of that
process, so that one costs a second or two. What takes ten times as long as the unedited tests (and ten seconds) counts as killed: it hangs.
"""

from __future__ import annotations

import argparse
import ast
import contextlib
import copy
import importlib
import os
import random
import shutil
import signal
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
LOADED = (
    "numpy",
    "scipy.stats",
    "scipy.special",
    "pandas",
    "pyarrow.parquet",
    "yaml",
    "jsonschema",
    "pytest",
    "hypothesis",
    "cv2",
    "PIL.Image",
)
"""Loaded once, before the first fork."""
TURNED: dict[type[ast.cmpop], type[ast.cmpop]] = {
    ast.Lt: ast.LtE, ast.LtE: ast.Lt, ast.Gt: ast.GtE, ast.GtE: ast.Gt, ast.Eq: ast.NotEq, ast.NotEq: ast.Eq, ast.Is: ast.IsNot, ast.IsNot: ast.Is,
    ast.In: ast.NotIn, ast.NotIn: ast.In,
}  # fmt: skip
SWAPPED: dict[type[ast.operator], type[ast.operator]] = {
    ast.Add: ast.Sub, ast.Sub: ast.Add, ast.Mult: ast.Div, ast.Div: ast.Mult, ast.FloorDiv: ast.Div, ast.BitAnd: ast.BitOr, ast.BitOr: ast.BitAnd,
}  # fmt: skip
NAMES = {"min": "max", "max": "min", "any": "all", "all": "any", "minimum": "maximum", "maximum": "minimum"}
KILLED, SURVIVED, HUNG = "killed", "survived", "hung"


@dataclass(frozen=True)
class Mutant:
    """The text of a module with one edit, and where and what it is."""

    line: int
    what: str
    text: str


def edits(node: ast.AST) -> Iterator[tuple[ast.AST, str]]:
    """Replacements of one node, each with a few words."""
    new = copy.deepcopy(node)
    match new:
        case ast.Compare():
            for at, old in enumerate(new.ops):
                if type(old) in TURNED:
                    one = copy.deepcopy(new)
                    one.ops[at] = TURNED[type(old)]()
                    yield one, "comparison"
        case ast.BoolOp():
            new.op = ast.Or() if isinstance(new.op, ast.And) else ast.And()
            yield new, "and/or"
        case ast.BinOp() if type(new.op) in SWAPPED:
            new.op = SWAPPED[type(new.op)]()
            yield new, "arithmetic"
        case ast.UnaryOp(op=ast.Not() | ast.USub() | ast.Invert()):
            yield new.operand, "sign or negation left out"
        case ast.Constant(value=bool()):
            new.value = not new.value
            yield new, "constant"
        case ast.Constant(value=int() | float()):
            new.value += 1
            yield new, "constant"
        case ast.If() | ast.IfExp():
            new.test = ast.UnaryOp(ast.Not(), new.test)
            yield new, "condition negated"
        case ast.Return(value=ast.expr() as value) if not (isinstance(value, ast.Constant) and value.value is None):
            new.value = ast.Constant(None)
            yield new, "returns None"
        case ast.Name(id=name) | ast.Attribute(attr=name) if name in NAMES:
            setattr(new, "id" if isinstance(new, ast.Name) else "attr", NAMES[name])
            yield new, f"{NAMES[name]} for {name}"


def _left_out(tree: ast.Module) -> set[int]:
    """Nodes that no test can tell apart: annotations, and the texts of messages that are raised."""
    out: set[int] = set()
    for node in ast.walk(tree):
        for part in ("annotation", "returns"):
            inner = getattr(node, part, None)
            if isinstance(inner, ast.AST):
                out |= {id(one) for one in ast.walk(inner)}
        if isinstance(node, ast.Raise):
            out |= {id(one) for one in ast.walk(node)}
    return out


def mutants(source: str) -> Iterator[Mutant]:
    """Every edit of a module, in the order of its lines."""
    tree = ast.parse(source)
    left_out = _left_out(tree)
    for node in ast.walk(tree):
        if id(node) in left_out or not hasattr(node, "lineno"):
            continue
        before = ast.unparse(node).splitlines()[0]
        for new, what in edits(node):
            changed = _swapped(tree, node, new)
            yield Mutant(node.lineno, f"{what}: {before[:80]}", changed)


def _swapped(tree: ast.Module, old: ast.AST, new: ast.AST) -> str:
    parent, field, index = next((n, field, i) for n in ast.walk(tree) for field, i in _places(n, old))
    kept = getattr(parent, field)
    try:
        if index is None:
            setattr(parent, field, new)
        else:
            setattr(parent, field, [*kept[:index], new, *kept[index + 1 :]])
        return ast.unparse(ast.fix_missing_locations(tree))
    finally:
        setattr(parent, field, kept)


def _places(parent: ast.AST, child: ast.AST) -> Iterator[tuple[str, int | None]]:
    for field, value in ast.iter_fields(parent):
        if value is child:
            yield field, None
        elif isinstance(value, list):
            yield from ((field, index) for index, one in enumerate(value) if one is child)


def tried(tests: list[str], source: Path, limit: float) -> tuple[str, float]:
    """Whether the tests notice what lies in ``source``, and the seconds they took; in a fork, as modules stay loaded."""
    began = time.monotonic()
    child = os.fork()
    if child == 0:
        status = 3
        with contextlib.suppress(BaseException):
            status = _run(tests, source)
        os._exit(status)
    while time.monotonic() - began < limit:
        pid, code = os.waitpid(child, os.WNOHANG)
        if pid:
            seconds = time.monotonic() - began
            return (SURVIVED if os.waitstatus_to_exitcode(code) == 0 else KILLED), seconds
        time.sleep(0.02)
    with contextlib.suppress(ProcessLookupError):
        os.killpg(child, signal.SIGKILL)
    os.waitpid(child, 0)
    return HUNG, time.monotonic() - began


def _run(tests: list[str], source: Path) -> int:
    import pytest

    os.setpgid(0, 0)
    silent = os.open(os.devnull, os.O_WRONLY)
    os.dup2(silent, 1)
    os.dup2(silent, 2)
    sys.path.insert(0, str(source))
    sys.path.insert(0, str(ROOT))
    os.environ["PYTHONPATH"] = str(source)
    return int(pytest.main(["-x", "-q", "-p", "no:cacheprovider", "-m", "not weights and not slow", "--no-header", *tests]))


def score(module: str, tests: list[str], source: Path, *, sample: int, seed: int, until: float) -> tuple[int, int, int]:
    """(noticed, tried, all) edits of a module; survivors are printed."""
    path = ROOT / module
    copied = source / path.relative_to(ROOT / "src")
    original = path.read_text(encoding="utf-8")
    found = list(mutants(original))
    verdict, seconds = tried(tests, source, 3600.0)
    if verdict != SURVIVED:
        raise SystemExit(f"{module}: the tests fail without any edit: {' '.join(tests)}")
    chosen = sorted(random.Random(seed).sample(found, min(sample or len(found), len(found))), key=lambda one: one.line)
    noticed = done = 0
    for mutant in chosen:
        if time.monotonic() > until:
            break
        copied.write_text(mutant.text, encoding="utf-8")
        verdict, _ = tried(tests, source, max(10.0, 10 * seconds))
        done += 1
        noticed += verdict != SURVIVED
        if verdict == SURVIVED:
            print(f"  survived  {module}:{mutant.line}  {mutant.what}", flush=True)
    copied.write_text(original, encoding="utf-8")
    print(f"{module}: {noticed} of {done} edits noticed ({len(found)} in all; the tests alone take {seconds:.1f} s)", flush=True)
    return noticed, done, len(found)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("pairs", nargs="+", metavar="MODULE:TESTS", help="a module and the test files that hold it, with commas between")
    parser.add_argument("--minutes", type=float, default=30.0, help="stop after so many minutes (default: 30)")
    parser.add_argument("--sample", type=int, default=0, metavar="N", help="so many edits of each module, by chance (default: all)")
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args()
    for name in LOADED:
        importlib.import_module(name)
    sys.dont_write_bytecode = True
    os.environ["PYTHONDONTWRITEBYTECODE"] = "1"
    until = time.monotonic() + 60 * args.minutes
    noticed = done = 0
    with tempfile.TemporaryDirectory() as folder:
        source = Path(folder, "src")
        shutil.copytree(ROOT / "src", source, ignore=shutil.ignore_patterns("__pycache__"))
        os.chdir(ROOT)
        for pair in args.pairs:
            module, _, tests = pair.partition(":")
            one = score(module, tests.split(","), source, sample=args.sample, seed=args.seed, until=until)
            noticed, done = noticed + one[0], done + one[1]
            if time.monotonic() > until:
                print(f"stopped after {args.minutes:g} minutes")
                break
    print(f"score: {noticed} of {done} ({noticed / max(done, 1):.0%})")


if __name__ == "__main__":
    main()
