"""The contract of files between a job of ours and an adapter.

A job is a folder. Ours writes ``in/NAME.png`` (8-bit RGB) and ``in/manifest.json``; the adapter writes ``out/NAME.png`` (or a clip, or a folder of
frames) and, line by line as each image is done, ``out/status.jsonl``. What each key means: docs/external.md. What the adapter leaves behind is
read as data that anybody may have written.
"""

from __future__ import annotations

import json
import math
import os
import re
import stat
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from frontalbench import images, status
from frontalbench.errors import one_line
from frontalbench.images import RGB

if TYPE_CHECKING:
    from frontalbench.detect.select import Face

PROTOCOL = 1
MANIFEST = "in/manifest.json"
STATUS = "out/status.jsonl"
MOST_BYTES = 1 << 30
"""A result larger than this is no image or clip that anybody meant."""
_MOST_STATUS = 64 << 20
_NAME = re.compile(r"[0-9]{6}")
ENDINGS = (".png", ".jpg", ".jpeg", ".webp", ".mp4", ".avi", ".mov", ".webm", ".gif", "")
"""How a result may end, in the order in which it is looked for; "" is a folder of frames."""


@dataclass(frozen=True)
class Line:
    """What an adapter said of one image. ``problem``: why there is none ("" when there is one); ``word``: the status of its row; ``seconds`` and
    ``gpu_mb`` (peak GPU memory) are None where it did not say; ``file``: the result's name below ``out``, "" for the usual one."""

    name: str
    problem: str = ""
    word: str = status.OK
    seconds: float | None = None
    gpu_mb: float | None = None
    file: str = ""


@dataclass
class Job:
    """A job that is being written. ``told``: what the manifest says beside the images."""

    folder: Path
    told: Mapping[str, Any]
    images: list[dict[str, Any]] = field(default_factory=list)

    def __post_init__(self) -> None:
        for name in ("in", "out"):
            (self.folder / name).mkdir(parents=True, exist_ok=True)

    def add(self, image: RGB, face: Face | None, target: tuple[float, float, float]) -> str:
        """Put one image (uint8 (H, W, 3) RGB) into the job; returns the name that it has there.

        ``face``: box, score and five points in its pixels; ``target``: yaw, pitch, roll in degrees that it is to be turned to.
        """
        name = f"{len(self.images):06d}"
        (self.folder / "in" / f"{name}.png").write_bytes(images.encode_png_raw(image))
        height, width = image.shape[:2]
        yaw, pitch, roll = target
        entry: dict[str, Any] = {"name": name, "file": f"in/{name}.png", "width": width, "height": height}
        entry["pose"] = {"yaw": yaw, "pitch": pitch, "roll": roll}
        entry["face"] = None
        if face is not None:
            entry["face"] = {
                "box": [float(v) for v in face.box],
                "points": [[float(v) for v in point] for point in face.points],
                "score": float(face.score),
                "n_faces": int(face.n_faces),
            }
        self.images.append(entry)
        return name

    def seal(self, names: Sequence[str] | None = None) -> None:
        """Write the manifest for ``names`` (default: all images)."""
        asked = [entry for entry in self.images if names is None or entry["name"] in set(names)]
        manifest = {"protocol": PROTOCOL, **self.told, "pictures": asked}
        (self.folder / MANIFEST).write_text(json.dumps(manifest, indent=1, allow_nan=False) + "\n", encoding="utf-8")

    @property
    def names(self) -> list[str]:
        return [entry["name"] for entry in self.images]


def lines(folder: Path) -> tuple[dict[str, Line], int]:
    """What the adapter has said so far, by name, and how many lines made no sense (an unfinished last one is none of them).

    The first line about an image counts. Never raises for what stands in the file.
    """
    path = folder / STATUS
    try:
        content = path.read_bytes() if _is_plain(path, _MOST_STATUS) else b""
    except OSError:
        content = b""
    found: dict[str, Line] = {}
    odd = 0
    *whole, _ = content.split(b"\n")
    for raw in whole:
        if not raw.strip():
            continue
        line = _line(raw)
        if line is None:
            odd += 1
        else:
            found.setdefault(line.name, line)
    return found, odd


def count(folder: Path) -> int:
    """How many lines have been written, without reading what they say."""
    try:
        return (folder / STATUS).read_bytes().count(b"\n")
    except OSError:
        return 0


def _line(raw: bytes) -> Line | None:
    try:
        said = json.loads(raw)
    except (ValueError, RecursionError):
        return None
    if not isinstance(said, dict) or not isinstance(said.get("name"), str) or not _NAME.fullmatch(said["name"]):
        return None
    if said.get("ok") is True:
        problem, word = "", status.OK
    elif isinstance(said.get("reason"), str):
        problem = " ".join(said["reason"].split())[:300] or "the adapter gave no reason"
        word = status.NO_FACE if said.get("status") == status.NO_FACE else status.MODEL_ERROR
    else:
        return None
    file = said.get("file", "")
    return Line(
        said["name"], problem, word, _number(said.get("seconds")), _number(said.get("gpu_mb")), file if isinstance(file, str) else ""
    )


def _number(value: Any) -> float | None:
    good = isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value) and 0 <= value < 1e9
    return float(value) if good else None


class NoResult(ValueError):
    """There is no result where one was announced; the message is for the row."""


def result(folder: Path, line: Line) -> Path:
    """The file or folder of frames that ``line`` announces. Raises :class:`NoResult` where it is not there, or is no plain file below ``out``."""
    out = folder / "out"
    if line.file:
        wanted = Path(os.path.normpath(out / line.file))
        if not wanted.is_relative_to(out) or wanted == out:
            raise NoResult(f"the adapter named a file outside of out/: {one_line(ValueError(line.file))}")
        candidates = [wanted]
    else:
        candidates = [out / f"{line.name}{ending}" for ending in ENDINGS]
    for path in candidates:
        if _leads_away(path, out):
            raise NoResult(f"{path.relative_to(out)} is a link, not a file of its own")
        if path.is_dir():
            return path
        if path.exists():
            if not _is_plain(path, MOST_BYTES):
                raise NoResult(f"{path.relative_to(out)} is no plain file of at most {MOST_BYTES >> 20} MB")
            return path
    raise NoResult(f"the adapter says ok, but out/{line.file or line.name + '.png'} is not there")


def _leads_away(path: Path, out: Path) -> bool:
    """Whether ``path`` or a folder on the way to it, below ``out``, is a link."""
    while path != out:
        if path.is_symlink():
            return True
        path = path.parent
    return False


def _is_plain(path: Path, most: int) -> bool:
    found = path.lstat()
    return stat.S_ISREG(found.st_mode) and found.st_size <= most
