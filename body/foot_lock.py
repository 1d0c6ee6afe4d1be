"""Kinematic foot lock: legs bend so that a standing foot stays put, the rest is kept."""

from __future__ import annotations

import numpy as np

from recon.core.geometry import Array, rotation_between
from recon.core.people import BodyPoses
from recon.core.rig import Rig
from recon.core.skeletons import CANONICAL_JOINTS

_LEGS = tuple(
    tuple(CANONICAL_JOINTS.index(f"{side}_{part}") for part in ("hip", "knee", "ankle"))
    for side in ("left", "right")
)
_PELVIS = 0
_REACH = 0.9995  # of the straight leg
_STRAIGHT = 0.003  # metres from hip-ankle line to knee below which a leg has no bend plane
_NOT_THE_FLOOR = 0.15  # metres below z = 0 where the ground is evidently not flat


def lock_feet(
    rig: Rig, poses: BodyPoses, times: Array, *, labels: np.ndarray, anchors: Array, blend: float
) -> BodyPoses:
    """Poses whose sole points stay at their anchors while in contact and above the floor.

    Ankles move by what their sole points in contact lack, faded in before and out after each
    contact; feet keep their orientation, knees their bend plane, everything else stays.

    Args:
        poses: N frames in the world. times: (N,) seconds.
        labels: (N, 4) index of the sole point's anchor, -1 out of contact.
        anchors: (L, 3) metres, world. blend: seconds of fading.
    """
    soles = rig.soles(poses)
    rotations_global, joints = rig.joints(poses)
    shifts = [
        foot_shift(soles[:, k : k + 2], times, labels=labels[:, k : k + 2], anchors=anchors,
                   blend=blend)
        for k in (0, 2)
    ]  # fmt: skip
    drop = _needed_drop(joints, shifts, times, blend)
    root = poses.root + drop
    rotations = poses.rotations.copy()
    for leg, shift in zip(_LEGS, shifts, strict=True):
        moved = reach_ankle(rotations_global, joints + drop[:, None], leg, shift - drop)
        parent = rotations_global[:, _PELVIS]
        for joint, rotation in zip(leg, moved, strict=True):
            rotations[:, joint] = np.swapaxes(parent, -1, -2) @ rotation
            parent = rotation
    return BodyPoses(root=root, rotations=rotations)


def foot_shift(
    soles: Array, times: Array, *, labels: np.ndarray, anchors: Array, blend: float
) -> Array:
    """Translations (N, 3) of one foot towards its anchors and out of the floor.

    Args:
        soles: (N, 2, 3) heel and toe. labels: (N, 2). anchors: (L, 3). blend: seconds.
    """
    total, shift = np.zeros(len(times)), np.zeros((len(times), 3))
    for k in range(2):
        on = labels[:, k] >= 0
        if not on.any():
            continue
        error = np.where(on[:, None], anchors[labels[:, k]] - soles[:, k], 0.0)
        weight, held = _held(error, on, times, blend)
        shift += weight[:, None] * held
        total += weight
    shift /= np.maximum(total, 1.0)[:, None]
    below = np.maximum(-(soles[..., 2].min(axis=1) + shift[:, 2]), 0)
    shift[:, 2] += below * np.clip(2 - below / _NOT_THE_FLOOR, 0, 1)
    return shift


def _held(error: Array, on: np.ndarray, times: Array, blend: float) -> tuple[Array, Array]:
    """Weights (N,) and values (N, 3): the error while `on`, its last and next value fading off."""
    n = len(on)
    frames = np.arange(n)
    last = np.maximum.accumulate(np.where(on, frames, -1))
    following = np.minimum.accumulate(np.where(on, frames, n)[::-1])[::-1]
    weight, held = np.zeros(n), np.zeros((n, 3))
    for index, known in ((last, last >= 0), (following, following < n)):
        at = np.where(known, index, 0)
        u = np.clip(1 - np.abs(times - times[at]) / blend, 0, 1) * known
        fade = u * u * (3 - 2 * u)
        weight += fade
        held += fade[:, None] * error[at]
    return np.minimum(weight, 1), held / np.maximum(weight, 1e-9)[:, None]


