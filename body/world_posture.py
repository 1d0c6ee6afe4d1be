"""Who travels on foot faces where he goes and holds his trunk up: a prior on pelvis and chest.

One view hardly tells which way a body faces and how far it tips over (a rotation by which points
move along the ray); over a stride people's pelvis and chest point along their path to within some
degrees, and stand above their feet.
"""

from __future__ import annotations

import numpy as np

from body.pose_prior import FITTED_JOINTS
from recon.core.contacts import local_velocity
from recon.core.geometry import Array
from recon.core.skeletons import SMPLX_BODY_JOINTS, SMPLX_BODY_PARENTS

FACING_STD = np.radians(5.0)
_ROLL_STD = np.radians(4.0)
_PITCH_STD = np.radians(6.0)
_LEAN = 0.04  # radians forward, of walkers
_KERNEL = 4.0  # standard deviations beyond which somebody walks sideways or backwards
_SLOW, _FAST = 0.3, 0.7  # m/s between which the prior sets in
_WINDOW = 0.5  # seconds over which a path has its direction

_CHEST = SMPLX_BODY_JOINTS.index("spine3")
_CHAIN = [0, *(SMPLX_BODY_JOINTS.index(f"spine{k}") for k in (1, 2, 3))]
TRUNK = np.concatenate([3 + 3 * FITTED_JOINTS.index(j) + np.arange(3) for j in _CHAIN])
"""The unknowns that turn the trunk."""


def travelling(root: Array, times: Array) -> Array:
    """(M, 2) direction of travel along the ground, as long as the prior is to be trusted (0-1)."""
    velocity = local_velocity(root, times, window=_WINDOW)[:, :2]
    speed = np.linalg.norm(velocity, axis=1, keepdims=True)
    trust = np.clip((speed - _SLOW) / (_FAST - _SLOW), 0, 1)
    return trust * velocity / np.maximum(speed, 1e-6)


def posture_rows(turned: Array, travel: Array) -> tuple[Array, Array, Array, Array]:
    """Jacobian (M, 6, 12) by the TRUNK's increments, residuals and weights (M, 6), costs (M,).

    Args:
        turned: (M, 22, 3, 3) global rotations in the world. travel: (M, 2) of `travelling`.
    """
    trust = np.linalg.norm(travel, axis=1)
    ahead = np.concatenate([travel / np.maximum(trust, 1e-9)[:, None], 0 * trust[:, None]], axis=1)
    aside = np.stack([-ahead[:, 1], ahead[:, 0], 0 * trust], axis=1)
    parents = [np.broadcast_to(np.eye(3), turned[:, 0].shape)]
    parents += [turned[:, SMPLX_BODY_PARENTS[j]] for j in _CHAIN[1:]]
    axes = np.concatenate(parents, axis=2)  # (M, 3, 12): world axes of the increments
    blocks, errors = [], []
    for joint, count in ((0, 3), (_CHEST, 12)):
        front, up = turned[:, joint, :, 2], turned[:, joint, :, 1]
        yaw = np.arctan2(np.sum(front * aside, axis=1), np.sum(front * ahead, axis=1))
        pitch, roll = np.sum(up * ahead, axis=1) - _LEAN, np.sum(up * aside, axis=1)
        errors += [yaw / FACING_STD, pitch / _PITCH_STD, roll / _ROLL_STD]
        moved = axes * (np.arange(12) < count)
        up_turns = np.cross(moved, up[:, :, None], axis=1)  # w x up, a column per increment
        blocks += [
            moved[:, 2] / FACING_STD,
            np.einsum("na,nab->nb", ahead, up_turns) / _PITCH_STD,
            np.einsum("na,nab->nb", aside, up_turns) / _ROLL_STD,
        ]
    error = np.stack(errors, axis=1)
    square = (error / _KERNEL) ** 2
    weight = trust[:, None] / (1 + square) ** 2
    cost = trust * np.sum(_KERNEL**2 * square / (1 + square), axis=1)
    return np.stack(blocks, axis=1), error, weight, cost
