"""Turned people in files: images as JPEG, what was measured, and the styles where they are asked for."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import cv2
import numpy as np
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save

from frontalbench import images
from frontalbench.errors import BadInput
from frontalbench.files import atomic
from frontalbench.images import RGB

if TYPE_CHECKING:
    from torch import Tensor

    from frontalbench.synth.turning import Turned, Turner


@dataclass(frozen=True)
class Row:
    """One image: ``number`` of the candidate, ``yaw`` as wanted (0: the front), what was measured while it was made (see
    :class:`~frontalbench.synth.turning.Turned`), ``jpeg`` its bytes."""

    number: int
    yaw: float
    jpeg: bytes = field(repr=False)
    measured: dict[str, Any] = field(default_factory=dict)


def write_people(
    path: Path,
    turner: Turner,
    done: Sequence[tuple[Sequence[int], Tensor, Tensor, Turned]],
    angles: int,
    *,
    image: int,
    keep_styles: bool,
    seed: int,
) -> None:
    """One file of people, and its sheet (``.jpg``) beside it."""
    rows: list[dict[str, Any]] = []
    data, styles, lines = [], [], []
    for numbers, front_styles, front, turned in done:
        fronts, views = (_pixels(turner.drawn(one, image)) for one in (front_styles, turned.styles))
        small_front, small = _pixels(front), _pixels(turned.images)
        for place, number in enumerate(numbers):
            rows.append({"number": number, "yaw": 0.0})
            data.append(images.encode_jpeg(fronts[place], quality=92))
            if keep_styles:
                styles.append(front_styles[place].half().cpu().numpy())
            line = [small_front[place]]
            for k in range(place * angles, (place + 1) * angles):
                rows.append(
                    {
                        "number": number,
                        "yaw": float(turned.yaws[k]),
                        "pose": [round(float(x), 2) for x in turned.poses[k]],
                        "similarity": [round(float(x), 4) for x in turned.similarity[k]],
                        "start": [round(float(x), 4) for x in turned.start[k]],
                        "unusual": round(float(turned.unusual[k]), 4),
                    }
                )
                data.append(images.encode_jpeg(views[k], quality=92))
                if keep_styles:
                    styles.append(turned.styles[k].half().cpu().numpy())
                line.append(small[k])
            lines.append(np.concatenate([cv2.resize(one, (128, 128), interpolation=cv2.INTER_AREA) for one in line], axis=1))
    ends = np.cumsum([len(one) for one in data])
    arrays = {"jpeg": np.frombuffer(b"".join(data), np.uint8), "ends": ends.astype(np.int64)}
    if keep_styles:
        arrays["styles"] = np.stack(styles)
    atomic.write_bytes(path.with_suffix(".jpg"), images.encode_jpeg(np.concatenate(lines, axis=0), quality=88))
    atomic.write_bytes(path, save(arrays, {"rows": json.dumps(rows), "seed": str(seed)}))


def read_people(path: Path) -> Iterator[Row]:
    """The images of a file, people one after another, the front first. Raises :class:`BadInput`."""
    try:
        with safe_open(path, "numpy") as opened:
            rows = json.loads((opened.metadata() or {})["rows"])
            jpeg, ends = opened.get_tensor("jpeg"), opened.get_tensor("ends")
    except (SafetensorError, OSError, KeyError, ValueError) as error:
        raise BadInput(f"{path}: not a file of turned people ({error}); make it with turn_people.py") from error
    first = 0
    for row, end in zip(rows, ends.tolist(), strict=True):
        measured = {name: value for name, value in row.items() if name not in ("number", "yaw")}
        yield Row(int(row["number"]), float(row["yaw"]), jpeg[first:end].tobytes(), measured)
        first = end


def read_seed(path: Path) -> int:
    """The seed that the candidates of a file are numbered by. Raises :class:`BadInput`."""
    try:
        with safe_open(path, "numpy") as opened:
            return int((opened.metadata() or {})["seed"])
    except (SafetensorError, OSError, KeyError, ValueError) as error:
        raise BadInput(f"{path}: not a file of turned people ({error}); make it with turn_people.py") from error


def _pixels(images: Tensor) -> list[RGB]:
    """(N, 3, S, S) in -1..1 -> uint8 (S, S, 3) each."""
    values = ((images.clamp(-1.0, 1.0) + 1.0) * 127.5).round().byte().permute(0, 2, 3, 1).cpu().numpy()
    return [np.ascontiguousarray(one) for one in values]
