"""The name of a variant, read in one place: ``original``, ``<frontalizer>[@<what stays>].<enhancement>[+<enhancement>...]``,
``<recipe>[@<number>]:<variant>``.

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
FLIPPED = "fuse_flip"
"""The recipe that fuses three: the photograph, its mirror image and the frontal. It may carry the frontal's weight."""
GATE_FLIPPED = "gate_flip"
"""The same from an angle on; below it the photograph and its mirror image."""
FLIPS = (FLIPPED, GATE_FLIPPED)
"""The recipes that need the embeddings of :data:`MIRRORED` beside those of their base."""
GATES = ("gate", "gate_fuse", GATE_FLIPPED)
"""The recipes that open at an angle, which their names carry: ``gate@30:mesh.none``."""
LEARNED = "gate_learned"
"""The gate that opens where a regression expects the frontal to be the better one."""
TEMPLATES = ("template", "template_yaw", "template_norm")
"""The recipes that make one template of a person's references, and one of the probes of a recording; they go with ``original`` too."""
RECIPES = (
    WEIGHTED,
    FLIPPED,
    "fuse_yaw",
    "fuse_max",
    "fuse_score",
    "control_meanshift",
    "feature_frontal",
    MATCHED,
    *GATES,
    LEARNED,
    *TEMPLATES,
)
STAYS = r"@[0-9]+(\.[0-9]+)?(deg|step)?"
"""Behind a frontalizer's name: how much of a photograph's angle stays, ``@0.85`` of it or ``@20deg``, or that it goes in steps of ``@15step`` degrees
(:func:`turn_of`)."""
_BASE = re.compile(rf"(?P<frontalizer>[^.@]*({STAYS})?)(\.(?P<enhancement>.*))?", re.DOTALL)
_DERIVED = re.compile(r"(?P<recipe>[a-z_]+)(@(?P<number>[0-9.]+))?:(?P<base>.+)")


@dataclass(frozen=True)
class Turn:
    """How much of a photograph's angle a frontalizer leaves: a ``share`` of it (0 to 1), or the yaw in ``degrees`` that a face may keep (0 to 90); or
    nothing, on a way of steps of at most ``step`` degrees. The others are None."""

    share: float | None = None
    degrees: float | None = None
    step: float | None = None

    def stays(self, yaw: float) -> float:
        """The share of the whole turn that stays of a face at ``yaw`` degrees."""
        if self.step is not None:
            return 0.0
        if self.share is not None:
            return self.share
        assert self.degrees is not None
        return 1.0 if abs(yaw) <= self.degrees else self.degrees / abs(yaw)


def turn_of(frontalizer: str) -> tuple[str, Turn | None]:
    """(the card's name, what stays) of a frontalizer's name. Raises :class:`BadConfig`, one line, for a number that means nothing."""
    name, at, number = frontalizer.partition("@")
    if not at:
        return name, None
    degrees, step = number.endswith("deg"), number.endswith("step")
    value = _number(number.removesuffix("deg").removesuffix("step")) if re.fullmatch(STAYS, at + number) else -1.0
    if value is None or not (1.0 if step else 0.0) <= value <= (90.0 if degrees or step else 1.0):
        raise BadConfig(
            f"frontalizer '{frontalizer}': behind @ stands the share of a photograph's angle that stays, 0 to 1, as in {name}@0.85, or the yaw that "
            f"it may keep, 0 to 90 degrees, as in {name}@20deg, or the largest step of a way in steps, 1 to 90 degrees, as in {name}@15step"
        )
    if step:
        return name, Turn(step=value)
    return name, Turn(degrees=value) if degrees else Turn(share=value)


