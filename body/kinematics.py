"""The body's keypoints and how they move: forward kinematics with exact derivatives.

A joint's increment d acts as `R <- Exp(d) R` in its parent's axes, so a point p below joint j at
x_j moves by `(G_parent d) x (p - x_j)`.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from body.models.base import BodyModel, RestBody
from body.pose_prior import FITTED_JOINTS
from recon.core.geometry import Array
from recon.core.rig import forward_kinematics
from recon.core.skeletons import SMPLX_BODY_JOINTS, SMPLX_BODY_PARENTS

NUM_BODY = len(SMPLX_BODY_JOINTS)
NUM_DOF = 3 + 3 * len(FITTED_JOINTS)
"""Unknowns per frame: the pelvis position, then an increment of each fitted joint."""
_FITTED = np.array(FITTED_JOINTS)
_PARENT_OF_FITTED = np.array([SMPLX_BODY_PARENTS[j] for j in FITTED_JOINTS])


@dataclass(frozen=True, kw_only=True)
class BodyState:
    """A solution: shape (S,), root (M, 3), rotations (M, 22, 3, 3), landmark_scale."""

    shape: Array
    root: Array
    rotations: Array
    landmark_scale: float = 1.0

    def take(self, rows: np.ndarray | slice) -> BodyState:
        """The state of some frames."""
        return replace(self, root=self.root[rows], rotations=self.rotations[rows])


@dataclass(frozen=True)
class ShapeLinearisation:
    """The rest body at one shape and its derivatives: joints (S, 22, 3), keypoints (S, 33, 3)."""

    rest: RestBody
    joints: Array
    keypoints: Array
    stature: Array


def linearise_shape(model: BodyModel, shape: Array) -> ShapeLinearisation:
    """The rest body and its forward differences in every shape parameter."""
    rest = model.rest_body(shape)
    step = 0.05 * model.param_spec.std
    moved = [model.rest_body(shape + d) for d in np.diag(step)]
    h = step[:, None, None]
    return ShapeLinearisation(
        rest=rest,
        joints=np.stack([m.joints[:NUM_BODY] - rest.joints[:NUM_BODY] for m in moved]) / h,
        keypoints=np.stack([m.keypoints - rest.keypoints for m in moved]) / h,
        stature=np.array([m.stature - rest.stature for m in moved]) / step,
    )


def posed_keypoints(state: BodyState, rest: RestBody) -> tuple[Array, Array, Array]:
    """Keypoints (M, 33, 3), global rotations (M, 22, 3, 3) and joint positions (M, 22, 3)."""
    turned, positions = forward_kinematics(
        state.rotations, state.root, rest.joints[:NUM_BODY], SMPLX_BODY_PARENTS
    )
    owner = rest.keypoint_joints
    offsets = rest.keypoints - rest.joints[owner]
    points = positions[:, owner] + np.einsum("nkab,kb->nka", turned[:, owner], offsets)
    return points, turned, positions


def _ancestry(owner: np.ndarray) -> np.ndarray:
    """(33, J) bool: does fitted joint j move keypoint k?"""
    out = np.zeros((len(owner), len(_FITTED)), bool)
    for k, joint in enumerate(owner):
        j = int(joint)
        while j >= 0:
            out[k] |= j == _FITTED
            j = SMPLX_BODY_PARENTS[j]
    return out


def shape_jacobian(lin: ShapeLinearisation, turned: Array) -> Array:
    """Derivative of the keypoints by the shape: (M, 33, 3, S)."""
    num_shape = len(lin.joints)
    moved = np.zeros((len(turned), NUM_BODY, 3, num_shape))
    for j, p in enumerate(SMPLX_BODY_PARENTS):
        if p >= 0:
            offset = (lin.joints[:, j] - lin.joints[:, p]).T
            moved[:, j] = moved[:, p] + turned[:, p] @ offset
    owner = lin.rest.keypoint_joints
    offsets = np.moveaxis(lin.keypoints - lin.joints[:, owner], 0, -1)
    return moved[:, owner] + turned[:, owner] @ offsets


def pose_jacobian(points: Array, turned: Array, positions: Array, owner: np.ndarray) -> np.ndarray:
    """Derivative (M, 33, 3, D) float32 of the keypoints by the pelvis position and increments."""
    num, count = points.shape[:2]
    lever = (points[:, :, None] - positions[:, None, _FITTED]).astype(np.float32)
    lever *= _ancestry(owner)[None, :, :, None]
    axes = turned[:, _PARENT_OF_FITTED].astype(np.float32)
    axes[:, 0] = np.eye(3)
    ax, ay, az = (axes[:, None, :, i, :] for i in range(3))  # (M, 1, J, 3 columns)
    lx, ly, lz = (lever[..., i, None] for i in range(3))  # (M, 33, J, 1)
    out = np.empty((num, count, 3, NUM_DOF), np.float32)
    out[..., :3] = np.eye(3)
    turn = out[..., 3:].reshape(num, count, 3, len(_FITTED), 3)
    turn[:, :, 0] = ay * lz - az * ly
    turn[:, :, 1] = az * lx - ax * lz
    turn[:, :, 2] = ax * ly - ay * lx
    out[..., 3:] = turn.reshape(num, count, 3, -1)
    return out
