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
from frontalbench.errors import BadInput
from frontalbench.stages.delivery import take_delivery, take_turned


def main() -> int:
    parser = cli.parser(__doc__)
    parser.add_argument("--model", required=True, metavar="NAME", help="frontalizer card of family made_elsewhere")
    parser.add_argument("--dataset", required=True, metavar="NAME", help="dataset card")
    parser.add_argument("--in", dest="source", type=Path, required=True, metavar="FILE", help="images table of the shard")
    parser.add_argument("--listed", type=Path, required=True, metavar="FILE", help="table of all images of the dataset, without images")
    parser.add_argument("--out", type=Path, required=True, metavar="FILE", help="table to write")
    turned = parser.add_argument_group("references turned to the probes' yaw, instead of frontal views of probes")
    turned.add_argument("--turned", action="store_true", help="take those in")
    turned.add_argument("--pose", type=Path, metavar="FILE", help="table of the measured pose of all photographs")
    cli.add_roles_option(turned)
    turned.add_argument("--yaw-bins", type=float, nargs="+", metavar="DEG", help="edges of the bins of |yaw|")
    args = parser.parse_args()
    card = cards.find("frontalizer", args.model)
    if args.turned:
        if args.pose is None or args.yaw_bins is None:
            raise BadInput("--turned needs --pose and --yaw-bins")
        roles = cli.roles_of(args.roles)
        counts, notes = take_turned(args.source, args.listed, args.pose, args.out, card, args.dataset, roles=roles, edges=args.yaw_bins)
    else:
        counts, notes = take_delivery(args.source, args.listed, args.out, card, args.dataset)
    for note in notes:
        sys.stderr.write(f"note: {note}\n")
    return cli.report(counts)
