"""Robust rotation-only fits between two views, and the focal length that explains them best."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from scipy.optimize import minimize_scalar

from recon.core.camera import Intrinsics
from recon.core.geometry import Array, nearest_rotation
from slam.intrinsics import MAX_FOV_DEG, MIN_FOV_DEG

# Rolling shutter, distortion and stabilisation bend a true rotation by about this much, so a
# smaller difference says nothing about the focal length.
TOLERANCE_PX = 0.1

Pair = tuple[np.ndarray, np.ndarray]
"""Matching pixels (N, 2) in an earlier and a later picture."""


def fit_rotation(
    a_px: np.ndarray, b_px: np.ndarray, intrinsics: Intrinsics, *, zoom: float = 1.0
) -> tuple[Array, Array]:
    """The rotation R_b_a (3, 3) between two views that share a centre, and residuals (N,) px.

    Iterated reweighting (Geman-McClure) whose scale shrinks with the median residual, so that
    up to half of the matches may lie.

    Args:
        a_px, b_px: (N, 2) matching pixels, N >= 3. intrinsics: of both pictures.
        zoom: focal length of b over that of a.
    """
    ones = np.ones(len(a_px))
    lens_b = replace(intrinsics, fx=zoom * intrinsics.fx, fy=zoom * intrinsics.fy)
    a, b = intrinsics.unproject(a_px, ones), lens_b.unproject(b_px, ones)
    a /= np.linalg.norm(a, axis=1, keepdims=True)
    b /= np.linalg.norm(b, axis=1, keepdims=True)
    weights = ones
    rotation, residuals = np.eye(3), ones
    for _ in range(10):
        previous = rotation
        rotation = nearest_rotation((b * weights[:, None]).T @ a)
        residuals = np.linalg.norm(b - a @ rotation.T, axis=1) * lens_b.fx
        scale = max(1.5 * float(np.median(residuals)), 0.1)
        weights = 1 / (1 + (residuals / scale) ** 2) ** 2
        if np.abs(rotation - previous).max() < 1e-7:
            break
    return rotation, residuals


def fit_zoom(a_px: np.ndarray, b_px: np.ndarray, intrinsics: Intrinsics) -> tuple[float, float]:
    """The change of focal length from a to b that rotations fit best with, and its residual, px.

    Args:
        a_px, b_px: (N, 2) matching pixels, N >= 3. intrinsics: of picture a.
    """

    def cost(log_zoom: float) -> float:
        return float(np.median(fit_rotation(a_px, b_px, intrinsics, zoom=np.exp(log_zoom))[1]))

    # Distances between points grow with the focal length, which starts the search.
    spread = [np.median(np.abs(p - np.median(p, axis=0))) for p in (a_px, b_px)]
    start = float(np.log(max(spread[1], 1e-3) / max(spread[0], 1e-3)))
    found = minimize_scalar(
        cost, bounds=(start - 0.15, start + 0.15), method="bounded", options={"xatol": 5e-4}
    )
    return float(np.exp(found.x)), float(found.fun)


@dataclass(frozen=True, kw_only=True)
class FocalSearch:
    """What rotation-only windows say about the focal length.

    Args:
        intrinsics: with the best focal length. residual_px: there, mean over the windows of
            the median residual. prior_residual_px: at the focal length that was assumed.
        relative_std: half the width, relative to the focal length, of the interval where the
            residual stays within its tolerance of the best one; large when unconstrained.
    """

    intrinsics: Intrinsics
    residual_px: float
    prior_residual_px: float
    relative_std: float


def search_focal(pairs: Sequence[Pair], intrinsics: Intrinsics) -> FocalSearch:
    """The focal length under which pure rotations explain matches best.

    Args:
        pairs: matches of some windows. intrinsics: the assumed ones, for the matches' pictures.
    """
    half = 0.5 * max(intrinsics.width, intrinsics.height)
    low, high = half / np.tan(np.radians([MAX_FOV_DEG, MIN_FOV_DEG]) / 2)
    focals = np.geomspace(low, high, 25)
    costs = np.array([_mean_residual(pairs, _with_focal(intrinsics, f)) for f in focals])
    best = int(np.argmin(costs))
    fine = np.geomspace(focals[max(best - 1, 0)], focals[min(best + 1, len(focals) - 1)], 11)
    fine_costs = np.array([_mean_residual(pairs, _with_focal(intrinsics, f)) for f in fine])
    focal, cost = float(fine[np.argmin(fine_costs)]), float(fine_costs.min())
    near = focals[costs < cost + max(TOLERANCE_PX, 0.3 * cost)]
    spread = (near.max() - near.min()) / (2 * focal) if len(near) > 1 else 0.03
    return FocalSearch(
        intrinsics=_with_focal(intrinsics, focal),
        residual_px=cost,
        prior_residual_px=_mean_residual(pairs, intrinsics),
        relative_std=float(spread),
    )


def _with_focal(intrinsics: Intrinsics, focal: float) -> Intrinsics:
    return replace(intrinsics, fx=focal, fy=focal, source="estimated")


def _mean_residual(pairs: Sequence[Pair], intrinsics: Intrinsics) -> float:
    return float(np.mean([np.median(fit_rotation(a, b, intrinsics)[1]) for a, b in pairs]))
