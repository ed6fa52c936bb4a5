"""What several photographs of a person are worth: FRLL's sides turned to the front, one by one and together, against the plain template.

  python benchmarks/several_views.py --folder data/frll --people odd

Reference: the neutral front. Views: left profile, left three-quarter, right three-quarter, right profile (neutral). For each set of views and judge
the mean over people of the similarity to the own front, the identity gain's first half (similarity to the own front minus the mean
similarity to strangers' fronts), and d' of both kinds of pairs, each with its 95 % interval over people (:mod:`frontalbench.compare.jackknife`).
"""

from __future__ import annotations

import argparse
import functools
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from frontalbench import images
from frontalbench.catalogue import cards
from frontalbench.compare import jackknife, separation
from frontalbench.detect import DEFAULT_POLICY, load_detector
from frontalbench.detect.base import Detector
from frontalbench.detect.upright import find_face
from frontalbench.embed import load_backbone
from frontalbench.frontalize import load_frontalizer
from frontalbench.frontalize.base import Frontalizer, View
from frontalbench.frontalize.multiview import MultiviewFrontalizer
from frontalbench.plain.clips import Judge
from frontalbench.sequences.overtime import template, unit

VIEWS = {"left_profile": 1, "left_3quarter": 2, "right_3quarter": 4, "right_profile": 5}
YAW = {"left_profile": 90.0, "left_3quarter": 45.0, "right_3quarter": -45.0, "right_profile": -90.0}
SETS: Mapping[str, Sequence[str]] = {
    "1: left 3/4": ("left_3quarter",),
    "2: both 3/4": ("left_3quarter", "right_3quarter"),
    "2: left profile, right 3/4": ("left_profile", "right_3quarter"),
    "2: both profiles": ("left_profile", "right_profile"),
    "3: left profile, both 3/4": ("left_profile", "left_3quarter", "right_3quarter"),
    "4: all": tuple(VIEWS),
}
FLOOR = 0.1
"""Added to the cosine of the yaw: a profile still counts a little."""


class Judges:
    """Detector and judges of a run, read when the first image asks for them."""

    def __init__(self, names: Sequence[str]) -> None:
        self._names = names

    @functools.cached_property
    def detector(self) -> Detector:
        return load_detector(cards.find("detector", "scrfd_2.5g"))

    @functools.cached_property
    def judges(self) -> dict[str, Judge]:
        return {name: Judge(self.detector, load_backbone(cards.find("backbone", name))) for name in self._names}


class Models(Judges):
    """These and the frontalizers."""

    def __init__(self, base: str, judges: Sequence[str]) -> None:
        super().__init__(judges)
        self.base = base

    @functools.cached_property
    def single(self) -> Frontalizer:
        return load_frontalizer(cards.find("frontalizer", self.base))

    @functools.cached_property
    def several(self) -> MultiviewFrontalizer:
        made = load_frontalizer(cards.find("frontalizer", f"multiview_{self.base}"))
        assert isinstance(made, MultiviewFrontalizer)
        return made


def measured(folder: Path, person: str, models: Models, shown: Path | None) -> dict[str, np.ndarray]:
    """Of one person: ``front|JUDGE`` (D,), ``SET|ROW|JUDGE`` as ``of|SET|ROW|JUDGE`` (n, D), and ``failed|SET|STATUS`` (empty)."""
    found: dict[str, np.ndarray] = {}
    front = images.decode((folder / "neutral_front" / f"{person}_03.jpg").read_bytes())
    decoded = {view: images.decode((folder / f"neutral_{view}" / f"{person}_{k:02d}.jpg").read_bytes()) for view, k in VIEWS.items()}
    views = {view: View(image, find_face(image, models.detector, DEFAULT_POLICY)[0]) for view, image in decoded.items()}
    alone = {view: models.single.frontalize([one])[0].image for view, one in views.items()}
    together = {}
    for name, chosen in SETS.items():
        outcomes = models.several.together([views[view] for view in chosen])
        image = together[name] = next((one.image for one in outcomes if one.image is not None), None)
        for word in {str(one.status) for one in outcomes} - {"ok"}:
            found[f"failed|{name}|{word}"] = np.zeros(0)
        if shown and image is not None and name[0] in "24":
            shown.mkdir(parents=True, exist_ok=True)
            (shown / f"{person}_{name.split(':')[0]}_{name[3:].replace(' ', '_').replace('/', '')}.png").write_bytes(
                images.encode_png(image)
            )
    for judge, look in models.judges.items():
        found[f"front|{judge}"] = look.of(front, None)
        photographs = {view: look.of(one.image, one.face) for view, one in views.items()}
        turned = {view: look.of(image, None) for view, image in alone.items()}
        for name, chosen in SETS.items():
            photo = [photographs[view] for view in chosen if len(photographs[view]) > 1]
            weight = np.array([YAW[view] for view in chosen if len(photographs[view]) > 1])
            front_of_each = [turned[view] for view in chosen if len(turned[view]) > 1]
            one = look.of(together[name], None)
            plain = template(np.stack(photo))
            weighted = unit((np.stack(photo) * (np.cos(np.radians(weight)) + FLOOR)[:, None]).sum(axis=0))
            rows = {
                "photographs, one by one": photo,
                f"{models.base}, one by one": front_of_each,
                "template of the photographs": [plain],
                "template, cos(yaw)": [weighted],
                f"template of {models.base}'s fronts": [template(np.stack(front_of_each))] if front_of_each else [],
                f"multiview_{models.base}": [one] if len(one) > 1 else [],
                f"multiview_{models.base} + template": [unit(one + plain)] if len(one) > 1 else [],
                f"multiview_{models.base} + template, cos(yaw)": [unit(one + weighted)] if len(one) > 1 else [],
            }
            for row, vectors in rows.items():
                found[f"of|{name}|{row}|{judge}"] = np.stack(vectors) if vectors else np.zeros((0, len(plain)))
    return found


