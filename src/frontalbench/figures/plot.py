"""How a figure of a dataset is declared: one :class:`Plot` each, all of them in :data:`frontalbench.figures.dataset.PLOTS`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

NAME = "{{ snakemake.wildcards.dataset }}"
"""The dataset's name in a caption, which Snakemake fills in."""


@dataclass(frozen=True)
class Plot:
    """One kind of figure, declared once; ``Workshop`` of :mod:`.dataset` draws it by its method ``_NAME``.

    ``text``: what it shows, up to a comma its title; ``subcategory``: where it stands in the report. ``about``: drawn for every ``judge``, for every
    ``variant`` (with faces: if it has pixels), or once for the ``dataset``; ``frontals``: only where something was frontalized; ``turns``: only
    where a share of the angle stays in some variant; ``recipe``: only where the grid has a variant of it; ``enhanced``: only for variants that
    were enhanced, beside the plain ones that they were made of. ``faces``: it shows faces, so it is a JPEG, a tenth of the bytes of PNG, because the
    report carries them all. ``judged``: the first judge chooses its images.
    ``values``: drawn once for each of these values of :data:`frontalbench.figures.series.METRICS`, and of the photographs for
    ``values_of_photographs``. ``kilobytes`` and ``per_variant``: about what it weighs, by itself and for every variant in it.
    ``needs``, ``shows``: its row in docs/figures.md (Markdown); ``caption``: what stands below it in the report (reST, one paragraph).
    workflow/scripts/write_pages.py makes the page and the caption of them.
    """

    name: str
    text: str
    subcategory: str
    about: Literal["judge", "variant", "dataset"]
    needs: str
    shows: str
    caption: str
    frontals: bool = True
    turns: bool = False
    recipe: str = ""
    enhanced: bool = False
    faces: bool = False
    judged: bool = False
    values: tuple[str, ...] = ()
    values_of_photographs: tuple[str, ...] = ()
    kilobytes: int = 0
    per_variant: int = 0
