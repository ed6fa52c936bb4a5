#!/usr/bin/env python3
"""Embed faces with a recognition backbone.

On a folder:   extract_embeddings.py --detector scrfd_500m --backbone w600k_mbf --in data/ --out results/embeddings
On a shard:    extract_embeddings.py --backbone w600k_mbf --in crops.parquet --out embeddings.parquet

A folder gives OUT/embeddings.parquet: image_id, identity, status, detector score, norm and the L2-normalised embedding, one row per picture.
"""

from __future__ import annotations

from pathlib import Path

from frontalbench import cards, cli, folders
from frontalbench.detect import load_detector
from frontalbench.detect.select import DEFAULT_POLICY, POLICIES
from frontalbench.embed import load_backbone
from frontalbench.stages.detect import detect_shard
from frontalbench.stages.embed import embed_shard


def main() -> int:
    parser = cli.parser(__doc__)
    parser.add_argument("--backbone", required=True, metavar="NAME", help="backbone card")
    parser.add_argument("--detector", default="scrfd_500m", metavar="NAME", help="detector card, for a folder (default: scrfd_500m)")
    parser.add_argument(
        "--policy", choices=sorted(POLICIES), default=DEFAULT_POLICY, help=f"which face of several (default: {DEFAULT_POLICY})"
    )
    parser.add_argument("--in", dest="source", type=Path, required=True, metavar="DIR", help="folder of pictures, or a Parquet crops table")
    parser.add_argument("--out", type=Path, required=True, metavar="DIR", help="folder (or .parquet) to write")
    parser.add_argument("--pattern", default="*", help='file names to take from a folder, such as "*.png" (default: all pictures)')
    cli.add_machine_options(parser)
    args = parser.parse_args()
    card = cards.find("backbone", args.backbone)

    def run(crops: Path, out: Path) -> dict[str, int]:
        return embed_shard(
            crops,
            out,
            card,
            lambda: load_backbone(card, threads=args.threads, device=args.device),
            threads=args.threads,
            device=args.device,
        )

    if folders.is_shard(args.source):
        return cli.report(run(args.source, args.out))
    with folders.as_shard(args.source, args.pattern) as (shard, temporary):
        detector = cards.find("detector", args.detector)
        crops = temporary / "crops.parquet"
        detect_shard(
            shard,
            crops,
            detector,
            lambda: load_detector(detector, device=args.device),
            policy=args.policy,
            threads=args.threads,
        )
        return cli.report(run(crops, args.out / "embeddings.parquet"))


if __name__ == "__main__":
    cli.run(main)
