"""A person's motion in the world as the training of their avatar corrected it, and its file.

The file, person_N_motion.npz beside the avatar, is laid out as `recon export` lays out a motion
(track_id, frame_idx, times, root_world, rotations, contacts, conventions ...: metres, z up), of all
frames in which the scene has the person; "refines" is the hash of the scene's result that it
corrects.
"""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from scipy.ndimage import gaussian_filter1d

from body.foot_lock import lock_feet
from recon.core.contacts import interval_labels
from recon.core.errors import InputError
from recon.core.geometry import Array
from recon.core.people import BodyPoses, WorldMotion
from recon.core.rig import Rig
from recon.core.scene import Scene
from recon.core.skeletons import CANONICAL_JOINTS
from recon.core.untrusted import read_arrays
from recon.export.motion import ExportPerson
from recon.export.motion_npz import native_arrays, write_motion
from recon.motion.curves import ease
from recon.motion.score import LEGS

if TYPE_CHECKING:
    from splatting.avatars.motion import RefinedMotion

CALM = 0.04
"""Seconds, deviation of the mean over frames, or half the way from picture to picture if that is
longer: each was corrected by itself."""
DENSE = 0.5
"""Seconds from picture to picture: farther apart, what they correct was measured to do frames
between them no good."""
FADE = 0.5
"""Seconds within which corrections end where the person is not seen."""
BLEND = 0.12
"""Seconds over which a foot eases into a contact and out of it."""
_TOES = [CANONICAL_JOINTS.index(f"{side}_foot") for side in ("left", "right")]


def dense(times: Array) -> bool:
    """Whether pictures at times (T,), seconds, tell how to correct the frames between them."""
    return _usual_step(times) <= DENSE


def in_refined_motion(
    person: ExportPerson, corrections: RefinedMotion, trained_on: np.ndarray
) -> ExportPerson:
    """The person in the motion that pictures corrected; feet stand as firmly as they did.

    Between pictures corrections are interpolated, and frames far from any stay as they were. A
    foot in contact goes along by one horizontal shift for the whole contact, so that it slides no
    more and stands no higher than in the scene.

    Args:
        person: in the scene's motion. trained_on: (T,) increasing frame indices of the pictures
            that `corrections` are of.
    """
    from splatting.avatars.motion import corrected

    motion, times = person.motion, person.times
    turns, shifts = corrections.at(
        np.interp(motion.frame_idx, trained_on, np.arange(len(trained_on)))
    )
    seen = np.interp(trained_on, motion.frame_idx, times)
    share, width = _share(times, seen), max(CALM, 0.5 * _usual_step(seen)) / _usual_step(times)
    turns, shifts = (
        gaussian_filter1d(c * share.reshape(-1, *[1] * (c.ndim - 1)), width, axis=0, mode="nearest")
        for c in (turns, shifts)
    )
    poses = _standing(person.rig, corrected(motion.poses_world, turns, shifts), motion, times)
    return replace(person, motion=_in_poses(motion, poses, person.rig))


def motion_file(folder: Path, person: int) -> Path:
    """Where the motion of a person lies in a folder of avatars."""
    return folder / f"person_{person}_motion.npz"


def save_motion(path: Path, person: ExportPerson, scene: Scene) -> None:
    """Writes a refined motion of the scene's person, atomically."""
    write_motion(path, person, {**native_arrays(person), "refines": _world(scene)})


def refines(path: Path, scene: Scene) -> bool:
    """Whether a file's motion was refined from the one that the scene holds now.

    Raises:
        InputError: the file is damaged.
    """
    try:
        return str(read_arrays(path, re.compile("refines"))["refines"]) == _world(scene)
    except (OSError, ValueError, KeyError) as error:
        raise InputError(
            f"expected a motion that `recon avatar` wrote, got {path}, which cannot be read: "
            f"{type(error).__name__} {error}; delete it, or make it again"
        ) from error


def _world(scene: Scene) -> str:
    """The hash of the scene's motions in the world, empty where it has none."""
    return scene.manifest["stages"].get("world", {}).get("output", "")


def _share(times: Array, seen: Array) -> Array:
    """How much (N,) of the corrections counts at times (N,): all as near to what was seen, (T,)
    seconds, as pictures are to each other, and none FADE seconds farther away."""
    after = np.searchsorted(seen, times).clip(1, len(seen) - 1)
    away = np.minimum(np.abs(times - seen[after - 1]), np.abs(times - seen[after]))
    return 1 - ease((away - _usual_step(seen)) / FADE)


def _usual_step(times: Array) -> float:
    return float(np.median(np.diff(times)))


def _standing(rig: Rig, poses: BodyPoses, motion: WorldMotion, times: Array) -> BodyPoses:
    """The corrected poses with the feet turned as before and standing on what they stood on."""
    before, now = rig.joints(motion.poses_world)[0], rig.joints(poses)[0]
    rotations = poses.rotations.copy()
    rotations[:, _TOES] = motion.poses_world.rotations[:, _TOES]
    for _, knee, ankle in LEGS:
        rotations[:, ankle] = np.swapaxes(now[:, knee], -1, -2) @ before[:, ankle]
    poses = BodyPoses(root=poses.root, rotations=rotations)
    anchors, labels = rig.soles(motion.poses_world), interval_labels(motion.contacts)
    moved = (rig.soles(poses) - anchors) * [1.0, 1.0, 0.0]
    for label in range(labels.max() + 1):
        anchors[labels == label] += moved[labels == label].mean(axis=0)
    each = np.where(labels >= 0, np.arange(labels.size).reshape(labels.shape), -1)
    return lock_feet(rig, poses, times, labels=each, anchors=anchors.reshape(-1, 3), blend=BLEND)


def _in_poses(motion: WorldMotion, poses: BodyPoses, rig: Rig) -> WorldMotion:
    return replace(
        motion, poses_world=poses, joints_world=rig.joints(poses)[1], feet_world=rig.soles(poses)
    )
