#!/usr/bin/env python3
"""Write the table of docs/figures.md and the captions of the report from what figures declare (--check: only say whether they are up to date)."""

from __future__ import annotations

import sys
from pathlib import Path

from frontalbench import cli
from frontalbench.figures import documented


def main() -> int:
    parser = cli.parser(__doc__)
    parser.add_argument("page", nargs="?", type=Path, default=Path("docs", "figures.md"), metavar="FILE")
    parser.add_argument("--captions", type=Path, default=Path("reports", "captions"), metavar="DIR", help="default: reports/captions")
    parser.add_argument("--check", action="store_true", help="change nothing; exit with 2 when a file is out of date")
    args = parser.parse_args()
    late = documented.write(args.page, args.captions, check=args.check)
    if args.check and late:
        print(f"out of date: {', '.join(map(str, late))}; run: python workflow/scripts/figure_pages.py", file=sys.stderr)
        return cli.EXIT_BAD_INPUT
    return cli.EXIT_OK


if __name__ == "__main__":
    cli.run(main)
