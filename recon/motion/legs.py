"""A leg bent so that its foot is where it should be."""

from __future__ import annotations

import numpy as np

from body.foot_lock import reach_ankle
from recon.core.geometry import Array
from recon.core.people import NUM_JOINTS
from recon.core.rig import Rig

_SOFT, _FULL = 0.994, 0.9995
"""Length of a leg, of thigh plus shin, where it begins to give way, and which it never exceeds."""


def bend_leg(
    rig: Rig, root: Array, rotations: Array, leg: tuple[int, ...], *, ankle: Array, foot: Array
) -> tuple[Array, Array, Array]:
    """Rotations (N, 3, 3) of hip, knee and ankle, relative to their parents, for a foot's place.

    Where it is out of reach the foot is drawn softly towards the hip.

    Args:
        root: (N, 3). rotations: (N, 52, 3, 3) relative; their hip and knee tell where the knee
            points to. leg: the joints hip, knee and ankle.
        ankle: (N, 3) metres, world. foot: (N, 3, 3) world rotation of the ankle joint.
    """
    turned = np.tile(np.eye(3), (len(root), NUM_JOINTS, 1, 1))
    joints = np.zeros((len(root), NUM_JOINTS, 3))
    turned[:, 0], joints[:, 0] = rotations[:, 0], root
    rest = rig.rest_joints
    for parent, joint in zip((0, *leg[:2]), leg, strict=True):
        turned[:, joint] = turned[:, parent] @ rotations[:, joint]
        joints[:, joint] = joints[:, parent] + turned[:, parent] @ (rest[joint] - rest[parent])
    target = _within_reach(joints[:, leg[0]], ankle, leg_length(rig, leg))
    thigh, shin, _ = reach_ankle(turned, joints, leg, target - joints[:, leg[2]])

    def relative(parent: Array, child: Array) -> Array:
        return np.swapaxes(parent, -1, -2) @ child

    return relative(rotations[:, 0], thigh), relative(thigh, shin), relative(shin, foot)


def leg_length(rig: Rig, leg: tuple[int, ...]) -> float:
    """Thigh and shin of a leg (hip, knee, ankle) in metres."""
    return float(np.linalg.norm(np.diff(rig.rest_joints[list(leg)], axis=0), axis=1).sum())


def _within_reach(hip: Array, ankle: Array, leg: float) -> Array:
    away = ankle - hip
    length = np.linalg.norm(away, axis=1, keepdims=True) / leg
    room = _FULL - _SOFT
    near = _SOFT + room * -np.expm1(-np.maximum(length - _SOFT, 0) / room)
    return hip + away * np.where(length > _SOFT, near / length, 1.0)
