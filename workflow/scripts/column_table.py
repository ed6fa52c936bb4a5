#!/usr/bin/env python3
"""Write the tables of columns and measures of docs/statistics.md from the code (--check: only say whether they are up to date)."""

from __future__ import annotations

import sys
from pathlib import Path

from frontalbench import cli
from frontalbench.catalogue.modeltable import put_all
from frontalbench.tabulate import documented


def main() -> int:
    parser = cli.parser(__doc__)
    parser.add_argument("page", nargs="?", type=Path, default=Path("docs", "statistics.md"), metavar="FILE")
    parser.add_argument("--check", action="store_true", help="change nothing; exit with 2 when a table is out of date")
    args = parser.parse_args()
    current = put_all(args.page, documented.parts(), check=args.check)
    if args.check and not current:
        print(f"{args.page}: a table of columns is out of date; run: python workflow/scripts/column_table.py", file=sys.stderr)
        return cli.EXIT_BAD_INPUT
    return cli.EXIT_OK


if __name__ == "__main__":
    cli.run(main)
