"""Fetch the datasets that have a direct address: resumed, checked against sha256, unpacked beside the target and renamed. Others are
fetched by hand."""

from __future__ import annotations

import os
import tarfile
import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from frontalbench.datasets.card import DatasetCard
from frontalbench.errors import BadInput

Progress = Callable[[str, int, int | None], None]
"""``progress(label, done bytes, total bytes or None)``."""


def fetch(card: DatasetCard, root: str | os.PathLike[str] | None = None, *, progress: Progress | None = None) -> tuple[Path, list[str]]:
    """Put the dataset into its root; gives the root and what was fetched (nothing when the folder is already there: it is used as it is).

    Archives and half-loaded files wait in ``<root>.parts`` until all is well, so an interrupted download goes on where it stopped. Raises
    :class:`BadInput` when no source can be fetched without hands, or one cannot be reached, with what to do instead.
    """
    target = card.root if root is None else Path(root)
    if target.is_dir() and any(target.iterdir()):
        return target, []
    sources = [source for source in card.data.get("sources", []) if source.get("fetch")]
    if not any(source.get("unpack") == "tar" for source in sources):
        raise BadInput(f"dataset {card.name} has no direct address; {card.missing(target)}")
    parts = target.with_name(target.name + ".parts")
    with tempfile.TemporaryDirectory(prefix=f".{target.name}.", dir=_made(target.parent)) as work:
        whole = Path(work) / target.name
        whole.mkdir()
        done = []
        for source in sources:
            archive = _load(card, source, parts, progress, target)
            if source.get("unpack") == "tar":
                _unpack(archive, whole)
            else:
                archive.replace(whole / str(source["to"]))
            done.append(str(source["what"]))
        if target.is_dir():
            target.rmdir()  # empty, as looked at above
        whole.replace(target)
    for file in parts.iterdir():
        file.unlink()
    parts.rmdir()
    return target, done


def _made(folder: Path) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def _load(card: DatasetCard, source: Mapping[str, Any], parts: Path, progress: Progress | None, target: Path) -> Path:
    from frontalbench.weights import download
    from frontalbench.weights.faults import SourceFault

    part = parts / str(source["sha256"])
    try:
        download.fetch(source["url"], part, source.get("bytes"), source["sha256"], progress=progress)
    except SourceFault as error:
        raise BadInput(f"{source['url']}: {error}; run it again to go on, or {card.missing(target)}") from error
    return part


def _unpack(archive: Path, folder: Path) -> None:
    from frontalbench.weights import archives
    from frontalbench.weights.faults import SourceFault

    try:
        archives.unpack_tar(archive, folder)
    except (SourceFault, tarfile.TarError, EOFError, OSError) as error:
        raise BadInput(f"{archive}: not a readable archive ({' '.join(str(error).split())}); delete it and fetch it again") from error
