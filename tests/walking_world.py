"""A walker seen by a camera, with the errors that a monocular fit makes; no pixels, no files."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np

from recon.core.camera import CameraTrajectory, Intrinsics
from recon.core.geometry import Array, invert_transform, rotvec_to_matrix, transform_points
from recon.core.people import BodyPoses, BodyShape, CameraMotion
from recon.core.rig import Rig
from recon.synth.cameras import look_at
from recon.synth.sensor import wander
from tests.synthetic import toy_rig, walking_contacts, walking_poses

View = Literal["static", "side", "orbit", "behind"]


@dataclass(frozen=True, kw_only=True)
class WalkingWorld:
    """What the world stage gets (camera, motion, rig, times) and what it should find."""

    camera: CameraTrajectory
    motion: CameraMotion
    rig: Rig
    times: Array
    poses: BodyPoses
    contacts: Array
    Ts_world_camera: Array
    scale: float


def camera_view(view: View, times: Array, root: Array) -> Array:
    """Camera to world (T, 4, 4) of level cameras at shoulder height that look at the walker."""
    t = times[:, None]
    zero = np.zeros_like(t)
    if view == "static":
        middle = np.concatenate([zero + root[:, 0].mean(), zero, zero + 0.9], axis=1)
        return look_at(middle + np.array([0.0, -7.0, 0.6]), middle)
    if view == "side":
        eye = np.concatenate([t * 1.1, zero - 4.5, 1.5 + 0.05 * np.sin(2 * t)], axis=1)
    elif view == "orbit":
        angle = 0.25 * t - 2.0
        centre = root[len(root) // 2] * [1, 1, 0]
        eye = centre + np.concatenate([7 * np.cos(angle), 7 * np.sin(angle), zero + 1.5], axis=1)
    else:
        sway = 0.1 * np.sin(1.3 * t)
        eye = np.concatenate([root[:, :1] - 3.5 + sway, sway, zero + 1.6], axis=1)
    return look_at(eye, root * [1, 1, 0] + [0, 0, 0.9])


def walking_world(
    view: View,
    *,
    seed: int = 0,
    noise: float = 1.0,
    fps: float = 30.0,
    seconds: float = 8.0,
    scale: float = 2.5,
    speed: float = 1.2,
    cadence: float = 2.0,
) -> WalkingWorld:
    """A straight walk at `speed` m/s and `cadence` steps a second, with noise of known size.

    `noise` 1: 1.5 cm across the ray, 6 cm and 8 cm of slow drift along it, joints 0.7 degrees.
    """
    rng = np.random.default_rng(seed)
    times = np.arange(round(seconds * fps)) / fps
    pace = cadence / 2.0  # the synthetic walk takes two steps a second
    rig = toy_rig()
    poses = walking_poses(len(times), fps, speed=speed / pace, times=times * pace)
    Ts_world_camera = camera_view(view, times, poses.root)
    Ts_camera_world = invert_transform(Ts_world_camera)
    root = transform_points(Ts_camera_world, poses.root[:, None])[:, 0]
    rays = root / np.linalg.norm(root, axis=1, keepdims=True)
    across = 0.015 * wander(rng, times, 0.1, 3)
    depth = 0.06 * wander(rng, times, 0.1, 1) + 0.08 * wander(rng, times, 3.0, 1)
    root = root + noise * (across - np.sum(across * rays, axis=1, keepdims=True) * rays)
    root = root + noise * depth * rays
    rotations = poses.rotations.copy()
    rotations[:, 0] = Ts_camera_world[:, :3, :3] @ rotations[:, 0]
    wobble = np.radians(0.7) * wander(rng, times, 0.15, 66).reshape(-1, 22, 3)
    rotations[:, :22] = rotations[:, :22] @ rotvec_to_matrix(noise * wobble)
    seen = BodyPoses(root=root, rotations=rotations)
    moving = view != "static"
    gauge = rotvec_to_matrix(rng.standard_normal(3))
    Ts_slam = Ts_world_camera.copy()
    Ts_slam[:, :3, :3] = gauge @ Ts_slam[:, :3, :3]
    Ts_slam[:, :3, 3] = Ts_slam[:, :3, 3] @ gauge.T / (scale if moving else 1.0) + [1, 2, 3]
    num = len(times)
    return WalkingWorld(
        camera=CameraTrajectory(
            kind="moving" if moving else "static",
            backend="synthetic",
            intrinsics=Intrinsics(fx=1000, fy=1000, cx=640, cy=360, width=1280, height=720),
            Ts_slam_camera=Ts_slam,
            tracked=np.ones(num, bool),
            points_slam=np.zeros((0, 3)),
            point_colors=np.zeros((0, 3), np.uint8),
        ),
        motion=CameraMotion(
            track_id=1,
            frame_idx=np.arange(num),
            observed=np.ones(num, bool),
            shape=BodyShape(model="toy", names=(), values=np.zeros(0)),
            poses_camera=seen,
            joints_camera=rig.joints(seen)[1],
            reprojection_px=np.zeros(num),
            confidence=np.ones(num),
        ),
        rig=rig,
        times=times,
        poses=poses,
        contacts=walking_contacts(times * pace),
        Ts_world_camera=Ts_world_camera,
        scale=scale if moving else 1.0,
    )
