"""Make training pairs of people who do not exist: images of every person (shots), then shards of (angled, mesh-turned, wanted) images.

On a CPU:     make_pairs.py --shots results/train/shots --out results/train/pairs --people 400
On a GPU:     make_pairs.py --shots results/train/shots --people 20000 --engine torch --device cuda, then make_pairs.py --shots ... --out ...
Of people who stay who they are:  make_pairs.py --turned demo/synthetic_kept --out results/train/pairs_kept --rounds 4 --misfit 1
Again:        the same command goes on where it stopped
Look at it:   make_pairs.py --out results/train/pairs --page results/train/pairs.md   (poses, identity by yaw; a sheet beside it)

The images are synthetic; say so wherever one is shown. Nobody checks how old a person looks.
"""

from __future__ import annotations

import argparse
import itertools
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np

from frontalbench import cli, images
from frontalbench.catalogue import cards
from frontalbench.errors import BadInput
from frontalbench.files import atomic
from frontalbench.synth import directions, pairs, people
from frontalbench.synth.quality import page

DETECTOR, POSE, MESH = "scrfd_500m", "tddfa_pose", "tddfa"
PER_SHARD = 20


def main() -> int:
    parser = cli.parser(__doc__)
    parser.add_argument("--shots", type=Path, metavar="DIR", help="folder of the people's images: what is missing is drawn")
    parser.add_argument(
        "--turned", type=Path, metavar="DIR", help="an image set in the layout of demo/synthetic_kept: its people in place of --shots"
    )
    parser.add_argument(
        "--rounds",
        type=cli.positive,
        default=1,
        metavar="N",
        help="how often each person of --turned is gone through, with other light, angles and misfits (default: 1)",
    )
    parser.add_argument("--out", type=Path, metavar="DIR", help="folder of the shards of pairs; left out: only draw")
    parser.add_argument("--people", type=cli.positive, metavar="N", help="candidates to draw (default: none beside those in --shots)")
    parser.add_argument("--seed", type=int, default=101, metavar="S", help="people of another seed are other people (default: 101)")
    parser.add_argument("--size", type=cli.positive, default=128, metavar="PX", help="side of the pairs (default: 128)")
    parser.add_argument("--engine", choices=("openvino", "torch"), default="openvino", help="who draws (default: openvino)")
    parser.add_argument("--device", default="cpu", help="where torch draws: cpu or cuda (default: cpu)")
    parser.add_argument(
        "--backbones", nargs="+", default=["w600k_mbf", "arcface_y1"], metavar="CARD", help="training backbones for the band of identity"
    )
    parser.add_argument(
        "--misfit",
        type=float,
        default=0.0,
        metavar="X",
        help="misplace fits as photographed profiles have them: 0 not at all, 1 well (default: 0)",
    )
    parser.add_argument("--page", type=Path, metavar="FILE.md", help="write the quality page of --out instead")
    parser.add_argument(
        "--minutes", type=float, default=float("inf"), metavar="M", help="stop after this long; the next call goes on (default: never)"
    )
    parser.add_argument("--threads", type=cli.positive, default=1, metavar="N", help="CPU threads (default: 1)")
    args = parser.parse_args()
    if args.page and args.out:
        text, sheet = page(pairs.read_shards(args.out))
        atomic.write_bytes(args.page.with_suffix(".png"), images.encode_png(sheet))
        atomic.write_text(args.page, text)
        return cli.EXIT_OK
    if bool(args.shots) == bool(args.turned):
        raise BadInput("--shots: give the folder of the people's images, or --turned, a set of people who stay who they are; not both")
    end = time.monotonic() + 60.0 * args.minutes
    if args.turned:
        if not args.out:
            raise BadInput("--out: give the folder of the shards of pairs")
        make_shards_of_set(args, end)
        return cli.EXIT_OK
    draw_people(args, end)
    if args.out:
        make_shards(args, end)
    return cli.EXIT_OK


def draw_people(args: argparse.Namespace, end: float) -> None:
    from frontalbench.detect import load_detector
    from frontalbench.pose import load_pose

    missing = [number for number in range(args.people or 0) if not (args.shots / f"{args.seed}_{number:05d}.json").is_file()]
    if not missing:
        return
    detector = load_detector(cards.find("detector", DETECTOR), threads=args.threads)
    instruments = people.Instruments(detector, load_pose(cards.find("pose", POSE), threads=args.threads), ())
    generator, ways = draws(args), directions.load()
    for number in cli.progress(missing, total=len(missing), label="drawing", unit="person"):
        if time.monotonic() > end:
            return
        pairs.save_shots(args.shots, args.seed, number, pairs.shoot(generator, ways, instruments, seed=args.seed, number=number))


def make_shards(args: argparse.Namespace, end: float) -> None:
    makes = maker(args)
    for shard, people_of_shard in itertools.groupby(pairs.load_shots(args.shots), lambda person: person[0] // PER_SHARD):
        path = args.out / f"{args.seed}-{args.size}-{shard:05d}.npz"
        if path.is_file() or time.monotonic() > end:
            continue
        made: list[pairs.Pair] = []
        for number, shots in people_of_shard:
            made += makes(number, shots, np.random.default_rng([args.seed, number, 5]))
        pairs.write_shard(path, made)
        sys.stderr.write(f"{path}: {len(made)} pairs\n")


def make_shards_of_set(args: argparse.Namespace, end: float) -> None:
    """A shard for each person and round."""
    from frontalbench.detect import load_detector
    from frontalbench.pose import load_pose

    detector = load_detector(cards.find("detector", DETECTOR), threads=args.threads)
    instruments = people.Instruments(detector, load_pose(cards.find("pose", POSE), threads=args.threads), ())
    everybody = list(pairs.shots_of_set(args.turned, instruments))
    if not everybody:
        raise BadInput(f"{args.turned}: nobody in it has a frontal image with a face; expected a set like demo/synthetic_kept")
    makes = maker(args)
    for turn, (number, shots) in itertools.product(range(args.rounds), everybody):
        path = args.out / f"{args.turned.name}-{args.size}-{turn:03d}-{number:05d}.npz"
        if path.is_file() or time.monotonic() > end:
            continue
        made = makes(number, shots, np.random.default_rng([args.seed, number, 6, turn]))
        pairs.write_shard(path, made)
        sys.stderr.write(f"{path}: {len(made)} pairs\n")


def maker(args: argparse.Namespace) -> Callable[[int, list[pairs.Shot], np.random.Generator], list[pairs.Pair]]:
    """(number, shots, random) -> the pairs of a person."""
    from frontalbench.detect import load_detector
    from frontalbench.embed import load_backbone
    from frontalbench.frontalize.tddfa import load as load_mesh

    backbones = [load_backbone(cards.find("backbone", name), threads=args.threads) for name in args.backbones]
    detector = load_detector(cards.find("detector", DETECTOR), threads=args.threads)
    mesh = load_mesh(cards.find("frontalizer", MESH), threads=args.threads)

    def makes(number: int, shots: list[pairs.Shot], random: np.random.Generator) -> list[pairs.Pair]:
        return list(pairs.pairs(shots, mesh, detector, backbones, person=number, size=args.size, random=random, misfit=args.misfit))

    return makes


def draws(args: argparse.Namespace) -> people.Draws:
    if args.engine == "torch":
        from frontalbench.synth.torch_generator import TorchDraws

        return TorchDraws(device=args.device)
    from frontalbench.synth.mobilestylegan import Generator

    return Generator(threads=args.threads)
