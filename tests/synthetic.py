"""One synthetic world with a known body, camera and floor; `make_scene` feeds every seam with it.

Everything in the scene is exact: tracks, camera, bodies and placement are projections of the same
walk, so a stage or a reader can be held against `scene.world_motions` and `scene.placement`.
"""

from __future__ import annotations

import dataclasses
import hashlib
from pathlib import Path
from typing import Literal

import cv2
import numpy as np

import recon
from recon.core.camera import CameraTrajectory, Intrinsics
from recon.core.geometry import (
    Array,
    invert_transform,
    transform_points,
)
from recon.core.people import (
    BodyPoses,
    BodyShape,
    CameraMotion,
    PersonTrack,
    RoiMasks,
    WorldMotion,
    WorldPlacement,
)
from recon.core.rig import Rig
from recon.core.scene import Scene, StageName
from recon.core.skeletons import BLAZEPOSE_KEYPOINTS, CANONICAL_PARENTS
from recon.core.stage import StageReport
from recon.core.video import VideoInfo
from recon.synth.cameras import look_at
from tests.synthetic_body import (
    JOINT,
    MIRROR,
    rest_joints,
    toy_rig,
    walking_contacts,
    walking_poses,
)
from tests.synthetic_images import write_video

__all__ = [
    "camera_path",
    "make_scene",
    "rest_joints",
    "toy_rig",
    "walking_contacts",
    "walking_poses",
]

CameraMode = Literal["static", "moving"]
MASK_SIZE = 64

# The camera ------------------------------------------------------------------------------------


def camera_path(times: Array, mode: CameraMode) -> Array:
    """Ts_world_camera (T, 4, 4) beside the walk: on a tripod, or walking along and swaying."""
    t = np.asarray(times, dtype=float)[:, None] - times[0]
    still = np.zeros_like(t)
    if mode == "static":
        eye = np.concatenate([still + 1.0, still - 5.0, still + 1.5], axis=1)
        return look_at(eye, np.concatenate([still + 1.0, still, still + 0.9], axis=1))
    eye = np.concatenate([0.8 * t, -4.0 - 0.3 * t, 1.5 + 0.1 * np.sin(2 * t)], axis=1)
    return look_at(eye, np.concatenate([t, 0.1 * np.sin(t), still + 0.9], axis=1))


def _trajectory(
    Ts_world_camera: Array, mode: CameraMode, intrinsics: Intrinsics
) -> tuple[CameraTrajectory, WorldPlacement]:
    """The camera in a slam frame (first camera at its origin; 2.5 m a unit if moving)."""
    scale = 1.0 if mode == "static" else 2.5
    first = Ts_world_camera[0]
    Ts_slam = invert_transform(first) @ Ts_world_camera
    Ts_slam[:, :3, 3] /= scale
    rng = np.random.default_rng(0)
    points_world = rng.uniform([-6, -1, 0], [8, 6, 0], (200, 3))
    points_slam = transform_points(invert_transform(first), points_world) / scale
    trajectory = CameraTrajectory(
        kind="static" if mode == "static" else "moving",
        backend="synthetic",
        intrinsics=intrinsics,
        Ts_slam_camera=Ts_slam,
        tracked=np.ones(len(Ts_slam), bool),
        points_slam=points_slam,
        point_colors=rng.integers(0, 255, (200, 3), dtype=np.uint8),
    )
    placement = WorldPlacement(
        scale=scale,
        scale_log_std=0.01,
        scale_source="synthetic: known",
        R_world_slam=first[:3, :3],
        t_world_slam=first[:3, 3],
        Ts_world_camera=Ts_world_camera,
        gravity_std=0.001,
    )
    return trajectory, placement


# What the people stage would see ---------------------------------------------------------------


