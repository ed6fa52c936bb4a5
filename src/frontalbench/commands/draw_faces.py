"""Let the network of an enhancement draw the faces of a shard, once for every card that shares it; enhance.py --drawn puts them into the images.

draw_faces.py --card gfpgan_full --in frontals.parquet --out drawn.parquet
"""

from __future__ import annotations

from pathlib import Path

from frontalbench import cli
from frontalbench.enhance import digest, load_drawer
from frontalbench.stages.enhance import draw_shard


def main() -> int:
    parser = cli.parser(__doc__)
    parser.add_argument(
        "--card", required=True, metavar="NAME", help="enhancement card that works in two steps; any of those that share the network"
    )
    parser.add_argument("--in", dest="source", type=Path, required=True, metavar="FILE", help="table of images")
    parser.add_argument("--out", type=Path, required=True, metavar="FILE", help="table of drawn faces")
    cli.add_machine_options(parser)
    args = parser.parse_args()
    machine = {"threads": args.threads, "device": args.device}
    return cli.report(draw_shard(args.source, args.out, args.card, digest(args.card), lambda: load_drawer(args.card, **machine), **machine))
