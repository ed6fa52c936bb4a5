"""Open-set search, line-ups and thresholds with intervals of their own, for the finished cells of a run.

frontalbench search results --out results/search
frontalbench search results --dataset frll --variant mesh.none gate@30:mesh.none --draws 50

Nothing is computed anew but similarities: embeddings are read from the folder of results. Written: open_set.csv (FNIR at FPIR 10, 1 and 0.1 %,
one half of the people enrolled in every draw), lineup.csv (share of line-ups of six that are chosen rightly, and its difference to the photographs by
image), thresholds.csv (a threshold per false match rate, with the interval of the threshold itself), det.csv (FNMR
against FMR with its interval). docs/search.md explains every column.
"""

from __future__ import annotations

from frontalbench import cli
from frontalbench.compare import open_set
from frontalbench.plan.grid import Selection
from frontalbench.tabulate import search, write


def main() -> int:
    parser = cli.parser(__doc__)
    cli.add_run_options(parser, "search")
    parser.add_argument("--variant", nargs="+", default=[], metavar="NAME", help="only these variants (the photographs always)")
    parser.add_argument("--draws", type=cli.positive, default=open_set.DRAWS, metavar="N", help=f"galleries (default: {open_set.DRAWS})")
    parser.add_argument(
        "--enrolled",
        type=float,
        default=open_set.ENROLLED,
        metavar="SHARE",
        help=f"share of people enrolled (default: {open_set.ENROLLED:g})",
    )
    parser.add_argument("--seed", type=int, default=0, metavar="N", help="seed of the draws (default: 0)")
    args = parser.parse_args()
    if not 0.0 < args.enrolled < 1.0:
        parser.error(f"--enrolled {args.enrolled:g}: expected a share between 0 and 1")
    found = search.search_results(
        args.results,
        grid=Selection.from_json(args.grid) if args.grid else None,
        datasets=args.dataset,
        variants=args.variant,
        draws=args.draws,
        enrolled=args.enrolled,
        seed=args.seed,
    )
    of = (
        ("open_set.csv", search.OPEN_SET, found.open_set),
        ("lineup.csv", search.LINEUP, found.lineup),
        ("thresholds.csv", search.THRESHOLDS, found.thresholds),
        ("det.csv", search.DET, found.det),
    )
    return cli.said(write.save(cli.out_of(args), of), found.notes)
