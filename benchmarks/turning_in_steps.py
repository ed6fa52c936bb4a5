"""One jump to the front against a way in small steps, each image the source of the next: what is left of the person?

  python benchmarks/turning_in_steps.py --folder data/frll --people odd --limit 12

FRLL's sides (neutral) turned to the front; per frontalizer, view and largest step (0: at once) the mean similarity to the own neutral front with its
95 % interval over people, the difference to the jump over the same images, and the images that failed.
"""

from __future__ import annotations

import argparse
import itertools
import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from benchmarks import several_views

from frontalbench import images
from frontalbench.catalogue import cards
from frontalbench.compare import jackknife
from frontalbench.detect import DEFAULT_POLICY
from frontalbench.detect.upright import find_face
from frontalbench.frontalize import load_frontalizer
from frontalbench.frontalize.base import Frontalizer, View

VIEWS = {"3quarter": (("left", 2), ("right", 4)), "profile": (("left", 1), ("right", 5))}


class Models(several_views.Judges):
    """These and the frontalizers, each read when the first image asks for it."""

    def __init__(self, judges: Sequence[str]) -> None:
        super().__init__(judges)
        self._turners: dict[str, Frontalizer] = {}

    def turner(self, name: str) -> Frontalizer:
        if name not in self._turners:
            self._turners[name] = load_frontalizer(cards.find("frontalizer", name))
        return self._turners[name]


def measured(folder: Path, person: str, name: str, models: Models, shown: Path | None) -> dict[str, np.ndarray]:
    """Of one person turned by the card ``name``: per kind of view ``KIND|JUDGE`` (2,) similarity of both sides, NaN where an image failed, and
    ``KIND|seconds`` (2,)."""
    front = images.decode((folder / "neutral_front" / f"{person}_03.jpg").read_bytes())
    known = {judge: look.of(front, None) for judge, look in models.judges.items()}
    found: dict[str, np.ndarray] = {}
    for kind, sides in VIEWS.items():
        made = []
        for side, number in sides:
            image = images.decode((folder / f"neutral_{side}_{kind}" / f"{person}_{number:02d}.jpg").read_bytes())
            view = View(image, find_face(image, models.detector, DEFAULT_POLICY)[0])
            made.append(models.turner(name).frontalize([view])[0])
            if shown and made[-1].image is not None:
                shown.mkdir(parents=True, exist_ok=True)
                (shown / f"{person}_{side}_{kind}_{name}.png").write_bytes(images.encode_png(made[-1].image))
        found[f"{kind}|seconds"] = np.array([one.seconds for one in made])
        for judge, look in models.judges.items():
            vectors = [look.of(one.image, None) for one in made]
            found[f"{kind}|{judge}"] = np.array([float(one @ known[judge]) if len(one) > 1 else np.nan for one in vectors])
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--folder", type=Path, required=True)
    parser.add_argument("--people", choices=("even", "odd"), default="odd")
    parser.add_argument("--limit", type=int, default=12, help="at most so many people")
    parser.add_argument("--models", nargs="+", default=["mesh", "tddfa"])
    parser.add_argument("--steps", nargs="+", type=float, default=[0.0, 30.0, 15.0, 7.5], help="degrees; 0: at once, and first")
    parser.add_argument("--judges", nargs="+", default=["w600k_mbf", "edgeface_s"])
    parser.add_argument("--images", type=Path, help="folder for the images")
    parser.add_argument("--keep", type=Path, help="folder for what was measured of each person; a run that was stopped goes on from there")
    args = parser.parse_args()
    models = Models(args.judges)
    people = sorted(path.name.split("_")[0] for path in (args.folder / "neutral_front").glob("*.jpg"))
    people = [one for one in people if int(one) % 2 == (args.people == "odd")][: args.limit]
    # (model, kind, step, judge) -> per person the similarities of its two sides, NaN where an image failed
    found: dict[tuple[str, str, float, str], list[np.ndarray]] = {}
    seconds: dict[tuple[str, str, float], list[np.ndarray]] = {}
    for person, model, step in itertools.product(people, args.models, args.steps):
        name = f"{model}@{step:g}step" if step else model
        kept = args.keep / f"{person}_{name}_{'_'.join(args.judges)}.npz" if args.keep else None
        if kept is not None and kept.is_file():
            with np.load(kept) as arrays:
                mine = {key: arrays[key] for key in arrays.files}
        else:
            mine = measured(args.folder, person, name, models, args.images)
            if kept is not None:
                kept.parent.mkdir(parents=True, exist_ok=True)
                np.savez(kept.with_suffix(".part.npz"), **mine)
                kept.with_suffix(".part.npz").replace(kept)
        for key, values in mine.items():
            kind, judge = key.split("|")
            if judge == "seconds":
                seconds.setdefault((model, kind, step), []).append(values)
            else:
                found.setdefault((model, kind, step, judge), []).append(values)
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
