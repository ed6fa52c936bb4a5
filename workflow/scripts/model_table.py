#!/usr/bin/env python3
"""Write the tables of README.md and docs/ that are made from cards and code (--check: only say whether they are up to date)."""

from __future__ import annotations

import sys
from pathlib import Path

from frontalbench import cli
from frontalbench.catalogue.modeltable import pages, put_all


def main() -> int:
    parser = cli.parser(__doc__)
    parser.add_argument("--root", type=Path, default=Path(), metavar="DIR", help="folder of README.md and docs/; default: this one")
    parser.add_argument("--check", action="store_true", help="change nothing; exit with 2 when a table is out of date")
    args = parser.parse_args()
    stale = [name for name, parts in pages().items() if not put_all(args.root / name, parts, check=args.check)]
    if args.check and stale:
        print(f"{', '.join(stale)}: a table is out of date; run: python workflow/scripts/model_table.py", file=sys.stderr)
        return cli.EXIT_BAD_INPUT
    return cli.EXIT_OK


if __name__ == "__main__":
    cli.run(main)
