#!/usr/bin/env python3
"""Look into every finished file: damaged tables, tables made from another version of their inputs, files from the future, unfinished leftovers.

check_results.py                                       tell what is wrong; exit code 3 when something is
check_results.py --mend                                remove it (and set back wrong dates), print what has to be made anew
snakemake --cores 2 $(check_results.py --mend)         the same, and make it anew; then snakemake once more for what hangs on it

check_results.py --mixed                               also tell which tables were computed with other library versions, or on another kind
                                                       of processor, than most of the run
check_results.py --mixed --mend                        remove those too: the next run compares like with like

Run it while no run is going on.
"""

from __future__ import annotations

import sys
from pathlib import Path

from frontalbench import checkup, cli

EXIT_FOUND = 3


def main() -> int:
    parser = cli.parser(__doc__)
    parser.add_argument("--results", type=Path, default=Path("results"), metavar="DIR", help="folder to look through (default: results)")
    parser.add_argument("--mend", action="store_true", help="remove what is wrong; print to stdout what has to be made anew")
    parser.add_argument(
        "--mixed", action="store_true", help="also tell (and with --mend remove) tables made with other versions than most of the run"
    )
    args = parser.parse_args()
    found = list(checkup.check(args.results, args.results.parent))
    mixed = checkup.mixed(args.results)
    if args.mixed:
        found += mixed
    elif mixed:
        print(f"note: {len(mixed)} tables were computed with other versions than most; --mixed names them", file=sys.stderr)
    for finding in found:
        print(finding, file=sys.stderr)
        if args.mend and checkup.mend(finding):
            print(finding.path)
    if not found:
        print(f"{args.results}: everything is as it was written", file=sys.stderr)
    return EXIT_FOUND if found and not args.mend else cli.EXIT_OK


if __name__ == "__main__":
    cli.run(main)
