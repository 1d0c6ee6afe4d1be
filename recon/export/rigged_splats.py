"""A moving avatar as one file: the avatar's .npz with a motion beside it.

All that an avatar's file holds (see `splatting.avatars.files`: Gaussians in the rest pose,
skinning weights and joints, rest_joints), and of the motion, T frames in a z-up world with the
floor at z = 0, in metres:

times (T,) seconds. root_world (T, 3): place of the pelvis joint. rotations (T, 52, 3, 3): of each
joint relative to its parent, from the rest pose. contacts (T, 4): probability that
foot_point_names stand still; feet_world (T, 4, 3). joint_names, joint_parents (52,). conventions.

To pose frame t: joint j's transform to the world is G_j = G_parent (rotations[t, j], rest offset),
G_0 = (rotations[t, 0], root_world[t]); a Gaussian moves by sum_k weights[:, k] G_j (x -
rest_joints[j]) with j = indices[:, k], and turns by the mean of those rotations.

The same file serves as an avatar and as a motion in `recon animate`.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from recon.core.people import FOOT_POINTS
from recon.core.scene import CONVENTIONS
from recon.core.skeletons import CANONICAL_JOINTS, CANONICAL_PARENTS
from recon.core.storage import write_atomic
from recon.motion.clip import MotionClip

if TYPE_CHECKING:
    from splatting.avatars.avatar import Avatar


def write_rigged(path: Path, avatar: Avatar, clip: MotionClip) -> None:
    """Writes the avatar with a motion that fits its body."""
    from splatting.avatars.files import avatar_arrays

    contacts = np.zeros((len(clip.times), 4)) if clip.contacts is None else clip.contacts
    motion: dict[str, Any] = {
        "times": clip.times,
        "root_world": clip.poses.root,
        "rotations": clip.poses.rotations,
        "contacts": contacts,
        "feet_world": clip.rig.soles(clip.poses),
        "foot_point_names": np.array(FOOT_POINTS),
        "joint_names": np.array(CANONICAL_JOINTS),
        "joint_parents": np.array(CANONICAL_PARENTS),
        "conventions": json.dumps(CONVENTIONS),
    }
    arrays = avatar_arrays(avatar) | motion
    write_atomic(path, lambda file: np.savez_compressed(file, **arrays))  # type: ignore[arg-type]