def apart(vectors: Sequence[np.ndarray], fronts: np.ndarray) -> str:
    """d' with its interval: of every person's ``vectors`` (n, D) to ``fronts`` (people, D), own against strangers; people left out on both sides."""
    code = np.repeat(np.arange(len(vectors)), [len(one) for one in vectors])
    if len(np.unique(code)) < 2:
        return "none"
    similarity = np.concatenate(vectors) @ fronts.T
    own = code[:, None] == np.arange(len(fronts))

    def of(rows: np.ndarray, columns: np.ndarray) -> float:
        some, mine = similarity[rows][:, columns], own[rows][:, columns]
        return separation.dprime(some[mine], some[~mine])

    everybody = np.arange(len(fronts))
    without = np.array([of(code != person, everybody != person) for person in everybody])
    share = np.bincount(code, minlength=len(fronts)) / len(code)
    found = jackknife.LeftOut.of_squares(of(code >= 0, everybody >= 0), without, share).estimate()
    return f"{found.value:.2f} [{found.low:.2f}, {found.high:.2f}]"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--folder", type=Path, required=True)
    parser.add_argument("--people", choices=("even", "odd", "all"), default="odd")
    parser.add_argument("--limit", type=int, default=1000, help="at most so many people")
    parser.add_argument("--base", default="tddfa", choices=("tddfa", "mesh"))
    parser.add_argument("--judges", nargs="+", default=["w600k_mbf", "edgeface_s"])
    parser.add_argument("--images", type=Path, help="folder for the images of 'all' and of 'both 3/4'")
    parser.add_argument("--keep", type=Path, help="folder for what was measured of each person; a run that was stopped goes on from there")
    args = parser.parse_args()
    people = sorted(path.name.split("_")[0] for path in (args.folder / "neutral_front").glob("*.jpg"))
    people = [one for one in people if args.people == "all" or int(one) % 2 == (args.people == "odd")][: args.limit]
    fronts: dict[str, list[np.ndarray]] = {name: [] for name in args.judges}
    made: dict[tuple[str, str, str], list[np.ndarray]] = {}
    failed: dict[tuple[str, str], int] = {}
    models = Models(args.base, args.judges)
    for person in people:
        kept = args.keep / f"{person}_{args.base}_{'_'.join(args.judges)}.npz" if args.keep else None
        if kept is not None and kept.is_file():
            with np.load(kept) as arrays:
                found = {name: arrays[name] for name in arrays.files}
        else:
            found = measured(args.folder, person, models, args.images)
            if kept is not None:
                kept.parent.mkdir(parents=True, exist_ok=True)
                np.savez(kept.with_suffix(".part.npz"), **found)
                kept.with_suffix(".part.npz").replace(kept)
        for key, vectors in found.items():
            kind, *names = key.split("|")
            if kind == "front":
                fronts[names[0]].append(vectors)
            elif kind == "failed":
                failed[names[0], names[1]] = failed.get((names[0], names[1]), 0) + 1
            else:
                made.setdefault((names[0], names[1], names[2]), []).append(vectors)
    print(f"{len(people)} people ({args.people}); not turned: {failed or 'none'}")
    for name in SETS:
        print(f"\n{name}: {' | '.join(f'{judge}: similarity, above strangers, separation' for judge in args.judges)}")
        for row in dict.fromkeys(key[1] for key in made):
            cells = []
            for judge in args.judges:
                known = np.stack(fronts[judge])
                for strangers in (False, True):
                    sums, numbers = np.zeros((len(people), 1)), np.zeros((len(people), 1))
                    for k, vectors in enumerate(made[name, row, judge]):
                        similarity = vectors @ known.T
                        other = (similarity.sum(axis=1) - similarity[:, k]) / max(1, len(people) - 1)
                        sums[k], numbers[k] = (similarity[:, k] - other * strangers).sum(), len(vectors)
                    low, high = jackknife.mean_intervals(sums, numbers)
                    cells.append(f"{sums.sum() / numbers.sum():.3f} [{low[0]:.3f}, {high[0]:.3f}]" if numbers.sum() else "none")
                cells.append(apart(made[name, row, judge], known))
            print(f"  {row:44s} {'  '.join(cells)}")


if __name__ == "__main__":
    main()
