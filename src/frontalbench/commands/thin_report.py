"""Leave points out of the charts of jobs in Snakemake's report, so that the file of a large grid stays small; in place."""

from __future__ import annotations

from pathlib import Path

from frontalbench import cli
from frontalbench.figures import report
from frontalbench.files import atomic


def main() -> int:
    parser = cli.parser(__doc__)
    parser.add_argument("report", type=Path, metavar="FILE", help="report.html as snakemake --report writes it")
    args = parser.parse_args()
    atomic.write_text(args.report, report.thin(args.report.read_text(encoding="utf-8")))
    return cli.EXIT_OK
