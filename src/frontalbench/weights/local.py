"""Files that are already on this machine: mirror folders, read-only, and archives in them."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from pathlib import Path, PurePosixPath
from urllib.parse import unquote, urlsplit

from frontalbench.catalogue.cards import ModelCard, PackageSource, Source, UrlSource, WeightFile

MIRROR_VARIABLE = "FRONTALBENCH_WEIGHTS"


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
