"""Which class loads a card of which family.

The only place that knows all families (those of quality stand beside their measures). Modules are named, not imported: a job that runs SCRFD never
imports torch, and the code fingerprint of a cell (see :mod:`frontalbench.plan.fingerprint`) holds its own family alone, so adding one here reruns
nothing.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from frontalbench.errors import BadConfig
from frontalbench.quality import measures

if TYPE_CHECKING:
    from frontalbench.catalogue.cards import ModelCard

FAMILIES: dict[str, dict[str, str]] = {
    "detector": {
        "scrfd": "frontalbench.detect.scrfd:load",
        "retinaface": "frontalbench.detect.retinaface:load",
        "yunet": "frontalbench.detect.yunet:load",
    },
    "backbone": {
        "arcface_onnx": "frontalbench.embed.arcface:load",
    },
    "frontalizer": {
        "identity": "frontalbench.frontalize.identity:load",
        "made_elsewhere": "frontalbench.frontalize.made_elsewhere:load",
        "external": "frontalbench.frontalize.external:load",
        "mirror": "frontalbench.frontalize.mirror:load",
        "stretch": "frontalbench.frontalize.stretch:load",
        "ahead": "frontalbench.frontalize.ahead:load",
        "mesh": "frontalbench.frontalize.mesh:load",
        "tddfa": "frontalbench.frontalize.tddfa:load",
        "rnr": "frontalbench.frontalize.rnr:load",
        "scaleway": "frontalbench.frontalize.scaleway:load",
        "scaleway_published": "frontalbench.frontalize.scaleway_published:load",
        "ffwm": "frontalbench.frontalize.ffwm:load",
        "gan_inversion": "frontalbench.frontalize.gan_inversion:load",
        "fsgan": "frontalbench.frontalize.fsgan:load",
        "hassner": "frontalbench.frontalize.hassner:load",
        "liveportrait": "frontalbench.frontalize.liveportrait:load",
        "first_order": "frontalbench.frontalize.first_order:load",
        "fsrt": "frontalbench.frontalize.fsrt:load",
    },
    "driver": {
        "pictures": "frontalbench.frontalize.driver:load",
    },
    "enhancement": {
        "keep": "frontalbench.enhance.keep:load",
        "unsharp": "frontalbench.enhance.unsharp:load",
        "background": "frontalbench.enhance.background:load",
        "gfpgan": "frontalbench.enhance.gfpgan:load",
        "super_resolution": "frontalbench.enhance.super_resolution:load",
    },
    "landmarks": {
        "face_landmarker": "frontalbench.landmarks.face_landmarker:load",
        "tddfa": "frontalbench.landmarks.tddfa:load",
    },
    "pose": {
        "face_landmarker_pose": "frontalbench.pose.face_landmarker:load",
        "fsanet": "frontalbench.pose.fsanet:load",
        "tddfa_pose": "frontalbench.pose.tddfa:load",
    },
    "matting": {
        "modnet": "frontalbench.enhance.matting:load",
    },
    "feature": {
        "wiener": "frontalbench.compare.feature:load",
    },
    "quality": dict(measures.FAMILIES),
}


def target(kind: str, family: str) -> tuple[str, str]:
    """(module, attribute) that loads cards of ``family``; raises :class:`BadConfig` with the known families."""
    known = FAMILIES.get(kind, {})
    if family not in known:
        raise BadConfig(f"family '{family}' of kind '{kind}' is not known; known: {', '.join(sorted(known)) or 'none'}")
    module, _, attribute = known[family].partition(":")
    return module, attribute


def load(card: ModelCard, **options: Any) -> Any:
    """Build the model of a card: calls ``attribute(card, **options)`` of its family's module."""
    module, attribute = target(card.kind, card.family)
    return getattr(importlib.import_module(module), attribute)(card, **options)


def precision(card: ModelCard, device: str) -> str:
    """The number type a card's networks compute in on ``device``: what ``precision_on(card, device)`` of its family's module says, else float32."""
    ask = getattr(importlib.import_module(target(card.kind, card.family)[0]), "precision_on", None)
    return str(ask(card, device)) if ask else "float32"
