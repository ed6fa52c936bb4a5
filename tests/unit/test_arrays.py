"""Arrays come back from a safetensors file as they were given, whatever lay in memory."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import load_file

from frontalbench.compare.feature import FeatureMap, save, wiener
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
