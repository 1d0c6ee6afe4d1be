"""What several formats need of a scene's people: who they are, when, and in which axes."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from dataclasses import dataclass, field, replace

import numpy as np

from recon.core.errors import InputError
from recon.core.geometry import R_YUP_ZUP, Array
from recon.core.people import BodyPoses, WorldMotion
from recon.core.rig import Rig
from recon.core.scene import Scene
from recon.export.options import METRES_PER_UNIT, Unit, Up
from recon.export.resample import frame_times, linear, motion_at, poses_at, transforms_at

logger = logging.getLogger(__name__)

_UNIFORM_TOLERANCE = 0.1
"""Frames: containers round times to a millisecond, which is not a variable frame rate."""


@dataclass(frozen=True, kw_only=True)
class ExportPerson:
    """One person's world motion with its body; `times` (N,) seconds are those of its frames.

    `jaw_open` (N,) radians, None where nobody looked at the face. `fps`: of the video or the chosen
    one, for a person of one frame. `cuts`: times at which shots begin, each in a world of its own.
    `resampled`: whether the frames are not the video's own.
    """

    name: str
    motion: WorldMotion
    rig: Rig
    times: Array
    fps: float
    jaw_open: Array | None = None
    cuts: Array = field(default_factory=lambda: np.zeros(0))
    resampled: bool = False


def export_people(scene: Scene, fps: float | None = None) -> list[ExportPerson]:
    """The scene's people in order, named person1, person2, … by their track ids.

    `fps`: frames per second from the video's first frame on; None: the video's own frames.
    """
    video, cuts, people = scene.video, _cut_times(scene), []
    cameras = {m.track_id: m for m in scene.camera_motions}
    rigs = scene.rigs_by_id
    for motion in scene.world_motions:
        people.append(
            ExportPerson(
                name=f"person{motion.track_id}",
                motion=motion,
                rig=rigs[motion.track_id],
                times=video.times[motion.frame_idx],
                fps=video.fps,
                jaw_open=cameras[motion.track_id].jaw_open,
                cuts=cuts,
            )
        )
    return (
        people if fps is None else [_at_rate(p, frame_times(video.times, fps), fps) for p in people]
    )


def _at_rate(person: ExportPerson, grid: Array, fps: float) -> ExportPerson:
    motion, times = motion_at(person.motion, person.rig, person.times, grid=grid, cuts=person.cuts)
    return replace(
        person, motion=motion, times=times, jaw_open=jaw_at(person, times), fps=fps,
        resampled=True,
    )  # fmt: skip


def jaw_at(person: ExportPerson, times: Array) -> Array | None:
    """How far the jaw is open (T,), radians, at times (T,); None where nobody looked."""
    if person.jaw_open is None:
        return None
    return linear(times, person.times, person.jaw_open, person.cuts)


def _cut_times(scene: Scene) -> Array:
    return scene.video.times[scene.camera.shot_starts[1:]]


def clip_times(scene: Scene, fps: float | None) -> Array:
    """The times (T,) of an export's frames: the video's own, or `fps` a second."""
    times = scene.video.times
    return times if fps is None else frame_times(times, fps)


def presence(person: ExportPerson, times: Array) -> list[tuple[float, bool]]:
    """Times, of the clip's `times` (T,), from which on the person is there or not.

    The first is the clip's own; people come and go halfway between frames, so that no rounding
    of times hides a frame.
    """
    first, last = person.times[[0, -1]]
    before, after = times[times < first - 1e-9], times[times > last + 1e-9]
    keys = [(float(times[0]), False)] if len(before) else []
    keys.append((float((before[-1] + first) / 2 if len(before) else times[0]), True))
    if len(after):
        keys.append((float((last + after[0]) / 2), False))
    return keys


def camera_at(scene: Scene, Ts: Array, fps: float | None) -> Array:
    """A camera's transforms (T, 4, 4) of the video's frames, at the times of `clip_times`."""
    if fps is None:
        return Ts
    return transforms_at(clip_times(scene, fps), scene.video.times, Ts, _cut_times(scene))


def require_people(scene: Scene, what: str, fps: float | None = None) -> list[ExportPerson]:
    """The scene's people; InputError if there is nobody to write as `what`."""
    people = export_people(scene, fps)
    if not people:
        raise InputError(
            f"expected at least one person in {scene.path} to write {what}, got none; "
            "export the camera alone with --format tum colmap"
        )
    return people


def poses_yup(poses: BodyPoses) -> BodyPoses:
    """The same poses in the y-up axes of glTF, BVH and OBJ, from our z-up world."""
    return poses_in(poses, up="y")


def poses_in(poses: BodyPoses, *, up: Up, unit: Unit = "m") -> BodyPoses:
    """Poses of our world (z up, metres) in other axes and another unit of length."""
    R = axes_of(up)
    rotations = poses.rotations.copy()
    rotations[:, 0] = R @ rotations[:, 0]
    return BodyPoses(root=poses.root @ R.T / METRES_PER_UNIT[unit], rotations=rotations)


def axes_of(up: Up) -> Array:
    """The rotation (3, 3) from our z-up world to axes with y or z up."""
    return R_YUP_ZUP if up == "y" else np.eye(3)


def rig_in(rig: Rig, unit: Unit) -> Rig:
    """A rig with its lengths in another unit."""
    if unit == "m":
        return rig
    scale = 1 / METRES_PER_UNIT[unit]
    binds = rig.Ts_joint_bind.copy()
    binds[:, :3, 3] *= scale
    return replace(
        rig, rest_joints=rig.rest_joints * scale, bind_vertices=rig.bind_vertices * scale,
        Ts_joint_bind=binds, sole_points=rig.sole_points * scale,
    )  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class FixedRateMotion:
    """Poses at `times` (M,) = times[0] + k / fps, for files that hold only a frame rate.

    `resampled` tells whether they were interpolated or are the video's own frames.
    """

    fps: float
    times: Array
    poses: BodyPoses
    resampled: bool


def person_at_fixed_rate(person: ExportPerson, file_name: str) -> FixedRateMotion:
    """The person's world motion on a uniform time grid: the frames if they are evenly spaced.

    Otherwise (variable frame rate) interpolated at the median rate, which a warning tells: see
    `recon.export.resample`.
    """
    times, poses = person.times, person.motion.poses_world
    if len(times) < 2:
        return FixedRateMotion(fps=person.fps, times=times, poses=poses, resampled=False)
    steps = np.diff(times)
    spacing = (times[-1] - times[0]) / len(steps)
    even = times[0] + spacing * np.arange(len(times))
    if np.max(np.abs(times - even)) <= _UNIFORM_TOLERANCE * spacing:
        return FixedRateMotion(fps=1 / spacing, times=times, poses=poses, resampled=False)
    fps = 1 / float(np.median(steps))
    grid = frame_times(times, fps)
    logger.warning(
        "%s holds one frame rate, the video's varies: %d frames resampled to %d at %.3f fps",
        file_name, len(times), len(grid), fps,
    )  # fmt: skip
    resampled = poses_at(grid, times, poses, person.cuts)
    return FixedRateMotion(fps=fps, times=grid, poses=resampled, resampled=True)


def vertex_frames(rig: Rig, poses: BodyPoses, *, chunk: int = 16) -> Iterator[np.ndarray]:
    """The mesh (V, 3) float32 of one frame after another, in the poses' frame, memory flat."""
    for k in range(0, len(poses.root), chunk):
        rows = slice(k, k + chunk)
        yield from rig.vertices(BodyPoses(root=poses.root[rows], rotations=poses.rotations[rows]))
