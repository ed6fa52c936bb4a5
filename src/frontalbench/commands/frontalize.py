"""Turn the faces of a folder of pictures (or of a shard) to the front.

On a folder:   frontalize.py --model mesh --in data/Angle_pre --out results/frontal/images
On a shard:    frontalize.py --model mesh --in images.parquet --faces crops.parquet --out frontals.parquet
Self-test:     frontalize.py --model liveportrait --selftest

A folder becomes a folder of frontal views (PNG) and rows.csv with one row per picture, failures included. Keep rows.csv beside the pictures: the
commands that come after read which photograph each view is of, how it has to be aligned, and what failed.
The self-test asks whether the model's weights behave as they should: a line per check, exit code 1 when one fails. It takes two shipped pictures of a
synthetic person, or those of --in.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path

from frontalbench import cli
from frontalbench.catalogue import cards
from frontalbench.catalogue.external import FAMILY
from frontalbench.detect.yaw_alignment import KEY
from frontalbench.errors import BadInput
from frontalbench.frontalize import load_frontalizer
from frontalbench.frontalize.base import Frontalizer, SelfTested
from frontalbench.plain import folders, unpacking
from frontalbench.stages.external import frontalize_external
from frontalbench.stages.frontalize import frontalize_shard
from frontalbench.weights import foreign

TURNED = ("demo/synthetic/synth_10/Angle", "*39.jpg")
"""The self-test's own pictures: one person, turned to the left and to the right."""


def main() -> int:
    parser = cli.parser(__doc__)
    parser.add_argument("--model", required=True, metavar="NAME", help="frontalizer card")
    cli.add_folder_options(parser, needed=False)
    parser.add_argument("--faces", type=Path, metavar="FILE", help="crops table of the same shard (with a shard only)")
    parser.add_argument("--detector", default="scrfd_500m", metavar="NAME", help="detector that finds the face in a folder's pictures")
    parser.add_argument("--selftest", action="store_true", help="check the model's weights instead of writing pictures")
    cli.add_machine_options(parser)
    args = parser.parse_args()
    card = cards.find("frontalizer", args.model)
    machine = {"threads": args.threads, "device": args.device}

    def load() -> Frontalizer:
        return load_frontalizer(card, **machine)

    if args.selftest:
        model = load()
        if not isinstance(model, SelfTested):
            raise BadInput(f"frontalizer '{card.name}' has no self-test; networks with published weights have one (docs/frontalizers.md)")
        source, pattern = (args.source, args.pattern) if args.source else (cards.project_root() / TURNED[0], TURNED[1])
        with folders.with_faces(source, pattern, args.detector, **machine) as (shard, faces, _):
            checks = model.selftest(folders.read_views(shard, faces))
        print(*checks, sep="\n")
        passed = sum(check.passed for check in checks)
        print(f"{passed} of {len(checks)} checks passed")
        return 0 if passed == len(checks) else 1

    if args.source is None or args.out is None:
        raise BadInput("nothing to do: give --in and --out, or --selftest")
    turn: Callable[..., dict[str, int]] = frontalize_external if card.family == FAMILY else frontalize_shard
    if folders.is_shard(args.source):
        return cli.report(turn(args.source, folders.faces_of_shard(args.source, args.faces), args.out, card, load, **machine))
    folders.need_weights(card)
    if card.family == FAMILY:
        foreign.found(card)  # what is missing is said at once, not in every row
    with folders.with_faces(args.source, args.pattern, args.detector, **machine) as (shard, faces, temporary):
        frontals = temporary / "frontals.parquet"
        turn(shard, faces, frontals, card, load, **machine)
        counts = unpacking.unpack(frontals, args.out, source=shard, frontalizer=card.name)
    if KEY in card.params:
        sys.stderr.write(
            f"note: what {card.name} changes is the crop around the face: extract_embeddings.py and preprocess.py make it, as long as "
            f"{args.out / folders.ROWS} lies beside the pictures\n"
        )
    return cli.report(counts)
