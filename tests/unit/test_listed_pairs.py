"""A pairs.csv becomes scores and error rates; what is wrong in it is one line."""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np
import pytest

from frontalbench.errors import BadInput
from frontalbench.plain import listed_pairs
from frontalbench.plain.listed_pairs import Line

PEOPLE = 30


def vector(name: str) -> np.ndarray:
    """``p07/2.jpg``: the second image of person 7."""
    if "broken" in name:
        raise BadInput(f"{name}: no face found; give an image in which one face is large and lit")
    person, image = int(name[1:3]), int(name[4])
    made = np.random.default_rng(person).normal(size=16) + 0.8 * np.random.default_rng(1000 + 10 * person + image).normal(size=16)
    return (made / np.linalg.norm(made)).astype(np.float32)


def lines(*, subjects: bool) -> list[Line]:
    found = []
    for a in range(PEOPLE):
        for b in range(PEOPLE):
            names = (f"p{a:02d}", f"p{b:02d}") if subjects else ("", "")
            found.append(Line(f"p{a:02d}/0.jpg", f"p{b:02d}/1.jpg", a == b, *names))
    return found


@pytest.mark.parametrize("subjects", [True, False])
def test_scores_and_rates_are_those_of_the_pairs(subjects: bool) -> None:
    found = listed_pairs.judge(lines(subjects=subjects), vector, "pairs.csv", targets=[0.1])
    scores = np.array([row["score"] for row in found.scores])
    same = np.array([row["same"] for row in found.scores])
    assert scores[5] == pytest.approx(float(vector("p00/0.jpg") @ vector("p05/1.jpg")), abs=1e-6)
    (row,) = found.rates
    assert row["n_people"] == PEOPLE and (row["n_same"], row["n_different"]) == (30, 870) and row["supported"]
    assert row["fmr"] == pytest.approx((scores[~same] >= row["threshold"]).mean()) and row["fmr"] <= 0.1
    assert row["fnmr"] == pytest.approx((scores[same] < row["threshold"]).mean()) and row["fnmr_with_failures"] == row["fnmr"]
    assert row["threshold_low"] < row["threshold"] < row["threshold_high"]


def test_an_image_without_a_face_is_a_row_and_a_refusal() -> None:
    more = [*lines(subjects=False), Line("broken.jpg", "p01/1.jpg", same=True), Line("p01/0.jpg", "broken.jpg", same=None)]
    found = listed_pairs.judge(more, vector, "pairs.csv", targets=[0.1], threshold=0.4)
    assert [row["status"] for row in found.scores[-2:]] == ["no_face", "no_face"] and "no face found" in found.scores[-1]["detail"]
    row, own = found.rates
    assert row["n_failed_same"] == 1 and row["fnmr_with_failures"] == pytest.approx((row["fnmr"] * 30 + 1) / 31)
    scores = np.array([r["score"] for r in found.scores[:-2]])
    same = np.array([r["same"] for r in found.scores[:-2]])
    assert own["threshold"] == 0.4 and own["fmr"] == pytest.approx((scores[~same] >= 0.4).mean())
    assert own["fnmr"] == pytest.approx((scores[same] < 0.4).mean())
    assert [r["accepted"] for r in found.scores[:-2]] == (scores >= 0.4).tolist()
    assert any("1 of 902 pairs do not say" in note for note in found.notes)


def test_pairs_of_one_kind_are_scored_without_rates(tmp_path: Path) -> None:
    found = listed_pairs.judge([Line("p00/0.jpg", "p00/1.jpg", same=True)], vector, "pairs.csv")
    assert not found.rates and "need pairs of one person and of two" in found.notes[0]
    (path,) = listed_pairs.write(found, tmp_path / "out")
    with path.open() as handle:
        assert next(csv.DictReader(handle))["same"] == "yes"


def test_labels_may_be_words_and_follow_from_subjects(tmp_path: Path) -> None:
    (tmp_path / "pairs.csv").write_text(
        "first,second,same,first_subject,second_subject\na.jpg,b.jpg,yes,,\nc.jpg,d.jpg,,x,y\ne.jpg,f.jpg,,,\n"
    )
    assert [line.same for line in listed_pairs.read(tmp_path / "pairs.csv")] == [True, False, None]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "line 1: nothing there; expected the columns first, second"),
        ("first,other\na,b\n", "line 1: column 'second' is missing"),
        ("first,second\n", "holds no pairs"),
        ("first,second,same\na.jpg,,1\n", "line 2: an image is missing"),
        ("first,second,same\na.jpg,b.jpg,maybe\n", "line 2: same: expected 1 or 0"),
        ("first,second,same,first_subject,second_subject\na,b,1,x,y\n", "line 2: same says 1, but the subjects are two people"),
    ],
)
def test_a_bad_file_is_one_line(tmp_path: Path, text: str, said: str) -> None:
    (tmp_path / "pairs.csv").write_text(text)
    with pytest.raises(BadInput, match=said) as caught:
        listed_pairs.read(tmp_path / "pairs.csv")
    assert "\n" not in str(caught.value)


def test_labels_that_contradict_each_other_are_refused() -> None:
    wrong = [*lines(subjects=False), Line("p00/0.jpg", "p01/1.jpg", same=True)]
    with pytest.raises(BadInput, match=r"pairs.csv: 'p00/0.jpg' and 'p01/1.jpg' are called two people"):
        listed_pairs.judge(wrong, vector, "pairs.csv")
