"""Compare one cell: embeddings of a variant against the original references.

Writes one row per image (similarity table) and the pair scores (genuine pairs, impostor histogram with exact upper tail).
Derived variants (fuse_mean:<variant>, fuse_flip:<variant>, fuse_max:<variant>, fuse_score:<variant>, control_meanshift:<variant>,
feature_frontal:<variant>) take the embeddings of <variant>;
pose_matched:<frontalizer>.none takes those of `original`, and with --turned the references that turn_references.py turned.

example:
  compare_cell.py --images results/images/demo/*.parquet --pose results/pose/demo/original/*.parquet \\
      --embeddings results/embeddings/demo/mirror.none/scrfd_500m/w600k_mbf/*.parquet \\
      --references results/embeddings/demo/original/scrfd_500m/w600k_mbf/*.parquet \\
      --out similarity.parquet --scores-out similarity.scores.parquet
"""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from frontalbench import cli
from frontalbench.catalogue import cards
from frontalbench.errors import WeightsMissing

if TYPE_CHECKING:
    from frontalbench.compare.feature import FeatureMap


def main() -> int:
    parser = cli.parser(__doc__)
    parser.add_argument("--images", nargs="+", required=True, metavar="FILE", help="images tables of the dataset (pixels are not read)")
    parser.add_argument("--pose", nargs="*", default=[], metavar="FILE", help="measured pose of the originals, where the dataset needs it")
    parser.add_argument("--embeddings", nargs="+", required=True, metavar="FILE", help="embeddings shards of the variant")
    parser.add_argument("--references", nargs="+", required=True, metavar="FILE", help="embeddings shards of `original`")
    parser.add_argument(
        "--turned", nargs="*", default=[], metavar="FILE", help="embeddings of turned references, for pose_matched:<variant>"
    )
    parser.add_argument("--yaw-bins", type=float, nargs="*", default=[], metavar="DEG", help="edges of the bins of |yaw|, beside --turned")
    parser.add_argument(
        "--quality",
        nargs="*",
        default=[],
        metavar="FILE",
        help="quality table of `original`, for gate_learned: how sharp and good photographs are",
    )
    parser.add_argument(
        "--mirrored", nargs="*", default=[], metavar="FILE", help="embeddings shards of mirror.none, for fuse_flip and gate_flip"
    )
    parser.add_argument("--out", required=True, metavar="FILE", help="similarity table to write")
    parser.add_argument("--scores-out", required=True, metavar="FILE", help="pair scores to write")
    parser.add_argument("--variant", default="", metavar="NAME", help="name of the variant; needed for derived ones")
    parser.add_argument("--feature", default="", metavar="CARD", help="the backbone's feature map, for feature_frontal")
    cli.add_roles_option(parser)
    parser.add_argument("--threads", type=cli.positive, default=os.cpu_count() or 1, metavar="N", help="CPU threads (default: all cores)")
    arguments = parser.parse_args()
    for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS"):  # read when NumPy is first imported, which is below
        os.environ[name] = str(arguments.threads)
    from frontalbench.errors import BadInput
    from frontalbench.stages.compare import compare

    if bool(arguments.turned) != (len(arguments.yaw_bins) > 1):
        raise BadInput("--turned and --yaw-bins: give both (at least two edges), or neither")

    if len(arguments.quality) > 1:
        raise BadInput("--quality: one table, that of `original`")
    roles = cli.roles_of(arguments.roles)
    report = compare(
        [Path(p) for p in arguments.images],
        [Path(p) for p in arguments.embeddings],
        [Path(p) for p in arguments.references],
        arguments.out,
        arguments.scores_out,
        pose=[Path(p) for p in arguments.pose],
        roles=roles,
        variant=arguments.variant,
        feature=feature_map(arguments.feature),
        turned=[Path(p) for p in arguments.turned],
        edges=arguments.yaw_bins,
        quality=Path(arguments.quality[0]) if arguments.quality else None,
        mirrored=[Path(p) for p in arguments.mirrored],
        threads=arguments.threads,
    )
    sys.stdout.write(" ".join(f"{name}={number}" for name, number in report.items()) + "\n")
    return 0


def feature_map(name: str) -> FeatureMap | None:
    """The map of a feature card; None where none is named or its weights are out of reach (the cell then says ``weights_missing``)."""
    from frontalbench.compare.feature import load

    try:
        return load(cards.find("feature", name)) if name else None
    except WeightsMissing as error:
        sys.stderr.write(f"{error}\n")
        return None
