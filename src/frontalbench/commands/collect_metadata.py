"""Put the images tables of a dataset (without images) and the measured pose of its originals into one small table each.

example:
  collect_metadata.py --images results/images/demo/*.parquet --pose results/pose/demo/original/*.parquet \\
      --images-out images.parquet --pose-out pose.parquet
"""

from __future__ import annotations

from pathlib import Path

from frontalbench import cli
from frontalbench.stages.metadata import collect_metadata


def main() -> int:
    parser = cli.parser(__doc__, fromfile_prefix_chars="@")
    parser.add_argument("--images", type=Path, nargs="+", required=True, metavar="FILE", help="images tables of the dataset")
    parser.add_argument("--pose", type=Path, nargs="+", required=True, metavar="FILE", help="measured pose of the originals")
    parser.add_argument("--images-out", type=Path, required=True, metavar="FILE", help="table to write, without images")
    parser.add_argument("--pose-out", type=Path, required=True, metavar="FILE", help="table to write")
    arguments = parser.parse_args()
    return cli.report(collect_metadata(arguments.images, arguments.pose, arguments.images_out, arguments.pose_out))
