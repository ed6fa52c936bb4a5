"""``frontalbench similarity A B``: who meets whom, what is counted, what is said. The networks are stood in for by vectors per image."""

from __future__ import annotations

import csv
import dataclasses
import math
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from frontalbench import images, status
from frontalbench.catalogue import cards
from frontalbench.errors import BadInput
from frontalbench.plain import folders, similarity
from frontalbench.plain.similarity import Side, Wanted
from tests.project import usages

D = 8


def side(folder: str, rule: str = "auto", *, failed: tuple[str, ...] = (), made: str = "", seed: int = 0, **names: int) -> Side:
    """Images by name -> person code; a person's vectors lie together."""
    rng = np.random.default_rng(seed)
    centres = np.random.default_rng(99).normal(size=(20, D))
    person = similarity.person_rule(rule)
    listed = sorted(names)
    vectors = np.stack([centres[names[name]] + 0.2 * rng.normal(size=D) for name in listed])
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    ok = np.array([name not in failed for name in listed])
    vectors[~ok] = 0
    return Side(
        Path(folder),
        listed,
        [similarity.without_ending(name) for name in listed],
        [person(name) for name in listed],
        [f"{folder}/{name}" for name in listed],
        dict.fromkeys(listed, made) if made else {},
        {"sface": [status.OK if fine else status.NO_FACE for fine in ok]},
        {"sface": ["" if fine else "no face found" for fine in ok]},
        {"sface": vectors.astype(np.float32)},
    )


def test_images_meet_by_name_whatever_the_ending() -> None:
    a = side("A", **{"x/1.jpg": 0, "x/2.jpg": 0, "y/1.jpg": 1})
    b = side("B", seed=1, **{"x/1.png": 0, "y/1.webp": 1})
    way, pairs = similarity.matched(a, b, "auto")
    assert way == "name" and [(b.image_id[i], a.image_id[j]) for i, j in pairs] == [("x/1.png", "x/1.jpg"), ("y/1.webp", "y/1.jpg")]


def test_images_meet_by_person_where_names_differ() -> None:
    a = side("A", **{"x.jpg": 0, "y/1.jpg": 1, "y/2.jpg": 1})
    b = side("B", seed=1, **{"x/gen7.png": 0, "y/gen9.png": 1})
    way, pairs = similarity.matched(a, b, "auto")
    assert way == "identity"
    assert [(b.image_id[i], a.image_id[j]) for i, j in pairs] == [
        ("x/gen7.png", "x.jpg"),
        ("y/gen9.png", "y/1.jpg"),
        ("y/gen9.png", "y/2.jpg"),
    ]
    with pytest.raises(BadInput, match=r"no image of the second has a partner in the first by name: the first begins with 'x.jpg'"):
        similarity.matched(a, b, "name")


@pytest.mark.parametrize(
    ("rule", "name", "person"),
    [
        ("auto", "ann/cam1/3.jpg", "ann"),
        ("auto", "ann.jpg", "ann"),
        ("folder", "cam1/ann/3.jpg", "ann"),
        ("name", "cam1/ann.png", "ann"),
        (r"^(\d+)_", "001_03.jpg", "001"),
    ],
)
def test_the_person_is_where_the_rule_says(rule: str, name: str, person: str) -> None:
    assert similarity.person_rule(rule)(name) == person


@pytest.mark.parametrize(
    ("rule", "said"), [("(", "not a regular expression"), ("abc", "needs one group"), (r"^(\d+)_", "does not match 'ann.jpg'")]
)
def test_a_rule_that_finds_no_person_is_one_line(rule: str, said: str) -> None:
    with pytest.raises(BadInput, match=f"--identity .*{said}") as caught:
        similarity.person_rule(rule)("ann.jpg")
    assert "\n" not in str(caught.value)


def test_two_partners_of_one_name_are_refused() -> None:
    a = side("A", **{"x.jpg": 0, "x.png": 0})
    with pytest.raises(BadInput, match=r"A: 'x.jpg' and 'x.png' have one name but for the ending"):
        similarity.matched(a, side("B", **{"x.webp": 0}), "auto")


