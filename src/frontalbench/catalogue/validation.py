"""YAML files from people: strict reading, checking against a JSON schema, one line per problem.

:func:`read_yaml` is ``yaml.safe_load`` made stricter: repeated keys, aliases, keys that are not text, NaN and infinity are errors, dates stay text,
and ``1e-5`` is a number. :func:`problems` turns what the schema library says into lines that name the key, what is wrong and what is allowed.
"""

from __future__ import annotations

import copy
import difflib
import functools
import math
import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml

from frontalbench.errors import BadConfig

MAX_BYTES = 1_000_000
"""A longer file is not a card or a configuration."""


if TYPE_CHECKING:
    _Loader = yaml.SafeLoader
else:
    _Loader = object


class _Strict(_Loader):
    """What a loader of ours refuses: aliases (a small file could unfold to gigabytes) and repeated keys (the first value would be lost silently)."""

    def compose_node(self, parent: Any, index: Any) -> Any:
        if self.check_event(yaml.AliasEvent):
            event = self.get_event()  # type: ignore[no-untyped-call]
            raise yaml.composer.ComposerError(None, None, "aliases (*name) are not allowed here", event.start_mark)
        return super().compose_node(parent, index)

    def construct_mapping(self, node: Any, deep: bool = False) -> dict[Any, Any]:
        seen: set[str] = set()
        for key_node, _ in node.value:
            key = self.construct_object(key_node, deep=True)
            if not isinstance(key, str):
                raise yaml.constructor.ConstructorError(None, None, f"key {key!r} is not text; put it in quotes", key_node.start_mark)
            if key in seen:
                raise yaml.constructor.ConstructorError(None, None, f"key '{key}' is given twice", key_node.start_mark)
            seen.add(key)
        return super().construct_mapping(node, deep)

    def construct_number(self, node: Any) -> float:
        value = float(self.construct_yaml_float(node))
        if not math.isfinite(value):
            raise yaml.constructor.ConstructorError(None, None, f"{node.value} is not a finite number", node.start_mark)
        return value


class _StrictLoader(_Strict, yaml.SafeLoader):
    """Python's own reader; its words are those of the messages."""


_FLOAT = r"[-+]?(?:[0-9][0-9_]*\.[0-9_]*|\.[0-9]+)(?:[eE][-+]?[0-9]+)?|[-+]?[0-9]+[eE][-+]?[0-9]+|[-+]?\.(?:inf|Inf|INF)|\.(?:nan|NaN|NAN)"


def _read_as_ours(loader: Any) -> None:
    """Without YAML 1.1's timestamp (a date stays the text that was written) and base-60 numbers, and with YAML 1.2's floats (1e-5 is a number)."""
    loader.yaml_implicit_resolvers = {
        first: [(tag, pattern) for tag, pattern in resolvers if tag.rsplit(":", 1)[1] in ("bool", "null")]
        for first, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()
    }
    loader.add_implicit_resolver("tag:yaml.org,2002:int", re.compile(r"^[-+]?(?:0|[1-9][0-9_]*)$"), list("-+0123456789"))
    loader.add_implicit_resolver("tag:yaml.org,2002:float", re.compile(f"^(?:{_FLOAT})$"), list("-+0123456789."))
    loader.add_constructor("tag:yaml.org,2002:float", loader.construct_number)


_read_as_ours(_StrictLoader)

if yaml.__with_libyaml__:
    from yaml.composer import Composer
    from yaml.constructor import SafeConstructor
    from yaml.cyaml import CParser  # type: ignore[attr-defined, unused-ignore]
    from yaml.resolver import Resolver

    class _FastLoader(_Strict, Composer, CParser, SafeConstructor, Resolver):  # type: ignore[misc, unused-ignore]
        """The same with libyaml taking the text apart, in a sixth of the time. What it refuses is read again by Python's reader, which says why."""

        def __init__(self, stream: str) -> None:
            CParser.__init__(self, stream)
            Composer.__init__(self)
            SafeConstructor.__init__(self)
            Resolver.__init__(self)

    _read_as_ours(_FastLoader)
else:
    _FastLoader = _StrictLoader  # type: ignore[assignment,misc]


_UNLIKE = frozenset("\t!\ufeff\x85\u2028\u2029")
"""Signs that libyaml does not read as PyYAML's own reader does: tabs, tags, marks and ends of lines that are not ASCII."""


@functools.lru_cache(maxsize=1024)
def _data(text: str) -> Any:
    """What YAML ``text`` holds; the same object each time, so copy it before it is handed on. Raises as :func:`yaml.load` does."""
    if _UNLIKE.isdisjoint(text):
        try:
            return yaml.load(text, Loader=_FastLoader)  # a SafeLoader: builds nothing but plain values
        except (yaml.YAMLError, ValueError, OverflowError, TypeError, RecursionError):
            pass
    return yaml.load(text, Loader=_StrictLoader)  # a SafeLoader, too


