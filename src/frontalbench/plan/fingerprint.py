"""What a stage's result depends on besides its inputs: the library code it uses.

A *code fingerprint* is a hash over the modules that a stage reaches by imports, of their meaning and not their text: comments, docstrings and
formatting do not count, file times do not count. Rules put it into ``params``; Snakemake reruns a job when it changes, and only then.
"""

from __future__ import annotations

import ast
import copy
import functools
import hashlib
from collections.abc import Iterable, Iterator
from pathlib import Path

PACKAGE = "frontalbench"
ROOT = Path(__file__).resolve().parents[1]

ROOMS_LEFT_OUT = ("catalogue", "files", "plan", "upkeep", "weights")
"""Packages that decide no value of a result, whatever is put into them. What they bring in is checked by sha256 (weights) or hashed by itself (cards,
the family that a cell uses); or they only carry or describe it."""
MODULES_LEFT_OUT = ("cli", "datasets.layouts", "errors", "tables", "types")
"""Modules outside of those rooms for which the same holds: the schema of a stage's table is hashed by itself, so is a dataset's layout; ``types``
holds names for annotations."""
_LEFT_OUT = tuple(f"{PACKAGE}.{name}" for name in (*ROOMS_LEFT_OUT, *MODULES_LEFT_OUT))

ROOMS_OF_REFUSALS = ("runtime",)
"""Packages all of whose :class:`BadInput` and :class:`BadConfig` end the job, before there is a table: what these say, and what is logged, counts for
nothing. (Elsewhere such words can become the ``detail`` of a row, or stand in a figure.)"""

_DATA = ("data", "static", "templates")
"""Folders of a package whose files its modules read; they count with their bytes."""


def code_fingerprint(modules: Iterable[str], script: str | Path | None = None, more: Iterable[str] = ()) -> str:
    """Hash of the import closure of ``modules`` (dotted names), of the script's own code, the command behind it included, and of ``more`` texts; 16
    hexadecimal digits. What the command imports counts where it is among ``modules``, too."""
    digest = hashlib.sha256()
    # Not their names: a module that only moves to another room changes nothing.
    for module in sorted(_module_hash(name) for name in _closure(frozenset(modules)) if not _is_empty(name)):
        digest.update(f"{module}\n".encode())
    if script is not None:
        digest.update(f"{Path(script).name}={_source_hash(Path(script).read_text(encoding='utf-8'))}\n".encode())
        for name in commands(script):
            digest.update(f"{_module_hash(name)}\n".encode())
    for text in more:
        digest.update(hashlib.sha256(text.encode()).digest())
    return digest.hexdigest()[:16]


def imports(script: str | Path) -> tuple[str, ...]:
    """Dotted names that a script imports, wherever in it."""
    return tuple(_imports(ast.parse(Path(script).read_text(encoding="utf-8")), ""))


def commands(script: str | Path) -> tuple[str, ...]:
    """The modules of :mod:`frontalbench.commands` that a script is the door to."""
    return tuple(name for name in imports(script) if name.startswith(f"{PACKAGE}.commands.") and _path(name) is not None)


def closure(modules: Iterable[str]) -> frozenset[str]:
    """The modules of this package whose code goes into the fingerprint of ``modules``."""
    return _closure(frozenset(modules))


@functools.cache
def _closure(modules: frozenset[str]) -> frozenset[str]:
    waiting = list(modules)
    seen: set[str] = set()
    while waiting:
        name = waiting.pop()
        left_out = name == PACKAGE or any(name == other or name.startswith(other + ".") for other in _LEFT_OUT)
        if left_out or name in seen or _path(name) is None:
            continue
        seen.add(name)
        waiting.extend(_module_imports(name))
        parent = name.rpartition(".")[0]
        if parent:
            waiting.append(parent)
    return frozenset(seen)


def _path(name: str) -> Path | None:
    """Source file of a module of this package; None for anything else."""
    if not _is_own(name):
        return None
    base = ROOT.joinpath(*name.split(".")[1:])
    if (base / "__init__.py").is_file():
        return base / "__init__.py"
    module = base.with_suffix(".py")
    return module if module.is_file() else None


@functools.cache
def _tree(name: str) -> ast.Module:
    path = _path(name)
    assert path is not None
    return ast.parse(path.read_text(encoding="utf-8"))


@functools.cache
def _module_imports(name: str) -> tuple[str, ...]:
    path = _path(name)
    assert path is not None
    package = name if path.name == "__init__.py" else name.rpartition(".")[0]
    return tuple(_imports(_tree(name), package))


