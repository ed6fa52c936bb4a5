#!/usr/bin/env python3
"""Write the model table of README.md from the cards (--check: only say whether it is up to date)."""

from __future__ import annotations

import sys
from pathlib import Path

from frontalbench import cli
from frontalbench.catalogue.modeltable import model_table, put_into


def main() -> int:
    parser = cli.parser(__doc__)
    parser.add_argument("readme", nargs="?", type=Path, default=Path("README.md"))
    parser.add_argument("--check", action="store_true", help="change nothing; exit with 2 when the table is out of date")
    args = parser.parse_args()
    current = put_into(args.readme, model_table(), check=args.check)
    if args.check and not current:
        print(f"{args.readme}: the model table is out of date; run: python workflow/scripts/model_table.py", file=sys.stderr)
        return cli.EXIT_BAD_INPUT
    return cli.EXIT_OK


if __name__ == "__main__":
    cli.run(main)