def read_yaml(path: Path) -> dict[str, Any]:
    """The mapping in a YAML file.

    Raises :class:`BadConfig`, one line with file and place, when it is missing, unreadable, not YAML or not a mapping.
    """
    try:
        if path.stat().st_size > MAX_BYTES:
            raise BadConfig(f"{path}: larger than {MAX_BYTES:,} bytes; that is no card or configuration")
        text = path.read_text(encoding="utf-8")
    except UnicodeDecodeError as error:
        raise BadConfig(f"{path}: not UTF-8 text (byte {error.start}); save it as UTF-8") from None
    except OSError as error:
        raise BadConfig(f"{path}: {error.strerror or 'cannot be read'}") from None
    return parse_yaml(text, str(path))


def parse_yaml(text: str, name: str) -> dict[str, Any]:
    """The mapping in YAML ``text``; ``name`` stands in the errors. Raises :class:`BadConfig`."""
    try:
        data = copy.deepcopy(_data(text))
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        place = f" line {mark.line + 1}, column {mark.column + 1}:" if mark is not None else ""
        raise BadConfig(f"{name}:{place} {_one_line(error.problem or error.context or 'not YAML')}") from None
    except yaml.YAMLError as error:
        raise BadConfig(f"{name}: not YAML ({_one_line(str(error))})") from None
    except RecursionError:
        raise BadConfig(f"{name}: nested too deeply") from None
    except (ValueError, OverflowError, TypeError) as error:
        raise BadConfig(f"{name}: a value cannot be read ({_one_line(str(error))})") from None
    if not isinstance(data, dict):
        what = "nothing" if data is None else _type_name(data)
        raise BadConfig(f"{name}: expected 'key: value' lines at the top, found {what}")
    return data


def problems(data: Mapping[str, Any], schema: Mapping[str, Any]) -> list[str]:
    """What in ``data`` does not fit the JSON schema (draft 2020-12).

    Sorted lines ``key.path: what is wrong; what is allowed``; empty when all is well.
    """
    validator = _validator()(schema)
    return sorted({line for error in validator.iter_errors(data) for line in _explain(error)})


@functools.cache
def _validator() -> Any:
    """The validator of the schema library, for which a whole number is one that is written without a point: JSON takes 3.0 too, and ``range(3.0)``,
    ``images[:3.0]`` and file names do not."""
    import jsonschema

    base = jsonschema.Draft202012Validator
    checker = base.TYPE_CHECKER.redefine("integer", lambda _, value: isinstance(value, int) and not isinstance(value, bool))
    return jsonschema.validators.extend(base, type_checker=checker)


def read_as_meant(value: Any, schema: Mapping[str, Any], whole: Mapping[str, Any] | None = None) -> Any:
    """A copy of ``value`` in which text stands as the number, true, false or null that the JSON schema wants in its place.

    Inside of ``--config KEY=VALUE`` Snakemake leaves everything as text, ``{limit: 3}`` too. Text that the schema takes as text, and text that does
    not read as what the schema wants, stays as it is (for :func:`problems` to name). ``whole``: the schema that ``$ref`` refers to.
    """
    whole = schema if whole is None else whole
    variants = _variants(schema, whole)
    if isinstance(value, str):
        types = {name for part in variants for name in _types_of(part)}
        as_text = any("string" in _types_of(part) and value in part.get("enum", [value]) for part in variants)
        return value if as_text or not types else _scalar(value, types)
    if isinstance(value, Mapping):
        known = [part for part in variants if "object" in _types_of(part) or "properties" in part]
        return {
            key: _through([p["properties"][key] for p in known if key in p.get("properties", {})], child, whole)
            for key, child in value.items()
        }
    if isinstance(value, list):
        inner = [part["items"] for part in variants if isinstance(part.get("items"), Mapping)]
        return [_through(inner, child, whole) for child in value]
    return value


def _through(schemas: list[Any], value: Any, whole: Mapping[str, Any]) -> Any:
    return read_as_meant(value, {"anyOf": schemas}, whole)


