"""What several formats need of a scene's people: who they are, when, and in which axes."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from recon.core.errors import InputError
from recon.core.geometry import R_YUP_ZUP, Array, slerp_matrices
from recon.core.people import BodyPoses, WorldMotion
from recon.core.rig import Rig
from recon.core.scene import Scene

logger = logging.getLogger(__name__)

_UNIFORM_TOLERANCE = 0.1
"""Frames: containers round times to a millisecond, which is not a variable frame rate."""


@dataclass(frozen=True, kw_only=True)
class ExportPerson:
    """One person's world motion with its body; `times` (N,) seconds are those of its frames.

    `jaw_open` (N,) radians, None where nobody looked at the face.
    """

    name: str
    motion: WorldMotion
    rig: Rig
    times: Array
    jaw_open: Array | None = None


def export_people(scene: Scene) -> list[ExportPerson]:
    """The scene's people in order, named person1, person2, … by their track ids."""
    times, people = scene.video.times, []
    cameras = {m.track_id: m for m in scene.camera_motions}
    rigs = dict(zip(cameras, scene.rigs, strict=True))
    for motion in scene.world_motions:
        people.append(
            ExportPerson(
                name=f"person{motion.track_id}",
                motion=motion,
                rig=rigs[motion.track_id],
                times=times[motion.frame_idx],
                jaw_open=cameras[motion.track_id].jaw_open,
            )
        )
    return people


def require_people(scene: Scene, what: str) -> list[ExportPerson]:
    """The scene's people; InputError if there is nobody to write as `what`."""
    people = export_people(scene)
    if not people:
        raise InputError(
            f"expected at least one person in {scene.path} to write {what}, got none; "
            "export the camera alone with --format tum colmap"
        )
    return people


def poses_yup(poses: BodyPoses) -> BodyPoses:
    """The same poses in the y-up axes of glTF, BVH and OBJ, from our z-up world."""
    rotations = poses.rotations.copy()
    rotations[:, 0] = R_YUP_ZUP @ rotations[:, 0]
    return BodyPoses(root=poses.root @ R_YUP_ZUP.T, rotations=rotations)


@dataclass(frozen=True, kw_only=True)
class FixedRateMotion:
    """Poses at `times` (M,) = times[0] + k / fps, for files that hold only a frame rate.

    `resampled` tells whether they were interpolated or are the video's own frames.
    """

    fps: float
    times: Array
    poses: BodyPoses
    resampled: bool


def at_fixed_rate(times: Array, poses: BodyPoses) -> FixedRateMotion:
    """Poses on a uniform time grid: the frames themselves if they are evenly spaced.

    Otherwise (variable frame rate) interpolated at the median rate: rotations on the shortest
    arc, positions linearly.

    Args:
        times: (N,) increasing seconds of the poses.
    """
    if len(times) < 2:
        return FixedRateMotion(fps=30.0, times=times, poses=poses, resampled=False)
    steps = np.diff(times)
    spacing = (times[-1] - times[0]) / len(steps)
    even = times[0] + spacing * np.arange(len(times))
    if np.max(np.abs(times - even)) <= _UNIFORM_TOLERANCE * spacing:
        return FixedRateMotion(fps=1 / spacing, times=times, poses=poses, resampled=False)
    spacing = float(np.median(steps))
    # The last frame may fall between two grid points; a grid point past it would hold still.
    grid = times[0] + spacing * np.arange(int((times[-1] - times[0]) / spacing + 1e-6) + 1)
    root = np.stack([np.interp(grid, times, poses.root[:, k]) for k in range(3)], axis=-1)
    resampled = BodyPoses(root=root, rotations=slerp_matrices(grid, times, poses.rotations))
    return FixedRateMotion(fps=1 / spacing, times=grid, poses=resampled, resampled=True)


def person_at_fixed_rate(person: ExportPerson, file_name: str) -> FixedRateMotion:
    """The person's world motion on a uniform grid; logs a warning where that meant resampling."""
    fixed = at_fixed_rate(person.times, person.motion.poses_world)
    if fixed.resampled:
        logger.warning(
            "%s holds one frame rate, the video's varies: %d frames resampled to %d at %.3f fps",
            file_name, len(person.times), len(fixed.times), fixed.fps,
        )  # fmt: skip
    return fixed


def vertex_frames(rig: Rig, poses: BodyPoses, *, chunk: int = 16) -> Iterator[np.ndarray]:
    """The mesh (V, 3) float32 of one frame after another, in the poses' frame, memory flat."""
    for k in range(0, len(poses.root), chunk):
        rows = slice(k, k + chunk)
        yield from rig.vertices(BodyPoses(root=poses.root[rows], rotations=poses.rotations[rows]))
