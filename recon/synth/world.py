"""A staged world: people, cameras and places whose truth is exact, before anything is drawn."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

import numpy as np

from recon.core.camera import CameraTrajectory, Intrinsics
from recon.core.errors import InputError
from recon.core.geometry import Array, invert_transform, transform_points
from recon.core.people import (
    BodyPoses,
    CameraMotion,
    PersonTrack,
    RoiMasks,
    WorldMotion,
    WorldPlacement,
)
from recon.synth.cameras import (
    CAMERA_MOVES,
    TRUE_CAMERA,
    CameraMove,
    Gauge,
    film,
    random_gauge,
    tracked_camera,
)
from recon.synth.cast import Performer, cast
from recon.synth.sensor import no_masks

Place = Literal["room", "street"]
_MIN_DEPTH = 0.2
"""Metres before the camera from which a point can be in the picture."""
_MARGIN = 1.5
"""Metres that a room leaves round everybody."""


@dataclass(frozen=True, kw_only=True)
class WorldSpec:
    """What to stage. Everything else follows from the seed.

    Args:
        seed: chooses bodies, paths, places, clothes. camera: how it is filmed.
        people: 1 to 4. actions: of each person in turn, see `recon.motion`; empty: what suits.
        motions: recorded motion (.bvh, AMASS .npz), one file a person, instead of actions.
        frames, fps: of the video. size: width, height px. fov_deg: across the longer side; by
            default 50 to 70, from the seed.
    """

    seed: int = 0
    camera: CameraMove = "following"
    people: int = 1
    actions: tuple[str, ...] = ()
    motions: tuple[Path, ...] = ()
    place: Place = "room"
    frames: int = 240
    fps: float = 30.0
    size: tuple[int, int] = (960, 540)
    fov_deg: float | None = None

    def __post_init__(self) -> None:
        if self.camera not in CAMERA_MOVES:
            raise InputError(
                f"--camera: expected one of {', '.join(CAMERA_MOVES)}; got {self.camera!r}"
            )
        if not 1 <= self.people <= 4:
            raise InputError(f"--people: expected 1 to 4, got {self.people}")
        if self.frames < 2:
            raise InputError(f"--frames: expected 2 or more, got {self.frames}")
        if not 1 <= self.fps <= 1000:
            raise InputError(f"--fps: expected 1 to 1000 frames a second, got {self.fps:g}")
        if min(self.size) < 64 or any(n % 2 for n in self.size):
            raise InputError(
                f"--size: expected even numbers from 64 on, got {self.size[0]} {self.size[1]}"
            )
        if self.fov_deg is not None and not 20 <= self.fov_deg <= 110:
            raise InputError(f"--fov: expected 20 to 110 degrees, got {self.fov_deg:g}")


@dataclass(frozen=True, kw_only=True)
class StagedWorld:
    """The exact truth of one world, T frames.

    Args:
        times: (T,) seconds. Ts_world_camera: (T, 4, 4). gauge: of the truth's slam frame.
        points_world: (P, 3) of floor and walls, for trackers.
    """

    spec: WorldSpec
    times: Array
    intrinsics: Intrinsics
    Ts_world_camera: Array
    performers: tuple[Performer, ...]
    gauge: Gauge
    points_world: Array = field(repr=False)

    def rng(self, purpose: int) -> np.random.Generator:
        """Random numbers of this world's own for one purpose."""
        return np.random.default_rng([self.spec.seed, purpose])

    def keypoints_camera(self, k: int) -> Array:
        """(T, 33, 3) metres of person k, BlazePose order, in each frame's camera."""
        return transform_points(
            invert_transform(self.Ts_world_camera), self.performers[k].keypoints
        )

    def in_picture(self, k: int) -> np.ndarray:
        """(T, 33) bool: which keypoints of person k lie inside the picture, hidden or not."""
        points = self.keypoints_camera(k)
        front = points[..., 2] > _MIN_DEPTH
        px = self.intrinsics.project(np.where(front[..., None], points, [0.0, 0.0, 1.0]))
        size = [self.intrinsics.width, self.intrinsics.height]
        return front & ((px > 0) & (px < size)).all(axis=-1)


def stage_world(spec: WorldSpec) -> StagedWorld:
    """People, their motion and a camera, all from the seed.

    Raises:
        InputError: an action or a motion file that cannot be used.
    """
    rng = np.random.default_rng([spec.seed, CAMERA_MOVES.index(spec.camera), spec.people])
    times = np.arange(spec.frames) / spec.fps
    fov = spec.fov_deg or rng.uniform(50, 70)
    intrinsics = Intrinsics.from_fov(*spec.size, fov_deg=fov, source="user")
    performers = cast(
        times, people=spec.people, actions=spec.actions, motions=spec.motions,
        move=spec.camera, rng=rng,
    )  # fmt: skip
    roots = np.stack([p.poses.root for p in performers])
    Ts = film(
        spec.camera, roots, times, stature=max(p.stature for p in performers),
        intrinsics=intrinsics, rng=rng,
    )  # fmt: skip
    places = np.concatenate([Ts[:, :2, 3], roots[..., :2].reshape(-1, 2)])
    extent = np.stack([places.min(axis=0) - _MARGIN, places.max(axis=0) + _MARGIN])
    return StagedWorld(
        spec=spec, times=times, intrinsics=intrinsics, Ts_world_camera=Ts,
        performers=tuple(performers), gauge=random_gauge(spec.camera, Ts[0], rng),
        points_world=_shell_points(extent, rng),
    )  # fmt: skip


