"""One jump to the front against a way in small steps, each image the source of the next: what is left of the person?

  python benchmarks/turning_in_steps.py --folder data/frll --people odd --limit 12

FRLL's sides (neutral) turned to the front; per frontalizer, view and largest step (0: at once) the mean similarity to the own neutral front with its
95 % interval over people, the difference to the jump over the same images, and the images that failed.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np

from frontalbench import images
from frontalbench.catalogue import cards
from frontalbench.compare import jackknife
from frontalbench.detect import DEFAULT_POLICY, load_detector
from frontalbench.detect.upright import find_face
from frontalbench.embed import load_backbone
from frontalbench.frontalize import load_frontalizer
from frontalbench.frontalize.base import View
from frontalbench.plain.clips import Judge

VIEWS = {"3quarter": (("left", 2), ("right", 4)), "profile": (("left", 1), ("right", 5))}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--folder", type=Path, required=True)
    parser.add_argument("--people", choices=("even", "odd"), default="odd")
    parser.add_argument("--limit", type=int, default=12, help="at most so many people")
    parser.add_argument("--models", nargs="+", default=["mesh", "tddfa"])
    parser.add_argument("--steps", nargs="+", type=float, default=[0.0, 30.0, 15.0, 7.5], help="degrees; 0: at once, and first")
    parser.add_argument("--judges", nargs="+", default=["w600k_mbf", "edgeface_s"])
    parser.add_argument("--images", type=Path, help="folder for the images")
    args = parser.parse_args()
    detector = load_detector(cards.find("detector", "scrfd_2.5g"))
    judges = {name: Judge(detector, load_backbone(cards.find("backbone", name))) for name in args.judges}
    people = sorted(path.name.split("_")[0] for path in (args.folder / "neutral_front").glob("*.jpg"))
    people = [one for one in people if int(one) % 2 == (args.people == "odd")][: args.limit]
    # (model, kind, step, judge) -> per person the similarities of its two sides, NaN where an image failed
    found: dict[tuple[str, str, float, str], list[list[float]]] = {}
    seconds: dict[tuple[str, str, float], list[float]] = {}
    for model in args.models:
        for step in args.steps:
            turn = load_frontalizer(cards.find("frontalizer", f"{model}@{step:g}step" if step else model))
            for person in people:
                front = images.decode((args.folder / "neutral_front" / f"{person}_03.jpg").read_bytes())
                known = {name: judge.of(front, None) for name, judge in judges.items()}
                for kind, sides in VIEWS.items():
                    made = []
                    for side, number in sides:
                        path = args.folder / f"neutral_{side}_{kind}" / f"{person}_{number:02d}.jpg"
                        image = images.decode(path.read_bytes())
                        outcome = turn.frontalize([View(image, find_face(image, detector, DEFAULT_POLICY)[0])])[0]
                        made.append(outcome.image)
                        seconds.setdefault((model, kind, step), []).append(outcome.seconds)
                        if args.images and outcome.image is not None:
                            args.images.mkdir(parents=True, exist_ok=True)
                            (args.images / f"{person}_{side}_{kind}_{model}_{step:g}.png").write_bytes(images.encode_png(outcome.image))
                    for name, judge in judges.items():
                        values = [judge.of(image, None) for image in made]
                        row = [float(one @ known[name]) if len(one) > 1 else float("nan") for one in values]
                        found.setdefault((model, kind, step, name), []).append(row)
    print(
        f"{len(people)} people ({args.people}), neutral; similarity to the own front, 95 % intervals over people; failures of {2 * len(people)}"
    )
    for model in args.models:
        for kind in VIEWS:
            print(f"\n{model}, {kind}: {' | '.join(args.judges)}")
            for step in args.steps:
                cells = []
                for name in args.judges:
                    values, jump = np.array(found[model, kind, step, name]), np.array(found[model, kind, args.steps[0], name])
                    mean, change = _interval(values), _interval(values - jump)
                    cells.append(f"{mean}, to the jump {change}, {int(np.isnan(values).sum())} failed")
                label = f"steps of {step:g}" if step else "at once"
                print(f"  {label:14s} {' | '.join(cells)} | {np.mean(seconds[model, kind, step]):.2f} s")


def _interval(values: np.ndarray) -> str:
    numbers = np.isfinite(values).sum(axis=1, keepdims=True).astype(np.float64)
    sums = np.nansum(values, axis=1, keepdims=True)
    if not numbers.sum():
        return "none"
    low, high = jackknife.mean_intervals(sums, numbers)
    return f"{sums.sum() / numbers.sum():.3f} [{low[0]:.3f}, {high[0]:.3f}]"


if __name__ == "__main__":
    main()
