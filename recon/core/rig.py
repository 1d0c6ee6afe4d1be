"""A person's skinned body: the mesh, the skeleton and the weights, posed by canonical rotations."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from recon.core.checks import check_array, check_indices, check_range
from recon.core.geometry import Array
from recon.core.people import NUM_JOINTS, BodyPoses
from recon.core.skeletons import CANONICAL_PARENTS

_ROUNDING = 0.01
"""Of skinning weights and their sums."""
_MOST_METRES = 1000.0
"""No body is larger; the square of a number like 1e30 is none that a mesh can hold."""


def forward_kinematics(
    rotations: Array,
    root: Array,
    rest_joints: Array,
    parents: Sequence[int] = CANONICAL_PARENTS,
) -> tuple[Array, Array]:
    """Global rotations (N, J, 3, 3) and positions (N, J, 3) of every joint.

    Args:
        rotations: (N, J, 3, 3) relative to the parent. root: (N, 3) position of joint 0.
        rest_joints: (J, 3) positions in the rest pose. parents: J indices, -1 for the root.
    """
    rotations_global = np.empty_like(rotations)
    positions = np.empty((*rotations.shape[:2], 3))
    rotations_global[:, 0], positions[:, 0] = rotations[:, 0], root
    for j, p in enumerate(parents[1 : rotations.shape[1]], start=1):
        rotations_global[:, j] = rotations_global[:, p] @ rotations[:, j]
        offset = rest_joints[j] - rest_joints[p]
        positions[:, j] = positions[:, p] + rotations_global[:, p] @ offset
    return rotations_global, positions


@dataclass(frozen=True, kw_only=True)
class Rig:
    """One person's body with its shape baked in, skinned linearly to the canonical joints.

    A vertex is `sum_k w_k (R_j (Ts_joint_bind_j v) + x_j)` with joint j = indices[k]: this is
    glTF's skin, with `Ts_joint_bind` its inverse bind matrices.

    Args:
        model: name of the body model. licence: of the model's data.
        rest_joints: (52, 3) metres, joint positions in the SMPL-X rest pose (y up, facing +z),
            the pelvis at the origin.
        bind_vertices: (V, 3) metres, the mesh in the model's own bind pose.
        Ts_joint_bind: (52, 4, 4) bind pose to joint frame.
        faces: (F, 3) int. weights: (V, K) summing to 1. indices: (V, K) int into the joints.
        sole_joints: (4,) int, sole_points: (4, 3) metres: FOOT_POINTS in their joint's frame.
    """

    model: str
    licence: str
    rest_joints: Array
    bind_vertices: np.ndarray
    Ts_joint_bind: Array
    faces: np.ndarray
    weights: np.ndarray
    indices: np.ndarray
    sole_joints: np.ndarray
    sole_points: Array

    def __post_init__(self) -> None:
        num_vertices = len(self.bind_vertices)
        check_array("rest_joints", self.rest_joints, (NUM_JOINTS, 3))
        check_array("bind_vertices", self.bind_vertices, (num_vertices, 3))
        check_array("Ts_joint_bind", self.Ts_joint_bind, (NUM_JOINTS, 4, 4))
        check_array("faces", self.faces, (None, 3), np.integer)
        check_array("weights", self.weights, (num_vertices, None))
        check_array("indices", self.indices, self.weights.shape, np.integer)
        check_array("sole_joints", self.sole_joints, (4,), np.integer)
        check_array("sole_points", self.sole_points, (4, 3))
        sums = self.weights.sum(axis=1)
        check_range("weights", float(self.weights.min(initial=0.0)), -_ROUNDING, 1.0 + _ROUNDING)
        check_range("sums of weights", float(sums.min(initial=1.0)), 1.0 - _ROUNDING, 1.0)
        check_range("sums of weights", float(sums.max(initial=1.0)), 1.0, 1.0 + _ROUNDING)
        for name in ("rest_joints", "bind_vertices", "Ts_joint_bind", "sole_points"):
            check_range(
                name, float(np.abs(getattr(self, name)).max(initial=0.0)), 0.0, _MOST_METRES
            )
        check_indices("faces", self.faces, num_vertices)
        check_indices("indices", self.indices, NUM_JOINTS)
        check_indices("sole_joints", self.sole_joints, NUM_JOINTS)

    def joints(self, poses: BodyPoses) -> tuple[Array, Array]:
        """Global rotations (N, 52, 3, 3) and positions (N, 52, 3) in the poses' own frame."""
        return forward_kinematics(poses.rotations, poses.root, self.rest_joints)

    def soles(self, poses: BodyPoses) -> Array:
        """The sole points FOOT_POINTS (N, 4, 3) in the poses' own frame."""
        rotations, positions = self.joints(poses)
        turned = np.einsum("npij,pj->npi", rotations[:, self.sole_joints], self.sole_points)
        return positions[:, self.sole_joints] + turned

    def vertices(self, poses: BodyPoses) -> np.ndarray:
        """Mesh vertices (N, V, 3) float32 in the poses' own frame; about 160 kB a frame."""
        rotations, positions = self.joints(poses)
        linear = rotations @ self.Ts_joint_bind[None, :, :3, :3]
        offset = np.einsum("njab,jb->nja", rotations, self.Ts_joint_bind[:, :3, 3]) + positions
        transforms = np.concatenate([linear, offset[..., None]], axis=-1).astype(np.float32)
        dense = self.dense_weights()
        bind = np.asarray(self.bind_vertices, np.float32)
        out = np.empty((len(rotations), len(bind), 3), np.float32)
        for n, transform in enumerate(transforms):  # one frame at a time keeps memory flat
            blended = (dense @ transform.reshape(NUM_JOINTS, 12)).reshape(-1, 3, 4)
            out[n] = np.einsum("vab,vb->va", blended[..., :3], bind) + blended[..., 3]
        return out

    def dense_weights(self) -> np.ndarray:
        """Skinning weights as a (V, 52) float32 matrix."""
        dense = np.zeros((len(self.weights), NUM_JOINTS), np.float32)
        np.add.at(dense, (np.arange(len(dense))[:, None], self.indices), self.weights)
        return dense


def largest_weights(dense: np.ndarray, count: int) -> tuple[np.ndarray, np.ndarray]:
    """The `count` largest weights (V, count) of every row, summing to 1, and their columns.

    Columns are int, and 0 where the weight is 0.

    Args:
        dense: (V, J) skinning weights, not negative, no row without any.
    """
    dense = np.asarray(dense, float)
    columns = np.argsort(-dense, axis=1, kind="stable")[:, :count]
    weights = np.take_along_axis(dense, columns, axis=1)
    weights /= weights.sum(axis=1, keepdims=True)
    return weights, np.where(weights > 0, columns, 0)
