"""What is known of feet: standing ones stay, on or above the floor, and stay near one's path."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from body.pose_prior import FITTED_JOINTS
from recon.core.geometry import Array, hat
from recon.core.skeletons import SMPLX_BODY_JOINTS

SHARED = 4
"""Log scale of the camera's path, tilt about world x and y, height of the floor."""

LEGS = np.concatenate(
    [np.arange(6)]
    + [
        3 + 3 * FITTED_JOINTS.index(SMPLX_BODY_JOINTS.index(f"{side}_{part}")) + np.arange(3)
        for side in ("left", "right")
        for part in ("hip", "knee", "ankle")
    ]
)
"""The unknowns that move a foot."""


@dataclass(frozen=True, kw_only=True)
class WorldNoise:
    """How far evidence is trusted: standard deviations; a huge one switches it off."""

    pose_prior: bool = True
    correlation: float = 0.15
    """Seconds over which errors of keypoints and priors stay alike: each counts once in them."""
    level_acceleration: float = 0.8
    """Spectral density of the pelvis's acceleration along the ground, m/s^2 per sqrt(Hz)."""
    vertical_acceleration: float = 1.5
    turn_acceleration: float = 4.0
    """Of the pelvis's rotation, rad/s^2 per sqrt(Hz)."""
    trunk_acceleration: float = 4.0
    """Of the joints of trunk, neck and head."""
    arm_acceleration: float = 10.0
    leg_acceleration: float = 20.0
    burst: float = 0.05
    """As in `body.solver.Noise`."""
    contact_drift: float = 0.025
    """How far a standing sole point wanders, metres per sqrt(second)."""
    slip: float = 0.3
    """m/s beyond which a contact is taken to be none (Geman-McClure)."""
    floor: float = 0.02
    """Metres, height of a standing sole point against the floor."""
    floor_kernel: float = 0.04
    """Metres beyond which somebody stands on something else."""
    penetration: float = 0.01
    not_the_floor: float = 0.15
    """Metres below z = 0 where the ground is evidently not flat."""


@dataclass(frozen=True, kw_only=True)
class FootTerms:
    """Residuals (M, R), their weights (M, R), derivatives by the shared unknowns (M, R, G), and
    costs (M, R)."""

    error: Array
    weight: Array
    shared: Array
    cost: Array

    def scaled(self, share: Array) -> FootTerms:
        """The terms with every frame counted (M,) times."""
        factor = share[:, None]
        return replace(self, weight=factor * self.weight, cost=factor * self.cost)


def contact_terms(
    soles: Array, contacts: Array, times: Array, centres: Array, *, noise: WorldNoise
) -> FootTerms:
    """Between two frames of stance a sole point only drifts: (M - 1, 12) terms.

    Args:
        soles: (M, 4, 3) metres, world. contacts: (M, 4) probabilities. times: (M,) seconds.
        centres: (M, 3) of the cameras.
    """
    step = np.diff(times)[:, None]
    trust = contacts[1:] * contacts[:-1] / (noise.contact_drift**2 * step)
    move = np.diff(soles, axis=0)
    kernel = (noise.slip * step) ** 2
    square = np.sum(move**2, axis=-1) / kernel
    shared = np.zeros((len(move), 4, 3, SHARED))
    shared[..., 0] = np.diff(centres, axis=0)[:, None]
    shared[..., 1:3] = -hat(move)[..., :2]  # e x move, as columns
    return FootTerms(
        error=move.reshape(len(move), 12),
        weight=np.repeat(trust / (1 + square) ** 2, 3, axis=1),
        shared=shared.reshape(len(move), 12, SHARED),
        cost=trust * kernel * square / (1 + square),
    )


def floor_terms(
    soles: Array, contacts: Array, centres: Array, pivot: Array, *, noise: WorldNoise
) -> FootTerms:
    """Standing sole points near the floor lie on it, none lies far below: (M, 4) terms of z.

    Args:
        pivot: (3,) about which the shared unknowns turn and scale. Others: as `contact_terms`.
    """
    height = soles[..., 2]
    near = (height / noise.floor_kernel) ** 2
    stand = contacts / noise.floor**2
    deep = (np.minimum(height, 0) / noise.not_the_floor) ** 2
    under = (height < 0) / noise.penetration**2
    away = soles - pivot
    shared = np.stack(
        [
            np.broadcast_to((centres - pivot)[:, None, 2], height.shape),
            away[..., 1], -away[..., 0], -np.ones_like(height),
        ], axis=-1,
    )  # fmt: skip
    return FootTerms(
        error=height,
        weight=stand / (1 + near) ** 2 + under / (1 + deep) ** 2,
        shared=shared,
        cost=stand * noise.floor_kernel**2 * near / (1 + near)
        + under * noise.not_the_floor**2 * deep / (1 + deep),
    )


_TRACK, _TRACK_STD, _TRACK_KERNEL = 0.055, 0.04, 4.0
"""Metres that feet keep to the side of the pelvis in walking and running, and its spread: steps
are 10 to 12 cm wide (Winter, Biomechanics of human movement). Beyond the kernel, in standard
deviations, somebody walks otherwise."""


def track_terms(soles: Array, flat: Array, root: Array, travel: Array) -> tuple[Array, FootTerms]:
    """Feet of who travels stay near the line of travel: Jacobian (M, 2, L) and (M, 2) terms.

    Args:
        flat: (M, 12, L) derivatives of the sole points. root: (M, 3).
        travel: (M, 2) of `body.world_posture.travelling`.
    """
    trust = np.linalg.norm(travel, axis=1, keepdims=True)
    ahead = travel / np.maximum(trust, 1e-9)
    aside = np.stack([-ahead[:, 1], ahead[:, 0], 0 * ahead[:, 0]], axis=1)
    feet = soles.reshape(-1, 2, 2, 3).mean(axis=2)
    moved = flat.reshape(len(flat), 2, 2, 3, -1).mean(axis=2)
    moved[..., :3] -= np.eye(3)
    error = np.einsum("na,nfa->nf", aside, feet - root[:, None]) - [_TRACK, -_TRACK]
    square = (error / (_TRACK_KERNEL * _TRACK_STD)) ** 2
    weight = trust / _TRACK_STD**2
    return np.einsum("na,nfal->nfl", aside, moved), FootTerms(
        error=error,
        weight=weight / (1 + square) ** 2,
        shared=np.zeros((*error.shape, SHARED)),
        cost=weight * error**2 / (1 + square),
    )
