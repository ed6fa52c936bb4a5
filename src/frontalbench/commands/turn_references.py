"""Turn the references of a shard to the angles of the dataset's probes, for comparisons in the same pose (pose_matched:<frontalizer>.none).

example:
  turn_references.py --model mesh --in results/images/demo/0000.parquet --faces results/crops/demo/original/scrfd_500m/0000.parquet \\
      --images results/images/demo/*.parquet --pose results/pose/demo/original/*.parquet --yaw-bins 0 15 30 45 60 --out turned.parquet
"""

from __future__ import annotations

from pathlib import Path

from frontalbench import cli
from frontalbench.catalogue import cards
from frontalbench.errors import BadInput
from frontalbench.frontalize import load_frontalizer
from frontalbench.stages.turned import turn_references


def main() -> int:
    parser = cli.parser(__doc__)
    parser.add_argument("--model", required=True, metavar="NAME", help="frontalizer card; it must take a target pose")
    parser.add_argument("--in", dest="source", type=Path, required=True, metavar="FILE", help="images table of the shard")
    parser.add_argument("--faces", type=Path, required=True, metavar="FILE", help="crops table of the same shard")
    parser.add_argument("--images", type=Path, nargs="+", required=True, metavar="FILE", help="images tables of the whole dataset")
    parser.add_argument("--pose", type=Path, nargs="*", default=[], metavar="FILE", help="measured pose of the originals")
    cli.add_roles_option(parser)
    parser.add_argument("--yaw-bins", type=float, nargs="+", required=True, metavar="DEG", help="edges of the bins of |yaw|")
    parser.add_argument("--out", type=Path, required=True, metavar="FILE", help="table to write")
    cli.add_machine_options(parser)
    args = parser.parse_args()
    if len(args.yaw_bins) < 2 or sorted(set(args.yaw_bins)) != args.yaw_bins:
        raise BadInput("--yaw-bins: expected at least two rising edges, such as 0 15 30 45 60")
    roles = cli.roles_of(args.roles)
    card = cards.find("frontalizer", args.model)
    machine = {"threads": args.threads, "device": args.device}
    counts = turn_references(
        args.source,
        args.faces,
        args.out,
        card,
        lambda: load_frontalizer(card, **machine),
        images_tables=args.images,
        pose=args.pose,
        roles=roles,
        edges=args.yaw_bins,
        **machine,
    )
    return cli.report(counts)
