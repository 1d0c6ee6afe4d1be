"""What every body model does alike once its shape is baked: skeleton, vertices, keypoints."""

from __future__ import annotations

from abc import ABC, abstractmethod

import numpy as np

from body.models.base import KeypointSet, ParamSpec, RestBody
from recon.core.geometry import Array
from recon.core.people import BodyPoses
from recon.core.rig import Rig, forward_kinematics
from recon.core.skeletons import CANONICAL_JOINTS, CANONICAL_PARENTS

_KEYPOINT_JOINT_NAMES = (
    *["head"] * 11,
    "left_collar", "right_collar", "left_elbow", "right_elbow", "left_wrist", "right_wrist",
    "left_wrist", "right_wrist", "left_wrist", "right_wrist", "left_wrist", "right_wrist",
    "pelvis", "pelvis", "left_knee", "right_knee", "left_ankle", "right_ankle",
    "left_ankle", "right_ankle", "left_ankle", "right_ankle",
)  # fmt: skip
KEYPOINT_JOINTS = np.array([CANONICAL_JOINTS.index(name) for name in _KEYPOINT_JOINT_NAMES])
"""The joint that each BlazePose keypoint is rigidly attached to."""

SOLE_JOINTS = np.array(
    [CANONICAL_JOINTS.index(f"{side}_ankle") for side in ("left", "left", "right", "right")]
)


class RiggedBodyModel(ABC):
    """Base of the body models; subclasses say how a shape becomes a rig and its keypoints."""

    name: str
    licence: str
    param_spec: ParamSpec
    faces: np.ndarray
    joint_names = CANONICAL_JOINTS
    parents = CANONICAL_PARENTS

    @abstractmethod
    def skinning_spec(self, shape: Array) -> Rig:
        """The skinned mesh of a body with shape values (S,)."""

    @abstractmethod
    def rest_body(self, shape: Array) -> RestBody:
        """The skeleton and surface points of a body with shape values (S,)."""

    def skeleton(self, shape: Array, poses: BodyPoses) -> Array:
        """Joint positions (N, 52, 3) in the poses' own frame."""
        return forward_kinematics(poses.rotations, poses.root, self.rest_body(shape).joints)[1]

    def vertices(self, shape: Array, poses: BodyPoses) -> np.ndarray:
        """Mesh vertices (N, V, 3) float32 in the poses' own frame."""
        return self.skinning_spec(shape).vertices(poses)

    def keypoints(self, shape: Array, poses: BodyPoses, keypoint_set: KeypointSet) -> Array:
        """Surface points (N, K, 3) of a named set in the poses' own frame."""
        rest = self.rest_body(shape)
        points, owners = (
            (rest.keypoints, rest.keypoint_joints)
            if keypoint_set == "blazepose"
            else (rest.soles, rest.sole_joints)
        )
        rotations, positions = forward_kinematics(poses.rotations, poses.root, rest.joints)
        offsets = points - rest.joints[owners]
        return positions[:, owners] + np.einsum("nkab,kb->nka", rotations[:, owners], offsets)


def sparse_weights(dense: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Weights (V, K) summing to 1 and joints (V, K) of dense weights (V, 52), largest first."""
    count = int((dense > 0).sum(axis=1).max())
    indices = np.argsort(-dense, axis=1, kind="stable")[:, :count]
    weights = np.take_along_axis(dense, indices, axis=1)
    indices = np.where(weights > 0, indices, 0)
    return weights / weights.sum(axis=1, keepdims=True), indices.astype(np.int32)
