"""Post-process pictures: sharpen, remove the background, upscale, or a chain of these.

On a folder:   enhance.py --chain sharp+omit_bg --in results/frontal/images --out results/frontal/sharp
On a shard:    enhance.py --chain sharp+omit_bg --in frontals.parquet --out variants.parquet
"""

from __future__ import annotations

from pathlib import Path

from frontalbench import cli
from frontalbench.enhance import chain_cards, digest, load_enhancement, load_finisher
from frontalbench.enhance.chain import JOIN
from frontalbench.errors import BadInput
from frontalbench.plain import folders
from frontalbench.stages.enhance import enhance_shard, finish_shard


def main() -> int:
    parser = cli.parser(__doc__)
    parser.add_argument("--chain", required=True, metavar="NAME", help="enhancement card, or several joined by +")
    cli.add_folder_options(parser)
    parser.add_argument(
        "--after", default="", metavar="CHAIN", help="the first steps of --chain, where the shard's pictures have them behind them"
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

    def run(pictures: Path, out: Path) -> dict[str, int]:
        if args.drawn:
            return finish_shard(pictures, args.drawn, out, args.chain, digest(args.chain), lambda: load_finisher(left), **about)
        return enhance_shard(
            pictures,
            out,
            args.chain,
            digest(args.chain),
            lambda: load_enhancement(left, threads=args.threads, device=args.device),
            device=args.device,
            **about,
        )

    if folders.is_shard(args.source):
        return cli.report(run(args.source, args.out))
    folders.need_weights(*chain_cards(args.chain))
    with folders.as_shard(args.source, args.pattern) as (shard, temporary):
        run(shard, temporary / "out.parquet")
        return cli.report(folders.unpack(temporary / "out.parquet", args.out, source=shard))
