"""Several views of one face as one: which of them surround a wanted pose, and how much each counts (FSGANv2's appearance map).

The views are points (yaw, pitch) with four empty ones in the corners, triangulated (Delaunay); a wanted pose lies in one triangle and its barycentric
coordinates weigh the views there. Landmarks of a pose nobody photographed, and images drawn from each view, are mixed with these weights: no 3-D.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from frontalbench.types import Float, Int

RADIUS = 2.0
"""Views nearer than this to a kept one, in degrees of yaw and pitch, are left out."""
CORNER = 75.0
"""Yaw and pitch of the empty corners in degrees."""


@dataclass(frozen=True)
class Mixture:
    """``kept`` int64 (K,): indices of the views that count; ``weights`` (T, K): their share in each wanted pose, rows sum to 1."""

    kept: Int
    weights: Float


def mixture(views: Float, wanted: Float, *, radius: float = RADIUS) -> Mixture:
    """``views`` (V, 2), ``wanted`` (T, 2): yaw, pitch in degrees. A wanted pose beyond the corners is brought to the square's border.

    Raises ValueError without a view or for a pose that is not finite.
    """
    from scipy.spatial import Delaunay

    views, wanted = np.asarray(views, np.float64), np.asarray(wanted, np.float64)
    if len(views) == 0 or not (np.isfinite(views).all() and np.isfinite(wanted).all()):
        raise ValueError("poses of at least one view are needed, all of them finite")
    inside = np.clip(views, -CORNER, CORNER)
    kept = spread(inside, radius)
    corners = CORNER * np.array([[-1.0, -1.0], [-1.0, 1.0], [1.0, -1.0], [1.0, 1.0]])
    mesh = Delaunay(np.concatenate([inside[kept], corners]))
    aimed = np.clip(wanted, -CORNER, CORNER)
    found = mesh.find_simplex(aimed, tol=1e-9)
    weights = np.zeros((len(wanted), len(kept)))
    for row, (point, triangle) in enumerate(zip(aimed, found, strict=True)):
        bary = np.zeros(3)
        if triangle >= 0:
            transform = mesh.transform[triangle]
            first = transform[:2] @ (point - transform[2])
            bary = np.append(first, 1.0 - first.sum())
            of_view = mesh.simplices[triangle] < len(kept)
            bary = np.where(of_view, np.clip(bary, 0.0, 1.0), 0.0)
        if bary.sum() > 1e-9:
            np.add.at(weights[row], mesh.simplices[triangle][of_view], bary[of_view] / bary.sum())
        else:  # on a corner, or between empty corners only
            weights[row, int(np.argmin(((inside[kept] - point) ** 2).sum(axis=1)))] = 1.0
    return Mixture(kept, weights)


def spread(points: Float, radius: float) -> Int:
    """Indices of ``points`` (V, 2) of which none is within ``radius`` of another: those with the most neighbours stay first."""
    near = np.hypot(*(points[:, None] - points[None]).transpose(2, 0, 1)) <= radius
    dropped = np.zeros(len(points), bool)
    for index in np.argsort(-near.sum(axis=1), kind="stable"):
        if not dropped[index]:
            others = near[index].copy()
            others[index] = False
            dropped |= others
    return np.flatnonzero(~dropped).astype(np.int64)
