"""Join the results of several machines into one set of tables.

frontalbench join results ../gpu_machine/results --out results/master/joined

Refused, in words: a cell that two folders have and that is not the same in both, a dataset that has other images in one of them, and cells
computed with different versions of a library (--mixed-versions joins these all the same, and says so). Nothing is copied: the tables are made of the
files where they lie.
"""

from __future__ import annotations

import sys
from pathlib import Path

from frontalbench import cli
from frontalbench.tabulate import TableSettings, beside


def main() -> int:
    parser = cli.parser(__doc__)
    parser.add_argument("folders", nargs="+", type=Path, metavar="RESULTS", help="folders that runs wrote")
    parser.add_argument("--out", type=Path, required=True, metavar="DIR", help="folder of the tables, such as results/master/joined")
    parser.add_argument("--mixed-versions", action="store_true", help="join cells of different versions of libraries too")
    parser.add_argument("--seed", type=int, default=0, metavar="N", help="seed of random sign flips (default: 0)")
    args = parser.parse_args()
    found = beside.joined(args.folders, mixed=args.mixed_versions)
    for note in found.notes:
        sys.stderr.write(f"note: {note}\n")
    from frontalbench.stages.summarize import summarize

    written = summarize([cell.similarity for cell in found.cells], args.out, settings=TableSettings(args.seed))
    sys.stdout.write(f"{len(found.cells)} cells, {len(written)} files written to {args.out}\n")
    return cli.EXIT_OK
