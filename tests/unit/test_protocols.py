"""LFW and CFP pairs; accuracy over folds against a slow reference and scikit-learn."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import roc_auc_score, roc_curve
from sklearn.model_selection import PredefinedSplit

from frontalbench import tables
from frontalbench.errors import BadInput
from frontalbench.protocols import cfp, lfw
from frontalbench.protocols.lists import present
from frontalbench.protocols.verification import Pair, area_under_roc, best_threshold, equal_error_rate, scores_of, verify


def reference_accuracy(scores: np.ndarray, same: np.ndarray, fold: np.ndarray) -> list[float]:
    """Every candidate threshold tried, one after the other, on scikit-learn's folds."""
    result = []
    for train, test in PredefinedSplit(fold).split():
        best, threshold = -1.0, np.inf
        for candidate in [*np.unique(scores[train]), np.inf]:
            accuracy = float(np.mean((scores[train] >= candidate) == same[train]))
            if accuracy > best:
                best, threshold = accuracy, candidate
        result.append(float(np.mean((scores[test] >= threshold) == same[test])))
    return result


@pytest.mark.parametrize("seed", range(5))
def test_accuracy_agrees_with_a_reference_on_random_scores(seed: int) -> None:
    generator = np.random.default_rng(seed)
    same = np.tile(np.repeat([True, False], 30), 10)
    fold = np.repeat(np.arange(10), 60)
    scores = generator.normal(size=600) + same * 0.7
    if seed % 2:
        scores = np.round(scores, 1)  # many ties
    result = verify(scores, same, fold)
    expected = reference_accuracy(scores, same, fold)
    np.testing.assert_allclose(result.by_fold, expected, rtol=0, atol=1e-12)
    assert result.accuracy == pytest.approx(np.mean(expected), abs=1e-12)
    assert result.deviation == pytest.approx(np.std(expected, ddof=1), abs=1e-12)
    assert result.auc == pytest.approx(roc_auc_score(same, scores), abs=1e-12)
    assert (result.pairs, result.missing) == (600, 0)


def test_accuracy_of_real_lfw_pairs_with_random_scores(shared: Path) -> None:
    pairs = lfw.read_pairs(shared / "testdata" / "lfw_lists" / "pairs.txt")
    same, fold = np.array([p.same for p in pairs]), np.array([p.fold for p in pairs])
    scores = np.round(np.random.default_rng(0).normal(size=len(pairs)) + same, 2)
    np.testing.assert_allclose(verify(scores, same, fold).by_fold, reference_accuracy(scores, same, fold), rtol=0, atol=1e-12)


@given(st.lists(st.tuples(st.integers(-5, 5), st.booleans()), min_size=2, max_size=40))
@settings(max_examples=200)
def test_threshold_is_the_best_there_is(rows: list[tuple[int, bool]]) -> None:
    scores, same = np.array([row[0] for row in rows], float), np.array([row[1] for row in rows])
    right = [int(np.sum((scores >= t) == same)) for t in [*np.unique(scores), np.inf]]
    found = best_threshold(scores, same)
    assert int(np.sum((scores >= found) == same)) == max(right)
    if same.any() and not same.all():
        assert area_under_roc(scores, same) == pytest.approx(roc_auc_score(same, scores))
        rate = equal_error_rate(scores, same)
        false_accepts, accepts, _ = roc_curve(same, scores, drop_intermediate=False)
        assert 0.0 <= rate <= 1.0
        # The rate lies on the line between two neighbouring points of the ROC where the two errors change places.
        gaps = (1 - accepts) - false_accepts
        place = int(np.argmax(gaps <= 0))
        low, high = sorted([1 - accepts[place], 1 - accepts[max(place - 1, 0)]])
        assert low - 1e-9 <= rate <= high + 1e-9


def test_perfect_and_hopeless_scores() -> None:
    same, fold = np.tile([True, False], 10), np.repeat([0, 1], 10)
    perfect = verify(same.astype(float), same, fold)
    assert (perfect.accuracy, perfect.auc, perfect.eer) == (1.0, 1.0, 0.0)
    hopeless = verify(np.zeros(20), same, fold)
    assert (hopeless.accuracy, hopeless.auc, hopeless.eer) == (0.5, 0.5, 0.5)


def test_pairs_without_a_score_are_left_out_or_count_as_different() -> None:
    same, fold = np.tile([True, False], 10), np.repeat([0, 1], 10)
    scores = same.astype(float)
    scores[[0, 1, 2]] = np.nan  # same, different, same
    left = verify(scores, same, fold)
    assert (left.accuracy, left.pairs, left.missing) == (1.0, 17, 3)
    counted = verify(scores, same, fold, missing="different")
    assert (counted.by_fold, counted.pairs, counted.missing) == ((0.8, 1.0), 20, 3)


def test_too_few_folds_or_kinds_are_refused() -> None:
    with pytest.raises(BadInput, match="two folds"):
        verify([0.1, 0.2], [True, False], [0, 0])
    with pytest.raises(BadInput, match="two folds"):
        verify([0.1, 0.2, np.nan], [True, False, True], [0, 0, 1])
    with pytest.raises(BadInput, match="both needed"):
        verify([0.1, 0.2], [True, True], [0, 1])
    with pytest.raises(BadInput, match="one value per pair"):
        verify([0.1], [True, True], [0, 1])


