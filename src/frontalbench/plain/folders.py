"""Plain folders of images through the same stages that the workflow runs.

A folder becomes one shard (a temporary Parquet table), a stage runs on it, and what comes out becomes a folder again (:mod:`.unpacking`), with a
``rows.csv`` that has a row for every input image, failures included.

A ``rows.csv`` in a folder that is read is believed: it says which photograph each file was made of and by which frontalizer, and the images that it
lists without a file go on as the failures they are. So a failure of one command is still counted by the last.
"""

from __future__ import annotations

import contextlib
import fnmatch
import functools
import hashlib
import os
import sys
import tempfile
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from frontalbench import images, status, tables
from frontalbench.catalogue import cards
from frontalbench.catalogue.cards import ModelCard
from frontalbench.datasets.members import text_of
from frontalbench.detect.base import Detector
from frontalbench.detect.select import DEFAULT_POLICY
from frontalbench.detect.upright import upright
from frontalbench.errors import BadInput, Unreadable, WeightsMissing
from frontalbench.files import sheet
from frontalbench.frontalize.base import View
from frontalbench.runtime.sessions import limit_threads
from frontalbench.stages.common import IMAGES, provenance
from frontalbench.stages.detect import detect_shard
from frontalbench.stages.faces import beside, read_faces

ROWS = "rows.csv"
HEADER = ("image_id", "identity", "status", "detail", "file", "photo", "frontalizer", "enhancement")
"""Columns of the ``rows.csv`` beside images. ``file``: the image, empty where there is none; ``photo``: the photograph at the beginning of the
chain; ``frontalizer``: the card that turned it, ``enhancement``: the chain of cards (``sharp+omit_bg``) that came after, empty where none did."""
_OURS = frozenset(HEADER[:5])
FOREIGN = frozenset({".heic", ".heif", ".jxl", ".jp2", ".psd", ".dng", ".cr2", ".cr3", ".nef", ".arw", ".raw", ".tga", ".exr", ".svg"})
"""Endings of images that are not read here."""


@dataclass
class Found:
    """What lies in a folder: ``images``; ``dangling``: links under an image's name that lead nowhere; ``lists``: its ``rows.csv`` files;
    ``others``: every other file; ``loops``: linked folders that lead back to a folder they lie in. Sorted paths."""

    images: list[Path] = field(default_factory=list)
    dangling: list[Path] = field(default_factory=list)
    lists: list[Path] = field(default_factory=list)
    others: list[Path] = field(default_factory=list)
    loops: list[Path] = field(default_factory=list)

    def notes(self) -> list[str]:
        """What a person should know of the files that are not taken, one line each."""
        lines = [f"{_shown(path)}: a linked folder that leads back to where it lies; not followed" for path in self.loops]
        foreign = [path for path in self.others if path.suffix.lower() in FOREIGN]
        rest = [path for path in self.others if path.suffix.lower() not in FOREIGN]
        if foreign:
            kinds = ", ".join(sorted({path.suffix.lower() for path in foreign}))
            lines.append(f"{_few(foreign)}: {kinds} is not read here and was left out; convert to JPEG or PNG")
        if rest:
            lines.append(f"{_few(rest)}: left out, not the name of an image")
        return lines


def _shown(path: Path) -> str:
    return os.fsencode(path).decode("utf-8", "backslashreplace")


def _few(paths: Sequence[Path], most: int = 3) -> str:
    more = f" and {len(paths) - most} more" if len(paths) > most else ""
    return ", ".join(_shown(path) for path in paths[:most]) + more


def look(folder: Path, pattern: str = "*") -> Found:
    """Everything under ``folder``; images and other files match ``pattern`` (``*.png``; matched against the file name, or against the relative
    path when the pattern holds a slash). Hidden names are passed over. Linked folders are followed. Raises :class:`BadInput`.
    """
    if not folder.is_dir():
        raise BadInput(f"{folder}: not a folder")
    found = Found()
    _walk(folder, folder, pattern, frozenset({os.path.realpath(folder)}), found)
    for paths in (found.images, found.dangling, found.lists, found.others, found.loops):
        paths.sort()
    return found


def _walk(top: Path, folder: Path, pattern: str, above: frozenset[str], found: Found) -> None:
    for path in folder.iterdir():
        if path.name.startswith("."):
            continue
        if path.is_dir():
            real = os.path.realpath(path)
            if real in above:
                found.loops.append(path)
            else:
                _walk(top, path, pattern, above | {real}, found)
        elif path.name == ROWS:
            found.lists.append(path)
        elif _matches(path.relative_to(top).as_posix(), pattern):
            image = path.suffix.lower() in images.EXTENSIONS
            if path.is_file():
                (found.images if image else found.others).append(path)
            elif path.is_symlink():
                (found.dangling if image else found.others).append(path)
            else:  # a pipe or a device: named among the others, never opened
                found.others.append(path)


