"""Frontalize every image of a folder, with the command line of the study's edited LivePortrait.

    inference.py --source_dir input --source_pattern "*.png" -o out --frontalize
    inference.py --source_dir input -o out --frontalize --model tddfa --enhance sharp --side_by_side

    inference.py --source_dir input -o out --frontalize --paste_back

Writes one PNG per image and rows.csv (one row per image, failures included); --side_by_side puts the photograph beside its frontal view, --paste_back
gives the whole photograph with the turned face in it (an enhancement then runs over all of it).
"""

from __future__ import annotations

from pathlib import Path

from frontalbench import cli
from frontalbench.catalogue import cards
from frontalbench.enhance import chain_cards, digest, load_enhancement
from frontalbench.errors import BadInput
from frontalbench.frontalize import load_frontalizer
from frontalbench.frontalize.base import Frontalizer
from frontalbench.frontalize.pasting import SEAMS, SOFT, Pasting
from frontalbench.plain import folders, unpacking
from frontalbench.stages.enhance import enhance_shard
from frontalbench.stages.frontalize import frontalize_shard


def main() -> int:
    parser = cli.parser(__doc__)
    parser.add_argument("--source_dir", type=Path, required=True, metavar="DIR", help="folder of photographs")
    parser.add_argument("--source_pattern", default="*", help='file names to take, such as "*.png" (default: all images)')
    parser.add_argument("-o", "--output_dir", type=Path, required=True, metavar="DIR", help="folder to write")
    parser.add_argument("--frontalize", action="store_true", help="turn the faces to the front")
    parser.add_argument("--model", default="mesh", metavar="NAME", help="frontalizer card (default: mesh)")
    parser.add_argument("--enhance", default="none", metavar="CHAIN", help="enhancement card, or several joined by + (default: none)")
    parser.add_argument("--detector", default="scrfd_500m", metavar="NAME", help="detector card (default: scrfd_500m)")
    parser.add_argument(
        "--paste_back",
        nargs="?",
        const=SOFT,
        choices=SEAMS,
        help="put the turned face back into the whole photograph, under a soft mask (default) or without a seam in its colours (poisson)",
    )
    parser.add_argument("--side_by_side", action="store_true", help="write photo and frontal view next to each other")
    cli.add_machine_options(parser)
    args = parser.parse_args()
    if not args.frontalize and args.enhance == "none":
        raise BadInput("nothing to do: give --frontalize, or --enhance with a chain, or both")
    if args.paste_back and not args.frontalize:
        raise BadInput("--paste_back needs --frontalize: without it there is no turned face to put back")
    model = cards.find("frontalizer", args.model if args.frontalize else "identity")

    def load() -> Frontalizer:
        frontalizer = load_frontalizer(model, **machine)
        return Pasting(frontalizer, args.paste_back) if args.paste_back else frontalizer

    machine = {"threads": args.threads, "device": args.device}
    folders.need_weights(model, *chain_cards(args.enhance))
    with folders.with_faces(args.source_dir, args.source_pattern, args.detector, **machine) as (shard, faces, temporary):
        frontals, out = temporary / "frontals.parquet", temporary / "out.parquet"
        frontalize_shard(shard, faces, frontals, model, load, **machine)
        enhance_shard(
            frontals,
            out,
            args.enhance,
            digest(args.enhance),
            lambda: load_enhancement(args.enhance, **machine),
            photographs=shard,
            **machine,
        )
        counts = unpacking.unpack(
            out,
            args.output_dir,
            source=shard,
            frontalizer=model.name if args.frontalize else "",
            beside=shard if args.side_by_side else None,
        )
    return cli.report(counts)
