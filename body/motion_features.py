"""A body's motion as numbers that do not depend on where it is, which way it faces or its size.

One row per 1/30 s, all lengths in leg lengths (hip to ankle), all axes of the person's heading:

    column   meaning
    0        height of the pelvis above the floor's origin (z)
    1-2      planar velocity of the pelvis, to the body's left and backwards (leg lengths / s)
    3        turning rate of the heading (rad/s)
    4-9      tilt of the pelvis: its rotation without the heading, as 6D
    10-135   rotations of the 21 other body joints, as 6D
    136-139  contact probabilities of FOOT_POINTS

This is the representation of HumanML3D (Guo 2022, section 3) and RoHM (Zhang 2024, section 3.1)
without joint positions, which the rig's forward kinematics give. 6D: the first two columns of
the rotation matrix (Zhou 2019, section 4). Heading: the twist about z of the pelvis's rotation
(swing-twist decomposition), undefined only for a body that is exactly upside down.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from recon.core.errors import InputError
from recon.core.geometry import (
    R_YUP_ZUP,
    Array,
    matrix_to_quat,
    rotvec_to_matrix,
    slerp_matrices,
)
from recon.core.people import NUM_JOINTS, BodyPoses
from recon.core.rig import Rig
from recon.core.skeletons import SMPLX_BODY_JOINTS

RATE = 30.0
"""Rows per second."""
NUM_BODY = len(SMPLX_BODY_JOINTS)
HEIGHT, VELOCITY, TURN = 0, slice(1, 3), 3
RATES = slice(1, 4)
"""Columns that say how fast the body travels and turns; the others say where it is."""
TURNS_6D = slice(4, 4 + 6 * NUM_BODY)
CONTACTS = slice(TURNS_6D.stop, TURNS_6D.stop + 4)
NUM_POSE = TURNS_6D.stop
NUM_FEATURES = CONTACTS.stop

_HIP, _KNEE, _ANKLE = (SMPLX_BODY_JOINTS.index(f"left_{n}") for n in ("hip", "knee", "ankle"))
_MIN_MOTION = 2


@dataclass(frozen=True, kw_only=True)
class Start:
    """Where the first row is: (2,) metres in the plane, and its heading in radians."""

    position: Array
    heading: float


def leg_length(rig: Rig) -> float:
    """Metres from hip to ankle along the rest pose's left leg."""
    hip, knee, ankle = rig.rest_joints[[_HIP, _KNEE, _ANKLE]]
    return float(np.linalg.norm(hip - knee) + np.linalg.norm(knee - ankle))


def grid_times(times: Array) -> Array:
    """Times (T,) at RATE from the first to the last of `times` (N,), seconds.

    Raises:
        InputError: fewer than two times, or not increasing.
    """
    times = np.asarray(times, dtype=float)
    if len(times) < _MIN_MOTION or np.any(np.diff(times) <= 0):
        raise InputError(
            f"expected at least {_MIN_MOTION} increasing times, got {len(times)}; "
            "give a motion of some frames"
        )
    count = int(np.floor((times[-1] - times[0]) * RATE + 1e-6)) + 1
    return times[0] + np.arange(count) / RATE


def resample(poses: BodyPoses, times: Array, at: Array) -> BodyPoses:
    """Poses at other times (T,): shortest arcs, straight lines; held beyond the ends.

    Args:
        poses: N frames at `times` (N,) seconds.
    """
    root = np.stack([np.interp(at, times, axis) for axis in poses.root.T], axis=-1)
    return BodyPoses(root=root, rotations=slerp_matrices(at, times, poses.rotations))


def to_6d(rotations: Array) -> Array:
    """The first two columns (..., 6) of rotation matrices (..., 3, 3)."""
    return np.swapaxes(rotations[..., :, :2], -1, -2).reshape(*rotations.shape[:-2], 6)


def from_6d(numbers: Array) -> Array:
    """Rotation matrices (..., 3, 3) of 6D numbers (..., 6) by Gram-Schmidt (Zhou 2019, eq. 15)."""
    a, b = numbers[..., :3], numbers[..., 3:]
    x = a / np.maximum(np.linalg.norm(a, axis=-1, keepdims=True), 1e-9)
    y = b - np.sum(x * b, axis=-1, keepdims=True) * x
    y = y / np.maximum(np.linalg.norm(y, axis=-1, keepdims=True), 1e-9)
    return np.stack([x, y, np.cross(x, y)], axis=-1)


def headings(root_rotations: Array) -> Array:
    """Continuous headings (N,) in radians of pelvis rotations (N, 3, 3) in a z-up world."""
    quat = matrix_to_quat(root_rotations @ R_YUP_ZUP)
    return np.unwrap(2 * np.arctan2(quat[:, 3], quat[:, 0]))


