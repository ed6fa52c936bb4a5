"""Write the probes of a dataset to hand to somebody who turns them to the front elsewhere.

  template.py --dataset synthetic --out handed_out

The folder holds probes/ (the photographs), an empty results/, mapping.csv (which result is to be called what) and a README.txt for whoever gets it.
What comes back goes into the tables with `frontalbench judge`. docs/elsewhere.md walks through it.
"""

from __future__ import annotations

import sys
from pathlib import Path

from frontalbench import cli
from frontalbench.catalogue import cards
from frontalbench.elsewhere import handout
from frontalbench.elsewhere.judging import dataset_of


def main() -> int:
    parser = cli.parser(__doc__)
    parser.add_argument("--dataset", required=True, metavar="NAME", help="dataset card, with the options that the configuration gives it")
    parser.add_argument("--out", type=Path, required=True, metavar="DIR", help="a new or empty folder")
    parser.add_argument("--config", type=Path, metavar="FILE", help="configuration (default: config/config.yaml)")
    parser.add_argument(
        "--everything", action="store_true", help="the references too (protocols of listed pairs, such as LFW's, need them)"
    )
    parser.add_argument(
        "--turned",
        action="store_true",
        help="the references instead, to be turned to the probes' yaw (for pose_matched; needs a first run)",
    )
    args = parser.parse_args()
    card = dataset_of(args.dataset, args.config)
    people = cards.state_root() / "results" / "metadata" / card.name
    if args.turned:
        done = handout.hand_out_references(card, args.out, (people / "images.parquet", people / "pose.parquet"))
        sys.stderr.write(f"{args.out}: {done.images} references; {args.out / handout.README} says what to do with them\n")
        return cli.EXIT_OK
    done = handout.hand_out(card, args.out, everything=args.everything, people=(people / "images.parquet", people / "pose.parquet"))
    if done.undecided:
        sys.stderr.write(
            f"note: which photographs of {card.name} are probes its measured pose decides, and that is not there yet, so all were written; "
            "after a first run of the workflow it is the probes alone\n"
        )
    sys.stderr.write(f"{args.out}: {done.images} photographs; {args.out / handout.README} says what to do with them\n")
    return cli.EXIT_OK
