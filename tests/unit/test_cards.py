"""Model cards: what is accepted, what is refused and how, what a digest depends on."""

from __future__ import annotations

import copy
import re
import string
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from frontalbench.catalogue import cards, validation
from frontalbench.errors import BadConfig
from tests.unit.weightkit import TOY, card_data, make_card, new_project, sha, weight_entry, write_card

URL = {"url": "https://example.org/toy.onnx"}


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    return new_project(tmp_path / "project", monkeypatch)


def lines_of(path: Path) -> list[str]:
    """The lines of the error, without the file's name, which must lead each of them."""
    with pytest.raises(BadConfig) as caught:
        cards.load(path)
    lines = str(caught.value).splitlines()
    assert all(line.startswith(f"{path}: ") for line in lines)
    return [line.removeprefix(f"{path}: ") for line in lines]


# The cards of the project ---------------------------------------------------------------------------------------------


def test_every_card_of_the_project_is_valid() -> None:
    found = cards.all_cards()
    assert len(found) >= 11
    assert {"w600k_mbf", "scrfd_500m"} <= {card.name for card in found}
    for card in found:
        assert len(card.digest()) == 64


def test_one_hash_means_one_size_and_one_file_everywhere() -> None:
    seen: dict[str, tuple[str, int | None]] = {}
    for card in cards.all_cards():
        for weight in card.weights.values():
            if weight.sha256 is not None:
                assert seen.setdefault(weight.sha256, (weight.file, weight.bytes)) == (weight.file, weight.bytes), card.path
    assert len(seen) > 20


STUDY = (
    "cvthead",
    "da_gan",
    "deca",
    "eg3d",
    "ffwm",
    "first_order",
    "fsgan",
    "fsrt",
    "gan_inversion",
    "hassner",
    "headgan",
    "hrn",
    "scaleway",
)


def test_a_network_of_the_study_says_its_driver_its_recipe_and_what_it_costs() -> None:
    found = [card for card in cards.all_cards("frontalizer") if card.name.startswith(STUDY) and card.family not in ("external", "scaleway")]
    assert {name for name in STUDY if any(card.name.startswith(name) for card in found)} == set(STUDY)
    for card in found:
        notes, data = str(card.data["notes"]), card.data
        assert re.search(r"\b(no driver|driver:)", notes, re.IGNORECASE), card.name
        assert re.search(r"\brecipe\b", notes, re.IGNORECASE) and "Cost: " in notes, card.name
        assert {"mem_mb", "minutes_per_1000", "gpu"} <= set(data["resources"]) and data["paper"] and data["verified"]["note"], card.name
        assert all(weight.sha256 or "fetch_weights.py --from FILE" in notes for weight in card.weights.values()), card.name


def test_weights_without_a_free_licence_say_so() -> None:
    def packed(card: cards.ModelCard) -> bool:
        sources = [source for weight in card.weights.values() for source in weight.sources]
        return any(isinstance(source, cards.UrlSource) and "insightface" in source.url for source in sources)

    found = [card for card in cards.all_cards() if packed(card)]
    assert len(found) > 3
    for card in found:
        assert "non-commercial" in card.data["licence"]["weights"], card.path


def test_the_schema_is_a_schema_without_slips(project_root: Path) -> None:
    """In YAML a comma inside of {} quietly makes a new key: every keyword must be one of the schema language."""
    schema = validation.read_yaml(project_root / "config" / "schemas" / "model.schema.yaml")
    jsonschema.Draft202012Validator.check_schema(schema)
    keywords = {"type", "pattern", "enum", "description", "minLength", "minimum", "required", "properties", "additionalProperties", "items"}
    keywords |= {"oneOf", "uniqueItems", "propertyNames", "dependentRequired", "$ref", "$defs", "$schema", "title"}

    def walk(node: Any) -> None:
        if not isinstance(node, dict):
            return
        assert set(node) <= keywords, set(node) - keywords
        for child in (*node.get("properties", {}).values(), *node.get("$defs", {}).values(), *node.get("oneOf", [])):
            walk(child)
        for name in ("items", "additionalProperties", "propertyNames"):
            walk(node.get(name))

    walk(schema)


# What is read ---------------------------------------------------------------------------------------------------------


