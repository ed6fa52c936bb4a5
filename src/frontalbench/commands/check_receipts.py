"""Fail when weights, environments or repositories that the grid needs are out of reach: a line per model, with what to do."""

from __future__ import annotations

import json
import sys
from pathlib import Path

from frontalbench import cli


def main() -> int:
    parser = cli.parser(__doc__)
    parser.add_argument("receipts", nargs="*", type=Path, help="receipts written by fetch_weights.py")
    args = parser.parse_args()
    missing = []
    for path in args.receipts:
        receipt = json.loads(path.read_text(encoding="utf-8"))
        if receipt["status"] != "ok":
            missing.append(f"{receipt['card']}: {receipt['reason']}")
    for line in missing:
        print(line, file=sys.stderr)
    if missing:
        print(
            f"{len(missing)} model(s) of the grid cannot run here; everything else is finished and in the tables."
            " Provide the files as said above and run again; to try the addresses again: snakemake --forcerun fetch_weights",
            file=sys.stderr,
        )
        return cli.EXIT_BAD_INPUT
    return cli.EXIT_OK
