"""Summarize similarities: a whole run into results/master/RUN, or the metrics.csv of plain folders into one report.

a run:          summarize.py --in results/similarity/*/*/*/*.parquet --out results/master/all
plain folders:  summarize.py --metrics results/metrics.csv --out results/master_report.csv

A run gives every table as .parquet and .csv, the three paper tables also as .md; what the columns mean: docs/statistics.md.
A metrics.csv (compute_similarity.py writes it) gives one line per pair group: mean, median, 95 % interval over identities, N, failures;
views of the same photographs also over the photographs that all of them gave, with Net Gain and identity gain. docs/folders.md explains the columns.
"""

from __future__ import annotations

import sys
from pathlib import Path

from frontalbench import cli
from frontalbench.errors import BadInput

SCORES = ".scores.parquet"


def main() -> int:
    parser = cli.parser(__doc__, fromfile_prefix_chars="@")
    source = parser.add_mutually_exclusive_group(required=True)
    source.add_argument("--metrics", type=Path, metavar="CSV", help="metrics of plain folders")
    source.add_argument("--in", dest="files", nargs="+", metavar="FILE", help="similarity tables of a run (@FILE: one name per line)")
    cli.add_grid_option(source)
    parser.add_argument(
        "--quality", nargs="*", default=[], metavar="FILE", help="quality tables of the run (measure_quality.py writes them)"
    )
    parser.add_argument(
        "--distribution", nargs="*", default=[], metavar="FILE", help="tables of FID and KID (measure_distribution.py writes them)"
    )
    parser.add_argument("--out", type=Path, required=True, metavar="PATH", help="CSV to write (--metrics), or folder")
    parser.add_argument("--seed", type=int, default=0, metavar="N", help="seed of random sign flips (default: 0)")
    arguments = parser.parse_args()
    if arguments.metrics is not None:
        from frontalbench.compare import paired
        from frontalbench.plain import pairs

        rows = pairs.write_report(arguments.metrics, arguments.out)
        for line in paired.report_lines(rows):
            (sys.stderr if line.startswith("warning: ") else sys.stdout).write(f"{line}\n")
        return 0
    from frontalbench.stages.summarize import summarize
    from frontalbench.tabulate import TableSettings

    expected: list[str] = []
    bins: dict[str, list[float]] = {}
    if arguments.grid:
        from frontalbench.plan import grid

        selection = grid.Selection.from_json(arguments.grid)
        expected, bins = selection.similarity(), selection.yaw_bins
        files = [path for path in expected if Path(path).is_file()]
    else:
        files = [path for path in arguments.files if not path.endswith(SCORES)]
        short = [path for path in files if len(Path(path).parts) < 4 or not path.endswith(".parquet")]
        if short:
            raise BadInput(f"{short[0]}: expected a path that ends in DATASET/VARIANT/DETECTOR/BACKBONE.parquet")
    settings = TableSettings(arguments.seed)
    written = summarize(
        files, arguments.out, settings=settings, expected=expected, yaw_bins=bins, measured=arguments.quality, sets=arguments.distribution
    )
    sys.stdout.write(f"{len(written)} files written to {arguments.out}\n")
    return 0
