"""``frontalbench similarity`` with real networks on the demo's synthetic people."""

from __future__ import annotations

import csv
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np

Weight = Callable[..., Path]


def test_two_folders_give_the_similarity_that_two_images_give(tmp_path: Path, project_root: Path, weight: Weight) -> None:
    from frontalbench import api

    weight("backbone", "w600k_mbf")
    weight("detector", "scrfd_500m")
    for folder in sorted((project_root / "demo" / "synthetic").glob("synth_0[1-7]")):
        (tmp_path / "A").mkdir(exist_ok=True)
        (tmp_path / "B" / folder.name).mkdir(parents=True)
        shutil.copy(next((folder / "GT").iterdir()), tmp_path / "A" / f"{folder.name}.jpg")
        for image in sorted((folder / "Angle").iterdir())[:2]:
            shutil.copy(image, tmp_path / "B" / folder.name)
    command = [
        sys.executable,
        project_root / "workflow" / "scripts" / "similarity.py",
        "A",
        "B",
        "--backbone",
        "w600k_mbf",
        "--threads",
        "1",
    ]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    with (tmp_path / "similarity_A_B" / "pairs.csv").open() as handle:
        rows = list(csv.DictReader(handle))
    assert len(rows) == 14 and {row["status"] for row in rows} == {"ok"}
    verifier = api.Verifier()
    for row in rows[::5]:
        alone = verifier.similarity(tmp_path / "A" / f"{row['identity']}.jpg", tmp_path / "B" / row["image_id"])
        assert abs(float(row["similarity"]) - alone) < 2e-4
    with (tmp_path / "similarity_A_B" / "summary.csv").open() as handle:
        (summary,) = csv.DictReader(handle)
    assert abs(float(summary["mean"]) - np.mean([float(row["similarity"]) for row in rows])) < 1e-5
    assert summary["matched_by"] == "identity" and float(summary["mean_low"]) < float(summary["mean"]) < float(summary["mean_high"])
