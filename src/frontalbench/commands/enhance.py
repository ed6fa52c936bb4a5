"""Post-process pictures: sharpen, remove the background, upscale, or a chain of these.

On a folder:   enhance.py --chain sharp+omit_bg --in results/frontal/images --out results/frontal/sharp
On a shard:    enhance.py --chain sharp+omit_bg --in frontals.parquet --out variants.parquet

Steps that look at the photograph (color, identity_refine) want --photographs: the folder that the frontals were made from (their rows.csv says which
file is which), or the images shard. --before_after DIR also writes every picture before and after under the same name.
"""

from __future__ import annotations

from pathlib import Path

from frontalbench import cli
from frontalbench.enhance import chain_cards, digest, load_enhancement
from frontalbench.plain import folders
from frontalbench.stages.enhance import enhance_shard


def main() -> int:
    parser = cli.parser(__doc__)
    parser.add_argument("--chain", required=True, metavar="NAME", help="enhancement card, or several joined by +")
    parser.add_argument("--photographs", type=Path, metavar="DIR", help="folder (or .parquet shard) of what the pictures were made of")
    parser.add_argument("--before_after", type=Path, metavar="DIR", help="also write DIR/before and DIR/after")
    cli.add_folder_options(parser)
    cli.add_machine_options(parser)
    args = parser.parse_args()

    def run(pictures: Path, out: Path, photographs: Path | None) -> dict[str, int]:
        return enhance_shard(
            pictures,
            out,
            args.chain,
            digest(args.chain),
            lambda: load_enhancement(args.chain, threads=args.threads, device=args.device),
            photographs=photographs,
            threads=args.threads,
            device=args.device,
        )

    if folders.is_shard(args.source):
        counts = run(args.source, args.out, args.photographs)
        if args.before_after is not None:
            folders.unpack_before_after(args.source, args.out, args.before_after)
        return cli.report(counts)
    folders.need_weights(*chain_cards(args.chain))
    with folders.as_shard(args.source, args.pattern) as (shard, temporary):
        made = temporary / "out.parquet"
        beside = folders.photographs_beside(shard, args.photographs, temporary) if args.photographs is not None else None
        run(shard, made, beside)
        if args.before_after is not None:
            folders.unpack_before_after(shard, made, args.before_after)
        return cli.report(folders.unpack(made, args.out, source=shard))
