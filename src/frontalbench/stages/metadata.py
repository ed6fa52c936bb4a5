"""images and measured pose of all shards -> the same in one small table each, without pixels: what every comparison of a dataset reads."""

from __future__ import annotations

from collections.abc import Sequence

from frontalbench import tables
from frontalbench.stages.common import provenance
from frontalbench.types import StrPath


def collect_metadata(images: Sequence[StrPath], pose: Sequence[StrPath], images_out: StrPath, pose_out: StrPath) -> dict[str, int]:
    """Write ``tables.LISTED`` (every column of the images tables but the images) and ``tables.POSE``, all shards in one; returns rows by status.

    A comparison reads two files instead of two per shard, and Snakemake plans as much less. Raises :class:`BadInput` as :func:`tables.read` does.
    """
    listed = tables.concatenate(images, tables.IMAGES, tables.LISTED.names).cast(tables.LISTED)
    tables.write(pose_out, tables.concatenate(pose, tables.POSE).cast(tables.POSE), provenance("metadata", pose), row_group_size=65536)
    tables.write(images_out, listed, provenance("metadata", images), row_group_size=65536)
    return {str(pair["values"]): int(pair["counts"]) for pair in listed["status"].value_counts().to_pylist()}
