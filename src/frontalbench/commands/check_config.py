"""Check a configuration before a long run: one line for each problem, with file, line and key, and what it would run.

check_config.py                                        config/config.yaml
check_config.py my.yaml                                my.yaml laid over config/config.yaml, as --configfile my.yaml does
check_config.py my.yaml --config 'datasets=[{name: lfw, limit: 20}]'

Snakemake reads a --configfile before anything of this project runs: of one that is not there it shows a stack trace, and of broken YAML neither
file nor line. This says both.
"""

from __future__ import annotations

from pathlib import Path

from frontalbench import cli
from frontalbench.catalogue import cards
from frontalbench.plan import configuration
from frontalbench.plan.plan import Plan


def main() -> int:
    parser = cli.parser(__doc__)
    parser.add_argument("files", nargs="*", type=Path, metavar="FILE", help="configurations laid over config/config.yaml, in this order")
    parser.add_argument("--config", nargs="*", default=[], metavar="KEY=VALUE", help="as Snakemake's --config")
    args = parser.parse_args()
    base = configuration.checked_configuration(cards.project_root())
    layers = configuration.configuration_layers([base, *args.files], configuration.read_pairs(args.config))
    plan = Plan(configuration.merged(layers), layers=layers)
    plan.sources.check()
    print(plan.describe())
    return cli.EXIT_OK
