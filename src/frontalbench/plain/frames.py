"""Clips as a dataset: their frames as numbered images with an ``index.csv``, which the layout ``folder`` reads.

``CLIPS/PERSON/clip.mp4`` becomes ``PERSON/clip/000000.png`` and so on; a clip on top is a person of its own name. Every clip is a sequence (a
*session*, whose images ``multiview`` turns together). A damaged frame is an empty file: the dataset counts it as ``unreadable``.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from pathlib import Path

from frontalbench import images, status
from frontalbench.datasets.members import text_of
from frontalbench.errors import BadInput
from frontalbench.files import atomic
from frontalbench.plain.unpacking import write_rows
from frontalbench.sequences import video

INDEX = ("image", "identity", "role", "subject", "sequence")


def clips_in(source: Path) -> list[Path]:
    """The clips of a folder, or the one clip. Raises :class:`BadInput` where there is none."""
    if source.is_file():
        return [source]
    if not source.is_dir():
        raise BadInput(f"{source}: neither a clip nor a folder")
    found = sorted(path for path in source.rglob("*") if path.is_file() and video.is_clip(path) and not path.name.startswith("."))
    if not found:
        raise BadInput(f"{source}: no clips (looked for {', '.join(sorted(video.ENDINGS))})")
    return found


def unpack(source: Path, out: Path, *, every: int = 1, first: float = 0.0, last: float | None = None) -> tuple[dict[str, int], list[str]]:
    """Write the frames of all clips below ``source`` into ``out`` with an ``index.csv``; returns (frames by status, a line per file that is no clip).

    Raises :class:`BadInput` where nothing is a clip, and for two clips whose frames would have the same names.
    """
    clips = clips_in(source)
    rows: list[list[str]] = []
    problems: list[str] = []
    taken: dict[str, Path] = {}
    counts: Counter[str] = Counter()
    for clip in clips:
        below = clip.relative_to(source) if source.is_dir() else Path(clip.name)
        person = text_of(below.parts[0]) if len(below.parts) > 1 else text_of(below.stem)
        folder = text_of(below.with_suffix("").as_posix())
        if folder in taken:
            raise BadInput(f"{clip}: its frames would have the names of those of {taken[folder]}; rename one")
        taken[folder] = clip
        try:
            for frame in video.read(clip, every=every, first=first, last=last):
                name = f"{folder}/{frame.number:06d}.png"
                atomic.write_bytes(out / name, b"" if frame.image is None else images.encode_png(frame.image))
                counts[status.UNREADABLE if frame.image is None else status.OK] += 1
                rows.append([name, person, "auto", person, folder])
        except BadInput as error:
            problems.append(str(error))
    if not rows:
        raise BadInput(problems[0] if problems else f"{source}: no frame in the span that was asked for")
    write_rows(out / "index.csv", list(INDEX), _sorted(rows))
    return dict(counts), problems


def _sorted(rows: Iterable[list[str]]) -> list[list[str]]:
    return sorted(rows, key=lambda row: row[0])
