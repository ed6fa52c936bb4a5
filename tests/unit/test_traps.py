"""What libraries of this field do against expectation, and that it does not reach our numbers (the table: docs/traps.md)."""

from __future__ import annotations

import itertools
import re
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np

from frontalbench.geometry.rotation import matrix_from_angles
from frontalbench.geometry.similarity import ARCFACE_TEMPLATE, estimate_similarity

HEAD = np.array([[-31, -30, -28], [31, -30, -28], [0, 2, -52], [-25, 38, -30], [25, 38, -30]], np.float64)
"""Eyes, nose tip and mouth corners of a head in millimetres, camera axes."""


def five_points(yaw: float) -> np.ndarray:
    return (HEAD @ matrix_from_angles(yaw).T)[:, :2] * 2.0 + 200.0


def corner_jumps(fit: Callable[[np.ndarray], np.ndarray]) -> float:
    """The largest way in pixels of a crop's corner between two poses 0.05 degrees apart."""
    corners = np.array([[0, 0, 1], [111, 0, 1], [0, 111, 1], [111, 111, 1]], np.float64)

    def places(yaw: float) -> np.ndarray:
        back = cv2.invertAffineTransform(fit(five_points(yaw)))
        return corners @ back.T

    seen = [places(yaw) for yaw in np.arange(0, 80, 0.05)]
    return max(float(np.linalg.norm(after - before, axis=1).max()) for before, after in itertools.pairwise(seen))


def test_a_crop_moves_smoothly_with_the_pose_where_a_robust_fit_jumps() -> None:
    smooth = corner_jumps(lambda points: estimate_similarity(points, ARCFACE_TEMPLATE))
    robust = corner_jumps(lambda points: cv2.estimateAffinePartial2D(points, ARCFACE_TEMPLATE)[0])
    assert smooth < 0.5
    assert robust > 5.0, "if this no longer jumps, docs/traps.md can say so"


def test_every_test_that_the_table_of_traps_names_exists(project_root: Path) -> None:
    text = (project_root / "docs" / "traps.md").read_text(encoding="utf-8")
    named = re.findall(r"`(tests/[\w/]+\.py)::(test_\w+)`", text)
    assert len(named) >= 15
    for file, test in named:
        assert f"def {test}(" in (project_root / file).read_text(encoding="utf-8"), f"docs/traps.md names {file}::{test}"
