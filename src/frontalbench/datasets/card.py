"""Dataset cards: ``config/datasets/NAME.yaml``, checked against ``config/schemas/dataset.schema.yaml``."""

from __future__ import annotations

import functools
import hashlib
import json
import os
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from frontalbench.catalogue import cards, validation
from frontalbench.datasets import layouts
from frontalbench.errors import BadConfig, BadInput

DEFAULT_YAW_BINS = (0.0, 15.0, 30.0, 45.0, 60.0, 75.0, 90.0)

_OPTIONS = ("root", "shards", "limit", "select", "options", "roles", "yaw_bins", "pose_source")
_RESULT_KEYS = ("layout", "shards", "options", "roles", "select", "pose_source")
AUTO = "auto"
"""``shards`` of a card that leaves their number to that of its images, see :func:`frontalbench.datasets.listing.with_shards`."""
_DEFAULTS: dict[str, Any] = {
    "shards": AUTO,
    "options": {},
    "roles": {},
    "select": {},
    "yaw_bins": list(DEFAULT_YAW_BINS),
    "pose_source": "nominal",
}


@dataclass(frozen=True)
class DatasetCard:
    """A dataset as its card (and the configuration) describe it.

    ``shards`` is 1 while the card leaves the number to that of its images; ``root`` is the folder of the images, ``yaw_bins`` the edges of the
    |yaw| bins in degrees, ``roles`` the rule that decides references and probes, ``options`` what the layout takes, ``select`` which images are left
    out on purpose, ``data`` everything that the card says.
    """

    name: str
    layout: str
    title: str
    root: Path
    shards: int
    yaw_bins: tuple[float, ...]
    roles: Mapping[str, Any]
    options: Mapping[str, Any]
    select: Mapping[str, Any]
    path: Path
    data: Mapping[str, Any] = field(repr=False)

    def digest(self) -> str:
        """sha256 (hex) over what changes results; where the folder lies, titles, licences and notes do not count."""
        what = {key: self.data[key] for key in _RESULT_KEYS if key in self.data}
        what["select"] = {key: value for key, value in self.select.items() if value is not None and (key != "seed" or self._draws())}
        if self.select.get("per_bin"):
            what["yaw_bins"] = list(self.yaw_bins)
        return hashlib.sha256(json.dumps(what, sort_keys=True).encode()).hexdigest()

    def _draws(self) -> bool:
        return any(self.select.get(key) for key in ("identities", "per_bin", "images_per_identity"))

    def with_options(self, options: Mapping[str, Any]) -> DatasetCard:
        """This card with options of the configuration laid over it.

        ``root``, ``shards``, ``yaw_bins`` and ``pose_source`` replace the card's; ``select``, ``options`` and ``roles`` are merged key by
        key; ``limit: N`` is short for ``select: {identities: N}``. Raises :class:`BadConfig` for anything else and for values that the
        schema refuses.
        """
        options = read_options(options)
        unknown = sorted(set(options) - set(_OPTIONS))
        if unknown:
            raise BadConfig(
                f"dataset {self.name}: option '{unknown[0]}' is not known{validation.did_you_mean(unknown[0], _OPTIONS)}; "
                f"allowed: {', '.join(_OPTIONS)}"
            )
        data = dict(self.data)
        for key, value in options.items():
            if key == "limit":
                data["select"] = {**data["select"], "identities": value}
            elif key in ("select", "options", "roles"):
                if not isinstance(value, Mapping):
                    raise BadConfig(f"dataset {self.name}: option '{key}': expected keys and values, got {value!r}")
                data[key] = {**data[key], **value}
            else:
                data[key] = value
        card = _build(data, self.path, f"dataset {self.name}")
        # Without a new root the folder stays where it was found, also when an environment variable said so.
        return card if "root" in options else _replace_root(card, self.root)

    def missing(self, folder: str | os.PathLike[str] | None = None) -> str:
        """One line that says what to fetch, from where, into which folder (default: ``root``)."""
        place = self.root if folder is None else folder
        ways = [f"'{source['url']}'" for source in self.data.get("sources", []) if source.get("manual") or not source.get("fetch", False)]
        direct = any(source.get("fetch") for source in self.data.get("sources", []))
        parts = []
        if direct:
            parts.append(f"run 'python workflow/scripts/fetch_dataset.py --dataset {self.name}'")
        if ways:
            parts.append(f"fetch it by hand from {' or '.join(ways)} and unpack it into {place}")
        if not parts:
            parts.append(f"put the images into {place}")
        return f"{'; or '.join(parts)} ({self.data.get('layout_note', 'layout ' + self.layout)}); see docs/datasets.md"


