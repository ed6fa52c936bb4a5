"""Measure yaw, pitch and roll (degrees; yaw > 0: turned towards the left edge of the image).

On a folder:   measure_pose.py --estimator tddfa_pose --in images/ --out pose.csv
On a shard:    measure_pose.py --estimator tddfa_pose --in images.parquet --faces crops.parquet --out pose.parquet
"""

from __future__ import annotations

from pathlib import Path

from frontalbench import cli, tables
from frontalbench.catalogue import cards
from frontalbench.plain import folders, unpacking
from frontalbench.pose import load_pose
from frontalbench.stages.pose import pose_shard


def main() -> int:
    parser = cli.parser(__doc__)
    parser.add_argument("--estimator", required=True, metavar="NAME", help="pose card")
    cli.add_folder_options(parser, out="FILE")
    parser.add_argument("--faces", type=Path, metavar="FILE", help="crops table of the same shard (with a shard only)")
    parser.add_argument("--detector", default="scrfd_500m", metavar="NAME", help="detector that finds the face in a folder's images")
    cli.add_machine_options(parser)
    args = parser.parse_args()
    card = cards.find("pose", args.estimator)

    machine = {"threads": args.threads, "device": args.device}

    def run(images: Path, faces: Path, out: Path) -> dict[str, int]:
        return pose_shard(images, faces, out, card, lambda: load_pose(card, **machine), **machine)

    if folders.is_shard(args.source):
        return cli.report(run(args.source, folders.faces_of_shard(args.source, args.faces), args.out))
    folders.need_weights(card)
    with folders.with_faces(args.source, args.pattern, args.detector, **machine) as (shard, faces, temporary):
        counts = run(shard, faces, temporary / "pose.parquet")
        rows = tables.read(temporary / "pose.parquet", tables.POSE).to_pylist()
        header = ["image_id", "status", "detail", "yaw", "pitch", "roll", "confidence"]
        unpacking.write_rows(args.out, header, [[row[name] for name in header] for row in rows])
    return cli.report(counts)