def _matches(name: str, pattern: str) -> bool:
    return fnmatch.fnmatch(name if "/" in pattern else name.rpartition("/")[2], pattern)


def images_in(folder: Path, pattern: str = "*") -> list[Path]:
    """Image files under ``folder`` as :func:`look` finds them. Raises :class:`BadInput` when there are none."""
    return _some(look(folder, pattern), folder, pattern).images


def _some(found: Found, folder: Path, pattern: str) -> Found:
    if not found.images and not found.dangling:
        about = "".join(f"; {note}" for note in found.notes()[:1])
        raise BadInput(f"{folder}: no images that match '{pattern}' (looked for {', '.join(sorted(images.EXTENSIONS))}){about}")
    return found


@dataclass(frozen=True)
class Origin:
    """What a ``rows.csv`` says of one image. ``name``: its ``image_id`` there, below the folder of the list; ``file``: the same for its file."""

    name: str
    photo: str
    file: str
    status: str
    detail: str
    frontalizer: str
    enhancement: str = ""


def read_list(path: Path, top: Path) -> list[Origin] | None:
    """The rows of a ``rows.csv`` with names relative to ``top``; None when these commands did not write it."""
    below = "" if path.parent == top else f"{text_of(path.parent.relative_to(top).as_posix())}/"
    try:
        rows = [row.cells for row in sheet.read(path, sorted(_OURS))]
    except BadInput:
        return None
    found = []
    for row in rows:
        name, file, word = row["image_id"], row["file"], row["status"]
        found.append(
            Origin(
                below + name,
                below + (row.get("photo") or name),
                below + file if file else "",
                word if word in status.ALL else status.MODEL_ERROR,
                row["detail"],
                row.get("frontalizer") or "",
                row.get("enhancement") or "",
            )
        )
    return found


def write_shard(folder: Path, out: Path, pattern: str = "*") -> list[str]:
    """Write the images of ``folder`` as one images shard; identity = the folder an image lies in (its own name when it lies on top).

    ``source`` is the photograph that an image was made of, where a ``rows.csv`` says it, else the image's own name. Images that a ``rows.csv``
    lists without a file, and links that lead nowhere, are rows with their status. Returns what a person should know, one line each.
    """
    found = _some(look(folder, pattern), folder, pattern)
    notes = found.notes()
    origins: dict[str, Origin] = {}
    listed: list[Origin] = []
    lists: list[str] = []
    for path in found.lists:
        entries = read_list(path, folder)
        if entries is None:
            notes.append(f"{_shown(path)}: not a list that these commands wrote; not used")
        else:
            lists.append("" if path.parent == folder else f"{text_of(path.parent.relative_to(folder).as_posix())}/")
            listed += entries
            origins |= {entry.file: entry for entry in entries if entry.file}
    rows: list[dict[str, Any]] = []
    there: set[str] = set()
    unlisted: list[Path] = []
    paths = [*found.images, *found.dangling]
    names = _names([path.relative_to(folder) for path in paths])
    for path, name in zip(paths, names, strict=True):
        text = text_of(path.relative_to(folder).as_posix())
        origin = origins.get(text)
        if origin is None and any(text.startswith(below) for below in lists):
            unlisted.append(path)
        there.add(text)
        rows.append(_image_row(name, path, origin))
    if unlisted:
        notes.append(f"{_few(unlisted)}: not in the {ROWS} above it; taken as a photograph of its own")
    taken = set(names)
    for entry in listed:
        if (not entry.file or entry.file not in there) and _matches(entry.name, pattern) and entry.name not in taken:
            taken.add(entry.name)
            gone = entry.status == status.OK
            word, detail = (status.MODEL_ERROR, f"{entry.file or 'its file'} is not there") if gone else (entry.status, entry.detail)
            by = {"frontalizer": entry.frontalizer, "enhancement": entry.enhancement}
            rows.append({**_head(entry.name), "source": entry.photo, "status": word, "detail": detail, **by})
    rows.sort(key=lambda row: row["image_id"])
    turned, enhanced = ({row["image_id"]: name for row in rows if (name := row.pop(by))} for by in ("frontalizer", "enhancement"))
    record = provenance("folder", [], source=_shown(folder), frontalizers=turned, enhancements=enhanced)
    with tables.Writer(out, tables.IMAGES, record) as writer:
        writer.add(rows)
    return notes


