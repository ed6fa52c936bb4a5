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


CFP_IMAGES = [f"{person:03d}/frontal/{number:02d}.jpg" for person in range(1, 501) for number in range(1, 11)]


def cfp_lists(root: Path) -> Path:
    """Lists of the published form and size; fold k has people 50 (k - 1) + 1 to 50 k."""
    protocol = root / "Protocol"
    (protocol / "Split").mkdir(parents=True)
    (protocol / "Pair_list_F.txt").write_text("".join(f"{n} ../Data/Images/{name}\n" for n, name in enumerate(CFP_IMAGES, 1)))
    for fold in range(10):
        folder = protocol / "Split" / "FF" / f"{fold + 1:02d}"
        folder.mkdir(parents=True)
        people = [fold * 50 + place for place in range(50)]
        same = [(person * 10 + 1, person * 10 + 2 + k) for person in people for k in range(7)]
        diff = [(person * 10 + 1 + k, fold * 500 + ((person - fold * 50 + 1) % 50) * 10 + 1 + k) for person in people for k in range(7)]
        for name, pairs in (("same.txt", same), ("diff.txt", diff)):
            (folder / name).write_text("".join(f"{i},{j}\n" for i, j in pairs))
    return root


def test_cfp_lists_may_have_byte_order_marks_and_blanks_at_line_ends(tmp_path: Path) -> None:
    root = cfp_lists(tmp_path)
    before = cfp.read_pairs(root, "FF")
    assert len(before) == 7000
    for file in (root / "Protocol").rglob("*.txt"):
        file.write_bytes(b"\xef\xbb\xbf" + file.read_bytes().replace(b"\n", b" \t\r\n"))
    assert cfp.read_pairs(root, "FF") == before


def without_last(text: str) -> str:
    return text[: text.rstrip("\n").rindex("\n") + 1]


@pytest.mark.parametrize(
    ("file", "change", "why"),
    [
        ("Split/FF/03/diff.txt", lambda text: "", r"03/diff\.txt: 0 pairs, expected 350; the file is cut off or changed"),
        ("Split/FF/03/diff.txt", without_last, r"03/diff\.txt: 349 pairs, expected 350"),
        ("Split/FF/03/same.txt", lambda text: text + "1001,1002\n", r"03/same\.txt: 351 pairs, expected 350"),
        ("Split/FF/03/same.txt", lambda text: text[:-2], r"03/same\.txt: line 350: does not end with a line break"),
        ("Split/FF/03/same.txt", lambda text: text.replace("1001,1002\n", "1001,1012\n"), r"line 1: .* show two people"),
        ("Split/FF/03/diff.txt", lambda text: text.replace("1001,1011\n", "1001,1002\n"), r"line 1: .* show one person"),
        ("Split/FF/03/diff.txt", lambda text: text.replace("1001,1011\n", "1001,11\n"), r"line 1: person 002 belongs to fold 1"),
        ("Split/FF/03/diff.txt", lambda text: "\n\n" + text.replace("1001,1011", "1001;1011"), r"line 3: expected two numbers"),
        ("Pair_list_F.txt", without_last, r"Pair_list_F\.txt: 4,999 images, expected 5,000"),
        ("Pair_list_F.txt", lambda text: text.replace("\n2 ", "\n1 "), r"line 2: number 1 was already given for 001/frontal/01\.jpg"),
        (
            "Pair_list_F.txt",
            lambda text: "\n" + text.replace("2 ../Data/Images/001/frontal/02.jpg", "2 x"),
            r"line 3: expected '1 \.\./Data",
        ),
    ],
)
def test_cut_off_or_changed_cfp_lists_are_refused(tmp_path: Path, file: str, change: object, why: str) -> None:
    place = cfp_lists(tmp_path) / "Protocol" / file
    place.write_text(change(place.read_text()))  # type: ignore[operator]
    with pytest.raises(BadInput, match=why) as error:
        cfp.read_pairs(tmp_path, "FF")
    message = str(error.value)
    assert "\n" not in message
    assert ("anew" in message) == (", got '" not in message), "a line that cannot be read is shown, all else says what to do"


def test_pairs_files_may_have_a_byte_order_mark_blanks_and_windows_line_ends(tmp_path: Path) -> None:
    file = tmp_path / "pairs.txt"
    file.write_bytes(b"1\t1\nA\t1\t2\nA\t1\tB\t1\n")
    wanted = lfw.read_pairs(file)
    file.write_bytes(b"\xef\xbb\xbf1\t1 \r\n\r\nA\t1\t2\t\r\nA\t1 \tB\t1  \r\n")
    assert lfw.read_pairs(file) == wanted
    file.write_bytes(b"1 1\n\n\nA 1 2\n\nA 1 2\n")
    with pytest.raises(BadInput, match="line 6: expected 'name1 i name2 j'"):
        lfw.read_pairs(file)
    file.write_bytes(b"1 1\nA 1 2\nA 1 B 1")
    with pytest.raises(BadInput, match=r"line 3: does not end with a line break.*cut off inside a number"):
        lfw.read_pairs(file)


