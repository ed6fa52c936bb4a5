"""Fetch datasets that have a direct address into their folders; for the others say what to fetch by hand, from where.

fetch_dataset.py --dataset lfw cfp        two datasets, each into the folder of its card
fetch_dataset.py --dataset lfw --root DIR
snakemake fetch_datasets                  every dataset of the configuration

A folder that is already there is used as it is. Licences: docs/datasets.md.
"""

from __future__ import annotations

import sys

from frontalbench import cli, datasets
from frontalbench.datasets import download
from frontalbench.errors import BadInput


def main() -> int:
    parser = cli.parser(__doc__)
    parser.add_argument("--dataset", required=True, nargs="+", metavar="NAME", help="cards in config/datasets")
    parser.add_argument("--root", nargs="+", metavar="DIR", help="folders to put them into, as many (default: the cards')")
    args = parser.parse_args()
    roots = args.root or [None] * len(args.dataset)
    if len(roots) != len(args.dataset):
        parser.error(f"{len(args.dataset)} datasets but {len(roots)} folders")
    failed = []
    for name, root in zip(args.dataset, roots, strict=True):
        try:
            fetch(name, root)
        except BadInput as error:  # the others are fetched all the same
            failed.append(str(error))
    if failed:
        raise BadInput("\n".join(failed))
    return cli.EXIT_OK


def fetch(name: str, root: str | None) -> None:
    card = datasets.find(name)
    print(f"{name}: licence: {card.data['licence']['terms']}", file=sys.stderr)
    with cli.Bars() as bars:
        place, done = download.fetch(card, root, progress=bars.show)
    print(f"{place}: {', '.join(done) if done else 'already there, used as it is'}")
