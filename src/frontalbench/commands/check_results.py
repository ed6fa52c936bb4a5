"""Look into every finished file: damaged tables, tables made from another version of their inputs, files from the future, unfinished leftovers.

check_results.py                                       tell what is wrong; exit code 3 when something is
check_results.py --mend                                remove it (and set back wrong dates), print what has to be made anew
snakemake --cores 2 $(check_results.py --mend)         the same, and make it anew; then snakemake once more for what hangs on it
snakemake --cores 2 $(check_results.py --mend --configfile my.yaml)     where the run was started with --configfile my.yaml

check_results.py --mixed                               also tell which tables were computed with other library versions, or on another kind
                                                       of processor, than most of the run
check_results.py --mixed --mend                        remove those too: the next run compares like with like

Run it while no run is going on.
"""

from __future__ import annotations

import shlex
import sys
from pathlib import Path

from frontalbench import cli
from frontalbench.upkeep import checkup

EXIT_FOUND = 3


def main() -> int:
    parser = cli.parser(__doc__)
    cli.add_results_option(parser)
    parser.add_argument("--mend", action="store_true", help="remove what is wrong; print to stdout what has to be made anew")
    parser.add_argument(
        "--configfile", nargs="+", default=[], type=Path, metavar="FILE", help="what the run was started with; printed behind the files"
    )
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
    for line in checkup.lines(found):
        print(line, file=sys.stderr)
    anew = [str(finding.path) for finding in found if args.mend and checkup.mend(finding)]
    if anew:
        print("\n".join([*anew, *(["--configfile", *map(str, args.configfile)] if args.configfile else [])]))
    if found and not args.mend:
        own = f"python {sys.argv[0]}" if sys.argv[0].endswith(".py") else sys.argv[0]  # a script, or the installed command
        with_configuration = f" --configfile {shlex.join(map(str, args.configfile))}" if args.configfile else ""
        print(f"to mend: snakemake --cores 2 $({own} --mend{with_configuration})", file=sys.stderr)
    if not found:
        empty = next(args.results.rglob("*.parquet"), None) is None
        print(f"{args.results}: {'no table is here' if empty else 'everything is as it was written'}", file=sys.stderr)
    return EXIT_FOUND if found and not args.mend else cli.EXIT_OK
