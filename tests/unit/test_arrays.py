"""Arrays come back from a safetensors file as they were given, whatever lay in memory; NumPy files of others are read as data."""

from __future__ import annotations

import os
import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors.numpy import load_file

from frontalbench.compare.feature import FeatureMap, save, wiener
from frontalbench.errors import BadInput
from frontalbench.files import arrays

NOT_SYMMETRIC = np.arange(12, dtype=np.float32).reshape(3, 4)

LAYOUTS: dict[str, Callable[[np.ndarray], np.ndarray]] = {
    "as it is": lambda a: a,
    "column by column": np.asfortranarray,
    "transposed": lambda a: a.T,
    "backwards": lambda a: a[::-1, ::-1],
    "every second": lambda a: a[:, ::2],
    "other byte order": lambda a: a.astype(a.dtype.newbyteorder(">")),
    "axes moved": lambda a: np.moveaxis(np.stack([a, a + 1]), 0, 2),
    "broadcast": lambda a: np.broadcast_to(a[0], (5, 4)),
    "with a NaN": lambda a: np.where(a == 2, np.nan, a),
}


@pytest.mark.parametrize("layout", LAYOUTS)
def test_an_array_comes_back_as_it_was_given(tmp_path: Path, layout: str) -> None:
    given = LAYOUTS[layout](NOT_SYMMETRIC)
    arrays.write(tmp_path / "a.safetensors", {"a": given}, {"about": "x"})
    np.testing.assert_array_equal(load_file(tmp_path / "a.safetensors")["a"], given)


def test_a_feature_map_that_is_not_symmetric_comes_back_the_right_way_round(tmp_path: Path) -> None:
    random = np.random.default_rng(0)
    between, within = (a @ a.T + 0.1 * np.eye(8) for a in random.standard_normal((2, 8, 8)))
    made = wiener(between, within, 0.1)
    assert np.abs(made - made.T).max() > 0.1
    save(tmp_path / "map.safetensors", FeatureMap(made, (30.0, 70.0)), {})
    np.testing.assert_allclose(load_file(tmp_path / "map.safetensors")["matrix"], made, atol=1e-2)


def test_numpy_arrays_leave_for_safetensors_by_one_door() -> None:
    source = Path(arrays.__file__).parent
    others = [path for path in source.rglob("*.py") if "safetensors.numpy import" in path.read_text() and "save" in path.read_text()]
    assert [path.name for path in others] == ["arrays.py"]


def test_a_numpy_file_gives_its_array_and_anything_else_is_refused_in_one_line_and_not_run(tmp_path: Path) -> None:
    class Harm:
        def __reduce__(self) -> tuple[Any, ...]:
            return os.mkdir, (str(tmp_path / "ran"),)

    given = np.arange(12.0, dtype=np.float32).reshape(3, 4)
    np.save(tmp_path / "a.npy", given)
    whole = (tmp_path / "a.npy").read_bytes()
    found = arrays.numbers(tmp_path / "a.npy")
    np.testing.assert_array_equal(found, given)
    assert type(found) is np.ndarray and found.flags.writeable
    np.savez(tmp_path / "several.npz", a=given)
    np.save(tmp_path / "objects.npy", np.array([Harm()], dtype=object))
    files = {
        "cut": whole[:-3],
        "a claim of 4 TB": whole.replace(b"(3, 4), }" + b" " * 12, b"(1000000, 1000000), }"),
        "empty": b"",
        "text": b"<html>404</html>",
        "code": pickle.dumps(Harm()),
        "several arrays": (tmp_path / "several.npz").read_bytes(),
        "objects": (tmp_path / "objects.npy").read_bytes(),
    }
    assert len(files["a claim of 4 TB"]) == len(whole) and files["a claim of 4 TB"] != whole
    for name, data in files.items():
        (tmp_path / "b.npy").write_bytes(data)
        with pytest.raises(BadInput) as caught:
            arrays.numbers(tmp_path / "b.npy")
        said = str(caught.value)
        assert said.startswith(f"{tmp_path / 'b.npy'}: not a NumPy file of numbers") and "\n" not in said and "allow_pickle" not in said, (
            name
        )
    with pytest.raises(BadInput, match="not found"):
        arrays.numbers(tmp_path / "none.npy")
    assert not (tmp_path / "ran").exists()