def _variants(schema: Mapping[str, Any], whole: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    """The plain schemas that a value may be meant for: references followed, choices opened."""
    if "$ref" in schema:
        target: Any = whole
        for part in str(schema["$ref"]).removeprefix("#/").split("/"):
            target = target[part]
        return _variants(target, whole)
    found: list[Mapping[str, Any]] = []
    for kind in ("oneOf", "anyOf"):
        for part in schema.get(kind, ()):
            found += _variants(part, whole)
    return found or [schema]


def _types_of(schema: Mapping[str, Any]) -> set[str]:
    if "type" in schema:
        return {schema["type"]} if isinstance(schema["type"], str) else set(schema["type"])
    if "enum" in schema:
        return {_JSON_TYPES[type(value)] for value in schema["enum"]}
    return set()


_JSON_TYPES: Mapping[type, str] = {
    str: "string",
    bool: "boolean",
    int: "integer",
    float: "number",
    type(None): "null",
    list: "array",
    dict: "object",
}


def _scalar(text: str, types: set[str]) -> Any:
    """``text`` as a whole number, number, true or false, or null, whichever of ``types`` it reads as; else ``text``."""
    try:
        value = copy.deepcopy(_data(text))
    except (yaml.YAMLError, ValueError, OverflowError, RecursionError, TypeError):
        return text
    kind = _JSON_TYPES.get(type(value), "")
    if kind in types or (kind == "integer" and "number" in types):
        return value if kind not in ("array", "object") else text
    return text


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """``; did you mean 'x'?`` for the nearest of ``known``, or an empty string."""
    by_lower = {k.lower(): k for k in known}
    near = difflib.get_close_matches(str(word).lower(), by_lower, n=1, cutoff=0.6)
    return f"; did you mean '{by_lower[near[0]]}'?" if near else ""


def _explain(error: Any) -> list[str]:
    """One or more lines for one error of the jsonschema library."""
    where = _key_path(error.absolute_path)
    kind, rule, value = error.validator, error.validator_value, error.instance
    if kind == "additionalProperties":
        properties = error.schema.get("properties", {})
        patterns = error.schema.get("patternProperties", {})
        unknown = [k for k in value if k not in properties and not any(re.search(p, str(k)) for p in patterns)]
        allowed = f"; allowed: {', '.join(properties)}" if properties else ""
        return [f"{_join(where, str(k))}: unknown key{did_you_mean(k, properties) or allowed}" for k in unknown]
    if kind == "required":
        return [f"{_join(where, key)}: missing{_hint(error.schema, key)}" for key in rule if key not in value]
    where = where or "(top)"
    if kind in ("oneOf", "anyOf"):
        return _explain_choice(error, where)
    if kind == "enum":
        text = did_you_mean(str(value), [str(v) for v in rule])
        return [f"{where}: {_show(value)} is not allowed{text}; allowed: {', '.join(_plain(v) for v in rule)}"]
    if kind == "const":
        return [f"{where}: {_show(value)} should be {_plain(rule)}"]
    if kind == "type":
        wanted = " or ".join(_SCHEMA_TYPES.get(name, name) for name in ([rule] if isinstance(rule, str) else rule))
        return [f"{where}: {_show(value)} is {_type_name(value)}; expected {wanted}"]
    described = error.schema.get("description", "") if isinstance(error.schema, Mapping) else ""
    if kind == "pattern":
        return [f"{where}: {_show(value)} does not fit; expected {described or f'text of the form {rule}'}"]
    return [f"{where}: {_one_line(error.message)}{f'; expected {described}' if described else ''}"]


def _explain_choice(error: Any, where: str) -> list[str]:
    """``oneOf`` over mappings told apart by their first required key: explain only the variant that was meant."""
    branches = [b for b in error.validator_value if isinstance(b, Mapping) and b.get("required")]
    names = [b["required"][0] for b in branches]
    value = error.instance
    if branches and len(branches) == len(error.validator_value) and isinstance(value, Mapping):
        given = [n for n in names if n in value]
        if len(given) == 1:
            index = names.index(given[0])
            lines = [line for child in error.context if child.schema_path[0] == index for line in _explain(child)]
            if lines:
                return lines
        found = " and ".join(given) if given else (", ".join(map(str, value)) or "nothing")
        return [f"{where}: give exactly one of {', '.join(names)}; found {found}"]
    # A choice between types (a name, or a mapping): only the variants of the value's own type were meant.
    meant: dict[int, list[Any]] = {}
    for child in error.context:
        meant.setdefault(child.schema_path[0], []).append(child)
    of_type = [
        found for found in meant.values() if not any(c.validator == "type" and c.absolute_path == error.absolute_path for c in found)
    ]
    if len(of_type) == 1:
        return [line for child in of_type[0] for line in _explain(child)]
    described = error.schema.get("description", "")
    return [f"{where}: {_show(value)} does not fit; expected {described or 'one of the allowed forms'}"]


def _key_path(parts: Iterable[Any]) -> str:
    path = ""
    for part in parts:
        path = f"{path}[{part}]" if isinstance(part, int) else _join(path, str(part))
    return path


def _join(where: str, key: str) -> str:
    return f"{where}.{key}" if where else key


def _hint(schema: Mapping[str, Any], key: str) -> str:
    described = schema.get("properties", {}).get(key, {})
    text = described.get("description", "") if isinstance(described, Mapping) else ""
    if isinstance(described, Mapping) and "enum" in described:
        text = "one of " + ", ".join(_plain(v) for v in described["enum"])
    return f"; expected {text}" if text else ""


_SCHEMA_TYPES = {
    "object": "a mapping (key: value)",
    "array": "a list",
    "string": "text",
    "integer": "a whole number",
    "number": "a number",
    "boolean": "true or false",
}
"""The schema language's words in ours."""


def _type_name(value: Any) -> str:
    if value is None:
        return "null"
    for types, name in (
        ((bool,), "true or false"),
        ((int, float), "a number"),
        ((str,), "text"),
        ((list,), "a list"),
        ((Mapping,), "a mapping"),
    ):
        if isinstance(value, types):
            return name
    return type(value).__name__


def _plain(value: Any) -> str:
    return "null" if value is None else str(value)


def _show(value: Any) -> str:
    text = _one_line(f"'{value}'" if isinstance(value, str) else _plain(value))
    return text if len(text) <= 60 else text[:57] + "..."


def _one_line(text: str) -> str:
    return " ".join(text.split())
