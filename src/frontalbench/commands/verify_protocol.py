"""Verification accuracy of embeddings on a published protocol: LFW, XQLFW, CFP's FF and FP, CPLFW, CALFW, AgeDB-30, IJB-B and IJB-C, or a list.

verify_protocol.py --protocol cfp-fp --root data/cfp --embeddings results/embeddings/cfp/original/scrfd_500m/w600k_mbf/*.parquet
verify_protocol.py --protocol ijbc --root data/IJBC --embeddings results/embeddings/ijbc/*.parquet

Prints one line of JSON: accuracy (mean and deviation over folds, threshold from the other folds), AUC, EER, how many pairs were counted, how many
pairs name images that are not there, and how many were left out because no face was found. For IJB: FNMR per FMR over template pairs with
intervals over subjects, the rank of probe templates, and FNIR at FPIR. Packs of pairs (lfw.bin, cplfw.bin, ...) are for verify_pack.py.
"""

from __future__ import annotations

import json
import math
import sys
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np

from frontalbench import cli, tables
from frontalbench.compare.rates import FMR_TARGETS
from frontalbench.datasets.members import some
from frontalbench.errors import BadInput
from frontalbench.protocols import cfp, ijb, labelled, lfw
from frontalbench.protocols.lists import present, without_ending
from frontalbench.protocols.verification import Pair, scores_of, verify

PROTOCOLS = ("lfw", "xqlfw", "cfp-ff", "cfp-fp", "cplfw", "calfw", "agedb-30", "list", *ijb.GALLERIES)


def main() -> int:
    parser = cli.parser(__doc__)
    parser.add_argument("--protocol", required=True, choices=PROTOCOLS)
    parser.add_argument(
        "--root", required=True, type=Path, metavar="DIR", help="the dataset's folder (pairs.txt, Protocol/, meta/ in it), or the list"
    )
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
    vectors = tables.embedding_matrix(table)
    if args.protocol in ijb.GALLERIES:
        print(json.dumps(_finite({"protocol": args.protocol, **templates(args.protocol, args.root, ids, vectors)})))
        return cli.EXIT_OK
    listed = read_pairs(args.protocol, args.root)
    pairs, absent = present(listed, ids)
    if not pairs:
        raise BadInput(
            f"{args.root}: none of the {len(listed):,} pairs has both images in the tables; the pairs name images like '{listed[0].first}', "
            f"the tables hold images like '{ids[0] if ids else ''}'; are these the tables of this dataset?"
        )
    if absent:
        named = f"{len(absent):,} images that its pairs name have no row in the tables, so these pairs do not count: {some(absent)}"
        print(f"warning: {args.root}: {named}", file=sys.stderr)
    scores = scores_of(pairs, ids, vectors)
    result = verify(scores, np.array([pair.same for pair in pairs]), np.array([pair.fold for pair in pairs]), missing=args.missing)
    print(json.dumps({"protocol": args.protocol, **asdict(result), "pictures_not_there": len(absent), "folds": len(result.by_fold)}))
    return cli.EXIT_OK


def read_pairs(protocol: str, root: Path) -> list[Pair]:
    if protocol in ("lfw", "xqlfw"):
        return lfw.read_pairs(lfw.find_pairs(root, protocol))
    if protocol in labelled.NAMES:
        return labelled.read_pairs(labelled.find_list(root, protocol), labelled.GET[protocol])
    return cfp.read_pairs(root, protocol.removeprefix("cfp-").upper())


def templates(protocol: str, root: Path, ids: list[str], vectors: Any) -> dict[str, Any]:
    """The 1:1 and, where its lists are there, the 1:N protocol."""
    read = ijb.read(root, protocol)
    place = {without_ending(name).rpartition("/")[2]: i for i, name in enumerate(ids)}
    at = np.array([place.get(without_ending(name).rpartition("/")[2], -1) for name in read.templates.image], np.int64)
    if (at < 0).all():
        raise BadInput(
            f"{root}: no image of the templates is in the tables; the list names '{read.templates.image[0]}', they hold '{ids[0]}'"
        )
    if (at < 0).any():
        print(f"warning: {root}: {int((at < 0).sum()):,} of {len(at):,} images have no row in the tables", file=sys.stderr)
    chosen = np.where((at >= 0)[:, None], vectors[np.maximum(at, 0)], np.float32(0.0))
    pooled = ijb.pool(read.templates, chosen, np.any(chosen != 0.0, axis=1))
    found: dict[str, Any] = {"templates": len(pooled.template), "templates_without_a_face": int((~pooled.ok).sum())}
    found["1:1"] = asdict(ijb.verify_templates(read, pooled, FMR_TARGETS))
    if read.galleries and read.probes:
        found["1:N"] = asdict(ijb.search_templates(read, pooled))
    return found


def _finite(value: Any) -> Any:
    """JSON has no NaN."""
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, Mapping):
        return {key: _finite(one) for key, one in value.items()}
    return [_finite(one) for one in value] if isinstance(value, (list, tuple)) else value
