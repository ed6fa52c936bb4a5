"""Net Gain and identity gain of the frontalizers as an earlier commit drew and as this working tree draws, by yaw, with intervals.

    python benchmarks/gain_before.py --before 53d635a --cache results/gain_before --csv benchmarks/gain_before.csv [--minutes 20]
    python benchmarks/gain_before.py --csv benchmarks/gain_before.csv --table docs/gain_ways.md    # the table of the page, nothing is measured

Both sides turn the same photographs with the same faces found in them; the frontals of both are detected, aligned and embedded by this tree. People
and references are those of the verdict (benchmarks/gain.py), nothing was chosen on them. Everything measured is kept in --cache, so a run that was
stopped goes on.
"""

from __future__ import annotations

import argparse
import io
import json
import math
import os
import subprocess
import sys
import tarfile
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

PAIRS = (("mesh", "mesh"), ("tddfa", "tddfa"), ("tddfa", "tddfa_outline"), ("", "hassner"))
"""(what the earlier commit had, what there is now): ``tddfa_outline`` came out of ``tddfa``, ``hassner`` was not there."""
SLOW = ("tddfa_outline",)
"""Judged on the first image of every person and condition alone, on both sides."""
BACKBONES = ("w600k_mbf", "edgeface_s", "sface")
BEGIN, END = "<!-- gain_before.py -->\n", "<!-- gain_before.py: end -->"


@dataclass(frozen=True)
class Row:
    """Net Gain and identity gain over the photograph, each with the ends of its interval, before and now, and what changed; NaN where there was
    nothing before. ``missing_before``, ``missing``: in how many frontals no face was found (the photograph stands in)."""

    condition: str
    before: str
    now: str
    backbone: str
    n: int
    people: int
    missing_before: int
    missing: int
    net_before: float
    net_before_low: float
    net_before_high: float
    net: float
    net_low: float
    net_high: float
    net_change: float
    net_change_low: float
    net_change_high: float
    gain_before: float
    gain_before_low: float
    gain_before_high: float
    gain: float
    gain_low: float
    gain_high: float
    gain_change: float
    gain_change_low: float
    gain_change_high: float


def work(name: str) -> None:
    """The process of the earlier commit: each line on standard input is a photograph with its face, and where the frontal's pixels go."""
    import cv2
    import numpy as np
    from benchmarks import grid_cost

    from frontalbench import images
    from frontalbench.detect.select import Face
    from frontalbench.frontalize import load_frontalizer
    from frontalbench.frontalize.base import View

    cv2.setNumThreads(1)
    frontalizer = load_frontalizer(grid_cost.ours("catalogue.cards", "cards").find("frontalizer", name))
    for line in sys.stdin:
        asked = json.loads(line)
        face = Face(np.array(asked["box"], np.float32), asked["score"], np.array(asked["points"], np.float32), asked["n_faces"])
        outcome = frontalizer.frontalize([View(images.decode(Path(asked["file"]).read_bytes()), face)])[0]
        if outcome.image is not None:
            np.save(asked["to"], outcome.image)
        print(outcome.status, flush=True)