def test_a_card_gives_what_was_written(project: Path) -> None:
    sources = [
        URL,
        {"url": "http://example.org/p.zip", "member": "a/toy.onnx", "archive_sha256": sha(b"z"), "archive_bytes": 1},
        {"package": "pkg.name==1.0", "registry": "python", "form": "sdist", "member": "toy.onnx"},
        {"package": "@scope/pkg@1.0.0", "registry": "npm", "member": "toy.onnx"},
        {"file": "mine/toy.onnx"},
    ]
    card = make_card(
        project, *sources, params={"size": [1, 2]}, trained_with=["w600k_r50"], verified={"level": "golden", "date": "2026-11-20"}
    )
    assert (card.name, card.kind, card.family, card.title) == ("toy", "backbone", "arcface_onnx", "A toy")
    assert card.params["size"] == [1, 2] and card.trained_with == ("w600k_r50",) and card.uses == ()
    assert card.data["verified"]["date"] == "2026-11-20", "a date stays text"
    weight = card.weights["model"]
    assert (weight.file, weight.bytes, weight.sha256) == ("toy.onnx", len(TOY), sha(TOY))
    assert weight.sources == (
        cards.UrlSource("https://example.org/toy.onnx"),
        cards.UrlSource("http://example.org/p.zip", "a/toy.onnx", sha(b"z"), 1),
        cards.PackageSource("python", "pkg.name", "1.0", "sdist", "toy.onnx"),
        cards.PackageSource("npm", "@scope/pkg", "1.0.0", "tgz", "toy.onnx"),
        cards.FileSource(project / "mine" / "toy.onnx"),
    )
    assert [source.requirement for source in weight.sources[2:4]] == ["pkg.name==1.0", "@scope/pkg@1.0.0"]


def test_a_card_cannot_be_changed(project: Path) -> None:
    card = make_card(project)
    with pytest.raises(TypeError):
        card.params["size"] = 1  # type: ignore[index]
    with pytest.raises(AttributeError):
        card.name = "other"  # type: ignore[misc]


def test_small_numbers_are_numbers_and_versions_of_yaml_do_not_bite() -> None:
    data = validation.parse_yaml("a: 1e-5\nb: 010\nc: 2026-11-20\nd: 1:30\ne: -3\nf: .5\ng: 1_000\nh: true\ni: ~", "x")
    assert data == {"a": 1e-5, "b": "010", "c": "2026-11-20", "d": "1:30", "e": -3, "f": 0.5, "g": 1000, "h": True, "i": None}


# What is refused ------------------------------------------------------------------------------------------------------


def _set(data: dict[str, Any], path: str, value: Any) -> dict[str, Any]:
    """``data`` with ``value`` at a dotted path; ``...`` takes the key away."""
    data = copy.deepcopy(data)
    *way, last = path.split(".")
    place: Any = data
    for part in way:
        place = place[int(part)] if part.isdigit() else place[part]
    if value is ...:
        del place[last]
    else:
        place[int(last) if last.isdigit() else last] = value
    return data


