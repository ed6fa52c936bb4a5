"""Estimate the feature map of a backbone (feature_frontal) on people who do not exist.

  make_pairs.py --shots results/train/shots --people 300
  train_feature.py --shots results/train/shots --backbone w600k_mbf --out w600k_mbf.safetensors

Nothing real is read. What a shrinkage is good for is decided on real people who take part in no figure: docs/gain.md.
"""

from __future__ import annotations

import itertools
import json
import sys
from pathlib import Path

import numpy as np

from frontalbench import cli
from frontalbench.catalogue import cards
from frontalbench.compare.feature import FeatureMap, covariances, save, wiener


def main() -> int:
    parser = cli.parser(__doc__)
    parser.add_argument("--shots", type=Path, required=True, metavar="DIR", help="people, as make_pairs.py --shots draws them")
    parser.add_argument("--backbone", required=True, metavar="CARD", help="whose embeddings")
    parser.add_argument("--out", type=Path, required=True, metavar="FILE", help="the map, a safetensors file")
    parser.add_argument("--people", type=cli.positive, default=300, metavar="N", help="at most so many people (default: 300)")
    parser.add_argument(
        "--shrinkage", type=float, default=8.0, metavar="X", help="how far the covariances are pulled to the identity (default: 8)"
    )
    parser.add_argument(
        "--gate", type=float, nargs=2, default=(30.0, 70.0), metavar=("LOW", "HIGH"), help="|yaw| in degrees (default: 30 70)"
    )
    parser.add_argument(
        "--observations", type=Path, metavar="FILE.npz", help="keep the embeddings here, and read them from here the next time"
    )
    parser.add_argument("--threads", type=cli.positive, default=1, metavar="N", help="CPU threads (default: 1)")
    args = parser.parse_args()

    from frontalbench.embed import load_backbone
    from frontalbench.synth.pairs import load_shots
    from frontalbench.train.feature import observations

    if args.observations and args.observations.is_file():
        with np.load(args.observations) as kept:
            rows, who, frontal = kept["rows"], kept["who"], kept["frontal"]
    else:
        backbone = load_backbone(cards.find("backbone", args.backbone), threads=args.threads)
        rows, who, frontal = observations(itertools.islice(load_shots(args.shots), args.people), backbone)
        if args.observations:
            np.savez(args.observations, rows=rows, who=who, frontal=frontal)
    found = FeatureMap(wiener(*covariances(rows, who, frontal), args.shrinkage), (args.gate[0], args.gate[1]))
    people = len(np.unique(who))
    about = {"backbone": args.backbone, "people": str(people), "pictures": str(len(rows) // 2), "shrinkage": f"{args.shrinkage:g}"}
    save(args.out, found, about)
    sys.stdout.write(json.dumps(about) + "\n")
    return cli.EXIT_OK
