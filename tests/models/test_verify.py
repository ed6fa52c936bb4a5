"""Two images and the question whether they show one person.

With real weights or photographs.
"""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

import frontalbench
from frontalbench import images
from frontalbench.errors import BadInput
from tests.unit.test_verify import write_master


@pytest.fixture
def master(tmp_path: Path) -> Path:
    return write_master(tmp_path)


def test_one_person_is_told_from_two(master: Path, project_root: Path, weight: Callable[..., Path], tmp_path: Path) -> None:
    weight("detector", "scrfd_500m"), weight("backbone", "w600k_mbf")
    people = sorted(path for path in (project_root / "demo" / "synthetic").iterdir() if path.is_dir())[:2]
    front, other = (next((person / "GT").glob("*.jpg")) for person in people)
    turned = sorted((people[0] / "Angle").glob("*26.jpg"))[0]
    same = frontalbench.verify(front, turned, master=master)
    assert same.same is True and same.threshold == 0.3 and same.similarity > 0.3
    assert frontalbench.verify(front.read_bytes(), other.read_bytes(), threshold=0.6).same is False, "synthetic people are alike"
    assert frontalbench.verify(front, turned, master=tmp_path / "nowhere").same is None
    assert frontalbench.verify(front, front, threshold=0.5).similarity == pytest.approx(1.0, abs=1e-5)
    nothing = tmp_path / "grey.png"
    nothing.write_bytes(images.encode_png(np.full((200, 200, 3), 128, np.uint8)))
    with pytest.raises(BadInput, match=r"grey.png: scrfd_500m found no face"):
        frontalbench.verify(front, nothing)
    script = [sys.executable, str(project_root / "workflow/scripts/verify.py"), str(front), str(turned), "--master", str(master)]
    done = subprocess.run(script, capture_output=True, text=True, check=False)
    assert done.returncode == 0 and done.stdout.splitlines()[-1] == "same person: yes"
    assert "threshold 0.3000 (FMR 0.001, FNMR 0.1)" in done.stdout and "two people 0.0100" in done.stdout
    gone = subprocess.run([*script[:2], "gone.jpg", str(front)], capture_output=True, text=True, check=False)
    assert gone.returncode == 2 and gone.stderr == "error: gone.jpg: No such file or directory\n"