def _names(relative: Sequence[Path]) -> list[str]:
    """An ``image_id`` for every path: its name as text; where two become the same text, the one that is not written so gets a hash of its bytes."""
    texts = [text_of(path.as_posix()) for path in relative]
    several = Counter(texts)
    return [
        text if several[text] == 1 or path.as_posix() == text else f"{text}#{hashlib.sha256(os.fsencode(path)).hexdigest()[:8]}"
        for path, text in zip(relative, texts, strict=True)
    ]


def _head(name: str) -> dict[str, Any]:
    parts = name.split("/")
    identity = parts[0] if len(parts) > 1 else Path(name).stem
    return {"image_id": name, "identity": identity, "subject": identity, "role": "probe", "sequence": "", "sha256": "", "pose_source": ""}


def _image_row(name: str, path: Path, origin: Origin | None) -> dict[str, Any]:
    row = {**_head(name), "source": origin.photo if origin else name, "status": status.OK, "detail": ""}
    row |= {"frontalizer": origin.frontalizer, "enhancement": origin.enhancement} if origin else {"frontalizer": "", "enhancement": ""}
    try:
        data = path.read_bytes()
    except OSError as error:
        why = f"a link that leads nowhere ({path.readlink()})" if path.is_symlink() else error.strerror or "cannot be read"
        return {**row, "status": status.UNREADABLE, "detail": os.fsencode(why).decode("utf-8", "backslashreplace")}
    row |= {"sha256": hashlib.sha256(data).hexdigest(), "image": data}
    try:
        row["width"], row["height"] = images.size_of(data)
    except Unreadable as error:
        row.update(status=status.UNREADABLE, detail=str(error), image=None)
    return row


def photos_of(shard: Path) -> dict[str, str]:
    """Of the images of a shard that :func:`write_shard` wrote: ``image_id`` -> photograph at the beginning of the chain."""
    table = tables.read(shard, tables.IMAGES, ["image_id", "source"])
    return dict(zip(table.column("image_id").to_pylist(), table.column("source").to_pylist(), strict=True))


def photographs_beside(shard: Path, photographs: Path, temporary: Path) -> Path:
    """The photographs that the images of a ``shard`` of :func:`write_shard` were made of, as a table with the images' names; in ``temporary``.

    ``photographs``: their folder, or a shard of it. An image finds its photograph by what its ``rows.csv`` says, else by its own name. Raises
    :class:`BadInput`, naming the first, where none is there.
    """
    whole = photographs
    if not is_shard(photographs):
        whole = temporary / "photographs.parquet"
        write_shard(photographs, whole)
    wanted = photos_of(shard)
    have = tables.read(whole, IMAGES, ["image_id", "status", "detail", "image"]).to_pylist()
    found = {row["image_id"]: row for row in have}
    stems: dict[str, str] = {}
    for name in found:
        stems.setdefault(str(Path(name).with_suffix("")), name)
    rows = []
    for name in sorted(wanted):
        photo = next((one for one in (wanted[name], stems.get(str(Path(wanted[name]).with_suffix("")))) if one in found), None)
        if photo is None:
            raise BadInput(
                f"{photographs}: no photograph '{wanted[name]}' for the image '{name}'; give the folder that the frontals were made from"
            )
        rows.append({**found[photo], "image_id": name, "identity": "", "role": ""})
    out = temporary / "beside.parquet"
    tables.write(out, tables.from_rows(rows, IMAGES))
    return out


def frontalizers_of(shard: Path) -> dict[str, str]:
    """Of the images of such a shard that a ``rows.csv`` knows: ``image_id`` -> the frontalizer's card."""
    return dict(tables.provenance(shard).get("frontalizers", {}))


def enhancements_of(shard: Path) -> dict[str, str]:
    """The same for what came after: ``image_id`` -> the chain of enhancements."""
    return dict(tables.provenance(shard).get("enhancements", {}))


@contextlib.contextmanager
def as_shard(source: Path, pattern: str = "*") -> Iterator[tuple[Path, Path]]:
    """``source`` as a shard: (Parquet table of its images, a temporary folder for what comes in between). Says on stderr what was left out."""
    with tempfile.TemporaryDirectory(prefix="frontalbench-") as temporary:
        shard = Path(temporary, "images.parquet")
        for note in write_shard(source, shard, pattern):
            sys.stderr.write(f"note: {note}\n")
        yield shard, Path(temporary)