def test_every_failure_is_a_row_and_is_counted() -> None:
    a = side("A", failed=("d.jpg",), **{"a.jpg": 0, "b.jpg": 1, "c.jpg": 2, "d.jpg": 3, "e.jpg": 4})
    b = side("B", failed=("b.png",), seed=1, **{"a.png": 0, "b.png": 1, "d.png": 3, "e.png": 4, "z.png": 9})
    found = similarity.judge(a, b, Wanted(threshold=0.5), ["sface"])
    words = {row["image_id"] or row["reference"]: row["status"] for row in found.rows}
    assert words == {
        **{"a.png": "ok", "b.png": "no_face", "d.png": "no_reference", "e.png": "ok", "z.png": "no_reference"},
        "c.jpg": "not_delivered",
    }
    (row,) = found.summary
    assert (row["n_images"], row["n_failed"], row["n_not_delivered"], row["n_no_reference"]) == (2, 1, 1, 2)
    assert row["passed"] == 1.0 and row["passed_of_all"] == pytest.approx(2 / 5), "a missing image passes no threshold"
    assert any("1 of 5 images of B have no partner" in note for note in found.notes)
    assert any("1 of 5 images of A have no image of their name in B" in note for note in found.notes)


def test_the_means_of_the_summary_are_those_of_the_rows() -> None:
    names = {f"p{i}/{k}.jpg": i for i in range(8) for k in range(2)}
    a, b = side("A", **names), side("B", seed=1, **names)
    found = similarity.judge(a, b, Wanted(match="identity"), ["sface"])
    (row,) = found.summary
    good = [r["similarity"] for r in found.rows]
    assert row["mean"] == pytest.approx(np.mean(good)) and row["mean_low"] < row["mean"] < row["mean_high"]
    assert row["n_pairs"] == 32 and row["n_identities"] == 8
    vectors = [s.vectors["sface"].astype(float) for s in (a, b)]
    matrix = vectors[1] @ vectors[0].T
    same = np.array(b.person)[:, None] == np.array(a.person)
    assert row["strangers"] == pytest.approx(matrix[~same].mean(), abs=1e-6)
    assert row["retrieved"] == pytest.approx(np.mean([r["nearest_identity"] == r["identity"] for r in found.rows]))


def test_without_enough_people_there_is_no_threshold_and_the_reason_is_said() -> None:
    names = {f"p{i}.jpg": i for i in range(8)}
    (row,) = similarity.judge(side("A", **names), side("B", seed=1, **names), Wanted(), ["sface"]).summary
    assert math.isnan(row["threshold"]) and math.isnan(row["passed"])
    assert row["threshold_from"] == "not supported by n: 28 pairs of people, FMR 0.001 needs 30000"


def test_a_file_that_is_compared_with_itself_is_named() -> None:
    a = side("A", **{"x.jpg": 0, "y.jpg": 1})
    found = similarity.judge(a, a, Wanted(), ["sface"])
    assert any("2 of 2 pairs are twice the same file" in note for note in found.notes)


def test_a_judge_that_taught_the_maker_is_marked_and_said() -> None:
    a = side("A", **{"x.jpg": 0, "y.jpg": 1})
    for wanted, made, leak in (
        (Wanted(), "mesh", False),
        (Wanted(trained_with=("sface",)), "", True),
        (Wanted(trained_with=("w600k_mbf",)), "mesh", False),
    ):
        b = side("B", seed=1, made=made, **{"x.png": 0, "y.png": 1})
        found = similarity.judge(a, b, wanted, ["sface"])
        notes = similarity.leak_notes(found, b, wanted)
        assert found.summary[0]["leak"] is leak and any("flattered" in note for note in notes) is leak
    twin = similarity.judge(a, b, Wanted(trained_with=("w600k_mbf",)), ["sface"])
    twin.summary[0]["backbone"] = "faceanalysis_mbf"
    said = similarity.leak_notes(twin, b, Wanted(trained_with=("w600k_mbf",)))
    assert twin.summary[0]["leak"] and "faceanalysis_mbf took part" in said[0], "another card of the same weight file"
    teacher = next(card for card in cards.all_cards("frontalizer") if card.trained_with)
    assert set(teacher.trained_with) <= set(similarity.trained_with(teacher))
    b = side("B", made="their_tool", **{"x.png": 0})
    assert "not known" in similarity.leak_notes(similarity.judge(a, b, Wanted(), ["sface"]), b, Wanted())[0]


