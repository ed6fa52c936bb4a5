"""Score the pairs of a CSV file and say the errors: a selfie against a document ("KYC"), or any list of pairs.

verify_pairs.py pairs.csv --root images/ --backbone w600k_mbf --out checked/
verify_pairs.py pairs.csv --threshold 0.35

pairs.csv has the columns first, second (images, relative to --root or to the file), same (1, 0, or nothing), and, where they are known,
first_subject and second_subject. Written: OUT/scores.csv, a row per pair, failures with their reason; OUT/error_rates.csv, a row per false match
rate: the threshold with the interval of the threshold itself, FNMR with its interval over people, and FNMR when an image without a face is a
refusal.
"""

from __future__ import annotations

import sys
from pathlib import Path

from frontalbench import api, cli
from frontalbench.catalogue import cards
from frontalbench.plain import folders, listed_pairs
from frontalbench.tabulate.write import interval, number


def main() -> int:
    parser = cli.parser(__doc__)
    parser.add_argument("pairs", type=Path, metavar="CSV", help="which images are compared")
    parser.add_argument("--root", type=Path, metavar="DIR", help="folder of the images (default: that of the file)")
    parser.add_argument("--out", type=Path, metavar="DIR", help="folder of the tables (default: the file's name without ending)")
    parser.add_argument("--detector", default="scrfd_500m", metavar="NAME", help="detector card (default: scrfd_500m)")
    parser.add_argument("--backbone", default="w600k_mbf", metavar="NAME", help="backbone card (default: w600k_mbf)")
    parser.add_argument("--threshold", type=float, metavar="S", help="your threshold: who is accepted, and its errors")
    cli.add_machine_options(parser)
    args = parser.parse_args()
    lines = listed_pairs.read(args.pairs)
    root = args.root or args.pairs.parent
    if not root.is_dir():
        parser.error(f"--root {root}: not a folder")
    folders.need_weights(cards.find("detector", args.detector), cards.find("backbone", args.backbone))
    judge = api.Verifier(args.detector, args.backbone, threads=args.threads, device=args.device)
    found = listed_pairs.judge(lines, lambda name: judge.embed(root / name), str(args.pairs), threshold=args.threshold)
    out = args.out or args.pairs.with_suffix("")
    failed = sum(row["status"] != "ok" for row in found.scores)
    print(f"{len(lines)} pairs, {failed} without a score ({args.detector} + {args.backbone})")
    for row in found.rates:
        at = f"FMR {row['fmr_target']:g}" if row["fmr_target"] == row["fmr_target"] else "your threshold"
        threshold = interval(row["threshold"], row["threshold_low"], row["threshold_high"])
        fnmr = interval(row["fnmr"], row["fnmr_low"], row["fnmr_high"])
        rest = f"FNMR {fnmr}, with failures {number(row['fnmr_with_failures'])}"
        print(f"{at}: threshold {threshold}, FMR {row['fmr']:.2g}, {rest}{'' if row['supported'] else ' (not supported by n)'}")
    for note in found.notes:
        sys.stderr.write(f"warning: {note}\n")
    for path in listed_pairs.write(found, out):
        sys.stderr.write(f"{path}\n")
    return cli.EXIT_OK
