"""The one place where another skeleton's bones meet the canonical (SMPL-X) joints.

A bone's skinning rotation G maps the model's bind pose to the posed body. The canonical rotation
of the joint it stands for maps the SMPL-X rest pose there: with T the rotation that takes the
bone from the bind pose to the T-pose and A the change of axes to SMPL-X (y up, facing +z),
`R_joint = G T^-1 A^-1`, so `G = R_joint A T`: `Ts_joint_bind = [A T | -A T head]`.
"""

from __future__ import annotations

import numpy as np

from recon.core.geometry import R_YUP_ZUP, Array, make_transform, rotation_between
from recon.core.skeletons import CANONICAL_JOINTS, CANONICAL_PARENTS

_J = {name: i for i, name in enumerate(CANONICAL_JOINTS)}

# Directions of the left limbs in the rest pose: joints of SMPL's published mean template.
_THIGH = np.array([0.0343, -0.3753, -0.0044])
_SHIN = np.array([-0.0136, -0.3980, -0.0437])
_UPPER_ARM = np.array([0.2596, -0.0128, -0.0274])
_FOREARM = np.array([0.2493, 0.0091, -0.0015])

_STRAIGHT = 0.2
"""Sine of the bend below which an arm does not tell its elbow's axis; a T-pose's own is 0.13."""


def rest_transforms(heads: Array) -> tuple[Array, Array]:
    """Rest joints (52, 3) and `Ts_joint_bind` (52, 4, 4) of a skeleton bound in another pose.

    Args:
        heads: (52, 3) metres, the canonical joints in the bind pose, z up, facing -y.
    """
    turns = R_YUP_ZUP @ _bind_to_tpose(heads)
    joints = np.zeros_like(heads)
    for j, p in enumerate(CANONICAL_PARENTS):
        if p >= 0:
            joints[j] = joints[p] + turns[p] @ (heads[j] - heads[p])
    return joints, make_transform(turns, -np.einsum("jab,jb->ja", turns, heads))


def _bind_to_tpose(heads: Array) -> Array:
    """Rotations T (52, 3, 3) of every joint's bone from the bind pose to the T-pose, z up."""
    turns = np.tile(np.eye(3), (len(CANONICAL_JOINTS), 1, 1))
    to_zup = R_YUP_ZUP.T
    for side, sign in (("left", 1.0), ("right", -1.0)):
        mirror = np.array([sign, 1.0, 1.0])
        at = {k: heads[_J[f"{side}_{k}"]] for k in (
            "hip", "knee", "ankle", "shoulder", "elbow", "wrist", "index1", "middle1", "pinky1",
        )}  # fmt: skip
        thigh, shin, upper_arm, forearm = (
            to_zup @ (mirror * d) for d in (_THIGH, _SHIN, _UPPER_ARM, _FOREARM)
        )
        turns[_J[f"{side}_hip"]] = rotation_between(at["knee"] - at["hip"], thigh)
        turns[_J[f"{side}_knee"]] = rotation_between(at["ankle"] - at["knee"], shin)
        # The elbow bends in the plane of the bind pose's arm; in the T-pose it bends forward.
        upper, lower = at["elbow"] - at["shoulder"], at["wrist"] - at["elbow"]
        hinge_tpose = np.array([0.0, 0.0, -sign])
        hinge = np.cross(upper, lower)
        if np.linalg.norm(hinge) < _STRAIGHT * np.linalg.norm(upper) * np.linalg.norm(lower):
            hinge = rotation_between(upper_arm, upper) @ hinge_tpose  # bound straight
        turns[_J[f"{side}_shoulder"]] = _frame(upper_arm, hinge_tpose) @ _frame(upper, hinge).T
        turns[_J[f"{side}_elbow"]] = _frame(forearm, hinge_tpose) @ _frame(lower, hinge).T
        # Fingers along the forearm, palm down: from the little finger to the index is forward.
        hand = _frame(at["middle1"] - at["wrist"], at["index1"] - at["pinky1"])
        wrist = _frame(forearm, np.array([0.0, -1.0, 0.0])) @ hand.T
        turns[_J[f"{side}_wrist"]] = wrist
        for j, name in enumerate(CANONICAL_JOINTS[22:], start=22):
            if name.startswith(side):
                turns[j] = wrist
    return turns


def _frame(along: Array, across: Array) -> Array:
    """Right-handed orthonormal axes (columns): first along, second nearest to `across`."""
    x = along / np.linalg.norm(along)
    y = across - x * (across @ x)
    y = y / np.linalg.norm(y)
    return np.stack([x, y, np.cross(x, y)], axis=-1)
