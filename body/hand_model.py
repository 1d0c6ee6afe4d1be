"""A hand's bones and joint angles: finger joints bend about anatomical axes from the rest pose."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from recon.core.geometry import Array, rotvec_to_matrix
from recon.core.rig import Rig
from recon.core.skeletons import CANONICAL_JOINTS, LEFT_HAND_JOINTS, RIGHT_HAND_JOINTS

# Where each finger starts in the 21 keypoints, in the order of the hand's joints.
_KEYPOINT_STARTS = {"index": 5, "middle": 9, "pinky": 17, "ring": 13, "thumb": 1}
_FINGERS = tuple(_KEYPOINT_STARTS)
_PALM_PAIRS = ((0, 5), (0, 9), (0, 17), (0, 13), (5, 17))
_PHALANX_PAIRS = tuple((s + k, s + k + 1) for s in _KEYPOINT_STARTS.values() for k in range(3))
BONE_PAIRS = _PALM_PAIRS + _PHALANX_PAIRS
"""Start and end keypoint of every bone: five of the palm, then three of each finger."""
_NUM_PALM = len(_PALM_PAIRS)


class _Angle(NamedTuple):
    """One angle of a joint: joint 0-2 of the finger, what it does, and what is usual, radians.

    Mean and limits of a flexion count from the straight finger, all others from the rest pose.
    """

    joint: int
    kind: str
    mean: float
    std: float
    low: float
    high: float


_FINGER_ANGLES = (
    _Angle(0, "spread", 0.0, 0.15, -0.4, 0.4),
    _Angle(0, "flex", 0.25, 0.6, -0.5, 1.6),
    _Angle(1, "flex", 0.4, 0.7, -0.05, 1.9),
    _Angle(2, "flex", 0.25, 0.4, -0.15, 1.4),
)
# The thumb has no straight pose in line with the palm: all its angles count from the rest pose.
_THUMB_ANGLES = (
    _Angle(0, "twist", 0.0, 0.25, -0.6, 0.6),
    _Angle(0, "spread", 0.0, 0.4, -0.9, 0.9),
    _Angle(0, "flex", 0.0, 0.4, -0.9, 0.9),
    _Angle(1, "spread", 0.0, 0.12, -0.3, 0.3),
    _Angle(1, "flex", 0.0, 0.4, -0.6, 1.1),
    _Angle(2, "flex", 0.0, 0.5, -0.6, 1.4),
)
_ANGLES = (*[_FINGER_ANGLES] * 4, _THUMB_ANGLES)
NUM_ANGLES = sum(len(angles) for angles in _ANGLES)
"""Angles of one hand: four of each finger, six of the thumb."""
_FIRST = np.cumsum([0, *[len(angles) for angles in _ANGLES]])


@dataclass(frozen=True, kw_only=True)
class HandModel:
    """One hand of a shaped body, in the axes of the rest pose (all joints' axes agree).

    Args:
        side: "left" or "right". wrist: canonical index. fingers: (15,) canonical indices.
        bones: (B, 3) unit directions at rest, as BONE_PAIRS.
        axes: (A, 3) unit, what each angle turns about at rest.
        mean, std, low, high: (A,) of the angles, radians from the rest pose.
    """

    side: str
    wrist: int
    fingers: np.ndarray
    bones: Array
    axes: Array
    mean: Array
    std: Array
    low: Array
    high: Array

    @property
    def palm(self) -> slice:
        """The bones that only the wrist moves."""
        return slice(_NUM_PALM)

    def observed_bones(self, points: Array) -> Array:
        """Unit directions (M, B, 3) of the bones between hand keypoints (M, 21, 3)."""
        start, end = np.array(BONE_PAIRS).T
        bones = points[:, end] - points[:, start]
        return bones / np.maximum(np.linalg.norm(bones, axis=-1, keepdims=True), 1e-9)

    def posed_bones(self, angles: Array) -> tuple[Array, Array]:
        """Bone directions (M, B, 3) in the wrist's axes and derivatives (M, B, 3, A) by angles."""
        bones = np.tile(self.bones, (len(angles), 1, 1))
        jac = np.zeros((*bones.shape, NUM_ANGLES))
        for f, table in enumerate(_ANGLES):
            turned = np.tile(np.eye(3), (len(angles), 1, 1))
            axes: list[Array] = []
            for k in range(3):
                for i, angle in enumerate(table):
                    if angle.joint == k:
                        axis = self.axes[_FIRST[f] + i]
                        axes.append(turned @ axis)
                        theta = angles[:, _FIRST[f] + i, None]
                        turned = turned @ rotvec_to_matrix(theta * axis)
                bone = _NUM_PALM + 3 * f + k
                bones[:, bone] = turned @ self.bones[bone]
                for i, axis in enumerate(axes):
                    jac[:, bone, :, _FIRST[f] + i] = np.cross(axis, bones[:, bone])
        return bones, jac


def finger_rotations(hand: HandModel, angles: Array) -> Array:
    """Joint rotations (M, 15, 3, 3), relative to each parent, of angles (M, A)."""
    out = np.tile(np.eye(3), (len(angles), 15, 1, 1))
    for f, table in enumerate(_ANGLES):
        for i, angle in enumerate(table, start=_FIRST[f]):
            joint = 3 * f + angle.joint
            out[:, joint] = out[:, joint] @ rotvec_to_matrix(angles[:, i, None] * hand.axes[i])
    return out


def hand_model(rig: Rig, side: str) -> HandModel:
    """The left or right hand of a shaped body."""
    names = LEFT_HAND_JOINTS if side == "left" else RIGHT_HAND_JOINTS
    fingers = np.array([CANONICAL_JOINTS.index(name) for name in names])
    wrist = CANONICAL_JOINTS.index(f"{side}_wrist")
    keypoints = np.zeros((21, 3))
    keypoints[0] = rig.rest_joints[wrist]
    for f, start in enumerate(_KEYPOINT_STARTS.values()):
        keypoints[start : start + 3] = rig.rest_joints[fingers[3 * f : 3 * f + 3]]
        keypoints[start + 3] = _tip(rig, int(fingers[3 * f + 2]))
    start, end = np.array(BONE_PAIRS).T
    bones = keypoints[end] - keypoints[start]
    bones = bones / np.linalg.norm(bones, axis=-1, keepdims=True)
    axes, offsets, table = [], [], []
    for f, finger in enumerate(_FINGERS):
        phalanges = bones[_NUM_PALM + 3 * f : _NUM_PALM + 3 * f + 3]
        chain = np.concatenate([bones[f : f + 1], phalanges]) if finger != "thumb" else None
        axes.append(_axes(phalanges, bones, finger))
        offsets.append(_rest_flexion(chain, axes[-1], _ANGLES[f]))
        table += _ANGLES[f]
    offset = np.concatenate(offsets)
    mean, std, low, high = np.array([angle[2:] for angle in table]).T
    return HandModel(
        side=side,
        wrist=wrist,
        fingers=fingers,
        bones=bones,
        axes=np.concatenate(axes),
        mean=mean - offset,
        std=std,
        low=np.minimum(low - offset, 0.0),  # the rest pose itself is always allowed
        high=np.maximum(high - offset, 0.0),
    )


def _tip(rig: Rig, joint: int) -> Array:
    """The fingertip (3,) beyond a finger's last joint, in the rest pose."""
    own = (rig.weights * (rig.indices == joint)).sum(axis=1) > 0.5
    rest = rig.rest_joints
    if not own.any():  # a model without fingers, whose skeleton has them all the same
        return rest[joint] + 0.8 * (rest[joint] - rest[joint - 1])
    T = rig.Ts_joint_bind[joint]
    local = rig.bind_vertices[own] @ T[:3, :3].T + T[:3, 3]
    farthest = np.argsort(-np.linalg.norm(local, axis=1))[:6]
    return rest[joint] + local[farthest].mean(axis=0)


def _axes(phalanges: Array, bones: Array, finger: str) -> Array:
    """Axes (A_f, 3) of one finger's angles at rest; positive flexion closes the hand."""
    across = bones[_NUM_PALM - 1]  # from the index to the little finger
    # Fingers close towards the palm, which looks down in the rest pose; the thumb across it.
    closing = across if finger == "thumb" else np.array([0.0, -1.0, 0.0])
    out = []
    for angle in _THUMB_ANGLES if finger == "thumb" else _FINGER_ANGLES:
        along = phalanges[angle.joint]
        # One hinge direction for the whole finger, as its bones bend in one plane.
        mean = phalanges.mean(axis=0)
        flex = np.cross(mean, closing)
        flex -= along * (flex @ along)
        flex /= np.linalg.norm(flex)
        out.append({"flex": flex, "spread": np.cross(flex, along), "twist": along}[angle.kind])
    return np.stack(out)


def _rest_flexion(chain: Array | None, axes: Array, table: tuple[_Angle, ...]) -> Array:
    """How far (A_f,) each joint is already bent at rest: meshes rest with curled fingers.

    Args:
        chain: (4, 3) directions from the palm's bone to the last phalanx; None for the thumb.
    """
    out = np.zeros(len(table))
    for i, angle in enumerate(table):
        if chain is not None and angle.kind == "flex":
            before, after = chain[angle.joint], chain[angle.joint + 1]
            sine = np.cross(before, after) @ axes[i]
            flat = before @ after - (before @ axes[i]) * (after @ axes[i])
            out[i] = np.arctan2(sine, flat)
    return out
