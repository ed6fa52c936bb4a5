"""FID and KID of a variant's probes against the dataset's photographed references, both as aligned crops of one detector.

Writes two rows with their counts. Below 2,048 images on either side there is no FID, below 20 no KID: "not supported by n".

example:
  measure_distribution.py --images results/images/lfw/*.parquet --original-pose results/pose/lfw/original/*.parquet \\
      --crops results/crops/lfw/mesh.none/scrfd_500m/*.parquet --original-crops results/crops/lfw/original/scrfd_500m/*.parquet --out table.parquet
"""

from __future__ import annotations

from pathlib import Path

from frontalbench import cli
from frontalbench.catalogue import cards, families
from frontalbench.runtime.sessions import limit_threads
from frontalbench.stages.distribution import measure_distribution


def main() -> int:
    parser = cli.parser(__doc__, fromfile_prefix_chars="@")
    for name, text in (
        ("images", "images tables of the dataset (pixels are not read)"),
        ("crops", "crops of the variant"),
        ("original-crops", "crops of `original` by the same detector"),
    ):
        parser.add_argument(f"--{name}", type=Path, nargs="+", required=True, metavar="FILE", help=text)
    parser.add_argument("--original-pose", type=Path, nargs="*", default=[], metavar="FILE", help="measured pose, where roles need it")
    parser.add_argument("--network", default="inception_2015", metavar="NAME", help="quality card of the features (default: %(default)s)")
    cli.add_roles_option(parser)
    parser.add_argument("--resamples", type=cli.positive, default=2000, metavar="N", help="bootstrap resamples (default: 2000)")
    parser.add_argument("--seed", type=int, default=0, metavar="N", help="seed of every random draw (default: 0)")
    parser.add_argument("--out", type=Path, required=True, metavar="FILE", help="table to write")
    cli.add_machine_options(parser)
    args = parser.parse_args()
    roles = cli.roles_of(args.roles)
    limit_threads(args.threads)
    machine = {"threads": args.threads, "device": args.device}
    measure_distribution(
        args.images,
        args.crops,
        args.original_crops,
        args.original_pose,
        args.out,
        lambda: families.load(cards.find("quality", args.network), **machine),
        roles=roles,
        resamples=args.resamples,
        seed=args.seed,
        **machine,
    )
    return cli.EXIT_OK
