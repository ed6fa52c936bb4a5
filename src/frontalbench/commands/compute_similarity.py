"""Compare the images of plain folders by their embeddings, as a pairs file says.

  extract_embeddings.py --detector scrfd_500m --backbone w600k_mbf --in data/ --out results/embeddings
  compute_similarity.py --pairs pairs.yaml --emb results/embeddings --out results/metrics.csv
  summarize.py --metrics results/metrics.csv --out results/master_report.csv

pairs.yaml, where data/ holds GT/<person>.jpg and Angle/<person>/*.jpg:

  groups:
    - {name: GT vs GT, within: "GT/*"}
    - {name: Angled vs GT, probe: "Angle/*", reference: "GT/*"}
    - {name: mesh vs GT, probe: "mesh/*", reference: "GT/*"}      # mesh/ as frontalize.py wrote it: compared with Angle/ by image
    - {name: Angled vs Angled, within: "Angle/*"}
    - {name: Angled vs other GT, probe: "Angle/*", reference: "GT/*", people: others}
    - {name: by hand, pairs: [[GT/ann.jpg, Angle/ann/3.jpg]]}

metrics.csv has one line per image and group, failures included. docs/folders.md explains every key and column: where the person comes from
(identity), and how views that other software made are joined to their photographs (of).
"""

from __future__ import annotations

import sys
from pathlib import Path

from frontalbench import cli
from frontalbench.plain import pairs


def main() -> int:
    parser = cli.parser(__doc__)
    parser.add_argument("--pairs", type=Path, required=True, metavar="YAML", help="which images are compared with which")
    parser.add_argument("--emb", type=Path, required=True, metavar="DIR", help="folder that extract_embeddings.py wrote")
    parser.add_argument("--out", type=Path, required=True, metavar="CSV", help="metrics to write")
    arguments = parser.parse_args()
    done = pairs.write_metrics(arguments.pairs, arguments.emb, arguments.out)
    for name, number in done.rows.items():
        sys.stdout.write(f"{name}: {number} rows\n")
    for note in done.notes:
        sys.stderr.write(f"warning: {note}\n")
    return 0