def _blazepose_points(rig: Rig, poses: BodyPoses) -> Array:
    """The 33 BlazePose points (N, 33, 3), each fixed to a joint, in the poses' own frame."""
    face = {"nose": (0.0, 0.05, 0.11), "eye": (0.03, 0.08, 0.09), "ear": (0.08, 0.06, 0.0),
            "mouth": (0.02, 0.01, 0.10)}  # fmt: skip
    hand = {"pinky": "pinky1", "index": "index1", "thumb": "thumb2"}
    foot = {"heel": 0, "foot_index": 1}
    joints, offsets = [], []
    for name in BLAZEPOSE_KEYPOINTS:
        side = "right" if "right" in name else "left"
        part = name.replace(f"{side}_", "", 1).removesuffix(f"_{side}")
        key = next((k for k in face if part.startswith(k)), None)
        if part in foot:
            sole = foot[part] + (2 if side == "right" else 0)
            joints.append(int(rig.sole_joints[sole]))
            offsets.append(rig.sole_points[sole])
            continue
        joints.append(JOINT["head" if key else f"{side}_{hand.get(part, part)}"])
        offset = np.array(face[key]) if key else np.zeros(3)
        offsets.append(offset * (MIRROR if side == "right" and part != "nose" else 1.0))
    rotations, positions = rig.joints(poses)
    return positions[:, joints] + np.einsum("nkij,kj->nki", rotations[:, joints], np.stack(offsets))


def _masks(joints_px: Array, boxes: Array, pixels_per_metre: Array) -> RoiMasks:
    """Bones drawn as thick lines in a square crop around each box."""
    side = np.max(boxes[:, 2:] - boxes[:, :2], axis=1) * 1.1
    corner = 0.5 * (boxes[:, :2] + boxes[:, 2:]) - side[:, None] / 2
    scale = side / MASK_SIZE
    Ts = np.zeros((len(boxes), 2, 3))
    Ts[:, 0, 0] = Ts[:, 1, 1] = scale
    Ts[:, :, 2] = corner
    bits = []
    for px, c, s, ppm in zip(joints_px, corner, scale, pixels_per_metre, strict=True):
        crop = np.zeros((MASK_SIZE, MASK_SIZE), np.uint8)
        at = np.round((px - c) / s - 0.5).astype(int).tolist()
        for j, p in enumerate(CANONICAL_PARENTS[:22]):
            if p >= 0:
                cv2.line(crop, at[j], at[p], 1, max(1, round(0.12 * ppm / s)))
        bits.append(np.packbits(crop.astype(bool)))
    return RoiMasks(bits=np.stack(bits), Ts_image_roi=Ts, size=MASK_SIZE)


def _person(
    rig: Rig, track_id: int, *, frame_idx: np.ndarray, poses: BodyPoses, contacts: Array,
    Ts_world_camera: Array, intrinsics: Intrinsics,
) -> tuple[PersonTrack, CameraMotion, WorldMotion]:  # fmt: skip
    """One person as tracked, in the camera and in the world."""
    n = len(frame_idx)
    Ts_camera_world = invert_transform(Ts_world_camera[frame_idx])
    joints_world = rig.joints(poses)[1]
    joints_camera = transform_points(Ts_camera_world, joints_world)
    points_camera = transform_points(Ts_camera_world, _blazepose_points(rig, poses))
    px = intrinsics.project(points_camera)
    boxes = np.concatenate([px.min(axis=1) - 6, px.max(axis=1) + 6], axis=1)
    rotations = poses.rotations.copy()
    rotations[:, 0] = Ts_camera_world[:, :3, :3] @ rotations[:, 0]
    ones = np.ones(n)
    track = PersonTrack(
        track_id=track_id, frame_idx=frame_idx, boxes=boxes, scores=ones, keypoints_px=px,
        keypoint_conf=np.ones((n, 33)),
        landmarks=points_camera - points_camera[:, 23:25].mean(axis=1, keepdims=True),
        masks=_masks(
            intrinsics.project(joints_camera), boxes, intrinsics.fx / joints_camera[:, 0, 2]
        ),
    )  # fmt: skip
    shape = BodyShape(model=rig.model, names=("stature",), values=np.array([1.7]))
    camera = CameraMotion(
        track_id=track_id, frame_idx=frame_idx, observed=np.ones(n, bool), shape=shape,
        poses_camera=BodyPoses(root=joints_camera[:, 0], rotations=rotations),
        joints_camera=joints_camera, reprojection_px=np.zeros(n), confidence=ones,
    )  # fmt: skip
    world = WorldMotion(
        track_id=track_id, frame_idx=frame_idx, observed=np.ones(n, bool), shape=shape,
        poses_world=poses, joints_world=joints_world, feet_world=rig.soles(poses),
        contacts=contacts,
    )  # fmt: skip
    return track, camera, world


