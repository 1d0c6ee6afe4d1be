"""Points on a skinned mesh and how they move: linear blend skinning with exact derivatives.

As in `body.kinematics`, a joint's increment d acts as `R <- Exp(d) R` in its parent's axes. A
point p = sum_k w_k p_k, with p_k where joint k alone would carry it, then moves by
`(G_parent d) x sum_k w_k (p_k - x_j)` over the joints k at and below j.
"""

from __future__ import annotations

import numpy as np

from recon.core.geometry import Array, rotvec_to_matrix
from recon.core.people import NUM_JOINTS, BodyPoses
from recon.core.rig import Rig
from recon.core.skeletons import CANONICAL_PARENTS

NUM_POSE = 3 + 3 * NUM_JOINTS
"""Unknowns of a pose: the pelvis position, then an increment of each joint."""
_PARENTS = np.array(CANONICAL_PARENTS)


def _at_or_below() -> np.ndarray:
    """(52, 52): 1 where joint k (row) is joint j (column) or below it."""
    out = np.eye(NUM_JOINTS)
    for k, parent in enumerate(CANONICAL_PARENTS):
        if parent >= 0:
            out[k] += out[parent]
    return out


_BELOW = _at_or_below()


class SkinnedPoints:
    """Some vertices of a rig, then its 52 joints, as functions of the pose."""

    def __init__(self, rig: Rig, vertices: np.ndarray) -> None:
        self.rig = rig
        bind, Ts = np.asarray(rig.bind_vertices[vertices], float), rig.Ts_joint_bind
        weights = rig.dense_weights()[vertices].astype(float)
        local = np.moveaxis(Ts[:, :3, :3] @ bind.T, -1, 0) + Ts[None, :, :3, 3]
        self._weights, self._weighted = weights, weights[..., None] * local
        # A joint is carried by its parent; the pelvis by nobody.
        carried = _BELOW - np.eye(NUM_JOINTS)
        self._carried = np.concatenate([weights @ _BELOW, carried])

    def posed(self, poses: BodyPoses) -> Array:
        """Positions (N, P + 52, 3) in the poses' own frame."""
        return self._posed(poses)[0]

    def posed_with_jacobian(self, poses: BodyPoses) -> tuple[Array, Array]:
        """Positions (N, P + 52, 3) and their derivative (N, P + 52, 3, NUM_POSE)."""
        points, by_joint, turned, joints = self._posed(poses)
        below = np.swapaxes(np.swapaxes(by_joint, -1, -2) @ _BELOW, -1, -2)
        strictly = self._carried[len(self._weights) :]
        own = strictly[None, ..., None] * joints[:, :, None]
        lever = np.concatenate([below, own], axis=1) - self._carried[..., None] * joints[:, None]
        axes = turned[:, _PARENTS]
        axes[:, 0] = np.eye(3)
        jac = np.empty((*points.shape, NUM_POSE))
        jac[..., :3] = np.eye(3)
        turns = jac[..., 3:].reshape(*points.shape, NUM_JOINTS, 3)
        # The axes are the columns of the parent's rotation; axis x lever, row by row.
        ax, ay, az = (axes[:, None, :, k, :] for k in range(3))
        lx, ly, lz = (lever[..., k, None] for k in range(3))
        turns[:, :, 0] = ay * lz - az * ly
        turns[:, :, 1] = az * lx - ax * lz
        turns[:, :, 2] = ax * ly - ay * lx
        jac[..., 3:] = turns.reshape(*points.shape, -1)
        return points, jac

    def _posed(self, poses: BodyPoses) -> tuple[Array, Array, Array, Array]:
        turned, joints = self.rig.joints(poses)
        by_joint = np.einsum("njab,pjb->npja", turned, self._weighted, optimize=True)
        by_joint += self._weights[..., None] * joints[:, None]
        return np.concatenate([by_joint.sum(axis=2), joints], axis=1), by_joint, turned, joints


def moved(poses: BodyPoses, step: Array) -> BodyPoses:
    """The poses after increments (N, NUM_POSE), at most half a radian per joint."""
    turn = step[:, 3:].reshape(len(step), NUM_JOINTS, 3)
    length = np.linalg.norm(turn, axis=-1, keepdims=True)
    turn = turn * np.minimum(1.0, 0.5 / np.maximum(length, 1e-9))
    return BodyPoses(
        root=poses.root + step[:, :3], rotations=rotvec_to_matrix(turn) @ poses.rotations
    )