@pytest.mark.parametrize(
    ("chain", "judge", "leak"),
    [
        ("identity_refine", "w600k_mbf", True),
        ("sharp+identity_refine_two", "sface", True),
        ("identity_refine", "sface", False),
        ("sharp", "w600k_mbf", False),
    ],
)
def test_a_judge_that_refined_the_images_is_marked_and_said(chain: str, judge: str, leak: bool) -> None:
    sides = side("A", **{"x.jpg": 0, "y.jpg": 1}), side("B", seed=1, made="tddfa", **{"x.png": 0, "y.png": 1})
    a, b = (
        dataclasses.replace(one, **{name: {judge: getattr(one, name)["sface"]} for name in ("status", "detail", "vectors")})
        for one in sides
    )
    b = dataclasses.replace(b, enhancement=dict.fromkeys(b.image_id, chain))
    found = similarity.judge(a, b, Wanted(), [judge])
    notes = similarity.leak_notes(found, b, Wanted())
    assert found.summary[0]["leak"] is leak
    assert any("flattered" in note and chain.split("+")[-1] in note for note in notes) is leak


def test_the_worst_are_those_that_all_judges_place_low() -> None:
    rows = [
        {"backbone": backbone, "image_id": name, "status": "ok", "similarity": value}
        for backbone, values in (("one", {"a": 0.1, "b": 0.2, "c": 0.9}), ("two", {"a": 0.6, "b": 0.5, "c": 0.95}))
        for name, value in values.items()
    ]
    worst = similarity.worst_rows(similarity.Found(rows=rows), 2)
    assert [row["image_id"] for row, _ in worst] == ["a", "b"] and worst[0][1] == {"one": 0.1, "two": 0.6}


def test_tables_and_the_image_of_the_worst_are_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    names = {f"p{i}.png": i for i in range(7)}
    sides: dict[str, Any] = {"A": side("A", **names), "B": side("B", seed=1, failed=("p3.png",), **names)}
    for folder in sides:
        (tmp_path / folder).mkdir()
        for i, name in enumerate(names):
            (tmp_path / folder / name).write_bytes(images.encode_png(np.full((40, 30, 3), 30 * i, np.uint8)))
    monkeypatch.setattr(folders, "need_weights", lambda *_: None)
    monkeypatch.setattr(similarity, "read_side", lambda folder, *_, **__: sides[folder.name])
    found = similarity.compare_folders(tmp_path / "A", tmp_path / "B", Wanted(backbones=("sface",)), tmp_path / "out")
    assert (
        sorted(path.name for path in (tmp_path / "out").iterdir()) == sorted(similarity.FILES) == sorted(path.name for path in found.files)
    )
    with (tmp_path / "out" / "summary.csv").open() as handle:
        (row,) = csv.DictReader(handle)
    assert row["n_images"] == "6" and row["n_failed"] == "1" and row["threshold"] == ""
    with (tmp_path / "out" / "pairs.csv").open() as handle:
        assert [r["status"] for r in csv.DictReader(handle)] == ["ok"] * 3 + ["no_face"] + ["ok"] * 3
    assert images.decode((tmp_path / "out" / "worst.png").read_bytes()).shape[0] > 300
    assert "sface" in similarity.table(found)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["A", "nowhere"], "nowhere: not a folder"),
        (["A", "empty"], "empty: no images that match"),
        (["A", "A", "--backbone", "sfaze"], "did you mean 'sface'?"),
        (["A", "A", "--backbone", "sface", "w600k_mbf", "--threshold", "0.3"], "a threshold belongs to one backbone"),
        (["A", "A", "--backbone", "sface", "--fmr", "2"], "--fmr 2: expected a share between 0 and 1"),
        (["A", "A", "--backbone", "sface", "--identity", "["], "not a regular expression"),
        (["A", "A", "--backbone", "sface", "--trained-with", "nobody"], "no backbone 'nobody'"),
    ],
)
def test_bad_input_is_one_line_and_writes_nothing(tmp_path: Path, project_root: Path, arguments: list[str], said: str) -> None:
    (tmp_path / "A").mkdir()
    (tmp_path / "A" / "x.png").write_bytes(images.encode_png(np.zeros((20, 20, 3), np.uint8)))
    (tmp_path / "empty").mkdir()
    script = project_root / "workflow" / "scripts" / "similarity.py"
    done = subprocess.run([sys.executable, script, *arguments], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 2 and said in done.stderr and done.stderr.count("\n") == 1, done.stderr
    assert not list(tmp_path.glob("similarity_*"))


@pytest.mark.slow
def test_the_command_is_found_under_the_names_people_search_for(project_root: Path) -> None:
    for usage in usages(project_root, "similarity", "csim", "ids", "id-retrieval"):
        assert usage.startswith("usage: frontalbench similarity ") and "CSIM" in usage
