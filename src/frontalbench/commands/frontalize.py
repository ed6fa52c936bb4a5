"""Turn the faces of a folder of images (or of a shard) to the front.

On a folder:   frontalize.py --model mesh --in data/Angle_pre --out results/frontal/images
On a shard:    frontalize.py --model mesh --in images.parquet --faces crops.parquet --out frontals.parquet
On a clip:     frontalize.py --model tddfa --in clip.mp4 --out clip_front.mp4
Self-test:     frontalize.py --model liveportrait --selftest

A folder becomes a folder of frontal views (PNG) and rows.csv with one row per image, failures included. Keep rows.csv beside the images: the
commands that come after read which photograph each view is of, how it has to be aligned, and what failed. A card of family multiview
makes one view of all images in a person's folder, and writes it under each one's name.
A clip (mp4, mov, avi, mkv, webm, gif) becomes a clip, and clip_front.mp4.csv has a row per frame (docs/sequences.md).
The self-test (also: frontalbench selftest NAME) asks whether the model's weights behave as they should: a line per check, exit code 1 when one
fails. It takes two shipped images of a synthetic person, or those of --in.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

from frontalbench import cli
from frontalbench.catalogue import cards
from frontalbench.catalogue.cards import ModelCard
from frontalbench.catalogue.external import FAMILY
from frontalbench.detect import load_detector
from frontalbench.detect.yaw_alignment import KEY
from frontalbench.embed import load_backbone
from frontalbench.errors import BadInput
from frontalbench.frontalize import load_frontalizer
from frontalbench.frontalize.base import Frontalizer
from frontalbench.frontalize.multiview import FAMILY as MULTIVIEW
from frontalbench.frontalize.pasting import SEAMS, SOFT, Pasting
from frontalbench.plain import clips, folders, unpacking
from frontalbench.sequences import video
from frontalbench.stages.external import frontalize_external
from frontalbench.stages.frontalize import frontalize_shard
from frontalbench.stages.views import frontalize_views
from frontalbench.weights import foreign


def main() -> int:
    parser = cli.parser(__doc__)
    parser.add_argument("--model", required=True, metavar="NAME", help="frontalizer card")
    cli.add_folder_options(parser, needed=False)
    parser.add_argument("--faces", type=Path, metavar="FILE", help="crops table of the same shard (with a shard only)")
    parser.add_argument("--detector", default="scrfd_500m", metavar="NAME", help="detector that finds the face in a folder's images")
    parser.add_argument("--every", type=cli.positive, default=1, metavar="N", help="of a clip take every N-th frame (default: 1)")
    parser.add_argument("--from", dest="first", type=float, default=0.0, metavar="SECONDS", help="of a clip: where to begin")
    parser.add_argument("--to", dest="last", type=float, metavar="SECONDS", help="of a clip: where to end")
    parser.add_argument(
        "--judge", default="", metavar="NAME", help="of a clip: the backbone that says whether every frame keeps the person"
    )
    parser.add_argument(
        "--page", type=Path, metavar="FILE", help="of a clip: an HTML page with both clips, a strip of frames and the judge's curve"
    )
    parser.add_argument(
        "--paste_back",
        nargs="?",
        const=SOFT,
        choices=SEAMS,
        help="of a clip: put the turned face back into the whole frame, under a soft mask (default) or without a seam in its colours (poisson)",
    )
    parser.add_argument("--selftest", action="store_true", help="check the model's weights instead of writing images")
    cli.add_machine_options(parser)
    args = parser.parse_args()
    card = cards.find("frontalizer", args.model)
    machine = {"threads": args.threads, "device": args.device}

    def load() -> Frontalizer:
        return load_frontalizer(card, **machine)

    if args.selftest:
        from frontalbench.commands import selftest  # brings torch, which no job of a frontalizer without a network needs

        return selftest.run(card, args.source, args.pattern, args.detector, machine)

    if args.source is None or args.out is None:
        raise BadInput("nothing to do: give --in and --out, or --selftest")
    if args.paste_back and not video.is_clip(args.source):
        raise BadInput("--paste_back is for clips here; of photographs: inference.py --frontalize --paste_back")
    if video.is_clip(args.source):
        return _clip(args, card, load, machine)
    ways: dict[str, Callable[..., dict[str, int]]] = {FAMILY: frontalize_external, MULTIVIEW: frontalize_views}
    turn = ways.get(card.family, frontalize_shard)
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
            f"{args.out / folders.ROWS} lies beside the images\n"
        )
    return cli.report(counts)


def _clip(args: argparse.Namespace, card: ModelCard, load: Callable[[], Frontalizer], machine: dict[str, Any]) -> int:
    """Turn the faces of a clip."""
    if card.family in (FAMILY, MULTIVIEW):
        raise BadInput(f"frontalizer '{card.name}' does not turn single frames, so it takes no clip; one of mesh, tddfa does")
    detector = cards.find("detector", args.detector)
    named = [cards.find("backbone", args.judge)] if args.judge else []
    folders.need_weights(card, detector, *named)
    finder = load_detector(detector, device=args.device)
    judge = clips.Judge(finder, load_backbone(named[0], **machine)) if named else None

    def watched(frames: Iterable[video.Frame], label: str) -> Iterable[video.Frame]:
        return cli.progress(frames, label=label, unit="frame")

    span = {"every": args.every, "first": args.first, "last": args.last}
    model: Frontalizer = Pasting(load(), args.paste_back) if args.paste_back else load()
    counts, notes = clips.frontalize_clip(args.source, args.out, finder, model, judge=judge, page=args.page, progress=watched, **span)
    for note in notes:
        sys.stderr.write(f"note: {note}\n")
    return cli.report(counts)
