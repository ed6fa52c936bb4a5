"""Which module lists datasets of which layout.

The only place that knows all layouts. Modules are named, not imported: the code fingerprint of a prepared shard (see
:mod:`frontalbench.plan.fingerprint`) holds its own layout alone, so adding or mending one here reruns nothing of another. A layout is a function
``scan(root, card, cache, shard)`` that gives a :class:`~frontalbench.datasets.members.Listing`. One whose images are no files of their own has
``FRAMES`` beside it, which makes a :class:`Frames`.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Protocol, cast

from frontalbench.errors import BadConfig

if TYPE_CHECKING:
    from frontalbench.datasets.card import DatasetCard
    from frontalbench.datasets.filecache import FileCache
    from frontalbench.datasets.members import Listing

LAYOUTS: Mapping[str, str] = {
    "aflw2000": "frontalbench.datasets.aflw2000:scan",
    "biwi": "frontalbench.datasets.biwi:scan",
    "cfp": "frontalbench.datasets.cfp:scan",
    "csv": "frontalbench.datasets.index:scan",
    "flat": "frontalbench.datasets.flat:scan",
    "folder": "frontalbench.datasets.folder:scan",
    "frll": "frontalbench.datasets.frll:scan",
    "lfw": "frontalbench.datasets.lfw:scan",
    "video": "frontalbench.datasets.video:scan",
}


class Frames(Protocol):
    """Gives the images of clips. Quick where those of one clip are asked for in order."""

    def image(self, path: str, number: int) -> bytes:
        """The ``number``-th frame of the clip ``path`` as an image file. Raises :class:`~frontalbench.errors.Unreadable` for a damaged one."""
        ...

    def close(self) -> None:
        """Let go of the clip that is open."""
        ...


def frames_of(layout: str) -> Frames | None:
    """What reads the images of members with a ``frame``; None where every image is a file."""
    module, _ = target(layout)
    made = getattr(importlib.import_module(module), "FRAMES", None)
    return None if made is None else cast("Frames", made())


def target(layout: str) -> tuple[str, str]:
    """(module, attribute) that lists datasets of ``layout``; raises :class:`BadConfig` with the known layouts."""
    if layout not in LAYOUTS:
        raise BadConfig(f"layout '{layout}' is not known; known: {', '.join(sorted(LAYOUTS))}")
    module, _, attribute = LAYOUTS[layout].partition(":")
    return module, attribute


def scan_of(layout: str) -> Callable[[str, DatasetCard, FileCache, str | None], Listing]:
    """The function that lists datasets of ``layout``."""
    module, attribute = target(layout)
    return cast("Callable[[str, DatasetCard, FileCache, str | None], Listing]", getattr(importlib.import_module(module), attribute))
