"""LivePortrait's commands as a person runs them; the self-test on synthetic weights that a card in a project of its own names.

With real weights or photographs.
"""

from __future__ import annotations

import hashlib
import re
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
import yaml

from frontalbench.networks.liveportrait import keys
from tests.golden import fills
from tests.unit.test_liveportrait_commands import script

STITCHING = {"stitching": "retarget_shoulder", "lip": "retarget_mouth", "eye": "retarget_eye"}


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory, project_root: Path) -> Path:
    """A project whose ``liveportrait`` card names synthetic weights in its folder ``mirror``."""
    home = tmp_path_factory.mktemp("project")
    shutil.copytree(project_root / "config", home / "config")
    (home / "mirror").mkdir()
    path = home / "config" / "models" / "frontalizers" / "liveportrait.yaml"
    card = yaml.safe_load(path.read_text(encoding="utf-8"))
    card["params"]["landmarks"] = 5
    states = {name: fills.liveportrait(name) for name in ("appearance", "motion", "warping", "generator")}
    states["stitching"] = {inside: fills.liveportrait(name) for name, inside in STITCHING.items()}
    for key in keys.FILES:
        file = home / "mirror" / card["weights"][key]["file"]
        torch.save(states[key], file)
        with file.open("rb") as handle:
            card["weights"][key].update(bytes=file.stat().st_size, sha256=hashlib.file_digest(handle, "sha256").hexdigest())
    path.write_text(yaml.safe_dump(card), encoding="utf-8")
    return home


def test_selftest_prints_a_line_per_check_and_fails_untrained_weights(
    project: Path, project_root: Path, weight: Callable[..., Path], tmp_path: Path
) -> None:
    store = weight("detector", "scrfd_500m").parent
    folder = tmp_path / "in"
    folder.mkdir()
    shutil.copy(project_root / "demo/synthetic/synth_10/Angle/synth_10_l39.jpg", folder)
    done = script(
        "frontalize.py",
        "--model",
        "liveportrait",
        "--selftest",
        "--device",
        "cpu",
        "--in",
        str(folder),
        root=project_root,
        FRONTALBENCH_HOME=str(project),
        FRONTALBENCH_WEIGHTS=str(project / "mirror"),
        FRONTALBENCH_STORE=str(store),
    )
    *lines, last = done.stdout.splitlines()
    assert done.returncode == 1, done.stderr
    assert all(re.match(r"(ok|FAILED) +\S", line) for line in lines)
    passed = {line[8:42].strip() for line in lines if line.startswith("ok")}
    assert {"finite", "repeatable (levels)"} <= passed, "mechanics do not depend on training"
    failed = {line[8:42].strip() for line in lines if line.startswith("FAILED")}
    assert "reproduces the crop (dB)" in failed, "untrained networks draw no face"
    assert last == f"{len(passed)} of {len(lines)} checks passed"
