"""Sequences over time: identity, trembling, residual pose, and the plain template as their control, for the finished cells of a run.

frontalbench over-time results --out results/over_time
frontalbench over-time results --dataset clips --no-pixels

A sequence is a clip, a folder of numbered images or a recording of the dataset. Written: over_time.csv (per cell and measure: mean over people with
its interval), sequences.csv (a row per sequence), frames.csv (the similarity of every frame). docs/sequences.md explains the measures.
"""

from __future__ import annotations

from frontalbench import cli
from frontalbench.plan.grid import Selection
from frontalbench.tabulate import over_time, write


def main() -> int:
    parser = cli.parser(__doc__)
    cli.add_run_options(parser, "over_time")
    parser.add_argument("--no-pixels", action="store_true", help="leave the warp error out, which decodes every image")
    args = parser.parse_args()
    grid = Selection.from_json(args.grid) if args.grid else None
    found = over_time.of_results(args.results, grid=grid, datasets=args.dataset, pixels=not args.no_pixels)
    of = (
        ("over_time.csv", over_time.OVER_TIME, found.over_time),
        ("sequences.csv", over_time.SEQUENCES, found.sequences),
        ("frames.csv", over_time.FRAMES, found.frames),
    )
    return cli.said(write.save(cli.out_of(args), of), found.notes)
