"""Identity similarity of two folders (CSIM, IDS, ID retrieval): does B show the people of A?

  frontalbench similarity photographs/ generated/
  frontalbench similarity GT/ frontals/ --identity "^([0-9]+)_" --backbone w600k_mbf sface
  frontalbench similarity A B --trained-with w600k_mbf          what made B was trained with this judge

A holds the references, B what is judged. An image of B belongs to the image of A with the same name (whatever the ending), or to all images of
its person: the folder it lies in, or what --identity finds in its name. Whichever way finds more partners is taken, and said (--match).

Every backbone on this machine judges. Printed and written: mean with its 95 % interval over people, the mean of strangers (what two people score),
the share of pairs at or above the threshold, the share whose nearest image in A is of their person, and the failures. OUT/summary.csv has a row
per backbone, OUT/pairs.csv a row per image, OUT/worst.png the least alike. docs/folders.md explains every column.
"""

from __future__ import annotations

import sys
from pathlib import Path

from frontalbench import cli
from frontalbench.detect.select import DEFAULT_POLICY, POLICIES
from frontalbench.plain import similarity


def main() -> int:
    parser = cli.parser(__doc__)
    parser.add_argument("first", type=Path, metavar="A", help="folder of references: photographs of the people")
    parser.add_argument("second", type=Path, metavar="B", help="folder of images to judge")
    parser.add_argument(
        "--out", type=Path, metavar="DIR", help="folder for the tables and the image (default: similarity_A_B, by their names)"
    )
    parser.add_argument("--backbone", nargs="+", default=[], metavar="NAME", help="backbone cards (default: all that are on this machine)")
    parser.add_argument(
        "--policy", choices=sorted(POLICIES), default=DEFAULT_POLICY, help=f"which face of several (default: {DEFAULT_POLICY})"
    )
    parser.add_argument("--match", choices=similarity.MATCHES, default="auto", help="how images find partners (default: auto)")
    parser.add_argument(
        "--identity",
        default="auto",
        metavar="RULE",
        help="where the person stands in a name: top_folder, folder, name, or a regular expression with a group (default: the first folder)",
    )
    cli.add_decision_options(parser, threshold="your threshold, for one backbone (default: from the strangers in A)")
    parser.add_argument("--master", default="", metavar="DIR", help="tables of a run, for thresholds where A has too few people")
    parser.add_argument("--trained-with", nargs="+", default=[], metavar="NAME", help="backbones that took part in training what made B")
    parser.add_argument("--worst", type=int, default=12, metavar="N", help="how many pairs the image shows, 0 for none (default: 12)")
    cli.add_machine_options(parser)
    args = parser.parse_args()
    out = args.out or Path(f"similarity_{args.first.resolve().name}_{args.second.resolve().name}")
    wanted = similarity.Wanted(
        detector=args.detector,
        backbones=tuple(dict.fromkeys(args.backbone)),
        policy=args.policy,
        match=args.match,
        identity=args.identity,
        fmr=args.fmr,
        threshold=args.threshold,
        master=args.master,
        dataset=args.dataset,
        trained_with=tuple(args.trained_with),
        worst=args.worst,
    )
    found = similarity.compare_folders(args.first, args.second, wanted, out, threads=args.threads, device=args.device)
    sys.stdout.write(similarity.table(found))
    for row in found.summary[:1]:
        sys.stdout.write(f"matched by {row['matched_by']}; threshold at FMR {row['fmr']:g}: {row['threshold_from']}\n")
    for note in found.notes:
        sys.stderr.write(f"warning: {note}\n")
    for path in found.files:
        sys.stderr.write(f"{path}\n")
    return cli.EXIT_OK
