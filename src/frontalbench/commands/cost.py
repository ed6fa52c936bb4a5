"""What frontalizers and enhancements cost on this machine, and the comparison of frontalizers: speed, quality, installation, GPU, notes.

example:
  cost.py --grid JSON --locator scrfd_500m --master results/master/demo --out results/cost/demo      # JSON: what the rules pass
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from frontalbench import cli, tables
from frontalbench.plan import grid
from frontalbench.plan.variant import ORIGINAL
from frontalbench.tabulate import cost
from frontalbench.tabulate.columns import schema


def main() -> int:
    parser = cli.parser(__doc__)
    cli.add_grid_option(parser, required=True)
    parser.add_argument(
        "--locator", default="scrfd_500m", metavar="NAME", help="detector that finds faces for frontalizers (default: scrfd_500m)"
    )
    parser.add_argument("--master", type=Path, required=True, metavar="DIR", help="folder of the master tables")
    parser.add_argument("--out", type=Path, required=True, metavar="DIR", help="folder to write")
    args = parser.parse_args()
    chosen = grid.Selection.from_json(args.grid)
    made = [
        cost.Made(
            dataset,
            variant,
            [Path(grid.images_path(dataset, variant, shard)) for shard in shards],
            [Path(grid.benchmark_path(dataset, variant, shard)) for shard in shards],
            there(grid.crops_path(dataset, ORIGINAL, args.locator, shard) for shard in shards),
            there(grid.crops_path(dataset, variant, detector, shard) for detector in chosen.detectors for shard in shards),
        )
        for dataset, shards in chosen.datasets.items()
        for variant in chosen.variants
        if variant != ORIGINAL
    ]
    costs = [cost.cost_row(one) for one in made]
    gains, quality = (tables.read(args.master / f"{name}.parquet", schema(name)).to_pylist() for name in ("table1_net_gain", "quality"))
    cost.write(args.out, costs, cost.comparison_rows(costs, gains, quality))
    print(f"{len(costs)} variants in {args.out}")
    return 0


def there(paths: Iterable[str]) -> list[Path]:
    """Those of ``paths`` that exist."""
    return [path for path in map(Path, paths) if path.is_file()]
