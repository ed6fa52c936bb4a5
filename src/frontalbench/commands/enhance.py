"""Post-process images: sharpen, remove the background, upscale, or a chain of these.

On a folder:   enhance.py --chain sharp+omit_bg --in results/frontal/images --out results/frontal/sharp
On a shard:    enhance.py --chain sharp+omit_bg --in frontals.parquet --out variants.parquet

Steps that look at the photograph (color, identity_refine) want --photographs: the folder that the frontals were made from (their rows.csv says which
file is which), or the images shard. --before_after DIR also writes every image before and after under the same name.
"""

from __future__ import annotations

from pathlib import Path

from frontalbench import cli
from frontalbench.enhance import chain_cards, digest, load_enhancement, load_finisher
from frontalbench.enhance.chain import JOIN
from frontalbench.errors import BadInput
from frontalbench.plain import folders, unpacking
from frontalbench.stages.enhance import enhance_shard, finish_shard


def main() -> int:
    parser = cli.parser(__doc__)
    parser.add_argument("--chain", required=True, metavar="NAME", help="enhancement card, or several joined by +")
    parser.add_argument("--photographs", type=Path, metavar="DIR", help="folder (or .parquet shard) of what the images were made of")
    parser.add_argument("--before_after", type=Path, metavar="DIR", help="also write DIR/before and DIR/after")
    cli.add_folder_options(parser)
    parser.add_argument(
        "--after", default="", metavar="CHAIN", help="the first steps of --chain, where the shard's images have them behind them"
    )
    parser.add_argument(
        "--drawn", type=Path, metavar="FILE", help="what draw_faces.py made of the same shard for the one step that is left"
    )
    cli.add_machine_options(parser)
    args = parser.parse_args()
    steps = args.chain.split(JOIN)
    done = args.after.split(JOIN) if args.after else []
    left = JOIN.join(steps[len(done) :])
    if steps[: len(done)] != done or not left:
        raise BadInput(f"--after {args.after}: not the first steps of --chain {args.chain}")
    if not folders.is_shard(args.source) and (args.drawn or args.after):
        raise BadInput("--drawn and --after go with a shard, not with a folder")
    about = {"after": args.after, "threads": args.threads}

    def run(images: Path, out: Path, photographs: Path | None) -> dict[str, int]:
        if args.drawn:
            return finish_shard(images, args.drawn, out, args.chain, digest(args.chain), lambda: load_finisher(left), **about)
        return enhance_shard(
            images,
            out,
            args.chain,
            digest(args.chain),
            lambda: load_enhancement(left, threads=args.threads, device=args.device),
            photographs=photographs,
            device=args.device,
            **about,
        )

    if folders.is_shard(args.source):
        counts = run(args.source, args.out, args.photographs)
        if args.before_after is not None:
            unpacking.unpack_before_after(args.source, args.out, args.before_after, enhancement=left)
        return cli.report(counts)
    folders.need_weights(*chain_cards(args.chain))
    with folders.as_shard(args.source, args.pattern) as (shard, temporary):
        made = temporary / "out.parquet"
        beside = folders.photographs_beside(shard, args.photographs, temporary) if args.photographs is not None else None
        run(shard, made, beside)
        if args.before_after is not None:
            unpacking.unpack_before_after(shard, made, args.before_after, source=shard, enhancement=args.chain)
        return cli.report(unpacking.unpack(made, args.out, source=shard, enhancement=args.chain))