def encode(poses: BodyPoses, *, leg: float, contacts: Array | None = None) -> tuple[Array, Start]:
    """Features (T, 140) of poses on the grid, and where they start.

    Args:
        poses: T frames, 1/30 s apart, in a world with z up. leg: metres, see `leg_length`.
        contacts: (T, 4) probabilities; None leaves them at one half.
    """
    heading = headings(poses.rotations[:, 0])
    level = _about_z(-heading)
    out = np.full((len(heading), NUM_FEATURES), 0.5)
    out[:, HEIGHT] = poses.root[:, 2] / leg
    step = np.einsum("nij,nj->ni", level[:-1], np.diff(poses.root, axis=0))
    out[:-1, VELOCITY] = step[:, :2] * RATE / leg
    out[:-1, TURN] = np.diff(heading) * RATE
    out[-1, RATES] = out[-2, RATES] if len(out) > 1 else 0.0
    turns = np.array(poses.rotations[:, :NUM_BODY], dtype=float)
    turns[:, 0] = level @ turns[:, 0]
    out[:, TURNS_6D] = to_6d(turns).reshape(len(out), -1)
    if contacts is not None:
        out[:, CONTACTS] = contacts
    return out, Start(position=poses.root[0, :2].copy(), heading=float(heading[0]))


def decode(features: Array, start: Start, *, leg: float) -> BodyPoses:
    """The poses, 1/30 s apart, of features (T, 140); hands are in the rest pose."""
    turning = features[:-1, TURN] / RATE
    heading = start.heading + np.concatenate([[0.0], np.cumsum(turning)])
    turned = _about_z(heading)
    level = np.zeros((len(features) - 1, 3))
    level[:, :2] = features[:-1, VELOCITY] * leg / RATE
    steps = np.einsum("nij,nj->ni", turned[:-1], level)[:, :2]
    root = np.empty((len(features), 3))
    root[:, :2] = start.position + np.concatenate([np.zeros((1, 2)), np.cumsum(steps, axis=0)])
    root[:, 2] = features[:, HEIGHT] * leg
    rotations = np.tile(np.eye(3), (len(features), NUM_JOINTS, 1, 1))
    rotations[:, :NUM_BODY] = from_6d(features[:, TURNS_6D].reshape(len(features), NUM_BODY, 6))
    rotations[:, 0] = turned @ rotations[:, 0]
    return BodyPoses(root=root, rotations=rotations)


def mirrored(features: Array) -> Array:
    """The same motion (T, 140) seen in a mirror: left and right change places."""
    out = features.copy()
    out[:, [1, TURN]] *= -1
    turns = features[:, TURNS_6D].reshape(-1, NUM_BODY, 6)[:, _OTHER_SIDE]
    out[:, TURNS_6D] = (turns * _MIRROR_6D).reshape(len(out), -1)
    out[:, CONTACTS] = features[:, CONTACTS][:, [2, 3, 0, 1]]
    return out


def limb_weights() -> Array:
    """Weights (140,) that turn a feature's error into about metres: lengths of what it moves."""
    weights = np.ones(NUM_FEATURES)
    weights[HEIGHT], weights[RATES] = 1.0, 0.3
    lengths = [_LIMBS.get(n.removeprefix("left_").removeprefix("right_"), 0.1) for n in
               SMPLX_BODY_JOINTS]  # fmt: skip
    weights[TURNS_6D] = np.repeat(lengths, 6)
    return weights


# Metres from a joint to the middle of what hangs on it, of an average adult.
_LIMBS = {
    "pelvis": 0.6, "hip": 0.5, "knee": 0.3, "spine1": 0.4, "ankle": 0.12, "spine2": 0.35,
    "spine3": 0.3, "neck": 0.15, "collar": 0.25, "shoulder": 0.35, "elbow": 0.2,
}  # fmt: skip


_OTHER_SIDE = np.array([
    SMPLX_BODY_JOINTS.index(n.replace("left", "R").replace("right", "left").replace("R", "right"))
    for n in SMPLX_BODY_JOINTS
])  # fmt: skip
# A mirror across x, the body's left: R -> M R M with M = diag(-1, 1, 1), on the two columns.
_MIRROR_6D = np.array([[1.0, -1.0, -1.0, -1.0, 1.0, 1.0]])


def _about_z(angles: Array) -> Array:
    """Rotations (N, 3, 3) by `angles` (N,) about the vertical."""
    return rotvec_to_matrix(np.multiply.outer(angles, [0.0, 0.0, 1.0]))
