"""Where a table came from: what made it, from which inputs, back to the image files.

provenance.py results/similarity/synthetic/mesh.none/scrfd_500m/w600k_mbf.parquet
"""

from __future__ import annotations

from pathlib import Path

from frontalbench import cli
from frontalbench.upkeep.lineage import trace


def main() -> int:
    parser = cli.parser(__doc__)
    parser.add_argument("file", type=Path, help="a Parquet table of any stage")
    parser.add_argument(
        "--root", type=Path, default=Path(), metavar="DIR", help="folder that the recorded input paths start from (default: here)"
    )
    args = parser.parse_args()
    for line in trace(args.file, args.root):
        print(line)
    return cli.EXIT_OK