def _imports(tree: ast.Module, package: str) -> Iterator[str]:
    for node in _runtime_nodes(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = node.module or ""
            if node.level:
                parts = package.split(".")
                base = ".".join(parts[: len(parts) - node.level + 1] + ([base] if base else []))
            yield base
            yield from (f"{base}.{alias.name}" for alias in node.names)  # may be a module or a name in it; unknown modules are dropped


def _runtime_nodes(tree: ast.Module) -> Iterator[ast.AST]:
    """All statements but those under ``if TYPE_CHECKING:``, which never run. Expressions are not looked into: no import stands in one."""
    waiting: list[ast.AST] = [tree]
    while waiting:
        node = waiting.pop()
        if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.dump(node.test):
            waiting.extend(node.orelse)
            continue
        yield node
        for field in _HOLD_STATEMENTS:
            held = getattr(node, field, ())
            if isinstance(held, list):
                waiting.extend(held)


_HOLD_STATEMENTS = ("body", "handlers", "orelse", "finalbody", "cases")


@functools.cache
def _module_hash(name: str) -> str:
    tree = _tree(name)
    if name.split(".")[1:2] and name.split(".")[1] in ROOMS_OF_REFUSALS:
        tree = _WithoutWords().visit(copy.deepcopy(tree))
    digest = hashlib.sha256(_tree_hash(tree).encode())
    for data in _data(name):
        digest.update(data.name.encode() + hashlib.sha256(data.read_bytes()).digest())
    return digest.hexdigest()


class _WithoutWords(ast.NodeTransformer):
    """Empties what is said when a job ends (``raise BadInput(...)``) and what is logged (``log.warning(...)``, ``warnings.warn(...)``)."""

    def visit_Raise(self, node: ast.Raise) -> ast.Raise:
        if isinstance(node.exc, ast.Call) and isinstance(node.exc.func, ast.Name) and node.exc.func.id in ("BadInput", "BadConfig"):
            node.exc = ast.Call(node.exc.func, [], [])
        return node

    def visit_Expr(self, node: ast.Expr) -> ast.Expr:
        if isinstance(node.value, ast.Call) and ast.unparse(node.value.func).startswith(("log.", "warnings.warn")):
            node.value = ast.Call(node.value.func, [], [])
        return node


def _data(name: str) -> list[Path]:
    path = _path(name)
    assert path is not None
    return [data for folder in _DATA for data in sorted((path.parent / folder).glob("*"))] if path.name == "__init__.py" else []


def _is_empty(name: str) -> bool:
    """Whether a module holds nothing but its docstring: a package that is only a room."""
    return all(_is_bare_string(item) for item in _tree(name).body) and not _data(name)


def _source_hash(source: str) -> str:
    """Hash of what a source file does, see :func:`_tree_hash`."""
    return _tree_hash(ast.parse(source))


def _tree_hash(tree: ast.Module) -> str:
    """Hash of a syntax tree without docstrings, positions and the places that our own modules are imported from.

    What is imported is hashed by itself; only what it is called here counts. Leaves the tree as it was.
    """
    called: set[tuple[str, str]] = set()
    text = _dump(tree, called)
    return hashlib.sha256((text + (repr(sorted(called)) if called else "")).encode()).hexdigest()


_DOCUMENTED = (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)


def _own_names(node: ast.stmt) -> list[tuple[str, str]] | None:
    """For an import of ours: (what is imported, what it is called here), a module being known by what it is called alone; None for anything else."""
    if isinstance(node, ast.Import) and all(_is_own(alias.name) for alias in node.names):
        return [("", alias.asname or alias.name) for alias in node.names]
    if isinstance(node, ast.ImportFrom) and (node.level or _is_own(node.module or "")):
        names = ((alias, _path(f"{node.module}.{alias.name}") is not None) for alias in node.names)
        return [("" if module else alias.name, alias.asname or alias.name) for alias, module in names]
    return None


def _is_own(name: str) -> bool:
    return name == PACKAGE or name.startswith(PACKAGE + ".")


def _dump(node: object, called: set[tuple[str, str]]) -> str:
    """A syntax tree as text, the same under every Python (what ``ast.dump`` of 3.11 writes), so that another Python reruns nothing.

    Docstrings and imports of ours are left out; what these are called here is added to ``called``. The tree stays as it is.
    Python 3.12 knows type parameters, and some of its releases put an empty text behind ``{value:{form}}``; 3.13 leaves out what is empty.
    """
    if isinstance(node, list):
        return f"[{', '.join([_dump(item, called) for item in node])}]"
    if not isinstance(node, ast.AST):
        return repr(node)
    kind = type(node)
    fields = []
    for name, optional, holds_statements in _fields(kind):
        value = getattr(node, name, None)
        if (value is None and optional) or (name == "type_params" and not value):
            continue
        if isinstance(value, list):
            if holds_statements:
                counting = _counting(value, called, documented=name == "body" and kind in _DOCUMENTED)
                value = counting or ([ast.Pass()] if value and name == "body" else [])
            elif kind is ast.JoinedStr:
                value = [part for part in value if not (isinstance(part, ast.Constant) and part.value == "")]
        fields.append(f"{name}={_dump(value, called)}")
    return f"{kind.__name__}({', '.join(fields)})"


def _fields(kind: type[ast.AST]) -> tuple[tuple[str, bool, bool], ...]:
    """Of a kind of node: (field, whether it may be missing, whether it may hold statements)."""
    if kind not in _FIELDS:
        _FIELDS[kind] = tuple((name, getattr(kind, name, ...) is None, name in ("body", "orelse", "finalbody")) for name in kind._fields)
    return _FIELDS[kind]


_FIELDS: dict[type[ast.AST], tuple[tuple[str, bool, bool], ...]] = {}


def _counting(items: list[ast.stmt], called: set[tuple[str, str]], *, documented: bool) -> list[ast.stmt]:
    """The statements that count for themselves; what imports of ours are called goes into ``called``."""
    kept = []
    for item in items:
        own = _own_names(item)
        if own is not None:
            called.update(own)
        elif not (documented and _is_bare_string(item)):
            kept.append(item)
    return kept


def _is_bare_string(node: ast.stmt) -> bool:
    return isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant) and isinstance(node.value.value, str)
