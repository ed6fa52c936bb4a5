"""Which class loads a card of which family.

A family is called like the module that loads its cards, in the room of its kind: cards of family ``ffwm`` and kind frontalizer are loaded by
``frontalize/ffwm.py``, because it has a function ``load(card, ...)``. So a new family is a module and no line anywhere else. What is called otherwise
stands in :data:`NAMED` (the families of quality stand beside their measures).

Modules are named, not imported: a job that runs SCRFD never imports torch, and the code fingerprint of a cell (see
:mod:`frontalbench.plan.fingerprint`) holds its own family alone, so adding one reruns nothing.
"""

from __future__ import annotations

import contextlib
import functools
import importlib
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from frontalbench.errors import BadConfig
from frontalbench.networks import asked
from frontalbench.quality import measures

if TYPE_CHECKING:
    from frontalbench.catalogue.cards import ModelCard

PACKAGE = Path(__file__).resolve().parents[1]

ROOMS: Mapping[str, str] = {
    "detector": "detect",
    "backbone": "embed",
    "frontalizer": "frontalize",
    "enhancement": "enhance",
    "landmarks": "landmarks",
    "pose": "pose",
}
"""Kind -> the room in which every module with a function ``load`` is a family, unless :data:`NAMED` knows it under another name."""

NAMED: Mapping[str, Mapping[str, str]] = {
    "backbone": {"arcface_onnx": "frontalbench.embed.arcface:load"},
    "driver": {"pictures": "frontalbench.frontalize.driver:load"},
    "pose": {
        "face_landmarker_pose": "frontalbench.pose.face_landmarker:load",
        "tddfa_pose": "frontalbench.pose.tddfa:load",
    },
    "matting": {"modnet": "frontalbench.enhance.matting:load", "bisenet": "frontalbench.enhance.parsing:load"},
    "feature": {"wiener": "frontalbench.compare.feature:load"},
    "quality": measures.FAMILIES,
}
"""Kind -> family -> ``module:function`` where the family is not called like its module."""

ENGINES: Mapping[str, str] = {"torch": "frontalbench.runtime.torch_session"}
"""``engine_cpu`` of a card's params -> the module that computes its ONNX file on a CPU (where nothing is said, ONNX Runtime does). Named and not
imported, as families are: its code counts for the cards that ask for it."""

NONE = "there is no network in it"
OF_USED = "its networks are those of the cards that it uses, copies of which may ask for it"
ELSEWHERE = "another program computes it, whose settings are its own"
_ONNX_ALONE = "the package insightface computes it by ONNX Runtime, which has no half precision on a CPU"
_LITERT = "LiteRT computes it, which has no half precision on a CPU"
FLOAT32: Mapping[str, Mapping[str, str]] = {
    "detector": {"faceanalysis": _ONNX_ALONE, "yunet": "OpenCV computes it, which has no half precision on a CPU of this kind"},
    "backbone": {"faceanalysis": _ONNX_ALONE},
    "frontalizer": {
        **dict.fromkeys(("identity", "mirror", "unpublished"), NONE),
        **dict.fromkeys(("external", "made_elsewhere"), ELSEWHERE),
        **dict.fromkeys(("hassner", "mesh", "mirror_aligned", "multiview", "stretch", "tddfa", "whole"), OF_USED),
    },
    "enhancement": {
        **dict.fromkeys(("border", "deblock", "denoise", "keep", "unsharp"), NONE),
        "external": ELSEWHERE,
        **dict.fromkeys(("background", "blend", "colour", "frame", "identity_refine"), OF_USED),
    },
    "landmarks": {"face_landmarker": _LITERT},
    "pose": {**dict.fromkeys(("face_landmarker_pose", "tddfa_pose"), OF_USED)},
    "driver": {"pictures": NONE},
    "feature": {"wiener": NONE},
    "quality": {"brisque": NONE, "ofiq": ELSEWHERE},
}
"""Kind -> family -> why its cards cannot ask for half precision on a CPU (``precision_cpu``). Cards of all other families can."""

_LOAD = re.compile(r"^def load\(", re.MULTILINE)


@functools.cache
def of_kind(kind: str) -> Mapping[str, str]:
    """The families of a kind in the order of their names: family -> ``module:function``. Modules are read as text, not imported."""
    found = dict(NAMED.get(kind, {}))
    taken = {target for named in NAMED.values() for target in named.values()}
    for path in (PACKAGE / ROOMS[kind]).glob("*.py") if kind in ROOMS else ():
        name = f"{PACKAGE.name}.{ROOMS[kind]}.{path.stem}:load"
        if name not in taken and _LOAD.search(path.read_text(encoding="utf-8")):
            found[path.stem] = name
    return dict(sorted(found.items()))


def target(kind: str, family: str) -> tuple[str, str]:
    """(module, attribute) that loads cards of ``family``; raises :class:`BadConfig` with the known families."""
    known = of_kind(kind)
    if family not in known:
        raise BadConfig(f"family '{family}' of kind '{kind}' is not known; known: {', '.join(known) or 'none'}")
    module, _, attribute = known[family].partition(":")
    return module, attribute


def modules(card: ModelCard) -> list[str]:
    """The modules that compute what a card says: that of its family, and its engine's."""
    engine = ENGINES.get(str(card.params.get("engine_cpu")))
    return [target(card.kind, card.family)[0], *([engine] if engine else [])]


def load(card: ModelCard, **options: Any) -> Any:
    """Build the model of a card: calls ``attribute(card, **options)`` of its family's module.

    ``precision_cpu`` of any card's params: see :func:`computing`, unless its family answers for it itself.
    """
    name, attribute = target(card.kind, card.family)
    module = importlib.import_module(name)
    build = getattr(module, attribute)
    own = hasattr(module, "precision_on")
    with asked.asking(asked.PRECISIONS[0]) if own else computing(card, options.get("device", "cpu")):
        return build(card, **options)


@contextlib.contextmanager
def computing(card: ModelCard, device: str = "cpu") -> Iterator[None]:
    """Networks that are made ready inside compute in what ``card`` says for ``device``, float32 unless it says so, whatever another card asked for
    that uses this one. Raises :class:`BadConfig` for a type that is not known, one that this processor lacks, and a family without a network for it.
    """
    if "precision_cpu" not in card.params:
        with asked.asking(asked.PRECISIONS[0]):
            yield
        return
    from frontalbench.networks import precision as precisions
    from frontalbench.runtime.sessions import torch_device

    wanted = precisions.checked(card.name, precision(card, str(torch_device(device))))
    with precisions.asking(card.name, wanted, why_float32(card)):
        yield


def why_float32(card: ModelCard) -> str:
    """Why a card of a family without a network that could compute in half precision is refused."""
    reason = FLOAT32.get(card.kind, {}).get(card.family, "this family computes in float32 on a CPU")
    return f"{reason} ({', '.join(card.uses)})" if reason == OF_USED and card.uses else reason


def precision(card: ModelCard, device: str) -> str:
    """The number type a card's networks compute in on ``device``: what ``precision_on(card, device)`` of its family's module says, else the card's
    ``precision_cpu`` on a CPU, float32 unless said."""
    ask = getattr(importlib.import_module(target(card.kind, card.family)[0]), "precision_on", None)
    if ask:
        return str(ask(card, device))
    if "precision_cpu" not in card.params:
        return "float32"
    from frontalbench.runtime.sessions import torch_device

    return str(card.params["precision_cpu"]) if torch_device(device).type == "cpu" else "float32"