def test_real_pairs_file_has_ten_balanced_folds_of_separate_people(shared: Path) -> None:
    pairs = lfw.read_pairs(shared / "testdata" / "lfw_lists" / "pairs.txt")
    assert len(pairs) == 6000 and sum(pair.same for pair in pairs) == 3000
    assert pairs[0] == Pair("Abel_Pacheco/Abel_Pacheco_0001.jpg", "Abel_Pacheco/Abel_Pacheco_0004.jpg", True, 0)
    people = [{name.split("/")[0] for pair in pairs if pair.fold == fold for name in pair[:2]} for fold in range(10)]
    assert all(people[a].isdisjoint(people[b]) for a in range(10) for b in range(a))
    assert [sum(pair.fold == fold for pair in pairs) for fold in range(10)] == [600] * 10
    development = lfw.read_pairs(shared / "testdata" / "lfw_lists" / "pairsDevTest.txt")
    assert len(development) == 1000 and {pair.fold for pair in development} == {0}
    # The pictures of 30 people that are here make some of the pairs; the rest is named.
    here = [f"{path.parent.name}/{path.name}" for path in (shared / "testdata" / "lfw").glob("*/*.jpg")]
    kept, absent = present(pairs, here)
    assert all(pair.first in here and pair.second in here for pair in kept)
    assert len(kept) < 6000 and "Abel_Pacheco/Abel_Pacheco_0001.jpg" in absent


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("", "line 1: expected the number of folds"),
        ("ten 300\n", "line 1: expected the number of folds"),
        ("1 1\nA 1 2\n", "announces 2; the file is cut off"),
        ("1 1\nA 1 2\nA 1 2\n", r"line 3: expected 'name1 i name2 j'"),
        ("1 1\nA one 2\nA 1 B 2\n", r"line 2: expected 'name i j'"),
    ],
)
def test_broken_pairs_files_are_explained(tmp_path: Path, text: str, why: str) -> None:
    (tmp_path / "pairs.txt").write_text(text)
    with pytest.raises(BadInput, match=why) as error:
        lfw.read_pairs(lfw.find_pairs(tmp_path))
    assert "pairs.txt" in str(error.value)
    with pytest.raises(BadInput, match="not there"):
        lfw.find_pairs(tmp_path / "deep" / "nowhere")


def test_real_cfp_splits(shared: Path) -> None:
    root = shared / "testdata" / "cfp"
    for kind, folders in (("FF", ("frontal", "frontal")), ("FP", ("frontal", "profile"))):
        pairs = cfp.read_pairs(root, kind)
        assert len(pairs) == 7000 and sum(pair.same for pair in pairs) == 3500
        assert {tuple(name.split("/")[1] for name in pair[:2]) for pair in pairs} == {folders}
        assert all((pair.first.split("/")[0] == pair.second.split("/")[0]) == pair.same for pair in pairs)
        here = {str(path.relative_to(root / "Data" / "Images")) for path in (root / "Data" / "Images").rglob("*.jpg")}
        kept, absent = present(pairs, here)
        assert len(kept) == 1400 and absent  # two of ten folds: people 001 to 100
        assert {pair.fold for pair in kept} == {0, 1}
    with pytest.raises(BadInput, match="expected FF or FP"):
        cfp.read_pairs(root, "PP")
    with pytest.raises(BadInput, match=r"Pair_list_F\.txt: not there"):
        cfp.read_pairs(root / "Data" / "Images", "FF")


def test_scores_of_pairs_and_of_images_that_are_not_there() -> None:
    vectors = np.array([[1, 0], [0.6, 0.8], [0, 0]], np.float32)
    pairs = [Pair("a", "b", True, 0), Pair("a", "a", True, 0), Pair("a", "c", False, 0), Pair("a", "x", False, 0)]
    scores = scores_of(pairs, ["a", "b", "c"], vectors)
    assert scores[:2] == pytest.approx([0.6, 1.0])
    assert np.isnan(scores[2:]).all()


def test_command_counts_and_names_pictures_that_are_not_there(tmp_path: Path, project_root: Path) -> None:
    (tmp_path / "pairs.txt").write_text("2\t1\nA\t1\t2\nA\t1\tB\t1\nB\t1\t2\nA\t2\tB\t2\n")
    names = ["A/A_0001.jpg", "A/A_0002.jpg", "B/B_0001.jpg"]
    schema = tables.embeddings_schema(2)
    rows = [{"image_id": name, "status": "ok", "embedding": [1.0, 0.0] if name[0] == "A" else [0.0, 1.0]} for name in names]
    tables.write(tmp_path / "e.parquet", tables.from_rows(rows, schema))
    script = str(project_root / "workflow/scripts/verify_protocol.py")
    command = [sys.executable, script, "--protocol", "lfw", "--root", str(tmp_path), "--embeddings", str(tmp_path / "e.parquet")]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    warning, error = done.stderr.splitlines()
    assert "1 pictures that its pairs name" in warning and warning.endswith("B/B_0002.jpg")
    assert done.returncode == 2 and "at least two folds" in error
