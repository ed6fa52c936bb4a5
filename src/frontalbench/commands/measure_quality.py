"""Measure the images of a variant: SSIM, PSNR and learned distances to the person's reference, scores without one, residual pose, expression.

Writes one row per image. Crops are those of one detector, all of them aligned to the same template.

example:
  measure_quality.py --images results/images/demo/*.parquet --original-pose results/pose/demo/original/*.parquet \\
      --crops results/crops/demo/mesh.none/scrfd_500m/*.parquet --original-crops results/crops/demo/original/scrfd_500m/*.parquet \\
      --pose results/pose/demo/mesh.none/*.parquet --out quality.parquet
"""

from __future__ import annotations

import functools
from pathlib import Path
from typing import Any

from frontalbench import cli
from frontalbench.catalogue import cards, families
from frontalbench.errors import BadInput
from frontalbench.quality import expression, measures
from frontalbench.runtime.sessions import limit_threads
from frontalbench.stages.quality import Learned, Shards, measure_quality


def main() -> int:
    parser = cli.parser(__doc__, fromfile_prefix_chars="@")

    def add(name: str, text: str, *, required: bool = False) -> None:
        parser.add_argument(
            f"--{name}", type=Path, nargs="+" if required else "*", default=[], required=required, metavar="FILE", help=text
        )

    add("images", "images tables of the dataset (pixels are not read)", required=True)
    add("crops", "crops of the variant by the judging detector", required=True)
    add("original-crops", "crops of `original` by the same detector", required=True)
    add("original-pose", "measured pose of `original`, where the dataset's roles need it")
    add("pose", "measured pose of the variant: gives the residual pose")
    add("whole-images", "images of the variant: for measures of whole images, and with the three below for the expression")
    add("faces", "the locator's crops of the variant, beside --whole-images")
    add("original-whole-images", "images of `original`, beside --whole-images")
    add("original-faces", "the locator's crops of `original`, beside --whole-images")
    parser.add_argument("--landmarks", default="face_landmarker", metavar="NAME", help="landmarks card that reads expressions")
    known = ", ".join(f"{measure.word} ({measure.about})" for measure in measures.OF_CROPS)
    parser.add_argument(
        "--measure",
        action="append",
        default=[],
        choices=[measure.word for measure in measures.OF_CROPS],
        metavar="WORD",
        help=f"a learned measure to take, repeatable: {known}",
    )
    cli.add_roles_option(parser)
    parser.add_argument("--variant", default="", metavar="NAME", help="name of the variant, for the record")
    parser.add_argument("--out", type=Path, required=True, metavar="FILE", help="table to write")
    args = parser.parse_args()
    whole = [measure.word for measure in measures.OF_IMAGES if measure.word in args.measure]
    if whole and not args.whole_images:
        raise BadInput(f"--measure {whole[0]}: it looks at whole images, give --whole-images")
    beside = {"--faces": args.faces, "--original-whole-images": args.original_whole_images, "--original-faces": args.original_faces}
    expressed = bool(args.whole_images) and (not whole or any(beside.values()))
    for option, files in beside.items():
        if bool(files) != expressed:
            raise BadInput(f"{option}: give it together with --whole-images, or neither")
    roles = cli.roles_of(args.roles)

    limit_threads(1)
    models: dict[str, Learned] = {}
    if expressed:
        models["expression"] = Learned(
            lambda: expression.Reader(cards.find("landmarks", args.landmarks)), columns=measures.BY_WORD["expression"].stored()
        )
    for measure in measures.OF_CROPS:
        if measure.word in args.measure and measure.card:
            models[measure.word] = Learned(functools.partial(_load, *measure.card), measure.method, measure.stored())
    return cli.report(
        measure_quality(
            args.images,
            Shards(args.crops, args.pose, args.whole_images, args.faces),
            Shards(args.original_crops, args.original_pose, args.original_whole_images, args.original_faces),
            args.out,
            roles=roles,
            models=models,
            variant_name=args.variant,
        )
    )


def _load(kind: str, name: str) -> Any:
    return families.load(cards.find(kind, name))