WRONG: list[tuple[str, Any, str]] = [
    ("titel", "x", "titel: unknown key; did you mean 'title'?"),
    ("colour", "x", "colour: unknown key; allowed: name, kind, family, title, weights, params,"),
    ("title", ..., "title: missing; expected what the model is, for people"),
    ("licence", ..., "licence: missing"),
    ("kind", "backbon", "kind: 'backbon' is not allowed; did you mean 'backbone'?; allowed: detector, backbone, frontalizer"),
    ("kind", "detector", "kind: a detector card belongs in the folder 'detectors', this one is in 'backbones'"),
    ("name", "other", "name: 'other' should be the file's name, 'toy'"),
    ("family", "Arc Face", "family: 'Arc Face' does not fit; expected the name of the code that loads it"),
    ("params", [1], "params: [1] is a list; expected a mapping"),
    ("uses", "face_landmarker", "uses: 'face_landmarker' is text; expected a list"),
    ("uses", ["nobody"], "uses: no card 'nobody'; there are: toy"),
    ("uses", ["landmark/x"], "uses: no kind of model 'landmark'; did you mean 'landmarks'?"),
    ("verified.level", "sure", "verified.level: 'sure' is not allowed; allowed: golden, real-weights, contract, none"),
    ("verified.date", "20.11.2026", "verified.date: '20.11.2026' does not fit; expected a date like 2026-11-20"),
    ("weights.model.bytes", "12", "weights.model.bytes: '12' is text; expected a whole number or null"),
    ("weights.model.bytes", 0, "weights.model.bytes: 0 is less than the minimum of 1"),
    ("weights.model.sha256", "ABC", "weights.model.sha256: 'ABC' does not fit; expected 64 lower-case hexadecimal digits"),
    ("weights.model.sha", "ABC", "weights.model.sha: unknown key; did you mean 'sha256'?"),
    ("weights.model.file", "../toy", "weights.model.file: '../toy' does not fit; expected a plain file name without folders"),
    ("weights.Model", weight_entry(), "weights: 'Model' does not fit; expected keys of lower-case letters"),
    ("weights.model.sources.0", {"adress": "x"}, "weights.model.sources[0]: give exactly one of url, package, file; found adress"),
    (
        "weights.model.sources.0",
        {**URL, "file": "x"},
        "weights.model.sources[0]: give exactly one of url, package, file; found url and file",
    ),
    ("weights.model.sources.0", "https://x", "weights.model.sources[0]: 'https://x' does not fit; expected"),
    (
        "weights.model.sources.0",
        {"url": "ftp://x/y"},
        "weights.model.sources[0].url: 'ftp://x/y' does not fit; expected an http(s) address",
    ),
    ("weights.model.sources.0", {**URL, "memebr": "x"}, "weights.model.sources[0].memebr: unknown key; did you mean 'member'?"),
    ("weights.model.sources.0", {**URL, "archive_bytes": 3}, "weights.model.sources[0]: 'member' is a dependency of 'archive_bytes'"),
    (
        "weights.model.sources.0",
        {**URL, "member": "../x"},
        "weights.model.sources[0].member: '../x' does not fit; expected the end of the member's path",
    ),
    ("weights.model.sources.0", {**URL, "member": "/etc/x"}, "weights.model.sources[0].member: '/etc/x' does not fit"),
    (
        "weights.model.sources.0",
        {"package": "a==1", "member": "x"},
        "weights.model.sources[0].registry: missing; expected one of python, npm",
    ),
    (
        "weights.model.sources.0",
        {"package": "a==1", "registry": "python", "member": "x"},
        "weights.model.sources[0].form: missing; expected one of wheel, sdist",
    ),
    (
        "weights.model.sources.0",
        {"package": "a@1", "registry": "python", "form": "wheel", "member": "x"},
        "weights.model.sources[0].package: 'a@1' should be name==version for registry python",
    ),
    (
        "weights.model.sources.0",
        {"package": "a==1", "registry": "npm", "member": "x"},
        "weights.model.sources[0].package: 'a==1' should be name@version for registry npm",
    ),
    (
        "weights.model.sources.0",
        {"package": "--evil", "registry": "npm", "member": "x"},
        "weights.model.sources[0].package: '--evil' does not fit",
    ),
]


@pytest.mark.parametrize(("place", "value", "said"), WRONG, ids=[f"{i}-{place}" for i, (place, _, _) in enumerate(WRONG)])
def test_a_mistake_is_one_line_with_key_and_remedy(project: Path, place: str, value: Any, said: str) -> None:
    path = write_card(project)
    data = card_data(weights={"model": weight_entry(URL)}, verified={"level": "none", "date": "2026-11-20"})
    path.write_text(yaml.safe_dump(_set(data, place, value)))
    lines = lines_of(path)
    assert any(line.startswith(said) for line in lines), lines


def test_every_mistake_gets_its_line(project: Path) -> None:
    path = write_card(project)
    data = card_data(titel="x", params=3)
    del data["family"]
    path.write_text(yaml.safe_dump(data))
    assert [line.split(":")[0] for line in lines_of(path)] == ["family", "params", "titel"]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("name: toy\nname: toy\n", "line 2, column 1: key 'name' is given twice"),
        ("name: toy\nparams:\n  size: 1\n  size: 2\n", "line 4, column 3: key 'size' is given twice"),
        ("name: [toy\n", "line 2, column 1: "),
        ("", "expected 'key: value' lines at the top, found nothing"),
        ("- name\n", "expected 'key: value' lines at the top, found a list"),
        ("a: &x [1]\nb: *x\n", "line 2, column 4: aliases"),
        ("1: x\n", "line 1, column 1: key 1 is not text"),
        ("a: .nan\n", "line 1, column 4: .nan is not a finite number"),
        ("a: 1e999\n", "line 1, column 4: 1e999 is not a finite number"),
        ("a: !!python/object/apply:os.system ['true']\n", "line 1, column 4: could not determine a constructor"),
        ("a: " + "[" * 3000, ""),
        ("a: " + "9" * 5000, "a value cannot be read"),
        ("a: \x00", ""),
    ],
)
def test_what_is_not_a_card_is_said_in_one_line(project: Path, text: str, said: str) -> None:
    path = write_card(project)
    path.write_text(text)
    (line,) = lines_of(path)
    assert line.startswith(said)


