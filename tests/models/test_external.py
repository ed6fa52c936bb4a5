"""Two foreign systems really run, each in an environment that pip makes here: our own tddfa without torch, and a stranger's package."""

from __future__ import annotations

import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from frontalbench import images, tables
from frontalbench.catalogue import cards
from frontalbench.detect import load_detector
from frontalbench.frontalize import load_frontalizer
from frontalbench.frontalize.external import load
from frontalbench.plain import folders
from frontalbench.stages.external import frontalize_external
from frontalbench.stages.frontalize import frontalize_shard
from frontalbench.weights import foreign

pytestmark = [pytest.mark.slow]

PEOPLE = Path(__file__).resolve().parents[2] / "demo" / "synthetic" / "synth_10" / "Angle"
NAMES = ("tddfa_external", "molesq")


@pytest.fixture(scope="module")
def environments(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """The environments of both, where they were made before (FRONTALBENCH_ENVIRONMENTS), else made here: about 150 MB from the Python registry."""
    with pytest.MonkeyPatch.context() as patch:
        if any(foreign.lacks(cards.find("frontalizer", name)) for name in NAMES):
            patch.setenv(foreign.VARIABLE, str(tmp_path_factory.mktemp("environments")))
            for name in NAMES:
                problems = foreign.prepare(cards.find("frontalizer", name), conda=False).problems
                if problems:
                    pytest.skip(f"no network: {problems[0]}")
        yield


@pytest.fixture(scope="module")
def shard(weight: Callable[..., Path], environments: None) -> Iterator[tuple[Path, Path, Path]]:
    """Eight photographs of a synthetic person, with their faces, and a folder to write into."""
    weight("landmarks", "tddfa_mb1")
    weight("landmarks", "face_landmarker")
    weight("detector", "scrfd_500m")
    with folders.with_faces(PEOPLE, "*", "scrfd_500m", threads=1, device="cpu") as (images, faces, temporary):
        yield images, faces, temporary


def rows(path: Path) -> list[dict[str, Any]]:
    return list(tables.read(path).to_pylist())


def test_our_tddfa_as_a_stranger_gives_the_same_images_byte_for_byte(shard: tuple[Path, Path, Path]) -> None:
    images, faces, folder = shard
    native, stranger = cards.find("frontalizer", "tddfa"), cards.find("frontalizer", "tddfa_external")
    frontalize_shard(images, faces, folder / "native.parquet", native, lambda: load_frontalizer(native, threads=1))
    frontalize_external(images, faces, folder / "stranger.parquet", stranger, lambda: load(stranger, threads=1))
    ours, theirs = rows(folder / "native.parquet"), rows(folder / "stranger.parquet")
    assert len(ours) == 8 and [row["status"] for row in theirs] == ["ok"] * 8
    assert [row["image"] for row in ours] == [row["image"] for row in theirs]
    assert all(row["seconds"] > 0 for row in theirs)


def test_its_environment_holds_no_torch(environments: None) -> None:
    python = foreign.found(cards.find("frontalizer", "tddfa_external"))["interpreter"]
    done = subprocess.run([python, "-c", "import torch"], capture_output=True, text=True, check=False)
    assert done.returncode != 0 and "No module named 'torch'" in done.stderr


def test_a_strangers_package_warps_the_five_points_into_their_places(shard: tuple[Path, Path, Path]) -> None:
    table, faces, folder = shard
    card = cards.find("frontalizer", "molesq")
    frontalize_external(table, faces, folder / "molesq.parquet", card, lambda: load(card, threads=1))
    made = rows(folder / "molesq.parquet")
    assert [row["status"] for row in made] == ["ok"] * 8
    detector = load_detector(cards.find("detector", "scrfd_500m"))
    wanted = np.array([[0.36, 0.42], [0.64, 0.42], [0.5, 0.56], [0.385, 0.7], [0.615, 0.7]]) * 256
    for row in made:
        image = images.decode(row["image"])
        assert image.shape == (256, 256, 3)
        found = detector.detect(image)
        # Eyes and mouth; where a detector sees the nose depends on the side of it that the photograph shows.
        assert len(found) and np.abs(found.points[0] - wanted)[[0, 1, 3, 4]].max() < 10