def _shell_points(extent: Array, rng: np.random.Generator, count: int = 4000) -> Array:
    """Points on the floor and the walls of a box with corners (2, 2), 2.6 m high."""
    low, high = np.array([*extent[0], 0.0]), np.array([*extent[1], 2.6])
    points = rng.uniform(low, high, (count, 3))
    side = rng.integers(0, 8, count)
    for axis, at, sides in ((2, low[2], (0, 1, 2, 3)), (0, low[0], (4,)), (0, high[0], (5,)),
                            (1, low[1], (6,)), (1, high[1], (7,))):  # fmt: skip
        points[np.isin(side, sides), axis] = at
    return points


# The truth as the stages' results ---------------------------------------------------------------


def true_camera(world: StagedWorld) -> tuple[CameraTrajectory, WorldPlacement]:
    """The camera in the truth's slam frame, and where that lies in the world."""
    camera = tracked_camera(
        world.Ts_world_camera, world.times, move=world.spec.camera, gauge=world.gauge,
        intrinsics=world.intrinsics, points_world=world.points_world, noise=TRUE_CAMERA,
        rng=world.rng(1),
    )  # fmt: skip
    placement = WorldPlacement(
        scale=world.gauge.scale, scale_log_std=1e-6, scale_source="known",
        R_world_slam=world.gauge.R_world_slam, t_world_slam=world.gauge.t_world_slam,
        Ts_world_camera=world.Ts_world_camera, gravity_std=1e-6,
    )  # fmt: skip
    return camera, placement


def true_motions(world: StagedWorld) -> tuple[list[CameraMotion], list[WorldMotion]]:
    """Every person in every frame's camera and in the world; observed where in the picture."""
    Ts_camera_world = invert_transform(world.Ts_world_camera)
    frame_idx = np.arange(len(world.times))
    in_camera, in_world = [], []
    for k, person in enumerate(world.performers):
        joints = person.rig.joints(person.poses)[1]
        joints_camera = transform_points(Ts_camera_world, joints)
        rotations = person.poses.rotations.copy()
        rotations[:, 0] = Ts_camera_world[:, :3, :3] @ rotations[:, 0]
        share = world.in_picture(k).mean(axis=1)
        same = {
            "track_id": k + 1, "frame_idx": frame_idx, "observed": share > 0,
            "shape": person.shape,
        }  # fmt: skip
        in_camera.append(CameraMotion(
            **same, poses_camera=BodyPoses(root=joints_camera[:, 0], rotations=rotations),
            joints_camera=joints_camera, reprojection_px=np.zeros(len(frame_idx)),
            confidence=share,
        ))  # fmt: skip
        in_world.append(WorldMotion(
            **same, poses_world=person.poses, joints_world=joints,
            feet_world=person.rig.soles(person.poses), contacts=person.contacts,
        ))  # fmt: skip
    return in_camera, in_world


def true_track(
    world: StagedWorld, k: int, *, masks: RoiMasks | None = None, boxes: Array | None = None,
    seen: np.ndarray | None = None,
) -> PersonTrack:  # fmt: skip
    """Person k as a faultless network sees it, in the frames in which it is in the picture.

    Args:
        masks, boxes, seen: for all T frames: what is drawn of the person, boxes (T, 4) px round
            it, and (T, 33) which keypoints nothing hides.
    """
    seen = world.in_picture(k) if seen is None else seen
    idx = np.flatnonzero(seen.any(axis=1))
    points = world.keypoints_camera(k)[idx]
    px = world.intrinsics.project(points)
    size = np.array([world.intrinsics.width, world.intrinsics.height] * 2)
    around = np.clip(np.concatenate([px.min(axis=1), px.max(axis=1)], axis=1), 0, size)
    if masks is not None:
        masks = RoiMasks(
            bits=masks.bits[idx], Ts_image_roi=masks.Ts_image_roi[idx], size=masks.size
        )
    return PersonTrack(
        track_id=k + 1, frame_idx=idx, boxes=around if boxes is None else boxes[idx],
        scores=np.ones(len(idx)), keypoints_px=px, keypoint_conf=seen[idx].astype(float),
        landmarks=points - points[:, 23:25].mean(axis=1, keepdims=True),
        masks=no_masks(len(idx)) if masks is None else masks,
    )  # fmt: skip
