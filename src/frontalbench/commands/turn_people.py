"""Turn people who do not exist so that they stay who they are: the latent is moved by optimisation, image by image.

Weights:     turn_people.py --pack results/train/turn --write-pack --seed 7 --people 200   25 MB that go to a machine without a network
Turn:        turn_people.py --pack results/train/turn --out results/train/turned --device cuda --bfloat16
Again:       the same command goes on where it stopped; a file of people is whole or not there
As a set:    turn_people.py --out results/train/turned --write-set demo/mine --size 256   who passes a second look, in the layout of demo/synthetic
Look at it:  --out holds a sheet for every file: the front and every angle

Two recognizers take part (w600k_mbf, arcface_y1): they judge nothing that is made of these images. The images are synthetic; say so wherever
one is shown. Nobody checks how old a person looks.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

from frontalbench import cli
from frontalbench.errors import BadInput

if TYPE_CHECKING:
    from frontalbench.synth.turning import TurningSettings


def main() -> int:
    parser = cli.parser(__doc__)
    parser.add_argument("--pack", type=Path, metavar="DIR", help="folder of weights and styles")
    parser.add_argument("--write-pack", action="store_true", help="write the pack, and do nothing else")
    parser.add_argument("--seed", type=int, default=7, metavar="S", help="of the people, when the pack is written (default: 7)")
    parser.add_argument("--people", type=cli.positive, default=200, metavar="N", help="how many candidates (default: 200)")
    parser.add_argument("--first", type=int, default=0, metavar="N", help="the first candidate of a run (default: 0)")
    parser.add_argument("--numbers", type=int, nargs="+", metavar="N", help="these candidates, in place of --first and --people")
    parser.add_argument("--out", type=Path, metavar="DIR", help="where people go")
    parser.add_argument(
        "--yaws",
        type=float,
        nargs="+",
        default=[-52, -39, -26, -13, 13, 26, 39, 52],
        metavar="DEG",
        help="wanted yaws (default: the demo's)",
    )
    parser.add_argument("--truncation", type=float, default=0.7, metavar="T", help="how far a style lies from the mean one (default: 0.7)")
    parser.add_argument("--batch", type=cli.positive, default=2, metavar="N", help="people at a time (default: 2)")
    parser.add_argument("--per-file", type=cli.positive, default=8, metavar="N", help="people in a file (default: 8)")
    parser.add_argument("--image", type=cli.positive, default=512, metavar="PX", help="side of the images that are kept (default: 512)")
    parser.add_argument("--keep-styles", action="store_true", help="keep styles too, so that images can be drawn again")
    parser.add_argument("--steps", type=cli.positive, metavar="N", help="moves of an image")
    parser.add_argument(
        "--set", nargs="+", default=[], metavar="NAME=X", help="other settings of frontalbench.synth.turning.TurningSettings"
    )
    parser.add_argument("--device", default="cpu", help="cpu or cuda (default: cpu)")
    parser.add_argument("--bfloat16", action="store_true", help="the generator in bfloat16 while styles move")
    parser.add_argument("--minutes", type=float, default=float("inf"), metavar="M", help="begin nothing new after so long (default: never)")
    parser.add_argument("--write-set", type=Path, metavar="DIR", help="write an image set of the people in --out, and do nothing else")
    parser.add_argument("--second", type=Path, metavar="DIR", help="a set of the same candidates (demo/synthetic): their second references")
    parser.add_argument("--size", type=cli.positive, default=256, metavar="PX", help="side of the set's images (default: 256)")
    args = parser.parse_args()
    from frontalbench.synth import turning_pack

    if args.write_set:
        if args.out is None:
            raise BadInput("--out: give the folder of the turned people")
        return _write_set(args)
    if args.pack is None:
        raise BadInput("--pack: give the folder of the pack")
    if args.write_pack:
        turning_pack.write(args.pack, args.seed, range(args.people))
        return cli.EXIT_OK
    if args.out is None:
        raise BadInput("--out: give the folder for the people")
    return _turn(args)


def _write_set(args: argparse.Namespace) -> int:
    from frontalbench.catalogue import cards
    from frontalbench.detect import load_detector
    from frontalbench.embed import load_backbone
    from frontalbench.pose import load_pose
    from frontalbench.synth import turned_set
    from frontalbench.synth.people import Instruments, Rejected
    from frontalbench.synth.turned_files import read_people, read_seed
    from frontalbench.synth.turning_pack import RECOGNIZERS

    files = sorted(args.out.glob("people-*.safetensors"))
    if not files:
        raise BadInput(f"{args.out}: no turned people (people-*.safetensors); turn some first")
    recognizers = tuple(load_backbone(cards.find("backbone", name)) for name in RECOGNIZERS)
    instruments = Instruments(load_detector(cards.find("detector", "scrfd_500m")), load_pose(cards.find("pose", "tddfa_pose")), recognizers)
    taken = []
    for number, found in turned_set.chosen((row for file in files for row in read_people(file)), instruments):
        if isinstance(found, Rejected):
            sys.stderr.write(f"candidate {number} left out: {found}\n")
        else:
            taken.append(found)
    seconds = turned_set.second_references(args.second) if args.second else {}
    made = {"seed": read_seed(files[0]), "moved_by": sorted(RECOGNIZERS), "size": args.size}
    listed = turned_set.write(args.write_set, taken, seconds, size=args.size, made=made)
    sys.stdout.write(f"{args.write_set}: {len(taken)} people, {len(listed)} images\n")
    return cli.EXIT_OK


def _turn(args: argparse.Namespace) -> int:
    import torch

    from frontalbench.synth import turning_pack
    from frontalbench.synth.turned_files import write_people

    torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = True
    torch.backends.cudnn.benchmark = True
    end = time.monotonic() + 60.0 * args.minutes
    turner, people = turning_pack.read(args.pack, _settings(args), device=args.device, mixed=args.bfloat16)
    mean = people["mean"].float()
    known = people["numbers"].tolist()
    asked = args.numbers or range(args.first, args.first + args.people)
    numbers = [n for n in asked if n in known]
    if not numbers:
        raise BadInput(f"{args.pack}: none of these candidates is in it; it has {known[0]} to {known[-1]}")
    for start in range(0, len(numbers), args.per_file):
        some = numbers[start : start + args.per_file]
        path = args.out / f"people-{int(people['seed'])}-{some[0]:05d}.safetensors"
        if path.is_file():
            continue
        done = []
        for first in range(0, len(some), args.batch):
            if time.monotonic() > end:
                return cli.EXIT_OK
            part = some[first : first + args.batch]
            styles = mean + args.truncation * (people["styles"][[known.index(n) for n in part]].float() - mean)
            began = time.monotonic()
            done.append((part, *turner.turn(styles, args.yaws, seed=part[0], report=_said if args.device == "cpu" else None)))
            turned = done[-1][-1]
            line = {
                "people": part,
                "seconds": round(time.monotonic() - began, 1),
                "off": round(float(abs(turned.poses[:, 0] - turned.yaws).mean()), 2),
                "before": [round(x, 3) for x in turned.start.mean(0).tolist()],
                "after": [round(x, 3) for x in turned.similarity.mean(0).tolist()],
            }
            sys.stdout.write(json.dumps(line) + "\n")
            sys.stdout.flush()
        write_people(path, turner, done, len(args.yaws), image=args.image, keep_styles=args.keep_styles, seed=int(people["seed"]))
    return cli.EXIT_OK


def _settings(args: argparse.Namespace) -> TurningSettings:
    from dataclasses import fields, replace

    from frontalbench.synth.turning import TurningSettings

    known = {field.name for field in fields(TurningSettings)}
    given: dict[str, float] = {} if args.steps is None else {"steps": args.steps}
    for text in args.set:
        name, _, value = text.partition("=")
        try:
            given[name] = type(getattr(TurningSettings(), name))(float(value))
        except (AttributeError, ValueError):
            raise BadInput(f"--set {text}: expected NAME=NUMBER with a name of {', '.join(sorted(known))}") from None
    return replace(TurningSettings(), **given)  # type: ignore[arg-type]


def _said(step: int, losses: dict[str, float]) -> None:
    sys.stderr.write(f"{step}: " + ", ".join(f"{name} {value:.3f}" for name, value in losses.items()) + "\n")
