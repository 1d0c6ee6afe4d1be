"""First poses for the fit: joint rotations from landmark directions, position from the image."""

from __future__ import annotations

import numpy as np

from body.models.base import RestBody
from recon.core.camera import Intrinsics
from recon.core.geometry import Array, nearest_rotation, rotation_between
from recon.core.rig import forward_kinematics
from recon.core.skeletons import (
    BLAZEPOSE_KEYPOINTS,
    SMPLX_BODY_JOINTS,
    SMPLX_BODY_PARENTS,
)

_K = {name: i for i, name in enumerate(BLAZEPOSE_KEYPOINTS)}
_J = {name: i for i, name in enumerate(SMPLX_BODY_JOINTS)}
_NUM = len(SMPLX_BODY_JOINTS)

_LIMBS = tuple(
    (_J[f"{side}_{joint}"], _K[f"{side}_{start}"], _K[f"{side}_{end}"])
    for side in ("left", "right")
    for joint, start, end in (
        ("hip", "hip", "knee"),
        ("knee", "knee", "ankle"),
        ("ankle", "heel", "foot_index"),
        ("shoulder", "shoulder", "elbow"),
        ("elbow", "elbow", "wrist"),
    )
)


def initial_rotations(landmarks: Array, rest: RestBody) -> Array:
    """Joint rotations (N, 22, 3, 3) that point torso and limbs along the landmarks.

    Args:
        landmarks: (N, 33, 3) metres, any origin, camera axes.
    """
    torso = [_K[k] for k in ("left_shoulder", "right_shoulder", "left_hip", "right_hip")]
    rest_torso = rest.keypoints[torso] - rest.keypoints[torso].mean(axis=0)
    seen_torso = landmarks[:, torso] - landmarks[:, torso].mean(axis=1, keepdims=True)
    turned = np.tile(np.eye(3), (len(landmarks), _NUM, 1, 1))
    local = turned.copy()
    local[:, 0] = nearest_rotation(np.einsum("nka,kb->nab", seen_torso, rest_torso))
    swings = {joint: (start, end) for joint, start, end in _LIMBS}
    for j, parent in enumerate(SMPLX_BODY_PARENTS):
        above = turned[:, parent] if parent >= 0 else np.eye(3)[None]
        if j in swings:
            start, end = swings[j]
            direction = np.einsum("nba,nb->na", above, landmarks[:, end] - landmarks[:, start])
            bone = np.broadcast_to(rest.keypoints[end] - rest.keypoints[start], direction.shape)
            local[:, j] = rotation_between(bone, direction)
        turned[:, j] = above @ local[:, j]
    return local


def initial_root(
    rotations: Array, rest: RestBody, keypoints_px: Array, weights: Array, intrinsics: Intrinsics
) -> Array:
    """Pelvis positions (N, 3), camera frame, that project the posed skeleton onto the keypoints.

    Linear in the position: `f (X + t_x) = (u - c) (Z + t_z)` per keypoint, weighted.

    Args:
        rotations: (N, 22, 3, 3). keypoints_px: (N, 33, 2). weights: (N, 33).
    """
    turned, positions = forward_kinematics(
        rotations, np.zeros((len(rotations), 3)), rest.joints[:_NUM], SMPLX_BODY_PARENTS
    )
    owner = rest.keypoint_joints
    offsets = rest.keypoints - rest.joints[owner]
    points = positions[:, owner] + np.einsum("nkab,kb->nka", turned[:, owner], offsets)
    ray = (keypoints_px - [intrinsics.cx, intrinsics.cy]) / [intrinsics.fx, intrinsics.fy]
    rows = np.zeros((*keypoints_px.shape, 3))
    rows[..., 0, 0] = rows[..., 1, 1] = 1
    rows[..., 2] = -ray
    target = ray * points[..., 2:] - points[..., :2]
    w = weights[..., None, None]
    normal = np.einsum("nkia,nkib->nab", rows * w, rows) + 1e-9 * np.eye(3)
    right = np.einsum("nkia,nki->na", rows * w, target)
    root = np.linalg.solve(normal, right[..., None])[..., 0]
    # A person seen by too few keypoints may come out behind the camera; one metre is a start.
    root[:, 2] = np.maximum(root[:, 2], 1.0)
    return root
