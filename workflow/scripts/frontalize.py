#!/usr/bin/env python3
"""Turn the faces of a folder of pictures (or of a shard) to the front.

On a folder:   frontalize.py --model mesh --in data/Angle_pre --out results/frontal/images
On a shard:    frontalize.py --model mesh --in images.parquet --faces crops.parquet --out frontals.parquet

A folder becomes a folder of frontal views (PNG) and rows.csv with one row per picture, failures included.
"""

from __future__ import annotations

from pathlib import Path

from frontalbench import cards, cli, folders
from frontalbench.detect import load_detector
from frontalbench.errors import BadInput
from frontalbench.frontalize import load_frontalizer
from frontalbench.stages.detect import detect_shard
from frontalbench.stages.frontalize import frontalize_shard


def main() -> int:
    parser = cli.parser(__doc__)
    parser.add_argument("--model", required=True, metavar="NAME", help="frontalizer card")
    parser.add_argument("--in", dest="source", type=Path, required=True, metavar="DIR", help="folder of pictures, or a Parquet shard")
    parser.add_argument("--faces", type=Path, metavar="FILE", help="crops table of the same shard (with a shard only)")
    parser.add_argument("--out", type=Path, required=True, metavar="DIR", help="folder (or .parquet) to write")
    parser.add_argument("--detector", default="scrfd_500m", metavar="NAME", help="detector that finds the face in a folder's pictures")
    parser.add_argument("--pattern", default="*", help='file names to take from a folder, such as "*.png" (default: all pictures)')
    cli.add_machine_options(parser)
    args = parser.parse_args()
    card = cards.find("frontalizer", args.model)

    def run(pictures: Path, faces: Path, out: Path) -> dict[str, int]:
        return frontalize_shard(
            pictures,
            faces,
            out,
            card,
            lambda: load_frontalizer(card, threads=args.threads, device=args.device),
            threads=args.threads,
            device=args.device,
        )

    if folders.is_shard(args.source):
        if args.faces is None:
            raise BadInput(f"{args.source}: a shard needs --faces, the crops table that preprocess.py wrote for it")
        return cli.report(run(args.source, args.faces, args.out))
    with folders.as_shard(args.source, args.pattern) as (shard, temporary):
        detector = cards.find("detector", args.detector)
        faces = temporary / "faces.parquet"
        detect_shard(shard, faces, detector, lambda: load_detector(detector, device=args.device), threads=args.threads)
        run(shard, faces, temporary / "frontals.parquet")
        return cli.report(folders.unpack(temporary / "frontals.parquet", args.out))


if __name__ == "__main__":
    cli.run(main)
