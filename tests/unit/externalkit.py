"""Foreign systems for tests: adapters of a few lines that run under this very Python, and cards for them."""

from __future__ import annotations

import sys
import textwrap
from pathlib import Path
from typing import Any

import numpy as np
import yaml

from frontalbench.catalogue import cards
from frontalbench.catalogue.cards import ModelCard
from frontalbench.detect.select import Face
from frontalbench.external.settings import read
from frontalbench.frontalize.base import View
from frontalbench.frontalize.external import ExternalFrontalizer, Places

HEAD = """
import json, os, shutil, sys, time
from pathlib import Path
job = Path(sys.argv[1])
manifest = json.loads((job / "in" / "manifest.json").read_text())
def say(name, **more):
    with (job / "out" / "status.jsonl").open("a") as status:
        status.write(json.dumps({"name": name, **more}) + "\\n")
def copy(asked):
    shutil.copyfile(job / asked["file"], job / "out" / (asked["name"] + ".png"))
"""
"""What the adapters of these tests begin with."""
COPY = "for asked in manifest['pictures']:\n    copy(asked); say(asked['name'], ok=True, seconds=0.25, gpu_mb=100)\n"


def adapter(root: Path, body: str, name: str = "stranger") -> Path:
    """An adapter in the project at ``root``."""
    folder = root / "adapters" / name
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "run.py").write_text(HEAD + textwrap.dedent(body))
    (folder / "requirements.txt").write_text("# nothing\n")
    return folder


def card(root: Path, name: str = "stranger", external: dict[str, Any] | None = None, **more: Any) -> ModelCard:
    """A card of family ``external`` in the project at ``root``."""
    path = root / "config" / "models" / "frontalizers" / f"{name}.yaml"
    path.parent.mkdir(parents=True, exist_ok=True)
    data = {
        "name": name,
        "kind": "frontalizer",
        "family": "external",
        "title": "a stranger",
        "weights": {},
        "external": {"adapter": "stranger", **(external or {})},
        "params": {},
        "licence": {"code": "none", "weights": "none"},
        "verified": {"level": "none"},
        **more,
    }
    path.write_text(yaml.safe_dump(data))
    return cards.load(path)


def system(root: Path, body: str, **params: Any) -> ExternalFrontalizer:
    """A foreign system that runs ``body``; ``params`` as in its card."""
    folder = adapter(root, body)
    settings = read(card(root, params={"seconds_to_start": 20, "seconds_per_picture": 20, **params}))
    return ExternalFrontalizer("stranger", Places(Path(sys.executable), folder / "run.py"), settings)


def view(seed: int = 0, size: tuple[int, int] = (40, 30)) -> View:
    """A photograph (width, height) of noise with a face somewhere in it."""
    width, height = size
    image = np.random.default_rng(seed).integers(0, 256, (height, width, 3), np.uint8)
    points = np.array([[10, 10], [20, 10], [15, 15], [11, 20], [19, 20]], np.float32) + np.float32(1 / 3)
    return View(image, Face(np.array([5, 5, 25, 25], np.float32) + np.float32(0.1), 0.875, points, 1))