def _parts(base: str) -> tuple[str, str]:
    """(frontalizer, enhancement) of a base; the number of what stays may hold a point."""
    found = _BASE.fullmatch(base)
    if found is None:
        name, _, enhancement = base.partition(".")
        return name, enhancement
    return found["frontalizer"], found["enhancement"] or ""


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
        """Whether some images are the photograph itself on purpose."""
        return self.recipe in GATES or self.recipe == LEARNED

    @property
    def is_template(self) -> bool:
        """Whether several images are one template."""
        return self.recipe in TEMPLATES

    @property
    def prefix(self) -> str:
        """What stands before the colon, as it is written (``fuse_mean@0.3``); "" where there is none."""
        return self.name.partition(":")[0] if self.recipe else ""

    @property
    def frontalizer(self) -> str:
        """The frontalizer of the base, with what stays (``tddfa@0.85``); "" for ``original``."""
        return "" if self.base == ORIGINAL else _parts(self.base)[0]

    @property
    def turn(self) -> Turn | None:
        """How much of the photograph's angle the frontalizer leaves; None for a frontal view, and for ``original``."""
        return turn_of(self.frontalizer)[1]

    @property
    def enhancement(self) -> str:
        """The chain of enhancements of the base, ``none`` for the plain frontal; "" for ``original`` and for a frontalizer's name alone."""
        return "" if self.base == ORIGINAL else _parts(self.base)[1]

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
    def second(self) -> str:
        """The other variant with pixels whose embeddings a cell needs, "" for none."""
        return MIRRORED if self.recipe in FLIPS else ""

    @property
    def turned(self) -> str:
        """The turned references that a cell needs, "" for none."""
        return made(self.frontalizer, TURNED) if self.recipe == MATCHED else ""


def made(frontalizer: str, enhancement: str = PLAIN) -> str:
    """The name of what a frontalizer and an enhancement (or a chain of them) make."""
    return f"{frontalizer}.{enhancement}"


def control_of(name: str) -> str:
    """What a variant is held against: the same made of mirror images (``fuse_mean@0.3:mirror.none`` for a fusion, ``mirror.none`` for a frontal); a
    template against the same of the photographs (``template:original``); what holds the mirror image already against fusion with it alone."""
    one = parse(name)
    if one.recipe in FLIPS:
        return f"{WEIGHTED}:{MIRRORED}"
    if one.is_template:
        return f"{one.prefix}:{ORIGINAL}"
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
    if (base == ORIGINAL and recipe not in TEMPLATES) or ":" in base:
        raise BadConfig(f"derived variant '{name}': expected a plain variant after the colon (frontalizer.enhancement)")
    if recipe == MATCHED and not base.endswith(f".{PLAIN}"):
        raise BadConfig(f"derived variant '{name}': references are turned by a frontalizer alone, as in {MATCHED}:mesh.{PLAIN}")
    if recipe == MATCHED and "@" in base:
        raise BadConfig(
            f"derived variant '{name}': references are turned to the probes' poses, so nothing stays of their own; leave @... out"
        )
    number = _number(match["number"])
    if recipe in FLIPS and base == MIRRORED:
        raise BadConfig(f"derived variant '{name}': the mirror image is in it already; the fusion of both is {WEIGHTED}:{MIRRORED}")
    if recipe in GATES:
        if number is None or not 0.0 <= number <= 180.0:
            raise BadConfig(
                f"derived variant '{name}': a gate says the |yaw| from which on it turns, 0 to 180 degrees, as in {recipe}@30:{base}"
            )
        return Variant(name, base, recipe, angle=number)
    if number is not None and (recipe not in (WEIGHTED, FLIPPED) or not 0.0 < number < 1.0):
        raise BadConfig(
            f"derived variant '{name}': a weight is for {WEIGHTED} and {FLIPPED} only and lies between 0 and 1, as in {WEIGHTED}@0.3:{base}"
        )
    return Variant(name, base, recipe, number)


def _number(text: str | None) -> float | None:
    """None for none; -1, which nothing allows, for one that is none."""
    try:
        return None if text is None else float(text)
    except ValueError:
        return -1.0