def test_bytes_that_are_not_text_and_missing_files_are_said(project: Path) -> None:
    path = write_card(project)
    path.write_bytes(b"name: \xff")
    assert lines_of(path) == ["not UTF-8 text (byte 6); save it as UTF-8"]
    path.write_bytes(b"#" * 2_000_000)
    assert "larger than" in lines_of(path)[0]
    assert lines_of(path.with_name("none.yaml")) == ["No such file or directory"]


@pytest.mark.parametrize("level", ["real-weights", "contract"])
def test_an_unknown_hash_is_only_for_weights_that_nobody_had(project: Path, level: str) -> None:
    entry = weight_entry() | {"sha256": None}
    for without_weights in ("none", "golden"):
        card = make_card(project, weights={"model": entry}, verified={"level": without_weights})
        assert card.weights["model"].sha256 is None
    path = write_card(project, weights={"model": entry}, verified={"level": level})
    assert lines_of(path) == ["weights.model.sha256: null is allowed only with verified.level: none or golden; fill it in"]


def test_cards_that_use_each_other_are_a_circle(project: Path) -> None:
    first, second = write_card(project, "first", uses=["second"]), write_card(project, "second", uses=["first"])
    for path in (first, second):
        with pytest.raises(BadConfig, match="a circle of cards"):
            cards.load(path)
    write_card(project, "first", uses=["first"])
    with pytest.raises(BadConfig, match="first -> first"):
        cards.load(first)


# Finding --------------------------------------------------------------------------------------------------------------


def test_a_mistyped_name_gets_the_nearest_ones(project: Path) -> None:
    write_card(project, "w600k_mbf")
    write_card(project, "sface")
    with pytest.raises(BadConfig) as caught:
        cards.find("backbone", "w600k_mfb")
    assert str(caught.value) == "no backbone 'w600k_mfb'; did you mean 'w600k_mbf'?; there are: sface, w600k_mbf"
    with pytest.raises(BadConfig, match="no kind of model 'backbones'; did you mean 'backbone'"):
        cards.find("backbones", "sface")
    with pytest.raises(BadConfig, match="holds no cards"):
        cards.find("pose", "sface")


@pytest.mark.parametrize("name", ["../../secret", "a/b", "", ".", "toy.yaml", "x\n"])
def test_a_name_is_never_a_path(project: Path, name: str) -> None:
    write_card(project)
    (project / "secret.yaml").write_text("x: 1")
    with pytest.raises(BadConfig, match="no "):
        cards.find("backbone", name)


def test_a_name_of_two_kinds_needs_the_kind(project: Path) -> None:
    write_card(project, "same", "pose")
    write_card(project, "same", "landmarks")
    with pytest.raises(BadConfig, match="several cards; write one of landmarks/same, pose/same"):
        cards.find_any("same")
    assert cards.find_any("pose/same").kind == "pose"
    assert make_card(project, uses=["pose/same"]).used_cards()[0].kind == "pose"


def test_all_cards_are_sorted_and_their_problems_come_together(project: Path) -> None:
    for name, kind in (("b", "backbone"), ("a", "backbone"), ("c", "detector")):
        write_card(project, name, kind)
    assert [card.name for card in cards.all_cards()] == ["c", "a", "b"]
    assert [card.name for card in cards.all_cards("backbone")] == ["a", "b"]
    write_card(project, "a", titel="x")
    write_card(project, "c", "detector", titel="x")
    with pytest.raises(BadConfig) as caught:
        cards.all_cards()
    assert len(str(caught.value).splitlines()) == 2


