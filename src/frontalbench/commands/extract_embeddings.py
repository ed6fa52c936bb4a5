"""Embed faces with a recognition backbone.

On a folder:   extract_embeddings.py --detector scrfd_500m --backbone w600k_mbf --in data/ --out results/embeddings
On a shard:    extract_embeddings.py --backbone w600k_mbf --in crops.parquet --out embeddings.parquet

A folder gives OUT/embeddings.parquet: image_id, identity, status, detector score, norm and the L2-normalised embedding, one row per image, and
OUT/rows.csv: status and, for views that other commands made, the photograph and the frontalizer. What a rows.csv in the folder lists without a file
(a photograph of which no view could be made) is a row with its status.
"""

from __future__ import annotations

from pathlib import Path

from frontalbench import cli
from frontalbench.catalogue import cards
from frontalbench.detect.select import DEFAULT_POLICY, POLICIES
from frontalbench.embed import load_backbone
from frontalbench.plain import folders, unpacking
from frontalbench.stages.embed import embed_shard


def main() -> int:
    parser = cli.parser(__doc__)
    parser.add_argument("--backbone", required=True, metavar="NAME", help="backbone card")
    parser.add_argument("--detector", default="scrfd_500m", metavar="NAME", help="detector card, for a folder (default: scrfd_500m)")
    parser.add_argument(
        "--policy", choices=sorted(POLICIES), default=DEFAULT_POLICY, help=f"which face of several (default: {DEFAULT_POLICY})"
    )
    cli.add_folder_options(parser)
    cli.add_machine_options(parser)
    args = parser.parse_args()
    card = cards.find("backbone", args.backbone)

    machine = {"threads": args.threads, "device": args.device}

    def run(crops: Path, out: Path) -> dict[str, int]:
        return embed_shard(crops, out, card, lambda: load_backbone(card, **machine), **machine)

    if folders.is_shard(args.source):
        return cli.report(run(args.source, args.out))
    folders.need_weights(card)
    with folders.with_faces(args.source, args.pattern, args.detector, policy=args.policy, for_backbone=True, **machine) as (
        shard,
        crops,
        _,
    ):
        counts = run(crops, args.out / "embeddings.parquet")
        unpacking.write_embedded(args.out, shard)
    return cli.report(counts)
