"""Take in a folder of results made elsewhere as the frontal views of a shard.

example:
  take_delivery.py --model my_tool --dataset synthetic --in results/images/synthetic/0000.parquet \\
      --listed results/metadata/synthetic/images.parquet --out frontals.parquet

The workflow runs this for every shard; from a folder to its row in the tables it is `frontalbench judge`.
"""

from __future__ import annotations

import sys
from pathlib import Path

from frontalbench import cli
from frontalbench.catalogue import cards
from frontalbench.stages.delivery import take_delivery


def main() -> int:
    parser = cli.parser(__doc__)
    parser.add_argument("--model", required=True, metavar="NAME", help="frontalizer card of family made_elsewhere")
    parser.add_argument("--dataset", required=True, metavar="NAME", help="dataset card")
    parser.add_argument("--in", dest="source", type=Path, required=True, metavar="FILE", help="images table of the shard")
    parser.add_argument("--listed", type=Path, required=True, metavar="FILE", help="table of all images of the dataset, without pictures")
    parser.add_argument("--out", type=Path, required=True, metavar="FILE", help="table to write")
    args = parser.parse_args()
    counts, notes = take_delivery(args.source, args.listed, args.out, cards.find("frontalizer", args.model), args.dataset)
    for note in notes:
        sys.stderr.write(f"note: {note}\n")
    return cli.report(counts)
