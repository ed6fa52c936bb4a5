"""LivePortrait's commands as a person runs them; the self-test on synthetic weights that a card in a project of its own names."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest


def script(name: str, *arguments: str, root: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    values = {**os.environ, "PYTHONPATH": str(root / "src"), **environment}
    command = [sys.executable, str(root / "workflow" / "scripts" / name), *arguments]
    return subprocess.run(command, capture_output=True, text=True, env=values, timeout=1800, check=False)


@pytest.mark.slow
def test_selftest_without_weights_or_of_a_model_without_one_says_so_in_one_line(project_root: Path, tmp_path: Path) -> None:
    missing = script(
        "frontalize.py",
        "--model",
        "liveportrait",
        "--selftest",
        root=project_root,
        FRONTALBENCH_HOME=str(project_root),
        FRONTALBENCH_STORE=str(tmp_path),
        FRONTALBENCH_WEIGHTS="",
    )
    assert (missing.returncode, missing.stdout) == (2, "")
    assert re.fullmatch(r"error: .*appearance_feature_extractor\.pth .*\n", missing.stderr), missing.stderr
    for command in (("frontalize.py", "--selftest", "--model", "mirror"), ("selftest.py", "mirror")):
        other = script(*command, root=project_root, FRONTALBENCH_HOME=str(project_root))
        assert (other.returncode, other.stdout) == (2, "")
        assert re.fullmatch(r"error: frontalizer 'mirror' has no self-test: it turns no face\n", other.stderr), other.stderr


@pytest.mark.slow
def test_onnx_files_cannot_be_written_without_weights_or_of_another_family(project_root: Path, tmp_path: Path) -> None:
    here = {"FRONTALBENCH_HOME": str(project_root), "FRONTALBENCH_STORE": str(tmp_path), "FRONTALBENCH_WEIGHTS": ""}
    missing = script("export_onnx.py", "--out", str(tmp_path / "onnx"), root=project_root, **here)
    assert missing.returncode == 2 and re.fullmatch(r"error: .*appearance_feature_extractor\.pth .*\n", missing.stderr), missing.stderr
    other = script("export_onnx.py", "--model", "mesh", "--out", str(tmp_path / "onnx"), root=project_root, **here)
    assert other.returncode == 2 and "of family 'mesh'" in other.stderr
    assert not (tmp_path / "onnx").exists()
