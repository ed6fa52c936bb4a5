"""What the results take on disk, stage by stage, and the part of it that can be made again."""

from __future__ import annotations

import shutil
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import pyarrow.parquet as pq

from frontalbench.errors import BadInput

IMAGES = ("crops", "frontals", "drawn", "variants", "turned")
"""Stages between the images and the embeddings: large, and made again when something asks for them."""
STAGES = ("images", *IMAGES, "pose", "metadata", "embeddings", "similarity", "quality", "distribution", "cost", "master")


@dataclass(frozen=True)
class Usage:
    """Tables of one stage: ``rows`` over all of them (an image counts once in every table that has a row of it)."""

    stage: str
    tables: int
    rows: int
    bytes: int


def usage(results: Path) -> list[Usage]:
    """One line for every stage that has tables under ``results``. Raises BadInput when there is no such folder."""
    if not results.is_dir():
        raise BadInput(f"{results}: not a folder; give the folder that the workflow wrote, usually results")
    found = []
    for stage in STAGES:
        files = [path for path in (results / stage).rglob("*.parquet") if not path.name.startswith(".")]
        if files:
            found.append(Usage(stage, len(files), sum(pq.read_metadata(p).num_rows for p in files), sum(p.stat().st_size for p in files)))
    return found


def drop(results: Path, stages: Iterable[str] = IMAGES) -> None:
    """Remove the folders of ``stages``. A later run makes a table of them again only when something that is to be made needs it."""
    for stage in stages:
        if (results / stage).is_dir():
            shutil.rmtree(results / stage)
