"""Judge a folder of results that were made elsewhere: from the files to their row in the tables.

  judge.py results_of_somebody --as my_tool --made-by "Example Portraits" --version 2.1 --date 2026-11-20

The files mirror the photographs (identity/Angle/name, any ending), or a mapping.csv in the folder says which is which. Writes the card
config/models/frontalizers/NAME.yaml and config/judge_NAME.yaml, runs the workflow for them and prints the rows. Photographs without a result are
counted as failures (not_delivered). The same command again, after files changed, judges what changed. docs/elsewhere.md walks through it.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from frontalbench import cli
from frontalbench.catalogue import cards
from frontalbench.elsewhere import judging
from frontalbench.errors import BadInput


def main() -> int:
    parser = cli.parser(__doc__)
    parser.add_argument("folder", type=Path, metavar="DIR", help="the folder of results")
    parser.add_argument("--as", dest="name", required=True, metavar="NAME", help="what the tables call it: small letters, digits, _")
    parser.add_argument("--dataset", nargs="+", default=[], metavar="NAME", help="datasets to judge it on (default: the configuration's)")
    parser.add_argument("--made-by", default="", metavar="TEXT", help="the system, or who")
    parser.add_argument("--version", default="", metavar="TEXT", help="its version")
    parser.add_argument("--date", default="", metavar="YYYY-MM-DD", help="when the images were made")
    parser.add_argument("--notes", default="", metavar="TEXT", help="settings, seeds, anything that a reader must know")
    parser.add_argument("--licence", default="", metavar="TEXT", help="of the system's weights, or its terms of use")
    parser.add_argument(
        "--mapping", default="", metavar="FILE", help="CSV inside of DIR with the columns file and photo (default: mapping.csv)"
    )
    parser.add_argument("--beside", nargs="+", default=[], metavar="NAME", help="other frontalizers for the same tables")
    parser.add_argument("--config", type=Path, metavar="FILE", help="configuration to start from (default: config/config.yaml)")
    parser.add_argument("--cores", type=cli.positive, default=os.cpu_count() or 1, metavar="N", help="for Snakemake (default: all)")
    parser.add_argument("--print", action="store_true", help="write card and configuration, print the command, run nothing")
    args = parser.parse_args()
    said = judging.Said(args.made_by, args.version, args.date, args.notes, args.licence, args.mapping)
    judged = judging.write(args.folder, args.name, args.dataset, said=said, beside=args.beside, base=args.config)
    for line in [*judged.counts, *(note for note in judged.notes if note not in judged.counts)]:
        sys.stderr.write(f"note: {line}\n")
    sys.stderr.write(f"wrote {judged.card} and {judged.config}\n")
    command = judged.shown(args.cores, "summarize")
    if args.print:
        sys.stdout.write(f"{command}\n")
        return cli.EXIT_OK
    sys.stderr.write(f"runs: {command}\n")
    # What the jobs print goes where messages go: on stdout stand the rows alone.
    words = [*judged.command(args.cores, "summarize"), "--quiet", "rules", "host"]
    done = subprocess.run(words, cwd=cards.project_root(), stdout=sys.stderr, check=False)
    if done.returncode != 0:
        raise BadInput(f"the workflow ended with {done.returncode}, see above; run it yourself: {command}")
    for name in dict.fromkeys((args.name, *args.beside)):
        sys.stdout.write(f"{name}.none\n{judging.shown_rows(judging.rows(judged, name))}\n")
    sys.stderr.write(
        f"tables: results/master/{judged.run}; figures, images and pages: {judged.shown(args.cores)}\n"
        f"in every run: add {args.name} to frontalizers in config/config.yaml\n"
    )
    return cli.EXIT_OK
