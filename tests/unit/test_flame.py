"""FLAME's file: read as its makers write it in any version, refused in one line where it is anything else, and never run."""

from __future__ import annotations

import os
import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from frontalbench.errors import BadInput
from frontalbench.morphable import flame
from tests.unit.facekit import flame_bytes, small_flame, write_flame


@pytest.mark.parametrize("writer", ["python 2", "python 3", "text"])
def test_the_file_gives_the_same_head_whoever_wrote_it(writer: str, tmp_path: Path) -> None:
    arrays = small_flame()
    head = flame.read(write_flame(tmp_path / "generic_model.pkl", arrays, writer))
    assert np.array_equal(head.template, arrays["v_template"]) and np.array_equal(head.joints, arrays["J_regressor"])
    assert np.allclose(head.shape, arrays["shapedirs"][..., :100]) and np.allclose(head.expression, arrays["shapedirs"][..., 300:350])
    assert np.allclose(head.correctives, arrays["posedirs"]) and np.array_equal(head.weights, arrays["weights"])
    assert head.parents.tolist() == [-1, 0, 1, 1, 1] and head.triangles.tolist() == arrays["f"].tolist()


def test_a_head_at_rest_is_its_template_and_a_turn_of_the_root_turns_it_whole(tmp_path: Path) -> None:
    head = flame.read(write_flame(tmp_path / "generic_model.pkl", small_flame()))
    none = np.zeros(0)
    rest = head.posed(none, none, np.zeros((5, 3)))
    np.testing.assert_allclose(rest, head.template, atol=1e-6)
    turned = head.posed(none, none, flame.full_pose(np.array([0.0, np.pi / 2, 0.0]), np.zeros(3)))
    root = head.template[0]
    np.testing.assert_allclose(turned - root, (head.template - root) @ np.array([[0, 0, -1.0], [0, 1, 0], [1, 0, 0]]), atol=1e-6)


@pytest.mark.parametrize(
    ("key", "value", "said"),
    [
        ("v_template", np.zeros((12, 2)), "'v_template' should be an array of n x 3 numbers, is (12, 2)"),
        ("v_template", np.full((12, 3), np.nan), "'v_template' holds numbers that are not finite"),
        ("shapedirs", np.zeros((12, 3, 100)), "'shapedirs' has 100 components, expected 300 of shape and 50 more"),
        ("shapedirs", np.zeros((9, 3, 400)), "'shapedirs' should be an array of 12 x 3 x n numbers, is (9, 3, 400)"),
        ("f", np.array([[0, 1, 99]]), "'f' names vertices that are not there"),
        ("kintree_table", np.array([[0, 0, 1, 1, 1], [0, 1, 2, 3, 4]]), "'kintree_table' is no tree of 5 joints"),
        ("kintree_table", np.array([[4294967295, 4, 1, 1, 1], [0, 1, 2, 3, 4]]), "'kintree_table' is no tree of 5 joints"),
        ("J_regressor", np.zeros((4, 12)), "'J_regressor' should be a sparse matrix of 5 x 12, is (4, 12)"),
        ("weights", np.zeros((12, 4)), "'weights' should be an array of 12 x 5 numbers, is (12, 4)"),
    ],
)
def test_arrays_that_are_none_of_flame_s_are_named(key: str, value: np.ndarray, said: str, tmp_path: Path) -> None:
    path = write_flame(tmp_path / "generic_model.pkl", {**small_flame(), key: value})
    with pytest.raises(BadInput) as caught:
        flame.read(path)
    assert str(caught.value).startswith(f"{path}: ") and said in str(caught.value) and "\n" not in str(caught.value)
    assert "registering" in str(caught.value)


class Harm:
    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def __reduce__(self) -> tuple[Any, ...]:
        return os.mkdir, (str(self.folder),)


class Whole:
    """An object of this file's own class, as a pickle of any other program has."""


@pytest.mark.parametrize(
    "fault", ["code", "code inside", "another class", "reduce of an allowed class", "cut", "text", "a list", "empty", "missing"]
)
def test_any_other_file_is_refused_in_one_line_and_not_run(fault: str, tmp_path: Path) -> None:
    path = tmp_path / "generic_model.pkl"
    data: dict[str, bytes] = {
        "code": pickle.dumps(Harm(tmp_path / "ran"), protocol=2),
        "code inside": pickle.dumps({**small_flame(), "f": Harm(tmp_path / "ran")}, protocol=2),
        "another class": pickle.dumps({"v_template": Whole()}, protocol=2),
        "reduce of an allowed class": b"ccopy_reg\n_reconstructor\n(c__builtin__\nset\nc__builtin__\nobject\nNtR.",
        "cut": flame_bytes(small_flame())[:-2000],
        "text": b"<html>404</html>",
        "a list": pickle.dumps([1, 2], protocol=2),
        "empty": b"",
    }
    if fault != "missing":
        path.write_bytes(data[fault])
    with pytest.raises(BadInput) as caught:
        flame.read(path)
    assert str(caught.value).startswith(f"{path}: ") and "\n" not in str(caught.value)
    assert not (tmp_path / "ran").exists()


@pytest.mark.parametrize("name", ["os.system", "builtins.eval", "builtins.getattr", "numpy.load", "chumpy.utils.row", "torch.load"])
def test_no_name_beyond_the_list_is_looked_up(name: str, tmp_path: Path) -> None:
    module, _, attribute = name.rpartition(".")
    path = tmp_path / "generic_model.pkl"
    path.write_bytes(f"c{module}\n{attribute}\n(S'x'\ntR.".encode())
    with pytest.raises(BadInput, match=rf"it asks for {'__builtin__|' if module == 'builtins' else ''}{module}"):
        flame.read(path)


def test_a_joint_matrix_whose_parts_do_not_fit_is_refused(tmp_path: Path) -> None:
    arrays = small_flame()
    content = dict[str, Any](arrays)
    import scipy.sparse

    matrix = scipy.sparse.csc_matrix(arrays["J_regressor"])
    matrix.indices = matrix.indices + 7  # beyond the five joints
    content["J_regressor"] = matrix
    path = tmp_path / "generic_model.pkl"
    path.write_bytes(pickle.dumps(content, protocol=2))
    with pytest.raises(BadInput, match="'J_regressor' should be a sparse matrix of 5 x 12"):
        flame.read(path)
