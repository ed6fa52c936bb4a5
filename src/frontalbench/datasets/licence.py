"""What a dataset's licence asks of everything that shows its images: a notice, and the names that must stand beside them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

OWN = "yours"
"""``licence.terms`` of a card for one's own images: no rule of somebody else forbids showing them, but the people in them may mind."""


def notice(data: Mapping[str, Any]) -> str:
    """``synthetic``, ``own``, ``research`` (must not be published) or "" from what a dataset's card says."""
    licence = data["licence"]
    if data.get("synthetic"):
        return "synthetic"
    if licence["publish"]:
        return ""
    return "own" if licence["terms"].strip().lower() == OWN else "research"


def credit(data: Mapping[str, Any]) -> str:
    """The line that the licence wants beside the images, with the licence's name; "" where it asks for none."""
    licence = data["licence"]
    attribution = " ".join(str(licence.get("attribution", "")).split())
    return f"Images: {attribution} ({licence['terms'].strip()})" if attribution else ""
