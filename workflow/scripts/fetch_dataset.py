#!/usr/bin/env python3
"""Fetch a dataset that has a direct address into its folder; for the others say what to fetch by hand, from where.

A folder that is already there is used as it is. Licences: docs/datasets.md.
"""

from __future__ import annotations

import sys

from frontalbench import cli, datasets
from frontalbench.datasets import download


def main() -> int:
    parser = cli.parser(__doc__)
    parser.add_argument("--dataset", required=True, metavar="NAME", help="a card in config/datasets")
    parser.add_argument("--root", metavar="DIR", help="folder to put it into (default: the card's)")
    args = parser.parse_args()
    card = datasets.find(args.dataset)
    print(f"licence: {card.data['licence']['terms']}", file=sys.stderr)
    with Bar() as bar:
        root, done = download.fetch(card, args.root, progress=bar.show)
    print(f"{root}: {', '.join(done) if done else 'already there, used as it is'}")
    return cli.EXIT_OK


class Bar:
    """One progress bar per file, on a terminal only."""

    def __init__(self) -> None:
        self._bar: object = None
        self._label = ""

    def __enter__(self) -> Bar:
        return self

    def show(self, label: str, done: int, total: int | None) -> None:
        if not sys.stderr.isatty():
            return
        from tqdm import tqdm

        if label != self._label:
            self.__exit__()
            self._bar, self._label = tqdm(total=total, unit="B", unit_scale=True, desc=label[:12], leave=False), label
        assert isinstance(self._bar, tqdm)
        self._bar.update(done - self._bar.n)

    def __exit__(self, *_: object) -> None:
        if self._bar is not None:
            self._bar.close()  # type: ignore[attr-defined]


if __name__ == "__main__":
    cli.run(main)
