"""Layout ``csv``: a table ``index.csv`` that names each image with its identity and role.

Columns ``image`` (path below the dataset's root, forward slashes), ``identity``, ``role`` (reference, probe, auto or unused); optional
``yaw``, ``pitch``, ``roll`` (degrees, project's convention, empty where unknown), ``subject``, ``sequence``. UTF-8.
"""

from __future__ import annotations

import csv
import io
import math
import os
import unicodedata
from collections.abc import Mapping

from frontalbench.datasets.card import DatasetCard, shard_of_identity
from frontalbench.datasets.filecache import FileCache
from frontalbench.datasets.members import AUTO, PROBE, REFERENCE, ROLES, Listing, Member
from frontalbench.errors import BadInput

NEEDED = ("image", "identity", "role")
OPTIONAL = ("yaw", "pitch", "roll", "subject", "sequence")
ALIASES = {"gt": REFERENCE, "angle": PROBE, "": AUTO}


def index_path(root: str, card: DatasetCard) -> str:
    return os.path.join(root, card.options.get("index", "index.csv"))  # noqa: PTH118


def scan(root: str, card: DatasetCard, cache: FileCache, shard: str | None = None) -> Listing:
    """List the rows of the index. A row that cannot be used is refused with a line that says why; a file that is not there stays (as
    unreadable).

    Raises :class:`BadInput` when the index itself cannot be used.
    """
    path = index_path(root, card)
    try:
        with open(path, "rb") as handle:  # noqa: PTH123
            text = handle.read().decode("utf-8-sig")
    except FileNotFoundError:
        return Listing()
    except UnicodeDecodeError as error:
        raise BadInput(f"{path}: not UTF-8 text (byte {error.start}); save it as UTF-8") from None
    reader = csv.DictReader(io.StringIO(text, newline=""), strict=True)
    listing = Listing()
    lines: dict[str, int] = {}
    try:
        header = reader.fieldnames or []
        missing = [name for name in NEEDED if name not in header]
        if missing:
            raise BadInput(f"{path}: column '{missing[0]}' is missing; expected {', '.join(NEEDED)} and maybe {', '.join(OPTIONAL)}")
        for row in reader:
            _add(listing, row, reader.line_num, path, root, card, shard, lines)
    except csv.Error as error:
        raise BadInput(f"{path}: line {reader.line_num}: not readable as CSV ({error})") from None
    return listing


def _add(
    listing: Listing,
    row: Mapping[str, str | None],
    line: int,
    path: str,
    root: str,
    card: DatasetCard,
    shard: str | None,
    lines: dict[str, int],
) -> None:
    image = unicodedata.normalize("NFC", (row["image"] or "").replace("\\", "/") if os.sep == "\\" else row["image"] or "")
    identity = unicodedata.normalize("NFC", (row["identity"] or "").strip())
    role = (row["role"] or "").strip().lower()
    role = ALIASES.get(role, role)
    angles = {name: _angle(row.get(name)) for name in ("yaw", "pitch", "roll")}
    why = _refusal(image, identity, role, angles)
    if why is None and image in lines:
        why = f"image '{image}' was already given in line {lines[image]}"
    if why is not None:
        listing.refused += 1
        listing.problems.append(" ".join(f"{os.path.basename(path)}: line {line}: {why}; left out".split()))  # noqa: PTH119
        return
    lines[image] = line
    listing.identities.add(identity)
    place = shard_of_identity(identity, card.shards)
    if shard is not None and place != shard:
        return
    known = angles["yaw"] is not None
    listing.members.append(
        Member(
            image,
            identity,
            os.path.join(root, *(row["image"] or "").split("/")),  # noqa: PTH118
            image,
            role=role,
            subject=(row.get("subject") or "").strip() or identity,
            sequence=(row.get("sequence") or "").strip(),
            yaw=angles["yaw"],
            pitch=angles["pitch"],
            roll=angles["roll"],
            pose_source=card.data["pose_source"] if known else "",
            shard=place,
        )
    )


def _refusal(image: str, identity: str, role: str, angles: Mapping[str, float | None]) -> str | None:
    parts = image.split("/")
    if not image or not identity:
        return "image and identity must not be empty"
    if image.startswith("/") or "\0" in image or (len(image) > 1 and image[1] == ":") or ".." in parts:
        return f"image '{image}' must be a path inside the dataset's folder (not absolute, no '..')"
    if "." in parts or "" in parts:
        return f"image '{image}' must be written plainly (no './', no '//')"
    if role not in ROLES:
        return f"role '{role}' is not known; expected one of {', '.join(ROLES)}"
    wrong = [name for name, value in angles.items() if value is not None and not -180.0 <= value <= 180.0]
    return f"{wrong[0]} must be a number of degrees from -180 to 180" if wrong else None


def _angle(text: str | None) -> float | None:
    """Degrees; None for an empty cell; NaN (refused later) for what is no number."""
    if text is None or not text.strip():
        return None
    try:
        value = float(text)
    except ValueError:
        return math.nan
    return value
