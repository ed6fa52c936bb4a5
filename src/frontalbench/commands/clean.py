"""Make room: remove the images between images and embeddings (crops, frontals, variants, turned references). Embeddings, tables and figures stay.

clean.py --dry-run      what every stage takes on disk, and a row of it
clean.py                remove (as a rule, under Snakemake's lock: snakemake --cores 1 clean_pictures)

A later run finds nothing to do; what it needs for a new model it makes again.
"""

from __future__ import annotations

from frontalbench import cli
from frontalbench.upkeep import disk


def main() -> int:
    parser = cli.parser(__doc__)
    cli.add_results_option(parser)
    parser.add_argument("--dry-run", action="store_true", help="only tell, remove nothing")
    args = parser.parse_args()
    print(f"{'stage':12}{'tables':>8}{'rows':>10}{'MB':>10}{'bytes a row':>13}")
    for line in disk.usage(args.results):
        removed = "  can be removed" if args.dry_run else "  removed"
        print(
            f"{line.stage:12}{line.tables:8}{line.rows:10}{line.bytes / 1e6:10.1f}{line.bytes / max(1, line.rows):13.0f}"
            + (removed if line.stage in disk.IMAGES else "")
        )
    if not args.dry_run:
        disk.drop(args.results)
    return cli.EXIT_OK
