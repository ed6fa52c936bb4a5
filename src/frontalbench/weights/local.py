"""Files that are already on this machine: mirror folders, what InsightFace has downloaded, and archives in them; all of it read only."""

from __future__ import annotations

import os
import re
import zipfile
from collections.abc import Iterator
from pathlib import Path, PurePosixPath
from urllib.parse import unquote, urlsplit

from frontalbench.catalogue.cards import ModelCard, PackageSource, Source, UrlSource, WeightFile

MIRROR_VARIABLE = "FRONTALBENCH_WEIGHTS"
INSIGHTFACE_VARIABLE = "INSIGHTFACE_HOME"
INSIGHTFACE_FOLDER = "~/.insightface"
"""Where the insightface package keeps its packs unless it is told another ``root``."""


def mirrors() -> list[Path]:
    """The folders named in $FRONTALBENCH_WEIGHTS (separated as in $PATH)."""
    return [Path(part).expanduser() for part in os.environ.get(MIRROR_VARIABLE, "").split(os.pathsep) if part.strip()]


def candidates(card: ModelCard, weight: WeightFile, stored_name: str | None) -> Iterator[Path]:
    """Existing files of the mirrors that could be ``weight``: called ``<kind>/<name>/<file>``, ``<file>``, or as a store would call it."""
    for folder in mirrors():
        names = [Path(card.kind, card.name, weight.file), Path(weight.file)]
        if stored_name is not None:
            names.append(Path(stored_name))
        yield from (path for name in names if os.path.isfile(path := folder / name))  # noqa: PTH113 - False, not an error, where a folder may not be entered
    if weight.bytes is not None:
        yield from (path for path in _insightface(".onnx") if path.stat().st_size == weight.bytes)


def insightface_home() -> Path:
    """The folder whose ``models`` holds InsightFace's packs: $INSIGHTFACE_HOME, else ``~/.insightface``."""
    return Path(os.environ.get(INSIGHTFACE_VARIABLE, "").strip() or INSIGHTFACE_FOLDER).expanduser()


def _insightface(ending: str) -> Iterator[Path]:
    """Files of InsightFace's packs, in order: beside them, in each, and one folder deeper (antelopev2's zip has one inside)."""
    models = insightface_home() / "models"
    for pattern in ("*", "*/*", "*/*/*"):
        try:
            found = sorted(path for path in models.glob(f"{pattern}{ending}") if path.is_file())
        except OSError:
            return
        yield from found


def archives(source: Source) -> Iterator[Path]:
    """Existing archives of the mirrors that by their name are the archive of ``source``."""
    pattern = archive_pattern(source)
    if pattern is None:
        return
    for folder in mirrors():
        try:
            names = sorted(os.listdir(folder))  # noqa: PTH208 - names are wanted
        except OSError:
            continue
        yield from (folder / name for name in names if pattern.fullmatch(name) and os.path.isfile(folder / name))  # noqa: PTH113
    if isinstance(source, UrlSource) and source.member is not None:
        yield from (path for path in _insightface(".zip") if _holds(path, source.member))


def _holds(archive: Path, member: str) -> bool:
    try:
        with zipfile.ZipFile(archive) as opened:
            return any(name == member or name.endswith(f"/{member}") for name in opened.namelist())
    except (OSError, zipfile.BadZipFile):
        return False


def is_archive_of(file: Path, source: Source) -> bool:
    """Whether ``file`` is by its name the archive of ``source``, or a zip under another name with the member that is wanted (of InsightFace's packs
    several hold the same file). What is in it is checked when it is taken out."""
    pattern = archive_pattern(source)
    if pattern is None:
        return False
    return bool(pattern.fullmatch(file.name)) or (
        isinstance(source, UrlSource) and source.member is not None and _holds(file, source.member)
    )


def archive_pattern(source: Source) -> re.Pattern[str] | None:
    """The file names that the archive of ``source`` may have, None when the source is no archive."""
    if isinstance(source, UrlSource):
        name = url_name(source.url)
        return re.compile(re.escape(name)) if source.member is not None and name else None
    if not isinstance(source, PackageSource):
        return None
    version = re.escape(source.version)
    if source.registry == "npm":  # @scope/name becomes scope-name
        name = re.escape(source.package.lstrip("@").replace("/", "-"))
        return re.compile(rf"{name}-{version}\.tgz")
    # Index and build tools write - _ . in names alike, and letters in either case (PEP 503).
    name = "[-_.]+".join(re.escape(part) for part in re.split(r"[-_.]+", source.package))
    ending = r"(-[^-]+){3,4}\.whl" if source.form == "wheel" else r"\.(tar\.gz|zip|tgz)"
    return re.compile(rf"{name}-{version}{ending}", re.IGNORECASE)


def url_name(url: str) -> str:
    """The last part of an address' path."""
    return PurePosixPath(unquote(urlsplit(url).path)).name
