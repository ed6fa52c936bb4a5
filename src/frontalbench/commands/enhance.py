"""Post-process pictures: sharpen, remove the background, upscale, or a chain of these.

On a folder:   enhance.py --chain sharp+omit_bg --in results/frontal/images --out results/frontal/sharp
On a shard:    enhance.py --chain sharp+omit_bg --in frontals.parquet --out variants.parquet
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
    cli.add_folder_options(parser)
    cli.add_machine_options(parser)
    args = parser.parse_args()

    def run(pictures: Path, out: Path) -> dict[str, int]:
        return enhance_shard(
            pictures,
            out,
            args.chain,
            digest(args.chain),
            lambda: load_enhancement(args.chain, threads=args.threads, device=args.device),
            threads=args.threads,
            device=args.device,
        )

    if folders.is_shard(args.source):
        return cli.report(run(args.source, args.out))
    folders.need_weights(*chain_cards(args.chain))
    with folders.as_shard(args.source, args.pattern) as (shard, temporary):
        run(shard, temporary / "out.parquet")
        return cli.report(folders.unpack(temporary / "out.parquet", args.out, source=shard))
