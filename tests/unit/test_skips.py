"""A run that skipped tests says so, and fails where a CI asked for them."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.skips import Outcome, complaints, summary

RUN = [
    Outcome("tests/golden/test_a.py::test_one", ran=True, passed=True),
    Outcome("tests/golden/test_a.py::test_two", ran=True),
    Outcome("tests/golden/test_a.py::test_three", ran=False, reason="Skipped: shared folder: weights/x.pth is not in it"),
    Outcome("tests/unit/test_b.py::test_one", ran=False, reason="Skipped: detector x: weight file x.onnx (3 bytes) is missing"),
    Outcome("tests/unit/test_b.py::test_two", ran=False, reason="Skipped: npm is not installed"),
]


def test_one_line_counts_what_did_not_run_and_why() -> None:
    line = "golden: 2 of 3 ran; not run: 1 for want of the shared folder, 1 for want of weights, 1 for want of something else"
    assert summary(RUN) == line
    assert summary(RUN[:1]) == "golden: 1 of 1 ran; not run: none"
    assert summary([]) == ""


def test_a_golden_test_that_failed_does_not_count_as_required() -> None:
    assert complaints(RUN, {"FRONTALBENCH_GOLDEN": "1"}) == []
    assert complaints(RUN, {"FRONTALBENCH_GOLDEN": "2"}) == ["FRONTALBENCH_GOLDEN: 1 golden tests passed, 2 are required"]


def test_skips_beyond_the_allowed_number_are_complained_of() -> None:
    assert complaints(RUN, {"FRONTALBENCH_SKIPPED": "3"}) == []
    assert complaints(RUN, {"FRONTALBENCH_SKIPPED": "0"}) == ["FRONTALBENCH_SKIPPED: 3 tests did not run, at most 0 are allowed"]
    assert complaints(RUN, {}) == complaints(RUN, {"FRONTALBENCH_SKIPPED": ""}) == []
    with pytest.raises(ValueError, match="FRONTALBENCH_SKIPPED=none"):
        complaints(RUN, {"FRONTALBENCH_SKIPPED": "none"})


@pytest.mark.slow
@pytest.mark.parametrize(("required", "code"), [("1", 0), ("9", 1)])
def test_golden_tests_run_on_a_clone_without_the_shared_folder_and_too_few_of_them_fail_the_run(
    tmp_path: Path, project_root: Path, required: str, code: int
) -> None:
    environment = {**os.environ, "FRONTALBENCH_SHARED": str(tmp_path / "none"), "FRONTALBENCH_GOLDEN": required, "FRONTALBENCH_SKIPPED": ""}
    tests = ["tests/golden/test_retinaface.py::test_priors_are_the_golden_ones_in_pixels"]
    tests += ["tests/golden/test_retinaface.py::test_a_real_photograph_gives_the_known_box_and_points"]
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", *tests]
    done = subprocess.run(command, cwd=project_root, env=environment, capture_output=True, text=True, timeout=1200, check=False)
    assert "golden: 1 of 2 ran; not run: 1 for want of the shared folder" in done.stdout
    assert done.returncode == code, done.stdout
    assert ("9 are required" in done.stdout) == (code == 1)
