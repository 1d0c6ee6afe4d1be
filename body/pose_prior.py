"""What poses people take: a mean and a spread per joint axis, and the hinges' limits.

Rotation vectors from the SMPL-X rest pose (T-pose, y up, facing +z). The spreads are broad: they
decide only what the picture leaves open (twists, hidden limbs), never against a clear view.
"""

from __future__ import annotations

import numpy as np

from recon.core.geometry import Array, hat
from recon.core.skeletons import SMPLX_BODY_JOINTS

FITTED_JOINTS: tuple[int, ...] = tuple(
    i for i, name in enumerate(SMPLX_BODY_JOINTS) if not name.endswith("_foot")
)
"""Body joints that the fit turns; toes stay in line with the foot."""

# Left side; the right side is its mirror image. (mean, standard deviation) of x, y, z, radians.
_LEFT: dict[str, tuple[tuple[float, float, float], tuple[float, float, float]]] = {
    "spine1": ((0.05, 0.0, 0.0), (0.25, 0.15, 0.12)),
    "spine2": ((0.05, 0.0, 0.0), (0.2, 0.15, 0.12)),
    "spine3": ((0.0, 0.0, 0.0), (0.15, 0.15, 0.1)),
    "neck": ((0.05, 0.0, 0.0), (0.25, 0.3, 0.2)),
    "head": ((0.0, 0.0, 0.0), (0.25, 0.3, 0.2)),
    "left_hip": ((-0.15, 0.0, 0.05), (0.7, 0.3, 0.25)),
    "left_knee": ((0.35, 0.0, 0.0), (0.7, 0.06, 0.06)),
    "left_ankle": ((0.0, 0.0, 0.0), (0.35, 0.2, 0.15)),
    "left_collar": ((0.0, 0.0, -0.05), (0.1, 0.15, 0.15)),
    "left_shoulder": ((0.0, -0.2, -1.1), (0.8, 0.8, 0.8)),
    "left_elbow": ((0.0, -0.5, 0.0), (0.5, 0.8, 0.08)),
    "left_wrist": ((0.0, 0.0, 0.0), (0.2, 0.2, 0.3)),
}
_LEFT_LIMITS: dict[str, tuple[int, float, float]] = {
    "left_knee": (0, -0.02, 2.6),
    "left_elbow": (1, -2.6, 0.02),
}
"""Hinge axis and its range, radians."""

_LIMIT_STD = 0.04


def _mirrored(name: str) -> tuple[str, Array]:
    """The left joint's name and the signs that mirror a rotation vector to this side."""
    right = name.startswith("right_")
    return name.replace("right_", "left_"), np.array([1.0, -1.0, -1.0] if right else [1.0] * 3)


def _tables() -> tuple[Array, Array, Array, Array]:
    mean = np.zeros((len(FITTED_JOINTS), 3))
    std = np.full((len(FITTED_JOINTS), 3), np.inf)  # the pelvis may face anywhere
    low, high = np.full_like(mean, -np.inf), np.full_like(mean, np.inf)
    for i, joint in enumerate(FITTED_JOINTS[1:], start=1):
        left, signs = _mirrored(SMPLX_BODY_JOINTS[joint])
        mean[i], std[i] = signs * _LEFT[left][0], _LEFT[left][1]
        if left in _LEFT_LIMITS:
            axis, *bounds = _LEFT_LIMITS[left]
            low[i, axis], high[i, axis] = sorted(signs[axis] * b for b in bounds)
    return mean, std, low, high


POSE_MEAN, POSE_STD, _LOW, _HIGH = _tables()


def pose_prior(rotvecs: Array) -> tuple[Array, Array]:
    """Residual information (N, J, 3) and its whitened values: `(residual, weight)`.

    Args:
        rotvecs: (N, J, 3) of the FITTED_JOINTS. A residual r and weight w cost `w r^2`.
    """
    residual = rotvecs - POSE_MEAN
    weight = np.broadcast_to(1 / POSE_STD**2, residual.shape).copy()
    outside = np.minimum(rotvecs - _LOW, 0) + np.maximum(rotvecs - _HIGH, 0)
    hit = outside != 0
    # Both terms act on the same number: fold the limit into one equivalent quadratic.
    limit = 1 / _LIMIT_STD**2
    residual = np.where(hit, (weight * residual + limit * outside) / (weight + limit), residual)
    return residual, np.where(hit, weight + limit, weight)


def left_jacobian_inverse(rotvecs: Array) -> Array:
    """Matrices (..., 3, 3) with `Log(Exp(d) R) = Log(R) + J d` to first order (Sola 2018, 146)."""
    angle2 = np.sum(rotvecs**2, axis=-1)[..., None, None]
    angle = np.sqrt(np.maximum(angle2, 1e-12))
    series = 1 / 12 + angle2 / 720
    exact = 1 / angle**2 - (1 + np.cos(angle)) / (2 * angle * np.sin(np.minimum(angle, 3.13)))
    k = hat(rotvecs)
    return np.eye(3) - 0.5 * k + np.where(angle < 0.05, series, exact) * (k @ k)
