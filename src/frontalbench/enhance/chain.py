"""Enhancements one after the other: ``sharp+omit_bg`` sharpens first."""

from __future__ import annotations

from collections.abc import Sequence

from frontalbench import status
from frontalbench.enhance.base import Enhancement, apply, looks_at_photographs
from frontalbench.errors import BadConfig
from frontalbench.frontalize.base import Outcome
from frontalbench.images import RGB

JOIN = "+"


def steps(chain: str, allowed: Sequence[str]) -> tuple[str, ...]:
    """The names in a chain, in order.

    Raises :class:`BadConfig` with the ``allowed`` names for an empty or unknown step, and for ``none`` beside others (it would change nothing, and
    two names for one variant would be compared as if they were two).
    """
    names = tuple(chain.split(JOIN))
    for name in names:
        if name not in allowed:
            shown = f"'{name}' of the chain '{chain}'" if len(names) > 1 else f"'{name}'"
            raise BadConfig(f"enhancement {shown} is not known; use one of {', '.join(allowed)}, or several of them joined by '{JOIN}'")
    if len(names) > 1 and "none" in names:
        raise BadConfig(f"enhancement '{chain}': 'none' changes nothing; leave it out of the chain")
    return names


class Chain:
    """Several enhancements as one, left to right. An image that fails in one step skips the rest and keeps that step's status."""

    def __init__(self, parts: Sequence[Enhancement]) -> None:
        if not parts:
            raise ValueError("a chain needs at least one enhancement")
        self.parts = tuple(parts)
        self.name = JOIN.join(part.name for part in self.parts)

    @property
    def looks_at_photographs(self) -> bool:
        return any(looks_at_photographs(part) for part in self.parts)

    def enhance(self, images: Sequence[RGB]) -> list[Outcome]:
        """As :meth:`enhance_beside`, for steps that need no photograph; those that do fail."""
        return self.enhance_beside(images, [None] * len(images))

    def enhance_beside(self, images: Sequence[RGB], photographs: Sequence[RGB | None]) -> list[Outcome]:
        """One outcome per image; ``seconds`` is the sum over the steps, ``detail`` of a failure starts with the step's name."""
        outcomes = [Outcome(image, status.OK) for image in images]
        for part in self.parts:
            alive = [(place, outcome.image) for place, outcome in enumerate(outcomes) if outcome.image is not None]
            results = apply(part, [image for _, image in alive], [photographs[place] for place, _ in alive])
            for (place, _), result in zip(alive, results, strict=True):
                detail = f"{part.name}: {result.detail}" if result.status != status.OK else result.detail
                outcomes[place] = Outcome(result.image, result.status, detail, outcomes[place].seconds + result.seconds)
        return outcomes
