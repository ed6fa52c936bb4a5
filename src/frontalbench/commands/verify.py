"""Are two images of one person? Prints the similarity, the threshold, and what it is worth.

  verify.py a.jpg b.jpg
  verify.py a.jpg b.jpg --backbone sface --threshold 0.36
  verify.py a.jpg b.jpg --master results/master/mine --dataset frll --fmr 0.001

The threshold is yours (--threshold), or the one that kept the false match rate at --fmr in the tables of a run (--master). Without either only the
similarity is said: a threshold belongs to a detector, a backbone and a kind of images, so none is built in.
"""

from __future__ import annotations

from pathlib import Path

from frontalbench import api, cli
from frontalbench.catalogue import cards
from frontalbench.plain import folders


def main() -> int:
    parser = cli.parser(__doc__)
    parser.add_argument("first", type=Path, metavar="IMAGE", help="one image")
    parser.add_argument("second", type=Path, metavar="IMAGE", help="the other image")
    parser.add_argument("--backbone", default="w600k_mbf", metavar="NAME", help="backbone card (default: w600k_mbf)")
    parser.add_argument(
        "--master",
        type=Path,
        default=Path("results/master"),
        metavar="DIR",
        help="tables of a run, or their folder while there is one run (default: results/master)",
    )
    cli.add_decision_options(parser, threshold="similarity from which on it is the same person")
    cli.add_machine_options(parser)
    args = parser.parse_args()
    folders.need_weights(cards.find("detector", args.detector), cards.find("backbone", args.backbone))
    found = api.verify(
        args.first,
        args.second,
        detector=args.detector,
        backbone=args.backbone,
        threshold=args.threshold,
        fmr=args.fmr,
        master=args.master,
        dataset=args.dataset,
        threads=args.threads,
        device=args.device,
    )
    print(f"similarity {found.similarity:.4f} ({args.detector} + {args.backbone})")
    if found.own is not None and found.strangers is not None:
        print(f"there, one person turned to the side scores {found.own:.4f} on average and two people {found.strangers:.4f}")
    if found.threshold is None:
        print(f"same person: unknown; {found.basis}")
        return cli.EXIT_OK
    rates = f" (FMR {found.fmr:.2g}, FNMR {found.fnmr:.2g})" if found.fmr is not None and found.fnmr is not None else ""
    print(f"threshold {found.threshold:.4f}{rates}, {found.basis}")
    print(f"same person: {'yes' if found.same else 'no'}")
    return cli.EXIT_OK