# The scene -------------------------------------------------------------------------------------


@dataclasses.dataclass(frozen=True)
class SyntheticConfig:
    """What the synthetic scene's records state as every stage's config."""

    num_people: int
    camera: str


def make_scene(
    path: str | Path,
    *,
    num_people: int = 1,
    num_frames: int = 60,
    camera: CameraMode = "static",
    times: Array | None = None,
    size: tuple[int, int] = (320, 240),
    video_path: Path | None = None,
) -> Scene:
    """A finished scene of people who walk past a camera, with every stage's files and records.

    The first person is there all the time; every other one only in the middle two thirds.

    Args:
        times: (T,) seconds for a variable frame rate; otherwise 30 frames a second from 0.
        size: width, height of the images, px. video_path: where to write an mp4 of the scene.
    """
    info_times = np.arange(num_frames) / 30.0 if times is None else np.asarray(times, dtype=float)
    num_frames = len(info_times)
    intrinsics = Intrinsics.from_fov(*size, fov_deg=60.0, source="user")
    Ts_world_camera = camera_path(info_times, camera)
    trajectory, placement = _trajectory(Ts_world_camera, camera, intrinsics)
    rig, people = toy_rig(), []
    for k in range(num_people):
        margin = num_frames // 6 if k else 0
        idx = np.arange(margin, num_frames - margin)
        t = info_times[idx]
        poses = walking_poses(
            len(idx), 30.0, times=t, start=(0.0, 0.9 * k), heading=0.1 * k, speed=1.0 - 0.1 * k
        )
        person = _person(
            rig, k + 1, frame_idx=idx, poses=poses, contacts=walking_contacts(t),
            Ts_world_camera=Ts_world_camera, intrinsics=intrinsics,
        )  # fmt: skip
        people.append(person)
    tracks, camera_motions, world_motions = ([person[c] for person in people] for c in range(3))
    if video_path is not None:
        write_video(video_path, info_times, Ts_world_camera, intrinsics, [
            (rig.faces, motion.frame_idx, rig.vertices(motion.poses_world))
            for motion in world_motions
        ])  # fmt: skip
    sha256 = hashlib.sha256(video_path.read_bytes() if video_path else b"").hexdigest()
    info = VideoInfo(
        path=str(video_path or "synthetic"), width=size[0], height=size[1], times=info_times,
        focal_px=intrinsics.fx, sha256=sha256,
    )  # fmt: skip
    results: dict[StageName, dict[str, list]] = {
        "video": {"video.npz": [info]},
        "people": {"people.npz": tracks},
        "camera": {"camera.npz": [trajectory]},
        "body": {"body.npz": camera_motions, "rigs.npz": [rig] * num_people},
        "world": {"placement.npz": [placement], "world.npz": world_motions},
    }
    return _save(Scene.create(path), results, SyntheticConfig(num_people, camera))


def _save(
    scene: Scene, results: dict[StageName, dict[str, list]], config: SyntheticConfig
) -> Scene:
    for stage, files in results.items():
        for name, items in files.items():
            scene.save(name, items)
        report = StageReport(backend="synthetic", numbers={"people": config.num_people})
        scene.record(stage, config, report, seconds=0.0, code_version=recon.__version__)
    return scene