class Earlier:
    """Frontals as the commit that lies in ``folder`` draws them."""

    def __init__(self, folder: Path, name: str) -> None:
        environment = dict(os.environ, PYTHONPATH=os.pathsep.join([str(folder / "src"), str(ROOT)]), OMP_NUM_THREADS="1")
        environment.setdefault("FRONTALBENCH_STORE", str(ROOT / "weights"))
        self._pixels = folder / "drawn.npy"
        self._process = subprocess.Popen(
            [sys.executable, __file__, "--work", name],
            cwd=folder,
            env=environment,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def drawn(self, file: Path, face: Any) -> Any:
        """uint8 (H, W, 3), or None where there is no frontal."""
        import numpy as np

        asked = {
            "file": str(file),
            "box": face.box.tolist(),
            "points": face.points.tolist(),
            "score": float(face.score),
            "n_faces": face.n_faces,
        }
        process = self._process
        assert process.stdin is not None and process.stdout is not None
        process.stdin.write(json.dumps(asked | {"to": str(self._pixels)}) + "\n")
        process.stdin.flush()
        said = process.stdout.readline().strip()
        if not said:
            raise SystemExit("the process of the earlier commit ended; its message stands above")
        return np.load(self._pixels) if said == "ok" else None

    def close(self) -> None:
        """End its process."""
        self._process.communicate("")


def measurer_of(rows: list[Any], cache: Path, end: float, folder: Path) -> Any:
    """A :class:`benchmarks.gain.Measurer` that also knows ``before-NAME``: what the commit in ``folder`` draws."""
    import numpy as np
    from benchmarks import gain

    from frontalbench import images
    from frontalbench.detect import choose
    from frontalbench.geometry.similarity import align

    class Both(gain.Measurer):
        def _crops(self, variant: str, places: Sequence[int]) -> Iterator[Any]:
            if not variant.startswith("before-"):
                yield from super()._crops(variant, places)
                return
            earlier = Earlier(folder, variant.removeprefix("before-"))
            try:
                for place in places:
                    photograph = images.decode(self.rows[place][3].read_bytes())
                    face = choose(self.detector.detect(photograph), (photograph.shape[1], photograph.shape[0]))
                    image = None if face is None else earlier.drawn(self.rows[place][3], face)
                    found = None if image is None else choose(self.detector.detect(image), (image.shape[1], image.shape[0]))
                    yield np.zeros((112, 112, 3), np.uint8) if image is None or found is None else align(image, found.points)
            finally:
                earlier.close()

    return Both(rows, cache, end)


def measured(arguments: argparse.Namespace, folder: Path) -> Iterator[Row]:
    import numpy as np
    from benchmarks import gain

    rows = [row for row in gain.photographs(arguments.shared) if not gain.validation(row)]
    measurer = measurer_of(rows, arguments.cache, time.monotonic() + 60.0 * arguments.minutes, folder)
    who = np.array([row[1] for row in rows])
    for condition in arguments.conditions:
        probes, references = gain.of_condition(rows, condition)
        pose = measurer.pose([*probes, *references])
        seen = np.isfinite(pose[:, 0])
        if not references:
            probes, references = gain.nearest_apart(rows, pose, probes)
        probes, references = ([place for place in places if seen[place]] for places in (probes, references))
        first = {row[1]: place for place, row in reversed(list(enumerate(rows))) if place in set(probes)}
        for before, now in PAIRS:
            if now not in arguments.names:
                continue
            mine = np.array(sorted(first.values()) if now in SLOW else probes)
            for backbone in BACKBONES:
                photograph = measurer.embeddings("original", backbone, mine)[mine]
                goal = measurer.embeddings("original", backbone, references)[references]
                drawn = [
                    measurer.embeddings(one, backbone, mine)[mine] for one in ([f"before-{before}"] if before else []) + [f"{now}.none"]
                ]
                there = [one.any(1) for one in drawn]
                sides = [np.where(found[:, None], one, photograph) @ goal.T for one, found in zip(drawn, there, strict=True)]
                alone, yaw = photograph @ goal.T, np.abs(pose[mine, 0])
                for name, inside in [("all", np.ones(len(mine), bool)), *gain.in_bins(yaw)]:
                    people = who[mine][inside]
                    if len(set(people.tolist())) >= gain.jackknife.MIN_PEOPLE:
                        lost = [int((inside & ~found).sum()) for found in there]
                        label = f"{condition}, {name}"
                        yield judged(
                            (label, before, now, backbone), alone[inside], [one[inside] for one in sides], lost, people, who[references]
                        )


def judged(label: tuple[str, str, str, str], alone: Any, sides: Sequence[Any], missing: Sequence[int], who: Any, other: Any) -> Row:
    """``alone`` (probes, references): scores of the photograph; ``sides``: those of the frontal, before where there was one, and now."""
    from benchmarks import gain

    def change(base: Any, made: Any) -> tuple[tuple[float, float, float], tuple[float, float, float]]:
        found = gain.judged(("", "", "", ""), (base, base, made), 0, 0.0, who, other)
        return (found.genuine - found.genuine_before, found.net_low, found.net_high), (found.gain, found.gain_low, found.gain_high)

    none = ((math.nan,) * 3, (math.nan,) * 3)
    now = change(alone, sides[-1])
    before, changed = (change(alone, sides[0]), change(sides[0], sides[1])) if len(sides) > 1 else (none, none)
    counted = (len(who), len(set(who.tolist())), missing[0] if len(sides) > 1 else 0, missing[-1])
    return Row(*label, *counted, *before[0], *now[0], *changed[0], *before[1], *now[1], *changed[1])


def read(path: Path) -> list[Row]:
    """The rows of a CSV file of this program."""
    from benchmarks.gain import read_rows

    return read_rows(path, Row)


def keep(path: Path, new: Sequence[Row]) -> None:
    """Put ``new`` into a CSV file; rows of the same images, frontalizer and backbone are replaced."""
    from benchmarks.gain import write_rows

    old = read(path) if path.is_file() else []
    kept = {(r.condition, r.now, r.backbone): r for r in (*old, *new)}
    write_rows(path, kept.values(), Row)


def table(rows: Sequence[Row]) -> str:
    """One row an image set with its bin, frontalizer and backbone."""
    from benchmarks.gain import ends

    def said(value: float, low: float, high: float) -> str:
        return "" if math.isnan(value) else ends(value, low, high)

    heads = ("images, yaw", "frontalizer", "backbone", "images, people", "no face")
    both = tuple(f"{what}{side}" for what in ("Net Gain", "identity gain") for side in (" before", " now", ", change"))
    lines = ["| " + " | ".join((*heads, *both)) + " |", "|---" * (len(heads) + len(both)) + "|"]
    for r in rows:
        name = f"`{r.now}`" if r.before in ("", r.now) else f"`{r.before}`, then `{r.now}`"
        lost = f"{r.missing_before} -> {r.missing}" if r.before else str(r.missing)
        cells = [
            *(r.condition, name, r.backbone, f"{r.n}, {r.people}", lost),
            said(r.net_before, r.net_before_low, r.net_before_high),
            said(r.net, r.net_low, r.net_high),
            said(r.net_change, r.net_change_low, r.net_change_high),
            said(r.gain_before, r.gain_before_low, r.gain_before_high),
            said(r.gain, r.gain_low, r.gain_high),
            said(r.gain_change, r.gain_change_low, r.gain_change_high),
        ]
        lines.append("| " + " | ".join(cells) + " |")
    return "\n".join(lines) + "\n"


def with_table(text: str, rows: Sequence[Row]) -> str:
    """``text`` with the table between its marks made anew. Raises SystemExit for a text without them."""
    if BEGIN not in text or END not in text:
        raise SystemExit(f"no '{BEGIN.strip()}' in the page, so there is no place for the table")
    head, _, rest = text.partition(BEGIN)
    return head + BEGIN + "\n" + table(rows) + "\n" + END + rest.partition(END)[2]


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "--shared", type=Path, default=Path(os.environ.get("FRONTALBENCH_SHARED", "../shared")), help="folder with testdata/"
    )
    conditions = ("FRLL three-quarter", "FRLL profile", "CFP profile", "LFW")
    parser.add_argument("--before", metavar="COMMIT", help="what is compared with")
    parser.add_argument("--conditions", nargs="+", default=list(conditions), choices=conditions)
    parser.add_argument("--names", nargs="+", default=[now for _, now in PAIRS], choices=[now for _, now in PAIRS])
    parser.add_argument("--cache", type=Path, help="folder where crops and embeddings are kept")
    parser.add_argument("--minutes", type=float, default=math.inf, metavar="M", help="stop after this long; the same command goes on")
    parser.add_argument("--csv", type=Path, metavar="FILE", help="keep the results in this file; rows that are in it already are replaced")
    parser.add_argument("--table", type=Path, metavar="PAGE.md", help="make the table of this page from --csv; nothing is measured")
    parser.add_argument("--work", metavar="NAME", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.work:
        work(arguments.work)
        return 0
    if arguments.csv is None:
        parser.error("--csv: give a file")
    if arguments.table:
        page = arguments.table
        page.write_text(with_table(page.read_text(encoding="utf-8"), read(arguments.csv)), encoding="utf-8")
        return 0
    if arguments.cache is None or arguments.before is None:
        parser.error("--before, --cache: give a commit and a folder")
    from benchmarks.gain import Stopped, ends

    with tempfile.TemporaryDirectory() as temporary:
        packed = subprocess.run(["git", "archive", arguments.before], cwd=ROOT, stdout=subprocess.PIPE, check=True).stdout
        with tarfile.open(fileobj=io.BytesIO(packed)) as archive:
            archive.extractall(temporary, filter="data") if hasattr(tarfile, "data_filter") else archive.extractall(
                temporary
            )  # our own commit
        done: list[Row] = []
        try:
            for row in measured(arguments, Path(temporary)):
                done.append(row)
                change = ends(row.gain_change, row.gain_change_low, row.gain_change_high)
                print(
                    f"{row.condition} | {row.n} | {row.now} | {row.backbone} | {ends(row.gain, row.gain_low, row.gain_high)} | {change}",
                    flush=True,
                )
        except Stopped:
            print("stopped: the time is over; the same command goes on")
            return 3
        finally:
            keep(arguments.csv, done)
    return 0


if __name__ == "__main__":
    sys.exit(main())
