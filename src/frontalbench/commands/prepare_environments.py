"""Make the environments of foreign systems and fetch their repositories, where there is a network.

  prepare_environments.py tddfa_external          one card
  prepare_environments.py                         every card of family external
  prepare_environments.py --check                 look only: what each card lacks, and what to do

Run it on a login node or at your desk, never inside a job. What is there stays; what fails costs only its own card. Installing a package can run
code of whoever made it: read docs/external.md first. Exit code 1 when something is still missing.
"""

from __future__ import annotations

import sys

from frontalbench import cli
from frontalbench.catalogue import cards
from frontalbench.catalogue.external import FAMILY
from frontalbench.weights import foreign


def main() -> int:
    parser = cli.parser(__doc__)
    parser.add_argument("names", nargs="*", metavar="CARD", help="cards of family external (default: all)")
    kind = parser.add_mutually_exclusive_group()
    kind.add_argument("--conda", action="store_const", const=True, help="conda environments, where the adapter has an environment.yaml")
    kind.add_argument("--venv", dest="conda", action="store_const", const=False, help="virtual environments alone")
    parser.add_argument("--check", action="store_true", help="make nothing")
    args = parser.parse_args()
    foreign_cards = [card for kind in ("frontalizer", "enhancement") for card in cards.all_cards(kind) if card.family == FAMILY]
    known = {card.name: card for card in foreign_cards}
    found = [known.get(name) or cards.find("frontalizer", name) for name in args.names] or foreign_cards
    worst = cli.EXIT_OK
    for card in found:
        if args.check:
            done, problems = [], [line for _, line in foreign.lacks(card)]
            done = [] if problems else [f"{card.name}: ready"]
        else:
            made = foreign.prepare(card, conda=args.conda, say=lambda line: print(line, file=sys.stderr, flush=True))
            done, problems = made.done, made.problems
        for line in done:
            print(line, flush=True)
        for line in problems:
            print(f"missing: {line}", file=sys.stderr, flush=True)
        worst = max(worst, int(bool(problems)))
    return worst