@pytest.mark.parametrize("place", ["pairs.txt", "lfw/pairs.txt", "lfw_funneled/pairs.txt", "images_funneled/pairs.txt"])
def test_pairs_files_are_found_where_the_site_keeps_them(tmp_path: Path, place: str) -> None:
    (tmp_path / "root" / "lfw_funneled").mkdir(parents=True)
    file = tmp_path / "root" / place
    file.parent.mkdir(exist_ok=True)
    file.write_text("1 1\n")
    assert lfw.find_pairs(tmp_path / "root") == file
    assert lfw.find_pairs(tmp_path / "root" / "lfw_funneled").name == "pairs.txt" if place == "pairs.txt" else True
    with pytest.raises(BadInput, match=r"pairs\.txt: not there \(nor in .*lfw_funneled"):
        file.unlink()
        lfw.find_pairs(tmp_path / "root")


def test_images_that_differ_only_in_their_ending_are_the_same_images() -> None:
    pairs = [Pair("A/A_0001.jpg", "A/A_0002.jpg", True, 0), Pair("A/A_0001.jpg", "B.C/B.C_0001.jpg", False, 0)]
    kept, absent = present(pairs, ["A/A_0001.png", "A/A_0002.jpg", "A/A_0002.png", "B.C/B.C_0001.PNG"])
    assert kept == [Pair("A/A_0001.png", "A/A_0002.jpg", True, 0), Pair("A/A_0001.png", "B.C/B.C_0001.PNG", False, 0)]
    assert absent == []
    # Two images that could be meant are none.
    assert present(pairs[:1], ["A/A_0001.png", "A/A_0001.bmp", "A/A_0002.jpg"]) == ([], ["A/A_0001.jpg"])


def test_scores_of_pairs_and_of_images_that_are_not_there() -> None:
    vectors = np.array([[1, 0], [0.6, 0.8], [0, 0]], np.float32)
    pairs = [Pair("a", "b", True, 0), Pair("a", "a", True, 0), Pair("a", "c", False, 0), Pair("a", "x", False, 0)]
    scores = scores_of(pairs, ["a", "b", "c"], vectors)
    assert scores[:2] == pytest.approx([0.6, 1.0])
    assert np.isnan(scores[2:]).all()


def test_command_counts_and_names_images_that_are_not_there(tmp_path: Path, project_root: Path) -> None:
    (tmp_path / "pairs.txt").write_text("2\t1\nA\t1\t2\nA\t1\tB\t1\nB\t1\t2\nA\t2\tB\t2\n")
    names = ["A/A_0001.jpg", "A/A_0002.jpg", "B/B_0001.jpg"]
    schema = tables.embeddings_schema(2)
    rows = [{"image_id": name, "status": "ok", "embedding": [1.0, 0.0] if name[0] == "A" else [0.0, 1.0]} for name in names]
    tables.write(tmp_path / "e.parquet", tables.from_rows(rows, schema))
    script = str(project_root / "workflow/scripts/verify_protocol.py")
    command = [sys.executable, script, "--protocol", "lfw", "--root", str(tmp_path), "--embeddings", str(tmp_path / "e.parquet")]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    warning, error = done.stderr.splitlines()
    assert "1 images that its pairs name" in warning and warning.endswith("B/B_0002.jpg")
    assert done.returncode == 2 and "at least two folds" in error


@pytest.mark.slow
def test_command_verifies_png_copies_and_explains_tables_of_something_else(tmp_path: Path, project_root: Path) -> None:
    (tmp_path / "pairs.txt").write_text("2\t1\nA\t1\t2\nA\t1\tB\t1\nB\t1\t2\nA\t2\tB\t2\n")
    script = str(project_root / "workflow/scripts/verify_protocol.py")

    def verify_names(names: list[str]) -> subprocess.CompletedProcess[str]:
        rows = [{"image_id": name, "status": "ok", "embedding": [1.0, 0.0] if name[0] == "A" else [0.0, 1.0]} for name in names]
        tables.write(tmp_path / "e.parquet", tables.from_rows(rows, tables.embeddings_schema(2)))
        command = [sys.executable, script, "--protocol", "lfw", "--root", str(tmp_path), "--embeddings", str(tmp_path / "e.parquet")]
        return subprocess.run(command, capture_output=True, text=True, check=False)

    done = verify_names([f"{name}/{name}_000{n}.png" for name in "AB" for n in (1, 2)])
    assert done.returncode == 0 and '"accuracy": 1.0' in done.stdout and not done.stderr
    done = verify_names(["A/first.png", "B/first.png"])
    assert done.returncode == 2 and "none of the 4 pairs" in done.stderr
    assert "like 'A/A_0001.jpg'" in done.stderr and "like 'A/first.png'" in done.stderr and "whole dataset" not in done.stderr
