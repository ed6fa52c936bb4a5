"""How pure training pairs are: poses, identity by angle, and a sheet to look at."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np
import numpy.typing as npt

from frontalbench.images import RGB
from frontalbench.synth.pairs import LATENT_SOURCE, RENDERED_SOURCE, TURNED_ON_SOURCE

EDGES = (0, 15, 30, 45, 60, 75, 91)
ROWS = 12


def page(data: dict[str, npt.NDArray[Any]]) -> tuple[str, RGB]:
    """(Markdown, contact sheet) of the pairs that :func:`frontalbench.synth.pairs.read_shards` gives."""
    yaw = np.abs(data["pose"][:, 0])
    lines = [
        "# Training pairs (synthetic people)",
        "",
        f"{len(yaw)} pairs of {len(np.unique(data['person']))} people who do not exist. Yaw as measured; similarity: mean of the training backbones "
        "between an image turned in style space and the frontal one. A pair of the second source is one image turned as a mesh: the same person "
        "by construction; one of the third is an angled image turned on to a profile.",
        "",
        "| yaw | turned in style space | similarity | 10 % are below | rotate and render | turned on |",
        "|---|---|---|---|---|---|",
    ]
    for low, high in itertools.pairwise(EDGES):
        inside = (yaw >= low) & (yaw < high)
        latent = data["similarity"][inside & (data["kind"] == LATENT_SOURCE)]
        rendered, turned_on = (int((inside & (data["kind"] == kind)).sum()) for kind in (RENDERED_SOURCE, TURNED_ON_SOURCE))
        said = ("-", "-") if not len(latent) else (f"{latent.mean():.2f}", f"{np.quantile(latent, 0.1):.2f}")
        lines.append(f"| {low} to {min(high, 90)} | {len(latent)} | {said[0]} | {said[1]} | {rendered} | {turned_on} |")
    lines += ["", "Sheet, from the left: image, mesh turned to the front, what of it was seen, wanted. Synthetic people."]
    return "\n".join(lines) + "\n", sheet(data)


def sheet(data: dict[str, npt.NDArray[Any]], rows: int = ROWS) -> RGB:
    """Evenly chosen pairs, two in a row."""
    chosen = np.unique(np.linspace(0, len(data["person"]) - 1, 2 * rows).astype(int))
    tiles = [
        np.hstack([data["photograph"][i], data["turned"][i], np.repeat(data["seen"][i][..., None], 3, 2), data["wanted"][i]])
        for i in chosen
    ]
    tiles += [np.zeros_like(tiles[0])] * (len(tiles) % 2)
    return np.vstack([np.hstack(tiles[k : k + 2]) for k in range(0, len(tiles), 2)]).astype(np.uint8)
