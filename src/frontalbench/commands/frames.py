"""Unpack clips into numbered images with an index.csv: a dataset of the layout `folder`.

example:
  frames.py --in data/clips --out data/frames --every 5

CLIPS/PERSON/clip.mp4 (mp4, mov, avi, mkv, webm, gif) becomes PERSON/clip/000000.png and so on; every clip is a sequence of its person. A damaged
frame is an empty file, which the dataset counts as unreadable. Then copy config/datasets/folder.yaml and let its root be the new folder
(docs/sequences.md).
"""

from __future__ import annotations

import sys
from pathlib import Path

from frontalbench import cli
from frontalbench.plain import frames


def main() -> int:
    parser = cli.parser(__doc__)
    parser.add_argument("--in", dest="source", type=Path, required=True, metavar="PATH", help="a clip, or a folder with clips")
    parser.add_argument("--out", type=Path, required=True, metavar="DIR", help="folder to write")
    parser.add_argument("--every", type=cli.positive, default=1, metavar="N", help="take every N-th frame (default: 1)")
    parser.add_argument("--from", dest="first", type=float, default=0.0, metavar="SECONDS", help="where to begin (default: 0)")
    parser.add_argument("--to", dest="last", type=float, metavar="SECONDS", help="where to end (default: the end)")
    args = parser.parse_args()
    counts, problems = frames.unpack(args.source, args.out, every=args.every, first=args.first, last=args.last)
    for line in problems:
        sys.stderr.write(f"note: {line}\n")
    return cli.report(counts)
