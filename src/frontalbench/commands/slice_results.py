"""Results by slices of a dataset: a column of its index.csv (glasses, age_group, camera), bins of pitch, or bins of yaw.

frontalbench slices results --by glasses --index data/mine/index.csv --dataset mine
frontalbench slices results --by pitch

Written: slices.csv (per cell and slice: N, people, failures, mean with its interval) and slice_pairs.csv (differences between slices, p, p with
Holm's correction within the cell). Of the photographs it is the margin (own references less strangers'), of the other variants the identity gain.
"""

from __future__ import annotations

from frontalbench import cli
from frontalbench.plan.grid import Selection
from frontalbench.tabulate import slices, write


def main() -> int:
    parser = cli.parser(__doc__)
    cli.add_run_options(parser, "slices")
    parser.add_argument("--by", required=True, nargs="+", metavar="COLUMN", help="columns of the table, or pitch, or yaw")
    parser.add_argument(
        "--index",
        action="append",
        default=[],
        metavar="[DATASET=]CSV",
        help="the dataset's table; its column `image` names the images (several datasets: once for each, DATASET=CSV)",
    )
    args = parser.parse_args()
    grid = Selection.from_json(args.grid) if args.grid else None
    found = slices.of_results(args.results, args.by, indexes=args.index, datasets=args.dataset, grid=grid)
    of = (("slices.csv", slices.SLICES, found.slices), ("slice_pairs.csv", slices.PAIRS, found.pairs))
    return cli.said(write.save(cli.out_of(args), of), found.notes)
