"""Cards of family ``external``: a foreign system that runs in its own environment (docs/external.md).

What stands under ``external:`` in such a card, and what the folder of its adapter holds. Nothing here runs anything.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from frontalbench.catalogue import cards
from frontalbench.catalogue.cards import ModelCard
from frontalbench.errors import BadConfig

FAMILY = "external"
KEY = "external"
"""The key of a card of this family that names the adapter and what it needs."""
ADAPTERS = "adapters"
PROGRAM = "run.py"
REQUIREMENTS = "requirements.txt"
CONDA = "environment.yaml"
BUILD = "build-requirements.txt"
"""What must be installed before the requirements, which are then built beside it: for packages whose setup asks for what it is built for."""
SPOKEN = "command_line.yaml"
"""What the official command line knows: for the README and the contract test, so it changes no image."""
TO_BE_PINNED = "to be pinned by you"
"""What a card says instead of a commit that nobody could verify."""
_PYTHON = re.compile(r"^# python: ([0-9]+\.[0-9]+)\s*$", re.MULTILINE)


@dataclass(frozen=True)
class Asset:
    """A file that a person downloads: ``file`` below the system's folder of assets; ``origin``: where it comes from, in words; ``bytes`` and
    ``sha256``: None where nobody has published them."""

    file: str
    origin: str
    bytes: int | None = None
    sha256: str | None = None


@dataclass(frozen=True)
class External:
    """What a card says of its foreign system.

    ``name``: of the adapter; ``folder``: where the adapter lies; ``url`` and ``commit``: its repository ("" where it is a package of its environment;
    the commit is "" too where it is still to be pinned); ``accept``: licences that whoever uses it accepts.
    """

    card: str
    name: str
    folder: Path
    url: str
    commit: str
    assets: tuple[Asset, ...]
    accept: tuple[str, ...]

    @property
    def program(self) -> Path:
        return self.folder / PROGRAM

    @property
    def requirements(self) -> Path | None:
        """The list that a virtual environment is made of; None where the adapter has none."""
        path = self.folder / REQUIREMENTS
        return path if path.is_file() else None

    @property
    def build(self) -> Path | None:
        """The list that is installed before :attr:`requirements`; None where the adapter has none."""
        path = self.folder / BUILD
        return path if path.is_file() else None

    @property
    def conda(self) -> Path | None:
        """The description of a conda environment; None where the adapter has none."""
        path = self.folder / CONDA
        return path if path.is_file() else None

    def python(self) -> str:
        """The Python that a virtual environment needs, such as ``3.9``; "" where any will do."""
        match = _PYTHON.search(self.requirements.read_text(encoding="utf-8")) if self.requirements else None
        return match[1] if match else ""

    def environment_digest(self) -> str:
        """sha256 (hex) of the files that describe the environment."""
        return _digest(path for path in (self.build, self.requirements, self.conda) if path is not None)

    def digest(self) -> str:
        """sha256 (hex) of everything that decides an image beside the card: the commit, the environment's files, the adapter's bytes.

        Texts for people (``*.md``, :data:`SPOKEN`) do not count.
        """
        files = (path for path in sorted(self.folder.rglob("*")) if path.is_file() and _counts(path))
        return hashlib.sha256(f"{self.commit}\n{_digest(files, self.folder)}".encode()).hexdigest()


def _counts(path: Path) -> bool:
    return path.suffix != ".md" and path.name != SPOKEN and "__pycache__" not in path.parts and not path.name.startswith(".")


def _digest(paths: Any, top: Path | None = None) -> str:
    digest = hashlib.sha256()
    for path in paths:
        name = path.relative_to(top).as_posix() if top else path.name
        digest.update(f"{name} {hashlib.sha256(path.read_bytes()).hexdigest()}\n".encode())
    return digest.hexdigest()


def read(card: ModelCard) -> External:
    """What a card of family ``external`` says. Raises :class:`BadConfig`, one line, for another family and where the adapter is not there."""
    if card.family != FAMILY:
        raise BadConfig(f"{card.path}: family '{card.family}' has no adapter; expected a card of family {FAMILY}")
    said: Mapping[str, Any] = card.data[KEY]
    folder = folder_of(said["adapter"], card)
    if not (folder / PROGRAM).is_file():
        raise BadConfig(
            f"{card.path}: {KEY}.adapter: {folder / PROGRAM} is not there; write it (docs/external.md), or name another adapter"
        )
    external = External(
        card=card.name,
        name=said["adapter"],
        folder=folder,
        url=_address(said.get("repository", {}).get("url", ""), card),
        commit="" if said.get("repository", {}).get("commit") in (None, TO_BE_PINNED) else said["repository"]["commit"],
        assets=tuple(Asset(a["file"], a["from"], a.get("bytes"), a.get("sha256")) for a in said.get("assets", ())),
        accept=tuple(said.get("accept", ())),
    )
    if external.requirements is None and external.conda is None:
        raise BadConfig(f"{folder}: neither {REQUIREMENTS} nor {CONDA}; an adapter says what its environment is made of")
    return external


def folder_of(name: str, card: ModelCard) -> Path:
    """The folder of an adapter: beside the cards' ``config``, else that which came with the package."""
    own = card.root.parent.parent / ADAPTERS / name
    return own if own.is_dir() or not (cards.SHIPPED / ADAPTERS / name).is_dir() else cards.SHIPPED / ADAPTERS / name


def _address(url: str, card: ModelCard) -> str:
    """A relative path starts at the project's folder."""
    if not url or "://" in url or url.startswith("/"):
        return url
    return str(card.root.parent.parent / url)
