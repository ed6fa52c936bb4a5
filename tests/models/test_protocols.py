"""LFW and CFP pairs; accuracy over folds against a slow reference and scikit-learn.

With real weights or photographs.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from frontalbench.errors import BadInput
from frontalbench.protocols import cfp, lfw
from frontalbench.protocols.lists import present
from frontalbench.protocols.verification import Pair, verify
from tests.unit.test_protocols import reference_accuracy


def test_accuracy_of_real_lfw_pairs_with_random_scores(shared: Path) -> None:
    pairs = lfw.read_pairs(shared / "testdata" / "lfw_lists" / "pairs.txt")
    same, fold = np.array([p.same for p in pairs]), np.array([p.fold for p in pairs])
    scores = np.round(np.random.default_rng(0).normal(size=len(pairs)) + same, 2)
    np.testing.assert_allclose(verify(scores, same, fold).by_fold, reference_accuracy(scores, same, fold), rtol=0, atol=1e-12)


def test_real_pairs_file_has_ten_balanced_folds_of_separate_people(shared: Path) -> None:
    pairs = lfw.read_pairs(shared / "testdata" / "lfw_lists" / "pairs.txt")
    assert len(pairs) == 6000 and sum(pair.same for pair in pairs) == 3000
    assert pairs[0] == Pair("Abel_Pacheco/Abel_Pacheco_0001.jpg", "Abel_Pacheco/Abel_Pacheco_0004.jpg", True, 0)
    people = [{name.split("/")[0] for pair in pairs if pair.fold == fold for name in pair[:2]} for fold in range(10)]
    assert all(people[a].isdisjoint(people[b]) for a in range(10) for b in range(a))
    assert [sum(pair.fold == fold for pair in pairs) for fold in range(10)] == [600] * 10
    development = lfw.read_pairs(shared / "testdata" / "lfw_lists" / "pairsDevTest.txt")
    assert len(development) == 1000 and {pair.fold for pair in development} == {0}
    # The images of 30 people that are here make some of the pairs; the rest is named.
    here = [f"{path.parent.name}/{path.name}" for path in (shared / "testdata" / "lfw").glob("*/*.jpg")]
    kept, absent = present(pairs, here)
    assert all(pair.first in here and pair.second in here for pair in kept)
    assert len(kept) < 6000 and "Abel_Pacheco/Abel_Pacheco_0001.jpg" in absent


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
