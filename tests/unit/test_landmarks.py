"""478 points and the dense fit: their files, and their points on real photographs."""

from __future__ import annotations

import io
import os
import pickle
import zipfile
from pathlib import Path

import numpy as np
import pytest

from frontalbench.errors import BadInput
from frontalbench.geometry.rotation import matrix_from_angles
from frontalbench.landmarks import face_landmarker, tddfa
from frontalbench.landmarks.face_landmarker import fit_rigid


class Dangerous:
    def __reduce__(self) -> tuple[object, tuple[str]]:
        return os.system, ("true",)


@pytest.mark.parametrize("payload", [{"u": Dangerous()}, {"u": np.array([Dangerous()], dtype=object)}, [1, 2], {"u": 3}])
def test_a_pickle_that_holds_anything_but_arrays_is_refused(payload: object, tmp_path: Path) -> None:
    file = tmp_path / "basis.pkl"
    file.write_bytes(pickle.dumps(payload))
    with pytest.raises(BadInput, match=r"basis\.pkl"):
        tddfa.read_arrays(file)


def test_a_truncated_pickle_is_refused_and_a_sound_one_read(tmp_path: Path) -> None:
    file = tmp_path / "basis.pkl"
    data = pickle.dumps({"mean": np.arange(62.0), "std": np.ones(62, np.float32)})
    file.write_bytes(data)
    assert np.array_equal(tddfa.read_arrays(file)["mean"], np.arange(62.0))
    file.write_bytes(data[:-20])
    with pytest.raises(BadInput, match="fetch the weights again"):
        tddfa.read_arrays(file)


def test_a_basis_of_another_shape_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "basis.pkl"
    file.write_bytes(
        pickle.dumps({"u": np.zeros(9), "w_shp": np.zeros((9, 12)), "w_exp": np.zeros((9, 10)), "keypoints": np.zeros(204, int)})
    )
    with pytest.raises(BadInput, match="3 vertices"):
        tddfa.read_basis(file)


def test_a_bundle_without_its_members_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "face_landmarker.task"
    file.write_bytes(b"no zip")
    with pytest.raises(BadInput, match="not a FaceLandmarker bundle"):
        face_landmarker.read_bundle(file)
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr("other", b"")
    file.write_bytes(buffer.getvalue())
    with pytest.raises(BadInput, match="fetch the weights again"):
        face_landmarker.read_bundle(file)
    for data in (b"", b"\x0a\xff\x01abc", b"\x0a\x00"):
        with pytest.raises(BadInput, match="geometry"):
            face_landmarker.parse_geometry(data, file)


def test_a_rigid_fit_recovers_what_was_done() -> None:
    rng = np.random.default_rng(0)
    model = rng.normal(size=(40, 3))
    rotation = matrix_from_angles(30, -20, 10)
    found = fit_rigid(model, 7.0 * model @ rotation.T + [5, 6, 7], rng.random(40))
    assert np.allclose(found.rotation, rotation) and found.scale == pytest.approx(7.0) and np.allclose(found.translation, [5, 6, 7])
    with pytest.raises(ValueError, match="do not determine"):
        fit_rigid(model, np.zeros((40, 3)), np.ones(40))


def test_the_networks_square_hangs_on_the_boxs_middle_and_size() -> None:
    assert tddfa.roi_of_box([100, 100, 200, 220]) == (64.0, 89.0, 237.0, 262.0)  # mean side 110: 1.58 x 110 = 173, shifted down by 15.4
    with pytest.raises(ValueError, match="pixels wide"):
        tddfa.roi_of_box([10, 10, 11, 11])
