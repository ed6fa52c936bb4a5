"""Which cells differ between two folders of results: counts, paired means with intervals, versions.

frontalbench diff results ../other_machine/results --out diff.csv

Cells meet by name, images by image_id. A cell is the same when every row says the same and no similarity differs by more than --tolerance.
Exit code: 0 when all cells are the same, 1 when some differ or are missing, 2 when something is wrong with the folders.
"""

from __future__ import annotations

import sys
from pathlib import Path

from frontalbench import cli
from frontalbench.files import atomic
from frontalbench.tabulate import beside
from frontalbench.tabulate.write import csv_rows

EXIT_DIFFERENT = 1


def main() -> int:
    parser = cli.parser(__doc__)
    parser.add_argument("first", type=Path, metavar="RESULTS_A", help="folder that a run wrote, usually results")
    parser.add_argument("second", type=Path, metavar="RESULTS_B", help="the other one")
    parser.add_argument("--out", type=Path, metavar="CSV", help="table of all cells to write")
    parser.add_argument(
        "--tolerance", type=float, default=beside.TOLERANCE, metavar="S", help=f"what is still the same (default: {beside.TOLERANCE:g})"
    )
    args = parser.parse_args()
    rows = beside.differences(args.first, args.second, tolerance=args.tolerance)
    for line in beside.lines(rows):
        sys.stdout.write(f"{line}\n")
    if args.out is not None:
        atomic.write_text(args.out, csv_rows(beside.COLUMNS, rows))
    return cli.EXIT_OK if all(row["same"] for row in rows) else EXIT_DIFFERENT
