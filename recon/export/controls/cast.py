"""Who is drawn, in which body, and from which camera."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from recon.core.camera import Intrinsics
from recon.core.errors import InputError
from recon.core.geometry import Array, invert_transform, transform_points
from recon.core.people import BodyPoses, BodyShape, PersonTrack, WorldMotion, row_at
from recon.core.rig import Rig
from recon.core.scene import Scene
from recon.export.controls.cameras import read_path
from recon.export.controls.pose import IBUG_OF_MESH, PosePoints, pose_points
from recon.export.overlay import CameraPerson

if TYPE_CHECKING:
    from body.models.base import BodyModel

_SEEN = 0.5
"""Confidence from which the keypoint networks' hands and faces are shown."""
_STATURE = "stature"
_NUM_MESH_FACE = 468


@dataclass(frozen=True, kw_only=True)
class Actor:
    """A person as the chosen camera sees them.

    Args:
        track: what the keypoint networks saw of this person. as_filmed: whether body and camera
            are the original ones, so that the seen face lies on the drawn one.
    """

    person: CameraPerson
    track: PersonTrack | None
    as_filmed: bool

    @cached_property
    def _points(self) -> PosePoints:
        return pose_points(self.person.rig)

    def vertices(self, frame: int) -> Array | None:
        """Mesh (V, 3), metres in the camera; None where the person is absent."""
        seen = self.person.at(frame)
        return None if seen is None else seen[0]

    def points_camera(self, frame: int) -> Array:
        """Body and hands (60, 3) metres; NaN where the person or what is known of them is not."""
        row = row_at(self.person.frame_idx, frame)
        if row is None:
            return np.full((60, 3), np.nan)
        poses, T = self.person.poses, self.person.Ts_camera_poses[row]
        pose = BodyPoses(root=poses.root[row : row + 1], rotations=poses.rotations[row : row + 1])
        rotations, positions = self.person.rig.joints(pose)
        points = transform_points(T, self._points.at(rotations[0], positions[0]))
        for side, hand in enumerate((slice(18, 39), slice(39, 60))):
            if not self._hand_seen(frame, side):
                points[hand] = np.nan
        return points

    def face_px(self, frame: int) -> Array:
        """The seen face (68, 2) px in iBUG's order; NaN where none was seen or may be shown."""
        track = self.track
        if self.as_filmed and track and track.face_px is not None and track.face_conf is not None:
            row = row_at(track.frame_idx, frame)
            if row is not None and track.face_conf[row] >= _SEEN:
                face = track.face_px[row]
                return face[list(IBUG_OF_MESH)] if len(face) == _NUM_MESH_FACE else face
        return np.full((68, 2), np.nan)

    def _hand_seen(self, frame: int, side: int) -> bool:
        """Whether a hand's fingers were found, rather than left in their mean pose."""
        track = self.track
        if track is None or track.hands_conf is None:
            return False
        row = row_at(track.frame_idx, frame)
        return row is not None and bool(track.hands_conf[row, side] >= _SEEN)


@dataclass(frozen=True, kw_only=True)
class Cast:
    """Everybody and the camera, for every frame of the video.

    Args:
        Ts_world_camera: (T, 4, 4) of the chosen camera, whose picture is as large as the video.
        as_filmed: whether it is the original one.
    """

    actors: tuple[Actor, ...]
    intrinsics: Intrinsics
    Ts_world_camera: Array
    as_filmed: bool


def cast(scene: Scene, *, camera: str | None = None, body: str | None = None) -> Cast:
    """The people of a scene before a camera.

    Args:
        camera: "original" (or None), "orbit", or a file of `read_path`.
        body: "name=value …" of the body model's shape, or "stature=1.9", metres; None: their own.

    Raises:
        InputError: no such camera or body. StaleSceneError: a stage has not run.
    """
    video, intrinsics, motions = scene.video, scene.camera.intrinsics, scene.world_motions
    rigs = scene.rigs_by_id
    people = [(motion, rigs[motion.track_id]) for motion in motions]
    if body is not None:
        people = [_in_other_body(motion, rig, body, video.times) for motion, rig in people]
    as_filmed = camera in (None, "original")
    if as_filmed:
        Ts = scene.placement.Ts_world_camera
    elif camera == "orbit":
        Ts = _orbit(people, intrinsics, len(video.times))
    else:
        Ts = read_path(Path(str(camera)), video.times)
    Ts_camera_world = invert_transform(Ts)
    tracks = {track.track_id: track for track in scene.tracks}
    actors = tuple(
        Actor(
            person=CameraPerson(
                track_id=motion.track_id, rig=rig, frame_idx=motion.frame_idx,
                poses=motion.poses_world, Ts_camera_poses=Ts_camera_world[motion.frame_idx],
            ),
            track=tracks.get(motion.track_id), as_filmed=as_filmed and body is None,
        )
        for motion, rig in people
    )  # fmt: skip
    return Cast(actors=actors, intrinsics=intrinsics, Ts_world_camera=Ts, as_filmed=as_filmed)


