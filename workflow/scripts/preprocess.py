#!/usr/bin/env python3
"""Detect faces, choose one per picture, align it to the 112 x 112 template.

On a folder:   preprocess.py --in data/Angle --out data/Angle_pre --align
On a shard:    preprocess.py --in images.parquet --out crops.parquet --detector scrfd_500m

A folder of pictures becomes a folder of aligned crops (PNG) and rows.csv: one row per picture, with status, box, points and score.
Without --align only rows.csv is written.
"""

from __future__ import annotations

from pathlib import Path

from frontalbench import cards, cli, folders, tables
from frontalbench.detect import load_detector
from frontalbench.detect.select import DEFAULT_POLICY, POLICIES
from frontalbench.stages.detect import detect_shard


def main() -> int:
    parser = cli.parser(__doc__)
    parser.add_argument("--in", dest="source", type=Path, required=True, metavar="DIR", help="folder of pictures, or a Parquet shard")
    parser.add_argument("--out", type=Path, required=True, metavar="DIR", help="folder (or .parquet) to write")
    parser.add_argument("--detector", default="scrfd_500m", metavar="NAME", help="detector card (default: scrfd_500m)")
    parser.add_argument(
        "--policy", choices=sorted(POLICIES), default=DEFAULT_POLICY, help=f"which face of several (default: {DEFAULT_POLICY})"
    )
    parser.add_argument("--pattern", default="*", help='file names to take from a folder, such as "*.png" (default: all pictures)')
    parser.add_argument("--align", action="store_true", help="also write the aligned crops of a folder")
    cli.add_machine_options(parser)
    args = parser.parse_args()
    card = cards.find("detector", args.detector)

    def run(pictures: Path, out: Path) -> dict[str, int]:
        return detect_shard(
            pictures,
            out,
            card,
            lambda: load_detector(card, device=args.device),
            policy=args.policy,
            threads=args.threads,
            device=args.device,
        )

    if folders.is_shard(args.source):
        counts = run(args.source, args.out)
    else:
        with folders.as_shard(args.source, args.pattern) as (shard, temporary):
            crops = temporary / "crops.parquet"
            counts = run(shard, crops)
            if args.align:
                folders.unpack(crops, args.out)
            rows = tables.read(crops, tables.CROPS, [name for name in tables.CROPS.names if name != "image"]).to_pylist()
            header = [
                "image_id",
                "status",
                "detail",
                "score",
                "n_faces",
                "x1",
                "y1",
                "x2",
                "y2",
                *(f"point{i}_{a}" for i in range(1, 6) for a in "xy"),
            ]
            folders.write_rows(
                args.out / folders.ROWS,
                header,
                [
                    [
                        r["image_id"],
                        r["status"],
                        r["detail"],
                        r["score"],
                        r["n_faces"],
                        *(r["box"] or [None] * 4),
                        *(r["points"] or [None] * 10),
                    ]
                    for r in rows
                ],
            )
    return cli.report(counts)


if __name__ == "__main__":
    cli.run(main)
