"""Build the static site from the master tables: pages that open from a folder, without a server and without a network.

examples:
  build_site.py --master results/master/demo --out reports/demo/site
  build_site.py --master results/master/demo --figures results/figures/demo --in @files.txt --out reports/demo/site      # with figures and people
"""

from __future__ import annotations

from pathlib import Path

from frontalbench import cli
from frontalbench.figures import inputs
from frontalbench.plan import grid
from frontalbench.site import build, master
from frontalbench.tabulate import asked, cost


def main() -> int:
    parser = cli.parser(__doc__, fromfile_prefix_chars="@")
    parser.add_argument("--master", type=Path, required=True, metavar="DIR", help="folder of the master tables")
    parser.add_argument(
        "--out", type=Path, required=True, metavar="DIR", help="folder to write: a new one, an empty one, or an earlier site"
    )
    parser.add_argument(
        "--figures", type=Path, metavar="DIR", help="folder of the figures (a folder per dataset), to be shown on the pages"
    )
    parser.add_argument("--cost", type=Path, metavar="DIR", help="folder of the cost tables, to be shown on the pages")
    parser.add_argument("--search", type=Path, metavar="DIR", help="folder of the tables of the search, for a page of their own")
    parser.add_argument("--slices", type=Path, metavar="DIR", help="folder of the tables of slices, for a page of their own")
    parser.add_argument(
        "--over-time", type=Path, metavar="DIR", help="folder of the tables of sequences over time, for a page of their own"
    )
    source = parser.add_mutually_exclusive_group()
    source.add_argument(
        "--in", dest="files", nargs="+", default=[], metavar="FILE", help="tables of the run, for the probe browser (@FILE: one per line)"
    )
    cli.add_grid_option(source)
    parser.add_argument(
        "--people", type=cli.positive, default=12, metavar="N", help="people per dataset in the probe browser (default: 12)"
    )
    arguments = parser.parse_args()
    files = arguments.files
    judges: list[tuple[str, str]] = []
    if arguments.grid:
        chosen = grid.Selection.from_json(arguments.grid)
        files = [*chosen.similarity(), *chosen.images()]
        judges = chosen.judges()
    found = inputs.by_dataset(files)
    site = build.Site(
        master.read(arguments.master, judges or [judge for one in found.values() for judge in one.judges]),
        arguments.out,
        inputs=found,
        figures=arguments.figures,
        costs=cost.read(arguments.cost) if arguments.cost else {},
        people=arguments.people,
        search=asked.read(arguments.search, asked.SEARCH) if arguments.search else {},
        slices=asked.read(arguments.slices, asked.SLICES) if arguments.slices else {},
        over_time=asked.read(arguments.over_time, asked.OVER_TIME) if arguments.over_time else {},
    )
    written = site.build()
    print(f"{len(written)} files in {arguments.out}; open {arguments.out / 'index.html'}")
    return 0