def test_the_project_is_found_from_the_working_directory(project: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delenv("FRONTALBENCH_HOME")
    monkeypatch.chdir(project)
    assert cards.project_root() == project
    monkeypatch.chdir(tmp_path)
    assert (cards.project_root() / "config" / "models").is_dir(), "the checkout that holds the package"
    monkeypatch.setenv("FRONTALBENCH_HOME", str(tmp_path / "gone"))
    with pytest.raises(BadConfig, match="not a folder"):
        cards.project_root()


# Digest ---------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("place", "value"),
    [
        ("title", "Another"),
        ("notes", "slow"),
        ("paper", "x"),
        ("licence.weights", "none"),
        ("verified.level", "golden"),
        ("trained_with", ["w600k_r50"]),
        ("weights.model.sources", []),
        ("weights.model.file", "renamed.onnx"),
    ],
)
def test_words_and_addresses_do_not_change_the_digest(project: Path, place: str, value: Any) -> None:
    data = card_data(weights={"model": weight_entry(URL)}, params={"a": 1, "b": [1, {"x": 2}]})
    before = make_card(project, **data).digest()
    path = write_card(project)
    path.write_text("# a comment\n" + yaml.safe_dump(_set(data, place, value), sort_keys=True))
    assert cards.load(path).digest() == before


@pytest.mark.parametrize(
    ("place", "value"),
    [
        ("family", "other"),
        ("params.a", 2),
        ("params.b.1.x", 3),
        ("params.c", None),
        ("weights.model.sha256", sha(b"other")),
        ("weights.more", weight_entry(data=b"more")),
        ("uses", ["helper"]),
    ],
)
def test_what_changes_results_changes_the_digest(project: Path, place: str, value: Any) -> None:
    write_card(project, "helper", "landmarks")
    data = card_data(weights={"model": weight_entry(URL)}, params={"a": 1, "b": [1, {"x": 2}]})
    before = make_card(project, **data).digest()
    path = write_card(project)
    path.write_text(yaml.safe_dump(_set(data, place, value)))
    assert cards.load(path).digest() != before


def test_a_used_card_changes_the_digest_of_its_user(project: Path) -> None:
    write_card(project, "helper", "landmarks", params={"passes": 1})
    before = make_card(project, uses=["helper"]).digest()
    write_card(project, "helper", "landmarks", params={"passes": 1}, title="Other words")
    assert make_card(project, uses=["helper"]).digest() == before
    write_card(project, "helper", "landmarks", params={"passes": 2})
    assert make_card(project, uses=["helper"]).digest() != before


# Fuzz: whatever is written, a card is read or refused with lines, never a crash ---------------------------------------

values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(string.printable, max_size=20),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from(["url", "file", "package", "member", "x", "sha256"]), inner, max_size=3)
    ),
    max_leaves=8,
)
places = st.sampled_from(
    [
        *card_data(),
        *("params", "uses", "trained_with", "paper", "notes", "x"),
        *("weights.model", "weights.model.sources", "weights.model.bytes", "weights.model.sha256", "weights.model.file", "licence.code"),
    ]
)


@pytest.mark.slow
@given(place=places, value=values)
@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_any_value_anywhere_is_read_or_refused(project: Path, place: str, value: Any) -> None:
    path = write_card(project)
    path.write_text(yaml.safe_dump(_set(card_data(), place, value), allow_unicode=True), encoding="utf-8")
    _read_or_refuse(path)


@given(text=st.text(st.sampled_from("namekidfl: -[]{}&*!|>'\"\n\t#%@`0123.e~,?\\") | st.characters(), max_size=200))
@settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_any_text_is_read_or_refused(project: Path, text: str) -> None:
    path = write_card(project)
    path.write_bytes(text.encode("utf-8", errors="surrogatepass"))
    _read_or_refuse(path)


@given(text=st.text(st.sampled_from("namekidfl: -[]{}&*!|>'\"\n\t#%@`0123.e~,?\\\ufeff") | st.characters(), max_size=60))
@settings(max_examples=300, deadline=None)
def test_both_readers_of_yaml_find_the_same_in_a_text(text: str) -> None:
    try:
        wanted = yaml.load(text, Loader=validation._StrictLoader)
    except (yaml.YAMLError, ValueError):
        return
    assert repr(validation._data(text)) == repr(wanted)


def _read_or_refuse(path: Path) -> None:
    try:
        card = cards.load(path)
    except BadConfig as error:
        lines = str(error).splitlines()
        assert lines and all(line.startswith(f"{path}: ") and len(line) < 1000 for line in lines), lines
    else:
        assert len(card.digest()) == 64
