"""Does a frontalizer on this machine do what it should? A line per check, on real weights, in about ten seconds (on a processor
up to half a minute for large networks, a minute for FSGAN).

  selftest.py liveportrait                    two shipped images of a synthetic person, turned to the left and to the right
  selftest.py liveportrait --in my_faces      your own images
  selftest.py                                 every frontalizer whose weights are on this machine

Checked are value ranges, that two runs give the same, that the results look ahead and stand upright, keep the light, that the mirrored photograph
gives the mirrored result, and, where any target pose is taken, that a face turned to the pose it has stays what it was. Weights without training
fail. Exit code 1 when a check fails; 2 when nothing could be tested.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

from frontalbench import cli
from frontalbench.catalogue import cards
from frontalbench.catalogue.cards import ModelCard
from frontalbench.console import listing
from frontalbench.errors import BadInput, FrontalbenchError
from frontalbench.frontalize import check, load_frontalizer, selftest
from frontalbench.frontalize.base import View
from frontalbench.plain import folders

TURNED = ("demo/synthetic/synth_10/Angle", "*39.jpg")
"""The self-test's own images: one person, turned to the left and to the right."""


def main() -> int:
    parser = cli.parser(__doc__)
    parser.add_argument("names", nargs="*", metavar="NAME", help="frontalizer cards (default: all whose weights are here)")
    parser.add_argument("--in", dest="source", type=Path, metavar="DIR", help="your own images, with a face in each that is turned away")
    parser.add_argument("--pattern", default="*", help='file names to take from --in, such as "*.png" (default: all images)')
    parser.add_argument("--detector", default="scrfd_500m", metavar="NAME", help="detector that finds the faces (default: scrfd_500m)")
    cli.add_machine_options(parser)
    args = parser.parse_args()
    asked = [cards.find("frontalizer", name) for name in args.names]
    chosen = asked or [card for card in map(_card, listing.rows("frontalizers")) if card and not selftest.refusal(card)]
    if not chosen:
        raise BadInput("no frontalizer has its weights on this machine: frontalbench list frontalizers says what is missing")
    machine = {"threads": args.threads, "device": args.device}
    worst = cli.EXIT_OK
    for card in chosen:
        if len(chosen) > 1:
            print(f"# {card.name}")
        try:
            worst = max(worst, run(card, args.source, args.pattern, args.detector, machine))
        except FrontalbenchError as error:
            if len(chosen) == 1:
                raise
            sys.stderr.write(f"error: {error}\n")
            worst = max(worst, cli.EXIT_BAD_INPUT)
    return worst


def _card(row: listing.Row) -> ModelCard | None:
    """The card of a line of the list, where its weights are on this machine."""
    return cards.find("frontalizer", row.name) if row.weights == "present" else None


def run(card: ModelCard, source: Path | None, pattern: str, detector: str, machine: dict[str, Any]) -> int:
    """Test one frontalizer on the images of ``source`` (None: the shipped ones) and print the checks: 0 when all pass, else 1. Raises BadInput for
    a card that has no self-test, and WeightsMissing."""
    why = selftest.refusal(card)
    if why:
        raise BadInput(f"frontalizer '{card.name}' has no self-test: {why}")
    model = load_frontalizer(card, **machine)
    if source is None:
        source, pattern = cards.project_root() / TURNED[0], TURNED[1]
    with folders.with_faces(source, pattern, detector, **machine) as (shard, faces, _):
        views: list[View] = folders.read_views(shard, faces)
        lines, passed = check.verdict(selftest.checks(model, views))
    cli.said(lines)
    return cli.EXIT_OK if passed else 1
