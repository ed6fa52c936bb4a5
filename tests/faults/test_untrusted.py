"""Files from elsewhere that mean harm or nonsense: pairs files and lists are read or refused in one line a problem, nothing else happens."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from frontalbench.errors import BadConfig, FrontalbenchError
from frontalbench.plain import pairs
from frontalbench.protocols import lfw

GOOD = {
    "identity": {"regex": "^([^/]+)/"},
    "groups": [
        {"name": "a", "probe": "Angle/*", "reference": "GT/*"},
        {"name": "b", "within": ["x/*", "y"]},
        {"name": "c", "pairs": [["p", "q"]]},
    ],
}
KEYS = ["name", "probe", "within", "pairs", "regex", "zz"]
anything = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=6) | st.sampled_from(["(", "*", "[", "column", "same", "a"]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(KEYS), inner, max_size=4),
    max_leaves=8,
)
odd_text = st.text(st.sampled_from("groups:namewithin- []{}&*!|>'\"\n\t#%@`0123.~,?\\") | st.characters(), max_size=200)
quick = settings(max_examples=120, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


def read_or_refuse(path: Path) -> None:
    try:
        pairs.read_spec(path)
    except BadConfig as error:
        lines = str(error).splitlines()
        assert lines and all(line.startswith(f"{path}: ") and len(line) < 1000 for line in lines), lines


@quick
@given(st.sampled_from(["identity", "groups", "0", "1", "2", "name", "zz"]), anything)
def test_any_value_in_a_pairs_file_is_read_or_refused(tmp_path: Path, place: str, value: Any) -> None:
    data: dict[str, Any] = {**GOOD, "groups": [dict(group) for group in GOOD["groups"]]}  # type: ignore[call-overload]
    if place.isdigit():
        data["groups"][int(place)] = value
    elif place == "name":
        data["groups"][0]["name"] = value
    else:
        data[place] = value
    path = tmp_path / "pairs.yaml"
    path.write_text(yaml.safe_dump(data, allow_unicode=True), encoding="utf-8")
    read_or_refuse(path)


@quick
@given(odd_text)
def test_any_text_as_a_pairs_file_is_read_or_refused(tmp_path: Path, text: str) -> None:
    path = tmp_path / "pairs.yaml"
    path.write_bytes(text.encode("utf-8", errors="surrogatepass"))
    read_or_refuse(path)


@quick
@given(
    odd_text | st.lists(st.lists(st.sampled_from(["Ann", "Bo", "1", "-1", "10", "x" * 300, "é"]), max_size=5).map("\t".join)).map("\n".join)
)
def test_any_text_as_a_list_of_pairs_is_read_or_refused(tmp_path: Path, text: str) -> None:
    path = tmp_path / "pairs.txt"
    path.write_bytes(text.encode("utf-8", errors="surrogatepass"))
    try:
        lfw.read_pairs(path)
    except FrontalbenchError as error:
        assert str(path) in str(error)
        assert "\n" not in str(error)


@pytest.mark.parametrize(
    "text",
    [
        "groups: !!python/object/apply:os.system ['touch {harm}']\n",
        "groups: !!python/name:os.system\n",
        "a: &a [x, x]\nb: &b [*a, *a, *a, *a, *a, *a, *a, *a]\nc: &c [*b, *b, *b, *b, *b, *b, *b, *b]\ngroups: [*c, *c, *c, *c, *c, *c, *c, *c]\n",
        "groups: " + "[" * 5000 + "]" * 5000,
    ],
)
def test_yaml_that_runs_code_or_unfolds_without_end_is_refused(tmp_path: Path, text: str) -> None:
    harm = tmp_path / "harm"
    path = tmp_path / "pairs.yaml"
    path.write_text(text.replace("{harm}", str(harm)))
    with pytest.raises(BadConfig):
        pairs.read_spec(path)
    assert not harm.exists()
