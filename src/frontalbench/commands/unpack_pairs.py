"""Make a folder of images and a pairs.txt of a pack of pairs (lfw.bin, cfp_fp.bin, agedb_30.bin, cplfw.bin, ...).

unpack_pairs.py cplfw.bin --out data/cplfw_pack
frontalize.py --model mesh --in data/cplfw_pack --out data/cplfw_mesh
extract_embeddings.py --backbone w600k_mbf --in data/cplfw_mesh --out emb
verify_protocol.py --protocol list --root data/cplfw_pack --embeddings emb/embeddings.parquet

Images keep their bytes. A pack is a pickle and is read without running anything in it.
"""

from __future__ import annotations

import sys
from pathlib import Path

from frontalbench import cli
from frontalbench.protocols import packs
from frontalbench.stages import packs as work


def main() -> int:
    parser = cli.parser(__doc__)
    parser.add_argument("pack", type=Path, metavar="PACK.bin", help="pack of pairs")
    parser.add_argument("--out", type=Path, required=True, metavar="DIR", help="folder to write")
    args = parser.parse_args()
    pack = packs.read_pack(args.pack)
    work.unpack(pack, args.out)
    sys.stderr.write(f"{args.out}: {len(pack.images):,} images, {len(pack.same):,} pairs in pairs.txt\n")
    return cli.EXIT_OK
