"""Clips as AMASS files, which other programs and `load_motion` read."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from recon.core.people import BodyShape, WorldMotion
from recon.core.storage import write_atomic
from recon.export.motion import ExportPerson
from recon.export.motion_npz import amass_arrays
from recon.motion.clip import MotionClip


def save_motion(clip: MotionClip, path: Path) -> None:
    """Writes a clip as an AMASS (SMPL-X) .npz at its median frame rate, with betas of zero.

    A single pose, which has none, is written at one frame per second.

    Contacts (of the clip's own frames) are beside it as `contacts`; props and the rig are not.
    """
    n = len(clip.times)
    contacts = np.zeros((n, 4)) if clip.contacts is None else clip.contacts
    motion = WorldMotion(
        track_id=1, frame_idx=np.arange(n), observed=np.ones(n, bool),
        shape=BodyShape(model=clip.rig.model, names=(), values=np.zeros(0)),
        poses_world=clip.poses, joints_world=clip.rig.joints(clip.poses)[1],
        feet_world=clip.rig.soles(clip.poses), contacts=contacts,
    )  # fmt: skip
    person = ExportPerson(
        name=clip.name, motion=motion, rig=clip.rig, times=clip.times, fps=1.0
    )  # fmt: skip
    arrays = {key: np.asarray(value) for key, value in amass_arrays(person, path.name).items()}
    if clip.contacts is not None:
        arrays["contacts"] = clip.contacts
    write_atomic(path, lambda file: np.savez_compressed(file, **arrays))  # type: ignore[arg-type]