@contextlib.contextmanager
def with_faces(
    source: Path,
    pattern: str,
    detector: str,
    *,
    policy: str = DEFAULT_POLICY,
    threads: int = 1,
    device: str = "cpu",
    for_backbone: bool = False,
    aligned_for: str = "",
) -> Iterator[tuple[Path, Path, Path]]:
    """``source`` as a shard with its faces: (table of its images, crops table of the card ``detector``, the temporary folder they lie in).

    ``for_backbone``: crops for a backbone, so images of a frontalizer whose card asks for an alignment of its own (``mirror_ahead``) get it;
    which images those are their ``rows.csv`` says, or ``aligned_for`` for all of them.
    """
    from frontalbench.detect import load_detector
    from frontalbench.detect.yaw_alignment import KEY
    from frontalbench.detect.yaw_alignment import aligned_for as aligned

    card = cards.find("detector", detector)
    need_weights(card)
    with as_shard(source, pattern) as (shard, temporary):
        crops = temporary / "crops.parquet"
        known = {one.name: one for one in cards.all_cards("frontalizer")} if for_backbone or aligned_for else {}
        made = frontalizers_of(shard) if for_backbone else {}
        if aligned_for:
            named = cards.find("frontalizer", aligned_for)
            made = dict.fromkeys(photos_of(shard), named.name)
        asking = {name for name in set(made.values()) if name in known and KEY in known[name].params}
        need_weights(*(known[name] for name in sorted(asking)))

        def make(name: str) -> Detector:
            inner = load_detector(card, device=device)
            return aligned(known[name], inner, device=device) if name else inner

        shares = _shares(shard, temporary, {image_id: name for image_id, name in made.items() if name in asking}) if asking else {"": shard}
        parts = []
        for number, (name, share) in enumerate(shares.items()):
            part = temporary / f"crops{number}.parquet" if asking else crops
            detect_shard(share, part, card, functools.partial(make, name), policy=policy, threads=threads, device=device)
            parts.append(part)
        if asking:
            tables.write(crops, tables.concatenate(parts, tables.CROPS), tables.provenance(parts[0]))
        limit_threads(threads)  # detection works on several images at once with one thread each, what follows need not
        yield shard, crops, temporary


def _shares(shard: Path, temporary: Path, asks: Mapping[str, str]) -> dict[str, Path]:
    """A shard in parts by the frontalizer that its images are aligned for ("" for the others)."""
    record = tables.provenance(shard)
    with contextlib.ExitStack() as stack:
        paths: dict[str, Path] = {}
        writers: dict[str, tables.Writer] = {}
        for rows in tables.iterate(shard, tables.IMAGES):
            for row in rows:
                name = asks.get(row["image_id"], "")
                if name not in writers:
                    paths[name] = temporary / f"share{len(paths)}.parquet"
                    writers[name] = stack.enter_context(tables.Writer(paths[name], tables.IMAGES, record))
                writers[name].add([row])
    return paths


def need_weights(*wanted: ModelCard) -> None:
    """Fetch the weights of these cards and of those they use before any work is done.

    Raises :class:`WeightsMissing`: which file is missing, where it was looked for, the command that brings it.
    """
    from frontalbench.weights import local, store

    try:
        store.fetch_all(wanted)
    except WeightsMissing as error:
        named = os.environ.get(local.MIRROR_VARIABLE, "").strip()
        mirrors = f"{local.MIRROR_VARIABLE}={named}" if named else f"no folder ({local.MIRROR_VARIABLE} is not set)"
        lines = [
            *str(error).splitlines(),
            f"looked in {store.folder()}, in {mirrors} and at the sources of the card; nothing was written",
            *(
                f"to fetch it: python workflow/scripts/fetch_weights.py --card {card.kind}/{card.name}"
                for card in wanted
                if all(weight.sha256 for weight in card.weights.values())  # else the line above says what to do first
            ),
        ]
        raise WeightsMissing("\n".join(lines)) from None


def read_views(shard: Path, faces: Path) -> list[View]:
    """The images of a shard in which a face was found, with that face: what a frontalizer takes."""
    rows = tables.read(shard, tables.IMAGES, ["image_id", "image"]).to_pylist()
    found, _ = beside(rows, read_faces(faces), faces, needed=False)
    return [View(*upright(images.decode(row["image"]), face)) for row, face in zip(rows, found, strict=True) if face is not None]


def is_shard(path: Path) -> bool:
    """Whether a ``--in`` argument names a Parquet shard rather than a folder."""
    return path.suffix == ".parquet"


def faces_of_shard(source: Path, faces: Path | None) -> Path:
    """The ``--faces`` argument that a shard needs; raises BadInput where it was not given."""
    if faces is None:
        raise BadInput(f"{source}: a shard needs --faces, the crops table that preprocess.py wrote for it")
    return faces
