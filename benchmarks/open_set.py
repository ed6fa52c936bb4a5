"""Open-set search of 15,678 x 512 embeddings in 100 drawn galleries beside the bare matrix products of the same draws.

    python benchmarks/open_set.py [--probes 15678] [--people 1000] [--draws 100]

Prints seconds of both, their ratio, and the highest memory. With ``--references 5``, everybody has five references, pooled with weights into one
template (the pooling is counted); the bare products are those of one reference a person.
"""

from __future__ import annotations

import argparse
import sys
import time
from pathlib import Path

import numpy as np

from frontalbench.compare import open_set
from frontalbench.compare.two_sets import Faces

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from benchmarks.peak import most  # noqa: E402


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--probes", type=int, default=15678)
    parser.add_argument("--people", type=int, default=1000)
    parser.add_argument("--draws", type=int, default=100)
    parser.add_argument("--references", type=int, default=1, help="pooled into one template a person")
    args = parser.parse_args()
    rng = np.random.default_rng(0)

    def unit(n: int) -> np.ndarray:
        vectors = rng.normal(size=(n, 512)).astype(np.float32)
        return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)

    many, whose = unit(args.people * args.references), np.repeat(np.arange(args.people), args.references)
    weights = rng.uniform(0.1, 1.0, len(many))
    probes = Faces(unit(args.probes), rng.integers(0, args.people, args.probes))
    enrolled = open_set.galleries(np.arange(args.people), args.people, args.draws)
    ones = many[:: args.references]
    began = time.perf_counter()
    for row in enrolled:
        gallery = ones[row]
        for start in range(0, args.probes, 2048):
            probes.vectors[start : start + 2048] @ gallery.T
    bare = time.perf_counter() - began
    began = time.perf_counter()
    sums = np.zeros((args.people, 512))
    np.add.at(sums, whose, many.astype(np.float64) * weights[:, None])
    references = Faces((sums / np.linalg.norm(sums, axis=1, keepdims=True)).astype(np.float32), np.arange(args.people))
    open_set.rates(open_set.search(references, probes, enrolled))
    ours = time.perf_counter() - began
    memory = most()
    print(f"bare products {bare:.2f} s, open-set search with rates and intervals {ours:.2f} s, ratio {ours / bare:.2f}, {memory:.0f} MB")


if __name__ == "__main__":
    main()
