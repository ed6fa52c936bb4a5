#!/usr/bin/env python3
"""Measure yaw, pitch and roll (degrees; yaw > 0: turned towards the left edge of the image).

On a folder:   measure_pose.py --estimator tddfa_pose --in pictures/ --out pose.csv
On a shard:    measure_pose.py --estimator tddfa_pose --in images.parquet --faces crops.parquet --out pose.parquet
"""

from __future__ import annotations

from pathlib import Path

from frontalbench import cards, cli, folders, tables
from frontalbench.detect import load_detector
from frontalbench.errors import BadInput
from frontalbench.pose import load_pose
from frontalbench.stages.detect import detect_shard
from frontalbench.stages.pose import pose_shard


def main() -> int:
    parser = cli.parser(__doc__)
    parser.add_argument("--estimator", required=True, metavar="NAME", help="pose card")
    parser.add_argument("--in", dest="source", type=Path, required=True, metavar="DIR", help="folder of pictures, or a Parquet shard")
    parser.add_argument("--faces", type=Path, metavar="FILE", help="crops table of the same shard (with a shard only)")
    parser.add_argument("--out", type=Path, required=True, metavar="FILE", help="CSV (or .parquet) to write")
    parser.add_argument("--detector", default="scrfd_500m", metavar="NAME", help="detector that finds the face in a folder's pictures")
    parser.add_argument("--pattern", default="*", help='file names to take from a folder, such as "*.png" (default: all pictures)')
    cli.add_machine_options(parser)
    args = parser.parse_args()
    card = cards.find("pose", args.estimator)

    def run(pictures: Path, faces: Path, out: Path) -> dict[str, int]:
        return pose_shard(
            pictures,
            faces,
            out,
            card,
            lambda: load_pose(card, threads=args.threads, device=args.device),
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
        counts = run(shard, faces, temporary / "pose.parquet")
        rows = tables.read(temporary / "pose.parquet", tables.POSE).to_pylist()
        header = ["image_id", "status", "detail", "yaw", "pitch", "roll", "confidence"]
        folders.write_rows(args.out, header, [[row[name] for name in header] for row in rows])
    return cli.report(counts)


if __name__ == "__main__":
    cli.run(main)
