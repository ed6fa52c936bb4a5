"""Detect faces, choose one per image, align it to the 112 x 112 template.

On a folder:   preprocess.py --in data/Angle --out data/Angle_pre --align
On a shard:    preprocess.py --in images.parquet --out crops.parquet --detector scrfd_500m

A folder of images becomes a folder of aligned crops (PNG) and rows.csv: one row per image, with status, box, points and score.
Without --align only rows.csv is written.
"""

from __future__ import annotations

from collections import Counter

from frontalbench import cli, tables
from frontalbench.catalogue import cards
from frontalbench.detect import Detector, load_detector
from frontalbench.detect.select import DEFAULT_POLICY, POLICIES
from frontalbench.detect.yaw_alignment import aligned_for
from frontalbench.plain import folders, unpacking
from frontalbench.stages.detect import detect_shard


def main() -> int:
    parser = cli.parser(__doc__)
    cli.add_folder_options(parser)
    parser.add_argument("--detector", default="scrfd_500m", metavar="NAME", help="detector card (default: scrfd_500m)")
    parser.add_argument(
        "--policy", choices=sorted(POLICIES), default=DEFAULT_POLICY, help=f"which face of several (default: {DEFAULT_POLICY})"
    )
    parser.add_argument(
        "--aligned-for",
        metavar="NAME",
        help="images of this frontalizer: align as its card asks (mirror_ahead; a folder's rows.csv says it too)",
    )
    parser.add_argument(
        "--upright",
        action="store_true",
        help="the images of a shard stand upright, as drawn frontals do: none is looked at upside down, which saves a second look at each",
    )
    parser.add_argument("--align", action="store_true", help="also write the aligned crops of a folder")
    cli.add_machine_options(parser)
    args = parser.parse_args()
    if args.upright and not folders.is_shard(args.source):
        parser.error("--upright is for a shard; a folder's images are always looked at both ways")
    machine = {"policy": args.policy, "threads": args.threads, "device": args.device}
    if folders.is_shard(args.source):
        card = cards.find("detector", args.detector)

        def make() -> Detector:
            detector = load_detector(card, device=args.device)
            return aligned_for(cards.find("frontalizer", args.aligned_for), detector, device=args.device) if args.aligned_for else detector

        return cli.report(detect_shard(args.source, args.out, card, make, upright=args.upright, **machine))
    with folders.with_faces(args.source, args.pattern, args.detector, for_backbone=True, aligned_for=args.aligned_for or "", **machine) as (
        shard,
        crops,
        _,
    ):
        listed = unpacking.unpack_rows(crops, args.out, source=shard) if args.align else {}
        rows = tables.read(crops, tables.CROPS, [name for name in tables.CROPS.names if name != "image"]).to_pylist()
    named = ["image_id", "identity", "status", "detail", "score", "n_faces"]
    header = [*named, "x1", "y1", "x2", "y2", *(f"point{i}_{axis}" for i in range(1, 6) for axis in "xy")]
    values = [[*(row[name] for name in named), *(row["box"] or [None] * 4), *(row["points"] or [None] * 10)] for row in rows]
    if args.align:
        beside = ["file", "photo", "frontalizer"]
        header += beside
        values = [[*line, *(listed[line[0]][name] for name in beside)] for line in values]
    unpacking.write_rows(args.out / folders.ROWS, header, values)
    return cli.report(Counter(row["status"] for row in rows))
