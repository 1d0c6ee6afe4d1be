"""World stage: bodies leave the camera for the metric world, and their feet stop skating."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np

from body.foot_lock import lock_feet
from body.root_path import PathConfig, steady_root
from recon.core.camera import CameraTrajectory
from recon.core.errors import InputError
from recon.core.geometry import Array, invert_transform, transform_points
from recon.core.people import (
    BodyPoses,
    CameraMotion,
    PersonEvidence,
    WorldMotion,
    WorldPlacement,
)
from recon.core.rig import Rig
from recon.core.scene import Scene
from recon.core.stage import Decision, Progress, StageReport, no_progress

PlaceWorld = Callable[
    [CameraTrajectory, list[PersonEvidence], Array],
    tuple[WorldPlacement, StageReport],
]


@dataclass(frozen=True, kw_only=True)
class WorldConfig(PathConfig):
    """Errors and accelerations as in PathConfig, and the foot lock.

    Args:
        foot_lock: bend the legs so that feet in contact stay in place.
        blend_seconds: fading of the foot lock.
        depth_model: folder or name of a metric depth network that `place` may ask, or None.
    """

    foot_lock: bool = True
    blend_seconds: float = 0.1
    depth_model: str | None = None


def person_evidence(motion: CameraMotion, rig: Rig) -> PersonEvidence:
    """What a fitted body says about scale, gravity and floor (filled-in frames say nothing)."""
    return PersonEvidence(
        frame_idx=motion.frame_idx,
        joints_camera=np.asarray(motion.joints_camera, dtype=float),
        soles_camera=rig.soles(motion.poses_camera),
        weights=np.clip(motion.confidence, 0, 1) * motion.observed,
    )


def in_world(motion: CameraMotion, placement: WorldPlacement) -> BodyPoses:
    """The measured body in the world, as the camera saw it: skating and all."""
    Ts = placement.Ts_world_camera[motion.frame_idx]
    rotations = np.array(motion.poses_camera.rotations, dtype=float)
    rotations[:, 0] = Ts[:, :3, :3] @ rotations[:, 0]
    root = transform_points(Ts, motion.poses_camera.root[:, None])[:, 0]
    return BodyPoses(root=root, rotations=rotations)


def world_motion(
    motion: CameraMotion,
    rig: Rig,
    placement: WorldPlacement,
    *,
    times: Array,
    config: WorldConfig | None = None,
) -> WorldMotion:
    """One person in the world with a plausible root path and feet that stand still in stance.

    First the root's path is re-estimated (`steady_root`), then the legs take what is left
    (`body.foot_lock`). Flight, steps and chairs stay: only stances near z = 0 are drawn to it.

    Args:
        motion, rig: of one person. placement: of the same video. times: (T,) seconds, all frames.

    Raises:
        InputError: frames of the motion lie outside the placement.
    """
    config = config or WorldConfig()
    if motion.frame_idx[-1] >= min(len(placement.Ts_world_camera), len(times)):
        raise InputError(
            f"expected frames below {len(placement.Ts_world_camera)}, got "
            f"{motion.frame_idx[-1]}; run the stages 'camera' and 'body' on the same video"
        )
    times = np.asarray(times, dtype=float)[motion.frame_idx]
    poses = in_world(motion, placement)
    centres = placement.Ts_world_camera[motion.frame_idx, :3, 3]
    trust = np.where(motion.observed, np.clip(motion.confidence, 0.1, 1), 0.1)
    stances = steady_root(
        poses.root, rig.soles(poses), times=times, centres=centres, trust=trust, config=config
    )
    poses = BodyPoses(root=stances.root, rotations=poses.rotations)
    if config.foot_lock:
        poses = lock_feet(
            rig, poses, times, labels=stances.labels, anchors=stances.anchors,
            blend=config.blend_seconds,
        )  # fmt: skip
    return WorldMotion(
        track_id=motion.track_id,
        frame_idx=motion.frame_idx,
        observed=motion.observed,
        shape=motion.shape,
        poses_world=poses,
        joints_world=rig.joints(poses)[1],
        feet_world=rig.soles(poses),
        contacts=stances.contacts,
    )


def motion_by_shots(
    motion: CameraMotion,
    rig: Rig,
    placement: WorldPlacement,
    *,
    times: Array,
    shot_starts: np.ndarray,
    config: WorldConfig | None = None,
) -> WorldMotion:
    """As `world_motion`; across a cut nothing is continued, for worlds change there.

    Args:
        shot_starts: (S,) first frame of every shot, the first of them 0.
    """
    cuts = np.searchsorted(motion.frame_idx, shot_starts[1:])
    pieces = [rows for rows in np.split(np.arange(len(motion.frame_idx)), cuts) if len(rows)]
    parts = [
        world_motion(_rows_of(motion, rows), rig, placement, times=times, config=config)
        for rows in pieces
    ]
    if len(parts) == 1:
        return parts[0]

    def joined(name: str) -> Array:
        return np.concatenate([getattr(part, name) for part in parts])

    poses = [part.poses_world for part in parts]
    return replace(
        parts[0],
        poses_world=BodyPoses(
            root=np.concatenate([p.root for p in poses]),
            rotations=np.concatenate([p.rotations for p in poses]),
        ),
        **{name: joined(name) for name in _WORLD_ROWS},
    )


_WORLD_ROWS = ("frame_idx", "observed", "joints_world", "feet_world", "contacts")
_CAMERA_ROWS = (
    "frame_idx", "observed", "joints_camera", "reprojection_px", "confidence", "body_joint_std",
    "jaw_open",
)  # fmt: skip


def _rows_of(motion: CameraMotion, rows: np.ndarray) -> CameraMotion:
    poses = motion.poses_camera
    own = {name: getattr(motion, name) for name in _CAMERA_ROWS}
    return replace(
        motion,
        poses_camera=BodyPoses(root=poses.root[rows], rotations=poses.rotations[rows]),
        **{name: None if values is None else values[rows] for name, values in own.items()},
    )


# The stage -------------------------------------------------------------------------------------


def run(
    scene: Scene, config: WorldConfig, *, place: PlaceWorld, progress: Progress = no_progress
) -> StageReport:
    """Places the camera and all people in the world; writes placement.npz and world.npz.

    Args:
        place: finds scale, gravity and floor of every shot (`slam.shot_worlds.place_shots`).
    """
    camera, people, rigs, times = scene.camera, scene.camera_motions, scene.rigs, scene.video.times
    evidence = [person_evidence(m, rig) for m, rig in zip(people, rigs, strict=True)]
    placement, placed = place(camera, evidence, times)
    motions, numbers = [], {}
    for i, (motion, rig) in enumerate(zip(people, rigs, strict=True)):
        world = motion_by_shots(
            motion, rig, placement, times=times, shot_starts=camera.shot_starts, config=config
        )
        shift = pixel_shift(motion, world, placement, camera=camera)
        numbers[f"person{motion.track_id}"] = motion_numbers(world, times) | {
            "pixel_shift": round(shift, 2)
        }
        motions.append(world)
        progress(i + 1, len(people))
    scene.save("placement.npz", [placement])
    scene.save("world.npz", motions)
    return replace(
        placed,
        decisions=(*placed.decisions, *_contact_decisions(numbers)),
        numbers={**placed.numbers, **numbers},
    )


def motion_numbers(world: WorldMotion, times: Array) -> dict[str, float]:
    """Stance slide (cm per frame), mean speed (m/s), path length (m), share of frames in contact.

    Slide is the horizontal step of a sole point between two frames that are both in contact.
    """
    times = np.asarray(times, dtype=float)[world.frame_idx]
    on = world.contacts > 0.5
    both = on[1:] & on[:-1]
    slide = 100 * np.linalg.norm(np.diff(world.feet_world[..., :2], axis=0), axis=-1)[both]
    path = float(np.linalg.norm(np.diff(world.poses_world.root[:, :2], axis=0), axis=-1).sum())
    seconds = float(times[-1] - times[0])
    return {
        "stance_slide_cm": round(float(np.median(slide)), 3) if len(slide) else 0.0,
        "stance_slide_95_cm": round(float(np.quantile(slide, 0.95)), 3) if len(slide) else 0.0,
        "mean_speed": round(path / seconds, 3) if seconds > 0 else 0.0,
        "path_length": round(path, 3),
        "contact_share": round(float(on.any(axis=1).mean()), 3),
    }


def pixel_shift(
    motion: CameraMotion,
    world: WorldMotion,
    placement: WorldPlacement,
    *,
    camera: CameraTrajectory,
) -> float:
    """Mean distance in px between the body joints' projections before and after this stage."""
    Ts = invert_transform(placement.Ts_world_camera[motion.frame_idx])
    after = transform_points(Ts, world.joints_world)[:, :22]
    before = motion.joints_camera[:, :22]
    ahead = (before[..., 2] > 0.1) & (after[..., 2] > 0.1)
    if not ahead.any():
        return 0.0
    project = camera.intrinsics.project
    return float(np.linalg.norm(project(after[ahead]) - project(before[ahead]), axis=-1).mean())


def _contact_decisions(numbers: dict[str, dict[str, float]]) -> list[Decision]:
    return [
        Decision(
            name=f"contacts of {person}",
            value=f"{100 * n['contact_share']:.0f} % of frames",
            why=f"feet in stance slide {n['stance_slide_cm']:.2f} cm per frame (median), "
            f"{n['stance_slide_95_cm']:.2f} cm (95th percentile); "
            f"the projection moved {n['pixel_shift']:.1f} px",
        )
        for person, n in numbers.items()
    ]
