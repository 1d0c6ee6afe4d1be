"""Somebody's motion on another body: the same rotations, a root to scale, feet that stand."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from body.foot_lock import lock_feet
from recon.core.contacts import contact_probabilities, interval_labels
from recon.core.geometry import Array, rotvec_to_matrix
from recon.core.people import BodyPoses
from recon.core.rig import Rig
from recon.motion.clip import Box, MotionClip
from recon.motion.feet import Sole
from recon.motion.legs import bend_leg, leg_length
from recon.motion.score import LEGS

_BLEND = 0.12
"""Seconds over which a foot eases into a contact and out of it."""
_UP = np.array([0.0, 0.0, 1.0])


def retarget(clip: MotionClip, rig: Rig) -> MotionClip:
    """The clip on another body.

    Joint rotations stay (hands too), but for the legs'. The way is scaled by the length of the
    legs about its first place, and so are heights above what the feet stand on. Feet go where
    the source's go, to scale, and are locked where they are in contact. Steps stay as they are,
    and the way over them too; chairs are scaled.
    """
    ratio = leg_length(rig, LEGS[0]) / leg_length(clip.rig, LEGS[0])
    origin = clip.poses.root[0] * [1.0, 1.0, 0.0]
    soles = clip.rig.soles(clip.poses)
    contacts = clip.contacts
    if contacts is None:
        contacts = contact_probabilities(soles, clip.times, up=_UP)
    ground = _ground(soles, contacts, clip.times)
    scale = np.array([ratio, ratio, 1.0])
    if any(box.kind == "step" for box in clip.props):
        scale[:] = 1.0
    root = origin + scale * (clip.poses.root - origin)
    root[:, 2] = ground + ratio * (clip.poses.root[:, 2] - ground)
    root[:, 2] += _standing_height(rig) - ratio * _standing_height(clip.rig)
    poses = BodyPoses(root=root, rotations=clip.poses.rotations)
    wanted = origin + scale * (soles - origin)
    poses = _feet_follow(poses, clip, rig, wanted)
    return MotionClip(
        name=clip.name, times=clip.times, contacts=contacts, rig=rig,
        poses=plant(rig, poses, clip.times, contacts, wanted),
        props=tuple(_scaled(box, origin, scale, ratio) for box in clip.props),
    )  # fmt: skip


def _scaled(box: Box, origin: Array, scale: Array, ratio: float) -> Box:
    center = origin + scale * (box.center - origin)
    if box.kind == "step":
        return box
    return replace(box, center=center * [1, 1, ratio], size=box.size * ratio)


def plant(
    rig: Rig, poses: BodyPoses, times: Array, contacts: Array, heights: Array | None = None
) -> BodyPoses:
    """Poses whose sole points stay put during contact, on what they stand on.

    Args:
        contacts: (N, 4) probabilities. heights: (N, 4, 3) metres, points whose z sole points in
            contact should have; None: their own.
    """
    labels = interval_labels(contacts)
    if labels.max() < 0:
        return poses
    soles = rig.soles(poses)
    anchors = np.zeros((labels.max() + 1, 3))
    flat = np.repeat((labels >= 0).reshape(-1, 2, 2).all(axis=2), 2, axis=1)
    for label in range(len(anchors)):
        rows = labels == label
        best = rows & flat if (rows & flat).any() else rows
        anchors[label] = soles[best].mean(axis=0)
        if heights is not None:
            anchors[label, 2] = np.median(heights[best][:, 2])
    return lock_feet(rig, poses, times, labels=labels, anchors=anchors, blend=_BLEND)


def _standing_height(rig: Rig) -> float:
    """Metres of the pelvis over the soles in the rest pose, less the legs."""
    return float(-rig.rest_joints[LEGS[0][0], 1] - rig.sole_points[:, 1].mean())


def _ground(soles: Array, contacts: Array, times: Array) -> Array:
    """Height (N,) of what somebody stands on, straight from one contact to the next."""
    on = contacts > 0.5
    standing = on.any(axis=1)
    if not standing.any():
        return np.zeros(len(times))
    lowest = np.where(on, soles[..., 2], np.inf).min(axis=1)
    return np.interp(times, times[standing], lowest[standing])


def _feet_follow(poses: BodyPoses, clip: MotionClip, rig: Rig, wanted: Array) -> BodyPoses:
    """Poses whose soles have their middle where it is wanted (N, 4, 3) and lie as the source's."""
    rotations = poses.rotations.copy()
    turned, _ = clip.rig.joints(clip.poses)
    for foot, leg in enumerate(LEGS):
        new, old = Sole.of(rig, foot), Sole.of(clip.rig, foot)
        level = rotvec_to_matrix(np.array([new.level - old.level, 0.0, 0.0]))
        rotation = turned[:, leg[2]] @ level
        middle = wanted[:, 2 * foot : 2 * foot + 2].mean(axis=1)
        ankle = middle - rotation @ new.points.mean(axis=0)
        bent = bend_leg(rig, poses.root, rotations, leg, ankle=ankle, foot=rotation)
        for joint, local in zip(leg, bent, strict=True):
            rotations[:, joint] = local
    return BodyPoses(root=poses.root, rotations=rotations)
