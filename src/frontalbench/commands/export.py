"""Turn tables with images (images, frontals, variants, crops) into a folder of image files for people, with an index.csv.

examples:
  export.py --in results/images/synthetic/*.parquet --role probe --limit 24 --out results/angled/examples/demo/synthetic
  export.py --in results/frontals/synthetic/tddfa/*.parquet --limit 24 --out results/frontal/examples/demo/synthetic/tddfa
  export.py --in results/images/lfw/*.parquet --role reference --out results/GT/paper/lfw \\
      --roles-from results/similarity/lfw/original/scrfd_500m/w600k_mbf.parquet
"""

from __future__ import annotations

from pathlib import Path

from frontalbench import cli, status


def main() -> int:
    parser = cli.parser(__doc__, fromfile_prefix_chars="@")
    parser.add_argument(
        "--in", dest="tables", nargs="+", required=True, metavar="FILE", help="tables with images (@FILE: one name per line)"
    )
    parser.add_argument(
        "--out", type=Path, required=True, metavar="DIR", help="folder to write: a new one, an empty one, or an earlier export"
    )
    parser.add_argument(
        "--role", action="append", default=[], choices=("reference", "probe", "auto", "unused"), help="only this role (repeatable)"
    )
    parser.add_argument(
        "--roles-from", type=Path, metavar="FILE", help="similarity table that says the role of every image (datasets with role auto)"
    )
    parser.add_argument(
        "--status",
        action="append",
        default=[],
        choices=[*sorted(status.ALL), "any"],
        help="only this status (repeatable; default: ok; any: all rows)",
    )
    parser.add_argument("--limit", type=cli.positive, default=0, metavar="N", help="at most N images, from as many people as possible")
    parser.add_argument("--png", action="store_true", help="write upright PNG instead of the bytes as they are")
    arguments = parser.parse_args()
    from frontalbench.plain import export

    statuses = () if "any" in arguments.status else arguments.status or (status.OK,)
    rows = export.choose(arguments.tables, roles=arguments.role, statuses=statuses, limit=arguments.limit, resolved=arguments.roles_from)
    written = export.export(rows, arguments.out, png=arguments.png)
    print(f"{written} images of {len(rows)} rows in {arguments.out}, see {export.INDEX}")
    return 0
