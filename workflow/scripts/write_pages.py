#!/usr/bin/env python3
"""Write what README, docs and captions say of cards, columns and figures, from cards and code (--check: only say what is out of date)."""

from __future__ import annotations

import sys
from pathlib import Path

from frontalbench import cli
from frontalbench.catalogue.pages import SCRIPT
from frontalbench.console import generated


def main() -> int:
    parser = cli.parser(__doc__)
    parser.add_argument(
        "--root", type=Path, default=Path(), metavar="DIR", help="folder of README.md, docs/ and reports/; default: this one"
    )
    parser.add_argument("--check", action="store_true", help="change nothing; exit with 2 when a file is out of date")
    args = parser.parse_args()
    late = generated.write(args.root, check=args.check)
    if args.check and late:
        print(f"out of date: {', '.join(late)}; run: python {SCRIPT}", file=sys.stderr)
        return cli.EXIT_BAD_INPUT
    return cli.EXIT_OK


if __name__ == "__main__":
    cli.run(main)