def read_options(options: Mapping[str, Any]) -> dict[str, Any]:
    """Options for :meth:`DatasetCard.with_options`, what came as text from a command line read as what the schema wants."""
    schema = _schema()
    properties = {**schema["properties"], "limit": schema["properties"]["select"]["properties"]["identities"]}
    read: dict[str, Any] = validation.read_as_meant(options, {"type": "object", "properties": properties})
    return read


def find(name: str, root: str | os.PathLike[str] | None = None) -> DatasetCard:
    """The card ``config/datasets/<name>.yaml``; ``root`` is the folder of cards when it is not the project's ``config/datasets``.

    The images' folder is the card's ``root`` (relative to the project folder), or ``$FRONTALBENCH_DATA_<NAME>``, or
    ``$FRONTALBENCH_DATA/<name>``. Raises :class:`BadConfig` with the known names.
    """
    folder = cards_folder(root)
    path = folder / f"{name}.yaml"
    known = names(root)
    if name not in known:
        raise BadConfig(
            f"no dataset card '{name}' in {folder}{validation.did_you_mean(name, known)}; there are: {', '.join(known) or 'none'}"
        )
    return load(path)


def names(root: str | os.PathLike[str] | None = None) -> list[str]:
    """Names of all dataset cards, sorted."""
    return sorted(path.stem for path in cards_folder(root).glob("*.yaml"))


def cards_folder(root: str | os.PathLike[str] | None = None) -> Path:
    return Path(root) if root is not None else cards.project_root() / "config" / "datasets"


def load(path: str | os.PathLike[str]) -> DatasetCard:
    """Read and check one card file. Raises :class:`BadConfig`, one line per problem."""
    file = Path(path)
    data = {**_DEFAULTS, **validation.read_yaml(file)}
    if data.get("name") != file.stem:
        raise BadConfig(f"{file}: name: '{data.get('name')}' should be the file's name, '{file.stem}'")
    card = _build(data, file, str(file))
    named = os.environ.get(f"FRONTALBENCH_DATA_{card.name.upper().replace('-', '_').replace('.', '_')}")
    if named:
        return _replace_root(card, Path(named))
    parent = os.environ.get("FRONTALBENCH_DATA")
    if parent and str(data["root"]).startswith("data/"):
        return _replace_root(card, Path(parent) / str(data["root"]).removeprefix("data/"))
    return card


def _build(data: Mapping[str, Any], path: Path, where: str) -> DatasetCard:
    lines = validation.problems(data, _schema())
    edges = data["yaw_bins"]
    if isinstance(edges, list) and not lines and sorted(set(edges)) != edges:
        lines.append(f"yaw_bins: expected rising numbers, got {edges}")
    if lines:
        raise BadConfig("\n".join(f"{where}: {line}" for line in lines))
    return DatasetCard(
        name=data["name"],
        layout=data["layout"],
        title=data["title"],
        root=_placed(Path(data["root"])),
        shards=1 if data["shards"] == AUTO else data["shards"],
        yaw_bins=tuple(float(edge) for edge in edges),
        roles=dict(data["roles"]),
        options=dict(data["options"]),
        select=dict(data["select"]),
        path=path,
        data=dict(data),
    )


def _replace_root(card: DatasetCard, root: Path) -> DatasetCard:
    return replace(card, root=_placed(root))


def _placed(root: Path) -> Path:
    """A folder of images as a card or the environment names it: relative to the project, wherever the command runs."""
    root = root.expanduser()
    return root if root.is_absolute() else cards.project_root() / root


@functools.lru_cache(maxsize=1)
def _schema() -> dict[str, Any]:
    """The schema of cards; which layouts there are says :mod:`frontalbench.datasets.layouts`."""
    path = cards.project_root() / "config" / "schemas" / "dataset.schema.yaml"
    if not path.is_file():
        path = Path(__file__).resolve().parents[3] / "config" / "schemas" / "dataset.schema.yaml"
    schema = validation.read_yaml(path)
    schema["properties"]["layout"]["enum"] = sorted(layouts.LAYOUTS)
    return schema


def shard_names(card: DatasetCard) -> list[str]:
    """``['0000', '0001', ...]``: fixed by the card, whatever the files."""
    return [f"{index:04d}" for index in range(card.shards)]


def check_shard(card: DatasetCard, shard: str) -> None:
    """Raises :class:`BadInput` when the dataset has no such shard."""
    if shard not in shard_names(card):
        raise BadInput(f"dataset {card.name}: no shard '{shard}'; there are 0000 to {card.shards - 1:04d}")


@functools.lru_cache(maxsize=1 << 16)
def shard_of_identity(identity: str, shards: int) -> str:
    """The shard of an identity: its hash, so that a new image touches one shard and a new identity moves no other."""
    digest = hashlib.sha256(identity.encode()).digest()
    return f"{int.from_bytes(digest[:8], 'big') % shards:04d}"
