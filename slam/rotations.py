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
# A turn of 1e-5 moves a picture of 640 px by less than a hundredth of one.
MAX_STEPS, CONVERGED_RAD = 10, 1e-5

Pair = tuple[np.ndarray, np.ndarray]
"""Matching pixels (N, 2) in an earlier and a later picture."""


def fit_rotation(
    a_px: np.ndarray,
    b_px: np.ndarray,
    intrinsics: Intrinsics,
    *,
    zoom: float = 1.0,
    start: Array | None = None,
) -> tuple[Array, Array]:
    """The rotation R_b_a (3, 3) between two views that share a centre, and residuals (N,) px.

    Iterated reweighting (Geman-McClure) whose scale shrinks with the median residual, so that
    up to half of the matches may lie.

    Args:
        a_px, b_px: (N, 2) matching pixels, N >= 3. intrinsics: of both pictures.
        zoom: focal length of b over that of a. start: (3, 3) a rotation near it, if one is known.
    """
    a, b = _rays(a_px, intrinsics, 1.0), _rays(b_px, intrinsics, zoom)
    focal = zoom * intrinsics.fx
    rotation = np.eye(3) if start is None else start
    residuals = _chords(a, b, rotation) * focal
    weights = np.ones(len(a)) if start is None else _trust(residuals)
    for _ in range(MAX_STEPS):
        previous = rotation
        rotation = nearest_rotation((b * weights[:, None]).T @ a)
        residuals = _chords(a, b, rotation) * focal
        weights = _trust(residuals)
        if np.abs(rotation - previous).max() < CONVERGED_RAD:
            break
    return rotation, residuals


def _rays(points_px: np.ndarray, intrinsics: Intrinsics, zoom: float) -> Array:
    """Unit rays (N, 3) of pixels under a focal length `zoom` times as long."""
    out = np.ones((len(points_px), 3))
    focal = [zoom * intrinsics.fx, zoom * intrinsics.fy]
    out[:, :2] = (points_px - np.array([intrinsics.cx, intrinsics.cy])) / focal
    return out / np.sqrt((out * out).sum(axis=1, keepdims=True))


def _chords(a: Array, b: Array, R_b_a: Array) -> Array:
    difference = b - a @ R_b_a.T
    return np.sqrt((difference * difference).sum(axis=1))


def _trust(residuals_px: Array) -> Array:
    middle = len(residuals_px) // 2
    scale = max(1.5 * float(np.partition(residuals_px, middle)[middle]), 0.1)
    return 1 / (1 + (residuals_px / scale) ** 2) ** 2


def fit_zoom(a_px: np.ndarray, b_px: np.ndarray, intrinsics: Intrinsics) -> tuple[float, float]:
    """The change of focal length from a to b that rotations fit best with, and its residual, px.

    Args:
        a_px, b_px: (N, 2) matching pixels, N >= 3. intrinsics: of picture a.
    """
    rotation: Array | None = None

    def cost(log_zoom: float) -> float:
        nonlocal rotation  # the last zoom's is near the next one's
        rotation, residuals = fit_rotation(
            a_px, b_px, intrinsics, zoom=np.exp(log_zoom), start=rotation
        )
        return float(np.median(residuals))

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
