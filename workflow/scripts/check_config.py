#!/usr/bin/env python3
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
from frontalbench.plan import plan as workflow


def main() -> int:
    parser = cli.parser(__doc__)
    parser.add_argument("files", nargs="*", type=Path, metavar="FILE", help="configurations laid over config/config.yaml, in this order")
    parser.add_argument("--config", nargs="*", default=[], metavar="KEY=VALUE", help="as Snakemake's --config")
    args = parser.parse_args()
    base = workflow.checked_configuration(cards.project_root())
    layers = workflow.configuration_layers([base, *args.files], workflow.read_pairs(args.config))
    plan = workflow.Plan(workflow.merged(layers), layers=layers)
    plan.check_datasets()
    print(plan.describe())
    return cli.EXIT_OK


if __name__ == "__main__":
    cli.run(main)