def _needed_drop(joints: Array, shifts: list[Array], times: Array, blend: float) -> Array:
    """Translations (N, 3) of the whole body, smooth in time, that bring targets within reach."""
    lack = np.zeros(len(joints))
    for (hip, knee, ankle), shift in zip(_LEGS, shifts, strict=True):
        thigh, shin = joints[:, knee] - joints[:, hip], joints[:, ankle] - joints[:, knee]
        full = _REACH * (np.linalg.norm(thigh, axis=1) + np.linalg.norm(shin, axis=1))
        full = np.maximum(full, np.linalg.norm(thigh + shin, axis=1))
        leg = joints[:, ankle] + shift - joints[:, hip]
        level2 = np.sum(leg[:, :2] ** 2, axis=1)
        allowed = np.sqrt(np.maximum(full**2 - level2, 0.0))
        lack = np.maximum(lack, np.clip(-leg[:, 2] - allowed - 1e-9, 0, 0.05))
    drop = np.zeros((len(joints), 3))
    drop[:, 2] = -_smooth_above(lack, times, blend)
    return drop


def _smooth_above(values: Array, times: Array, width: float) -> Array:
    """A smooth curve (N,) that lies on or above `values`: sliding maximum, then mean."""
    first = np.searchsorted(times, times - width)
    last = np.searchsorted(times, times + width, side="right")
    highest = np.array([values[a:b].max() for a, b in zip(first, last, strict=True)])
    sums = np.concatenate([[0.0], np.cumsum(highest)])
    return (sums[last] - sums[first]) / (last - first)


def _across(vectors: Array, unit: Array) -> Array:
    """Parts (N, 3) of vectors (N, 3) across unit vectors (N, 3)."""
    return vectors - np.sum(vectors * unit, axis=1, keepdims=True) * unit


def reach_ankle(
    rotations: Array, joints: Array, leg: tuple[int, ...], shift: Array
) -> tuple[Array, Array, Array]:
    """Global hip, knee and ankle rotations (N, 3, 3) that move the ankle by `shift` (N, 3)."""
    hip, knee, ankle = (joints[:, j] for j in leg)
    thigh, shin = np.linalg.norm(knee - hip, axis=1), np.linalg.norm(ankle - knee, axis=1)
    before, after = ankle - hip, ankle + shift - hip
    swing = rotation_between(before, after)
    length = np.linalg.norm(after, axis=1)
    unit = after / length[:, None]
    length = np.clip(length, np.abs(thigh - shin) + 1e-6, (thigh + shin) * (1 - 1e-9))
    # A straight leg has no bend plane of its own: the knee then opens towards the thigh's front.
    bend = _across(np.einsum("nij,nj->ni", swing, knee - hip), unit)
    straight = np.maximum(_STRAIGHT - np.linalg.norm(bend, axis=1, keepdims=True), 0)
    bend += straight * _across(rotations[:, leg[0], :, 2], unit)
    bend /= np.linalg.norm(bend, axis=1, keepdims=True)
    cos = (thigh**2 + length**2 - shin**2) / (2 * thigh * length)
    along = np.clip(cos, -1, 1) * thigh
    out = np.sqrt(np.maximum(thigh**2 - along**2, 0))
    new_knee = along[:, None] * unit + out[:, None] * bend
    new_shin = length[:, None] * unit - new_knee

    def turned(joint: int, old: Array, new: Array) -> Array:
        swung = np.einsum("nij,nj->ni", swing, old)
        return rotation_between(swung, new) @ swing @ rotations[:, joint]

    return (
        turned(leg[0], knee - hip, new_knee),
        turned(leg[1], ankle - knee, new_shin),
        rotations[:, leg[2]],
    )
