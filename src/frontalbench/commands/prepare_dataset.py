"""Turn the images of one shard of a dataset into a table, or look at what a dataset holds.

prepare_dataset.py --list                                     every dataset card: layout, shards, folder, licence
prepare_dataset.py --dataset lfw --check                      counts and problems of the folder; writes nothing
prepare_dataset.py --dataset lfw --shard 0003 --out 0003.parquet
prepare_dataset.py --dataset biwi --options '{"root": "/data/biwi", "select": {"per_bin": 20}}' --check
"""

from __future__ import annotations

import argparse
import json
import sys
from typing import Any

from frontalbench import cli, datasets
from frontalbench.datasets import listing
from frontalbench.datasets.card import DatasetCard
from frontalbench.errors import BadInput
from frontalbench.stages import checking, prepare
from frontalbench.stages.common import provenance


def main() -> int:
    args = parse()
    if args.list:
        print(table())
        return cli.EXIT_OK
    card = datasets.find(args.dataset).with_options(args.options)
    if args.root is not None:
        card = card.with_options({"root": args.root})
    if args.check:
        print(describe(card, checking.check(card, pixels=not args.no_pixels, progress=cli.progress)))
        return cli.EXIT_OK
    card = listing.with_shards(card)
    record = provenance("prepare", [], card=card.name, card_digest=card.digest(), threads=1)
    report = prepare.prepare_shard(card, None, args.shard, args.out, provenance=record)
    for problem in report.problems:
        print(f"warning: {' '.join(problem.split())}", file=sys.stderr)
    if report.ignored:
        print(f"note: not images, ignored: {ignored(report)}", file=sys.stderr)
    counts = report.counts
    print(
        f"{card.name} {args.shard}: {counts.images:,} images, "
        + ", ".join(f"{number:,} {word}" for word, number in counts.statuses.items())
        + f"; {counts.references:,} references, {counts.probes:,} probes, {counts.undecided:,} to be decided by pose",
        file=sys.stderr,
    )
    return cli.EXIT_OK


def parse() -> argparse.Namespace:
    parser = cli.parser(__doc__)
    parser.add_argument("--dataset", metavar="NAME", help="a card in config/datasets")
    parser.add_argument("--root", metavar="DIR", help="folder of the images (default: the card's)")
    parser.add_argument("--options", type=options, default={}, metavar="JSON", help="options laid over the card (as in the configuration)")
    parser.add_argument("--shard", metavar="NNNN")
    parser.add_argument("--out", metavar="FILE.parquet")
    parser.add_argument("--check", action="store_true", help="print counts, problems and duplicates; write nothing")
    parser.add_argument("--no-pixels", action="store_true", help="with --check: do not decode images, so find no near-identical ones")
    parser.add_argument("--list", action="store_true", help="print all dataset cards")
    args = parser.parse_args()
    if not args.list and args.dataset is None:
        parser.error("name a --dataset, or use --list")
    if not args.list and not args.check and (args.shard is None or args.out is None):
        parser.error("give --shard and --out, or --check")
    return args


def options(text: str) -> dict[str, Any]:
    try:
        value = json.loads(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(f"not JSON: {error}") from None
    if not isinstance(value, dict):
        raise argparse.ArgumentTypeError("expected a JSON object")
    return value


def table() -> str:
    rows = []
    for name in datasets.names():
        card = datasets.find(name)
        here = "here" if card.root.is_dir() else "not here"
        rows.append((name, card.layout, f"{card.data['shards']} shards", here, str(card.root), card.data["licence"]["terms"]))
    if not rows:
        raise BadInput("config/datasets holds no cards")
    widths = [max(len(row[i]) for row in rows) for i in range(len(rows[0]))]
    return "\n".join("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows)


def ignored(report: prepare.Report) -> str:
    """``3 (2 .txt: a.txt, b.txt; 1 .md: c.md)``."""
    kinds = "; ".join(f"{number:,} {ending}: {names}" for ending, (number, names) in report.ignored_by_ending.items())
    return f"{report.ignored:,} ({kinds})" if kinds else "0"


def describe(card: DatasetCard, found: checking.Check) -> str:
    report, pixels = found.report, found.pixels
    counts = report.counts
    across = [duplicate for duplicate in report.duplicates if duplicate.across]
    lines = [
        f"{card.name}: {card.title}",
        f"folder: {card.root}",
        f"licence: {card.data['licence']['terms']}",
        f"images: {counts.images:,} ({', '.join(f'{number:,} {word}' for word, number in counts.statuses.items())})",
        f"identities: {counts.identities:,} ({counts.of_one_image:,} with one image, {counts.without_reference:,} without reference, "
        f"{counts.without_probe:,} without probe)",
        f"references: {counts.references:,}; probes: {counts.probes:,}; to be decided by measured pose: {counts.undecided:,}; "
        f"unused: {counts.unused:,}",
        f"probes by |yaw|: {', '.join(f'{label}: {number:,}' for label, number in counts.probes_by_yaw.items())}",
        f"not images, ignored: {ignored(report)}",
        f"images and rows left out: {report.refused:,}",
        f"same bytes twice: {len(report.duplicates):,} groups, {len(across):,} of them across people",
    ]
    if pixels is not None:
        frames = f"; {pixels.frames:,} more between frames of one sequence, as is to be expected" if pixels.frames else ""
        lines.append(
            f"near-identical by pixels: {pixels.apart:,} pairs across people, {pixels.within:,} within a person "
            f"({pixels.compared:,} images compared){frames}"
        )
        lines += [f"near-identical across people: {twice.first}, {twice.second} ({twice.correlation:.2f})" for twice in pixels.across[:20]]
    lines += [f"left out: {number:,} x {reason}" for reason, number in report.left_out.items()]
    lines += [f"duplicate across people: {', '.join(duplicate.image_ids[:4])}" for duplicate in across[:20]]
    lines += [f"problem: {problem}" for problem in report.problems]
    return "\n".join(" ".join(line.split()) for line in lines)
