"""Plain folders go in as a shard and come out as a folder, a row per image.

With real weights or photographs.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

from frontalbench import tables
from frontalbench.plain import folders

Weight = Callable[..., Path]


def test_the_moved_crop_of_mirror_ahead_is_made_on_folders_as_in_the_workflow(tmp_path: Path, project_root: Path, weight: Weight) -> None:
    weight("landmarks", "tddfa_mb1")
    photo = project_root / "demo" / "synthetic" / "synth_10" / "Angle" / "synth_10_l39.jpg"
    (tmp_path / "data" / "Angle").mkdir(parents=True)
    shutil.copy(photo, tmp_path / "data" / "Angle")

    def command(script: str, *arguments: str) -> str:
        done = subprocess.run(
            [sys.executable, str(project_root / "workflow" / "scripts" / script), *arguments], capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stderr
        return done.stderr

    for model in ("mirror", "mirror_ahead"):
        said = command("frontalize.py", "--model", model, "--in", str(tmp_path / "data" / "Angle"), "--out", str(tmp_path / "data" / model))
        assert ("the crop around the face" in said) == (model == "mirror_ahead")
    command("preprocess.py", "--align", "--in", str(tmp_path / "data"), "--out", str(tmp_path / "crops"))
    plain, moved = ((tmp_path / "crops" / model / f"{photo.stem}.png").read_bytes() for model in ("mirror", "mirror_ahead"))
    assert plain != moved
    with folders.as_shard(tmp_path / "data" / "mirror") as (shard, temporary):
        command("preprocess.py", "--aligned-for", "mirror_ahead", "--in", str(shard), "--out", str(temporary / "crops.parquet"))
        assert moved == tables.read(temporary / "crops.parquet", tables.CROPS).column("image")[0].as_py()
