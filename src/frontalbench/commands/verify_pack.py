"""Verification accuracy of backbones on packs of pairs: lfw.bin, cfp_fp.bin, agedb_30.bin, calfw.bin, cplfw.bin, ...

verify_pack.py cfp_fp.bin cplfw.bin --backbone w600k_mbf edgeface_s --flip

The images of a pack are aligned faces, so no detector is used. Ten folds in file order, the threshold of each from the other nine. --flip adds the
mirrored image's embedding, as most published accuracies do. Prints one line of JSON per pack and backbone; an image that cannot be decoded counts
against the accuracy (its pair is decided "not the same person") and is named. A pack is a pickle and is read without running anything in it.

unpack_pairs.py makes a folder of images and a pairs.txt of a pack.
"""

from __future__ import annotations

import json
import sys
from dataclasses import asdict
from pathlib import Path

from frontalbench import cli
from frontalbench.catalogue import cards
from frontalbench.embed import load_backbone
from frontalbench.plain import folders
from frontalbench.protocols import packs
from frontalbench.stages import packs as work


def main() -> int:
    parser = cli.parser(__doc__)
    parser.add_argument("packs", nargs="+", type=Path, metavar="PACK.bin", help="packs of pairs")
    parser.add_argument("--backbone", nargs="+", required=True, metavar="NAME", help="backbone cards")
    parser.add_argument("--flip", action="store_true", help="add the embedding of the mirrored image")
    cli.add_machine_options(parser)
    args = parser.parse_args()
    backbones = [cards.find("backbone", name) for name in args.backbone]
    folders.need_weights(*backbones)
    for path in args.packs:
        pack = packs.read_pack(path)
        for card in backbones:
            backbone = load_backbone(card, threads=args.threads, device=args.device)
            images = cli.progress(range(len(pack.images)), total=len(pack.images), label=f"{path.name} {card.name}")
            result, broken = work.accuracy(pack, backbone, flip=args.flip, progress=images)
            for line in broken:
                print(f"warning: {path}: {line}", file=sys.stderr)
            about = {"pack": path.name, "backbone": card.name, "flip": args.flip, "unreadable": len(broken)}
            print(json.dumps({**about, **asdict(result)}), flush=True)
    return cli.EXIT_OK
