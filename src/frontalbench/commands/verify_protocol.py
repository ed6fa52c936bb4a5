"""Verification accuracy of embeddings on a published protocol: LFW's pairs.txt, or CFP's FF and FP splits.

verify_protocol.py --protocol cfp-fp --root data/cfp --embeddings results/embeddings/cfp/original/scrfd_500m/w600k_mbf/*.parquet

Prints one line of JSON: accuracy (mean and deviation over folds, threshold from the other folds), AUC, EER, how many pairs were counted, how many
pairs name pictures that are not there, and how many were left out because no face was found.
"""

from __future__ import annotations

import json
import sys
from dataclasses import asdict
from pathlib import Path

import numpy as np

from frontalbench import cli, tables
from frontalbench.datasets.members import some
from frontalbench.errors import BadInput
from frontalbench.protocols import cfp, lfw
from frontalbench.protocols.lists import present
from frontalbench.protocols.verification import Pair, scores_of, verify


def main() -> int:
    parser = cli.parser(__doc__)
    parser.add_argument("--protocol", required=True, choices=("lfw", "cfp-ff", "cfp-fp"))
    parser.add_argument("--root", required=True, type=Path, metavar="DIR", help="the dataset's folder (pairs.txt or Protocol/ in it)")
    parser.add_argument("--embeddings", required=True, nargs="+", type=Path, metavar="FILE.parquet", help="embeddings tables, all shards")
    parser.add_argument(
        "--missing",
        choices=("leave_out", "different"),
        default="leave_out",
        help="what a pair without a face counts as (default: leave_out)",
    )
    args = parser.parse_args()
    table = tables.concatenate(args.embeddings, columns=["image_id", "status", "embedding"])
    ids = table["image_id"].to_pylist()
    listed = read_pairs(args.protocol, args.root)
    pairs, absent = present(listed, ids)
    if not pairs:
        raise BadInput(
            f"{args.root}: none of the {len(listed):,} pairs has both pictures in the tables; the pairs name pictures like '{listed[0].first}', "
            f"the tables hold pictures like '{ids[0] if ids else ''}'; are these the tables of this dataset?"
        )
    if absent:
        named = f"{len(absent):,} pictures that its pairs name have no row in the tables, so these pairs do not count: {some(absent)}"
        print(f"warning: {args.root}: {named}", file=sys.stderr)
    scores = scores_of(pairs, ids, tables.embedding_matrix(table))
    result = verify(scores, np.array([pair.same for pair in pairs]), np.array([pair.fold for pair in pairs]), missing=args.missing)
    print(json.dumps({"protocol": args.protocol, **asdict(result), "pictures_not_there": len(absent), "folds": len(result.by_fold)}))
    return cli.EXIT_OK


def read_pairs(protocol: str, root: Path) -> list[Pair]:
    if protocol == "lfw":
        return lfw.read_pairs(lfw.find_pairs(root))
    return cfp.read_pairs(root, protocol.removeprefix("cfp-").upper())
