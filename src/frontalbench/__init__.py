"""Frontalbench: does turning an angled face to the front keep the person's identity?"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import pandas as pd

    from frontalbench.api import Image, Verification

__version__ = "0.1.0"


def load_master(path: str | os.PathLike[str] = "results/master") -> dict[str, pd.DataFrame]:
    """The tables of a run (``results/master/RUN``) as tidy pandas frames, by name (docs/api.md shows what to ask of them).

    ``results/master`` itself will do as long as there is one run. Raises :class:`~frontalbench.errors.BadInput` when the folder or one of its tables
    is missing or broken, and when it holds several runs.
    """
    from frontalbench import tabulate  # every job imports this package; pandas comes only when it is asked for

    return tabulate.load_master(path)


def verify(first: Image, second: Image, **options: Any) -> Verification:
    """Whether the faces in two images (files, or their bytes) are of one person: see :func:`frontalbench.api.verify` for ``options``."""
    from frontalbench import api

    return api.verify(first, second, **options)
