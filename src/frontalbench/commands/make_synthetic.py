"""Make images of people who do not exist, at many angles (needs the extra: pip install -e '.[synth]').

New people:            make_synthetic.py --out people/ --identities 20 --seed 7
Only these of a seed:  make_synthetic.py --out people/ --seed 7 --numbers 3,4,6
The shipped set again: make_synthetic.py --out people/ --recipe demo/synthetic/recipe.json
Look before choosing:  make_synthetic.py --out sheet.png --seed 7 --sheet 48
Measure a set anew:    make_synthetic.py --out table.md --check demo/synthetic
Turning directions:    make_synthetic.py --out directions.npz --fit 700

Nobody checks how old a person looks: look at the images, and keep adults (--sheet, then --numbers).
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from frontalbench import cli, images
from frontalbench.catalogue import cards
from frontalbench.errors import BadInput
from frontalbench.files import atomic
from frontalbench.synth import check, directions, image_set, people
from frontalbench.synth.mobilestylegan import Generator

DETECTOR, POSE, BACKBONES = "scrfd_500m", "tddfa_pose", ("w600k_mbf", "edgeface_s")
CANDIDATES_PER_PERSON = 10


def main() -> int:
    parser = cli.parser(__doc__)
    parser.add_argument(
        "--out", type=Path, required=True, metavar="PATH", help="folder to write (with --sheet a .png, --check a .md, --fit an .npz)"
    )
    what = parser.add_mutually_exclusive_group()
    what.add_argument("--identities", type=cli.positive, default=20, metavar="N", help="how many people (default: 20)")
    what.add_argument("--numbers", type=numbers, metavar="N,N,...", help="these candidates of the seed, each once")
    what.add_argument("--recipe", type=Path, metavar="FILE", help="draw the images of a recipe.json again, without any search")
    what.add_argument("--sheet", type=cli.positive, metavar="N", help="one image with the first N candidates, numbered by rows of eight")
    what.add_argument(
        "--check", type=Path, metavar="DIR", help="measure the images of a set: yaw and identity by step, as a Markdown table"
    )
    what.add_argument("--fit", type=cli.positive, metavar="N", help="estimate the turning directions anew from N images")
    parser.add_argument("--seed", type=int, default=7, metavar="S", help="people of another seed are other people (default: 7)")
    parser.add_argument("--size", type=cli.positive, default=256, metavar="PX", help="side of the images (default: 256)")
    parser.add_argument("--turn", type=Path, metavar="FILE", help="turning directions (default: the ones of this package)")
    parser.add_argument("--threads", type=cli.positive, default=2, metavar="N", help="CPU threads (default: 2)")
    args = parser.parse_args()
    if args.check:
        table = check.as_markdown(check.check(args.check, instruments(args.threads)), BACKBONES)
        atomic.write_text(args.out, table)
        return cli.EXIT_OK
    generator = Generator(threads=args.threads)
    if args.fit:
        directions.save(args.out, fit(generator, args.fit, args.seed, args.threads))
        return cli.EXIT_OK
    ways = directions.load(args.turn)
    if args.sheet:
        atomic.write_bytes(args.out, images.encode_png(sheet(generator, ways, args.seed, args.sheet)))
        return cli.EXIT_OK
    if args.recipe:
        content = image_set.read_recipe(args.recipe)
        for image, data in cli.progress(
            image_set.draw(generator, ways, content), total=len(content["pictures"]), label="drawing", unit="image"
        ):
            atomic.write_bytes(args.out / image, data)
        return cli.EXIT_OK
    made = [(f"synth_{place:02d}", person) for place, person in enumerate(find(generator, ways, args), start=1)]
    listed = image_set.write(args.out, made, seed=args.seed, size=args.size)
    sys.stderr.write(f"{args.out}: {len(made)} people, {len(listed)} images\n")
    return cli.EXIT_OK


def numbers(text: str) -> list[int]:
    """An argparse type: whole numbers joined by commas."""
    try:
        return [int(part) for part in text.split(",")]
    except ValueError:
        raise argparse.ArgumentTypeError(f"expected whole numbers joined by commas, got '{text}'") from None


def instruments(threads: int) -> people.Instruments:
    """The models that measure, fetched if need be."""
    from frontalbench.detect import load_detector
    from frontalbench.embed import load_backbone
    from frontalbench.pose import load_pose
    from frontalbench.weights import store

    detector, pose = cards.find("detector", DETECTOR), cards.find("pose", POSE)
    backbones = [cards.find("backbone", name) for name in BACKBONES]
    store.fetch_all([detector, pose, *backbones])
    return people.Instruments(
        load_detector(detector, threads=threads),
        load_pose(pose, threads=threads),
        tuple(load_backbone(card, threads=threads) for card in backbones),
    )


def find(generator: Generator, ways: directions.Directions, args: argparse.Namespace) -> Iterator[people.Person]:
    """People that keep to their bands and are no one's double; says on stderr why a candidate is not used."""
    models = instruments(args.threads)
    taken: list[people.Person] = []
    wanted = len(args.numbers) if args.numbers else args.identities
    for number in args.numbers or range(CANDIDATES_PER_PERSON * wanted):
        try:
            person = people.make_person(generator, ways, models, seed=args.seed, number=number, others=taken, size=args.size)
        except people.Rejected as reason:
            sys.stderr.write(f"candidate {number}: not used, {reason}\n")
            continue
        sys.stderr.write(f"candidate {number}: person {len(taken) + 1} of {wanted}\n")
        taken.append(person)
        yield person
        if len(taken) == wanted:
            return
    if not args.numbers:
        raise BadInput(
            f"only {len(taken)} of {wanted} people in {CANDIDATES_PER_PERSON * wanted} candidates; ask for fewer, or another --seed"
        )


def sheet(generator: Generator, ways: directions.Directions, seed: int, count: int) -> images.RGB:
    """The first ``count`` candidates of a seed as they are, eight in a row, 128 pixels each."""
    tiles = [people.draw(generator, ways, seed=seed, number=number, size=128) for number in range(count)]
    tiles += [np.zeros_like(tiles[0])] * (-count % 8)
    return np.vstack([np.hstack(tiles[start : start + 8]) for start in range(0, len(tiles), 8)])


def fit(generator: Generator, count: int, seed: int, threads: int) -> directions.Directions:
    """Turning directions from ``count`` measured images of styles at truncation 0.8; mean and covariance from 4,000 styles."""
    models = instruments(threads)
    random = np.random.default_rng(seed)
    styles = np.stack([generator.style(random.standard_normal(512)) for _ in range(max(4000, count))]).astype(np.float64)
    mean = styles.mean(axis=0)
    used, poses = [], []
    for style in cli.progress(styles[:count], total=count, label="measuring", unit="image"):
        wider = mean + 0.8 * (style - mean)
        measured = models.measure(generator.render(wider, wider))
        if measured is not None:
            used.append(wider)
            poses.append(measured.pose)
    return directions.fit(used, poses, mean, np.cov(styles.T))
