"""Draw figures from the tables of one dataset. Files are recognised by their path (results/STAGE/DATASET/...), so just list them.

one figure:
  viz.py --figure gain_by_yaw --judge scrfd_500m,w600k_mbf --in results/similarity/demo/*/scrfd_500m/w600k_mbf.parquet --out gain
every figure of a dataset:
  viz.py --all --in @files.txt --notice synthetic --out results/figures/demo/synthetic
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from frontalbench import cli
from frontalbench.errors import BadInput
from frontalbench.figures import dataset, inputs, series
from frontalbench.plan import grid
from frontalbench.plan.variant import ORIGINAL


def main() -> int:
    listing = "\n".join(f"  {name:14}{text}" for name, text in dataset.NAMES.items())
    about = ", ".join(plot.name for plot in dataset.PLOTS if plot.about == "variant")
    parser = cli.parser(f"{__doc__}\nfigures:\n{listing}", fromfile_prefix_chars="@")
    what = parser.add_mutually_exclusive_group(required=True)
    what.add_argument("--figure", choices=list(dataset.NAMES), metavar="NAME", help="one of the figures listed above")
    what.add_argument("--all", action="store_true", help="every figure that the inputs allow, in a folder")
    what.add_argument("--list", action="store_true", help="print the files that --all would write, and write nothing")
    source = parser.add_mutually_exclusive_group(required=True)
    source.add_argument("--in", dest="files", nargs="+", metavar="FILE", help="tables of the run (@FILE: one name per line)")
    cli.add_grid_option(source)
    parser.add_argument("--out", type=Path, metavar="STEM", help="name of the figure without ending; the folder with --all")
    parser.add_argument("--variant", default="", help=f"which variant ({about}; default: the only one)")
    parser.add_argument("--judge", default="", metavar="DETECTOR,BACKBONE", help="whose similarities (default: the first that is listed)")
    parser.add_argument(
        "--metric", choices=list(series.METRICS), default="identity_gain", help="what the heat map shows (default: identity_gain)"
    )
    parser.add_argument(
        "--notice", choices=("none", "synthetic", "research", "own"), default="none", help="words across figures with images"
    )
    parser.add_argument(
        "--credit", default="", metavar="TEXT", help="the line that the images' licence asks for, at the foot of grids of faces"
    )
    parser.add_argument("--yaw-bins", type=float, nargs="+", default=list(series.YAW_EDGES), metavar="DEG", help="edges of the |yaw| bins")
    parser.add_argument("--examples", type=cli.positive, default=3, metavar="N", help="rows of each kind in image grids (default: 3)")
    arguments = parser.parse_args()
    if arguments.grid:
        chosen = grid.Selection.from_json(arguments.grid)
        files = inputs.sort_out([*chosen.similarity(), *chosen.images(), *chosen.crops(), *chosen.embeddings()])
    else:
        files = inputs.sort_out(arguments.files)
    judges = _judges(files, arguments.judge)
    if arguments.list:
        print("\n".join(dataset.stems(files.variants, judges)))
        return 0
    if arguments.out is None:
        raise BadInput("--out is missing: give the figure's name without ending, or a folder with --all")
    workshop = dataset.Workshop(
        files,
        notice="" if arguments.notice == "none" else arguments.notice,
        edges=arguments.yaw_bins,
        examples=arguments.examples,
        credit=arguments.credit,
    )
    if arguments.all:
        wanted = list(dataset.requests(files.variants, judges))
        drawn = 0
        for request, reason in cli.progress(workshop.make(arguments.out, wanted), total=len(wanted), unit="figure"):
            drawn += not reason
            if reason:
                print(f"nothing to draw in {request.stem}: {reason}", file=sys.stderr)
        print(f"{drawn} of {len(wanted)} figures drawn in {arguments.out}")
        return 0
    from frontalbench.figures import style

    request = _request(arguments, files, judges)
    for path in style.save(workshop.draw(request), arguments.out, request.formats):
        print(path)
    return 0


def _judges(files: inputs.Inputs, asked: str) -> list[tuple[str, str]]:
    if not asked:
        return files.judges or [("", "")]
    detector, comma, backbone = asked.partition(",")
    if not comma or (detector, backbone) not in files.judges:
        known = "; ".join(f"{d},{b}" for d, b in files.judges) or "none"
        raise BadInput(f"--judge {asked}: expected DETECTOR,BACKBONE of a similarity table among the inputs; there: {known}")
    return [(detector, backbone), *(judge for judge in files.judges if judge != (detector, backbone))]


def _request(arguments: argparse.Namespace, files: inputs.Inputs, judges: list[tuple[str, str]]) -> dataset.Request:
    plot = dataset.named(arguments.figure)
    variant, metric = arguments.variant, arguments.metric if plot.values else ""
    if plot.about == "variant" and metric not in plot.values_of_photographs:
        if not variant and len(files.variants) != 1:
            raise BadInput(f"--variant is missing: {plot.name} is about one variant; there: {', '.join(files.variants) or 'none'}")
        variant = variant or files.variants[0]
    elif plot.about == "variant":
        variant = variant or ORIGINAL
    return dataset.Request(plot.name, variant=variant, judge=judges[0], metric=metric)