def _orbit(people: list[tuple[WorldMotion, Rig]], intrinsics: Intrinsics, count: int) -> Array:
    """Once around everybody, level with them and as near as all stay in the picture.

    Raises:
        InputError: nobody is there.
    """
    from splatting.people_paths import Subject, facing, turntable

    if not people:
        raise InputError("--camera orbit: expected somebody to go around, got nobody")
    first = people[0][0]
    points = np.stack(
        [_carried(motion, count) for motion, _ in people], axis=1
    ).reshape(count, -1, 3)  # fmt: skip
    subject = Subject(
        times=np.arange(count, dtype=float), points=points,
        forward=facing(first.poses_world.rotations[:, 0]),
    )  # fmt: skip
    return turntable(subject, intrinsics.matrix, (intrinsics.width, intrinsics.height))


def _carried(motion: WorldMotion, count: int) -> Array:
    """Body joints (count, 23, 3) with the head's top, held where the person is absent."""
    joints = motion.joints_world[:, :22]
    over = joints[:, 15:16] + 1.6 * (joints[:, 15:16] - joints[:, 12:13])
    rows = np.searchsorted(motion.frame_idx, np.arange(count)).clip(0, len(joints) - 1)
    return np.concatenate([joints, over], axis=1)[rows]


def _in_other_body(
    motion: WorldMotion, rig: Rig, text: str, times: Array
) -> tuple[WorldMotion, Rig]:
    """The person's motion on a body of another shape; feet stand where they stood, to scale."""
    from recon.motion.clip import MotionClip
    from recon.motion.retargeting import retarget

    other = shaped(motion.shape, text)
    clip = MotionClip(
        name=f"person {motion.track_id}", times=times[motion.frame_idx],
        poses=motion.poses_world, contacts=motion.contacts, rig=rig,
    )  # fmt: skip
    moved = retarget(clip, other).poses
    return replace(motion, poses_world=moved, joints_world=other.joints(moved)[1]), other


def shaped(shape: BodyShape, text: str) -> Rig:
    """The body of a shape with some of its values changed.

    Raises:
        InputError: `text` is not "name=value …", a name or value that the model does not have.
    """
    from body.models import load_body_model

    model = load_body_model(shape.model)
    names = (*shape.names, *([_STATURE] if "height" in shape.names else []))
    values = dict(zip(shape.names, shape.values.tolist(), strict=True))
    wanted = {}
    for part in text.replace(",", " ").split():
        name, _, value = part.partition("=")
        try:
            wanted[name] = float(value)
        except ValueError:
            wanted[name] = np.nan
        if name not in names or not np.isfinite(wanted[name]):
            raise InputError(
                f"--body: expected name=value with names of {', '.join(names)}, got {part!r}"
            )
    values |= {k: v for k, v in wanted.items() if k != _STATURE}
    spec = model.param_spec
    out = np.array([values[name] for name in spec.names])
    if np.any((out < spec.low) | (out > spec.high)):
        limits = zip(spec.names, spec.low, spec.high, strict=True)
        spans = ", ".join(f"{name} {low:g} to {high:g}" for name, low, high in limits)
        raise InputError(f"--body: expected {spans}; got {text!r}")
    if _STATURE in wanted:
        out = _of_stature(model, out, spec.names.index("height"), wanted[_STATURE])
    return model.skinning_spec(out)


def _of_stature(model: BodyModel, shape: Array, at: int, stature: float) -> Array:
    """The shape with that `height` (0 to 1) at which the body stands `stature` metres tall."""
    low, high = shape.copy(), shape.copy()
    low[at], high[at] = 0.0, 1.0
    span = model.rest_body(low).stature, model.rest_body(high).stature
    if not span[0] <= stature <= span[1]:
        raise InputError(
            f"--body: expected a stature of {span[0]:.2f} to {span[1]:.2f} m for this build, got "
            f"{stature:g}"
        )
    for _ in range(20):
        middle = (low + high) / 2
        low, high = (middle, high) if model.rest_body(middle).stature < stature else (low, middle)
    return (low + high) / 2
