"""A folder of synthetic people: ``<identity>/{GT,Angle}/<image>.jpg``, ``index.csv`` with the measured poses, ``recipe.json`` to draw them again.

The recipe holds what the search found (candidate numbers and the two coefficients of every image), so drawing again needs neither detector nor
pose estimator nor backbones, and gives the same images.
"""

from __future__ import annotations

import csv
import io
import json
import os
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from frontalbench import images
from frontalbench.errors import BadInput
from frontalbench.files import atomic
from frontalbench.synth import people
from frontalbench.synth.directions import Directions
from frontalbench.synth.mobilestylegan import CARD, COARSE_LAYERS, PACKAGE
from frontalbench.synth.people import Draws, Image, Person

QUALITY: Final = 90
COLUMNS: Final = ("image", "identity", "role", "yaw", "pitch", "roll", "nominal_step")
REFERENCE, PROBE = "reference", "probe"
_FOLDERS: Final = {REFERENCE: "GT", PROBE: "Angle"}


@dataclass(frozen=True)
class Entry:
    """One image of the set. ``image``: path in the set; ``pose``: measured yaw, pitch, roll; ``a``, ``b``, ``mix``: how to draw it again."""

    image: str
    identity: str
    role: str
    pose: tuple[float, float, float]
    step: str
    number: int
    a: float
    b: float
    mix: int


def entries(identity: str, person: Person) -> list[Entry]:
    """The images of a person: the view nearest to zero measured yaw and the second reference are references, the others probes."""
    frontal = person.frontal
    found = [_entry(identity, person.number, view, REFERENCE if view is frontal else PROBE) for view in person.views]
    return [*found, _entry(identity, person.number, person.second, REFERENCE)]


def _entry(identity: str, number: int, image: Image, role: str) -> Entry:
    name = f"{identity}_{_label(image.step)}.jpg"
    pose = image.measured.pose
    return Entry(f"{identity}/{_FOLDERS[role]}/{name}", identity, role, pose, str(image.step), number, image.a, image.b, image.mix)


def _label(step: int | str) -> str:
    """``l52`` for a face turned by 52 degrees towards the left edge (yaw > 0), ``r52`` towards the right one, ``front``, ``b``."""
    if isinstance(step, str):
        return step
    return "front" if step == 0 else f"{'l' if step > 0 else 'r'}{abs(step):02d}"


def write(folder: str | os.PathLike[str], made: Iterable[tuple[str, Person]], *, seed: int, size: int) -> list[Entry]:
    """Write the images, ``index.csv`` and ``recipe.json``; returns the entries by path. Raises OSError."""
    root = Path(folder)
    listed: list[Entry] = []
    for identity, person in made:
        shown = [*person.views, person.second]
        for entry, image in zip(entries(identity, person), shown, strict=True):
            atomic.write_bytes(root / entry.image, images.encode_jpeg(image.image, quality=QUALITY))
            listed.append(entry)
    listed.sort(key=lambda entry: entry.image)
    atomic.write_text(root / "index.csv", index(listed))
    atomic.write_text(root / "recipe.json", recipe(listed, seed=seed, size=size))
    return listed


def index(listed: Iterable[Entry]) -> str:
    """``index.csv``: measured angles in degrees with one decimal; ``nominal_step`` is the yaw that was aimed at ("b": the second reference)."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(COLUMNS)
    for entry in listed:
        writer.writerow([entry.image, entry.identity, entry.role, *(f"{angle:.1f}" for angle in entry.pose), entry.step])
    return text.getvalue()


def recipe(listed: Iterable[Entry], *, seed: int, size: int) -> str:
    """``recipe.json``: everything that drawing again needs besides the generator's weights and the turning directions of this package."""
    content = {
        "synthetic": True,
        "package": PACKAGE,
        "sha256": {weight.file: weight.sha256 for weight in CARD.weights.values()},
        "seed": seed,
        "size": size,
        "jpeg_quality": QUALITY,
        "truncation": people.TRUNCATION,
        "coarse_layers": COARSE_LAYERS,
        "pictures": {e.image: {"number": e.number, "a": round(e.a, 4), "b": round(e.b, 4), "mix": e.mix} for e in listed},
    }
    return json.dumps(content, indent=1) + "\n"


def read_recipe(path: str | os.PathLike[str]) -> dict[str, Any]:
    """A recipe, checked. Raises :class:`BadInput` with the file and what is wrong."""
    try:
        content = json.loads(Path(path).read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise BadInput(f"{path}: not found; a recipe is the recipe.json of a synthetic image set") from None
    except (OSError, UnicodeDecodeError, json.JSONDecodeError) as error:
        raise BadInput(f"{path}: not a readable recipe ({error})") from error
    if not isinstance(content, dict) or not isinstance(content.get("pictures"), dict):
        raise BadInput(f"{path}: expected an object with 'pictures', as make_synthetic.py writes it")
    for key, kind in (("seed", int), ("size", int), ("truncation", float), ("coarse_layers", int), ("jpeg_quality", int)):
        if not isinstance(content.get(key), kind):
            raise BadInput(f"{path}: '{key}' should be {kind.__name__}, is {content.get(key)!r}")
    for key, own in (("truncation", people.TRUNCATION), ("coarse_layers", COARSE_LAYERS), ("jpeg_quality", QUALITY), ("package", PACKAGE)):
        if content.get(key) != own:
            raise BadInput(f"{path}: made with {key} {content.get(key)!r}, this version uses {own!r}; check out the version that made it")
    for image, item in content["pictures"].items():
        parts = Path(image).parts
        if len(parts) != 3 or ".." in parts or Path(image).is_absolute() or Path(image).suffix != ".jpg":
            raise BadInput(f"{path}: image '{image}' should be <identity>/<folder>/<name>.jpg")
        if not isinstance(item, dict) or not all(isinstance(item.get(key), int | float) for key in ("number", "a", "b", "mix")):
            raise BadInput(f"{path}: image '{image}' should have the numbers number, a, b and mix")
    return content


def draw(generator: Draws, directions: Directions, content: Mapping[str, Any], only: str | None = None) -> Iterator[tuple[str, bytes]]:
    """The images of a recipe, one by one, as (path, JPEG bytes); ``only``: those of one identity."""
    for image, item in content["pictures"].items():
        if only is None or image.startswith(f"{only}/"):
            pixels = people.draw(
                generator,
                directions,
                seed=content["seed"],
                number=int(item["number"]),
                mix=int(item["mix"]),
                a=float(item["a"]),
                b=float(item["b"]),
                size=content["size"],
            )
            yield image, images.encode_jpeg(pixels, quality=content["jpeg_quality"])
