"""The name of a variant, read in one place: ``original``, ``<frontalizer>.<enhancement>[+<enhancement>...]``, ``<recipe>[@<number>]:<variant>``.

Only names are read here; what a recipe computes is in :mod:`frontalbench.compare.derived`, so that a new recipe reruns no other variant.
"""

from __future__ import annotations

import functools
import re
from dataclasses import dataclass

from frontalbench.errors import BadConfig

ORIGINAL = "original"
"""The images themselves."""
PLAIN = "none"
"""In place of an enhancement: what the frontalizer made, as it is."""
MIRRORED = f"mirror.{PLAIN}"
"""The mirrored photographs: what gates and fusions are held against."""
TURNED = "turned"
"""In place of an enhancement: the references of a dataset, turned to the probes' angles. It has crops and embeddings, but is judged in no cell."""
WEIGHTED = "fuse_mean"
"""The recipe that may carry a weight."""
MATCHED = "pose_matched"
"""The recipe that compares the original images with turned references."""
GATES = ("gate", "gate_fuse")
"""The recipes that open at an angle, which their names carry: ``gate@30:mesh.none``."""
LEARNED = "gate_learned"
"""The gate that opens where a regression expects the frontal to be the better one."""
RECIPES = (WEIGHTED, "fuse_max", "fuse_score", "control_meanshift", "feature_frontal", MATCHED, *GATES, LEARNED)
_DERIVED = re.compile(r"(?P<recipe>[a-z_]+)(@(?P<number>[0-9.]+))?:(?P<base>.+)")


@dataclass(frozen=True, order=True)
class Variant:
    r"""A variant by its name; :func:`parse` makes it.

    ``base``: the name of the variant whose pixels are meant (of a derived one what stands behind the colon, else ``name``); ``recipe``: "" where the
    variant has pixels of its own; ``weight``: the frontal's, None where the name gives none; ``angle``: the \|yaw\| in degrees at which a gate opens.
    """

    name: str
    base: str
    recipe: str = ""
    weight: float | None = None
    angle: float | None = None

    @property
    def is_original(self) -> bool:
        """Whether this is the images themselves."""
        return self.name == ORIGINAL

    @property
    def has_pixels(self) -> bool:
        """Whether there are images of this variant; a derived one is made of embeddings."""
        return not self.recipe

    @property
    def is_gate(self) -> bool:
        """Whether some pictures are the photograph itself on purpose."""
        return self.recipe in GATES or self.recipe == LEARNED

    @property
    def prefix(self) -> str:
        """What stands before the colon, as it is written (``fuse_mean@0.3``); "" where there is none."""
        return self.name.partition(":")[0] if self.recipe else ""

    @property
    def frontalizer(self) -> str:
        """The frontalizer of the base; "" for ``original``."""
        return "" if self.base == ORIGINAL else self.base.partition(".")[0]

    @property
    def enhancement(self) -> str:
        """The chain of enhancements of the base, ``none`` for the plain frontal; "" for ``original`` and for a frontalizer's name alone."""
        return self.base.partition(".")[2]

    @property
    def steps(self) -> tuple[str, ...]:
        """The cards of the chain, in order; ``("none",)`` for the plain frontal."""
        return tuple(step for step in self.enhancement.split("+") if step)

    @property
    def before(self) -> str:
        """The variant that the last step of the chain works on: the shorter chain, in the end the plain frontal."""
        return made(self.frontalizer, "+".join(self.steps[:-1]) or PLAIN)

    @property
    def is_plain(self) -> bool:
        """Whether the base is what the frontalizer made, with no enhancement."""
        return self.enhancement == PLAIN

    @property
    def probes(self) -> str:
        """The variant whose embeddings stand for the probes of a cell."""
        return ORIGINAL if self.recipe == MATCHED else self.base

    @property
    def turned(self) -> str:
        """The turned references that a cell needs, "" for none."""
        return made(self.frontalizer, TURNED) if self.recipe == MATCHED else ""


def made(frontalizer: str, enhancement: str = PLAIN) -> str:
    """The name of what a frontalizer and an enhancement (or a chain of them) make."""
    return f"{frontalizer}.{enhancement}"


def control_of(name: str) -> str:
    """What a variant is held against: the same made of mirror images (``fuse_mean@0.3:mirror.none`` for a fusion, ``mirror.none`` for a frontal)."""
    one = parse(name)
    return f"{one.prefix}:{MIRRORED}" if one.recipe else MIRRORED


@functools.cache
def parse(name: str) -> Variant:
    """The variant of a name. A name without a colon is taken as it is (whether its cards exist is the plan's to ask).

    Raises :class:`BadConfig`, one line, for a recipe that does not exist, and for a base or a weight that does not go with it.
    """
    if ":" not in name:
        return Variant(name, name)
    match = _DERIVED.fullmatch(name)
    if match is None or match["recipe"] not in RECIPES:
        raise BadConfig(f"derived variant '{name}': expected <recipe>:<variant> with a recipe of {', '.join(RECIPES)}")
    recipe, base = match["recipe"], match["base"]
    if base == ORIGINAL or ":" in base:
        raise BadConfig(f"derived variant '{name}': expected a plain variant after the colon (frontalizer.enhancement)")
    if recipe == MATCHED and not base.endswith(f".{PLAIN}"):
        raise BadConfig(f"derived variant '{name}': references are turned by a frontalizer alone, as in {MATCHED}:mesh.{PLAIN}")
    number = _number(match["number"])
    if recipe in GATES:
        if number is None or not 0.0 <= number <= 180.0:
            raise BadConfig(
                f"derived variant '{name}': a gate says the |yaw| from which on it turns, 0 to 180 degrees, as in {recipe}@30:{base}"
            )
        return Variant(name, base, recipe, angle=number)
    if number is not None and (recipe != WEIGHTED or not 0.0 < number < 1.0):
        raise BadConfig(f"derived variant '{name}': a weight is for {WEIGHTED} only and lies between 0 and 1, as in {WEIGHTED}@0.3:{base}")
    return Variant(name, base, recipe, number)


def _number(text: str | None) -> float | None:
    """None for none; -1, which nothing allows, for one that is none."""
    try:
        return None if text is None else float(text)
    except ValueError:
        return -1.0
