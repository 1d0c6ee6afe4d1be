"""World stage: people and camera leave the slam frame for one metric, believable world."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
from threadpoolctl import threadpool_limits

from body.models import BODY_MODELS, load_body_model
from body.world_camera import CameraPrior
from body.world_joint import SharedPrior
from body.world_shot import Person, SolvedShot, WorldConfig, measured_in_world, solve_shot
from recon.core.camera import CameraTrajectory, Intrinsics
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

__all__ = ["WorldConfig", "in_world", "motion_by_shots", "person_evidence", "run", "world_motion"]

_SCALE_STD = 0.2
"""In log: how far people may correct a scale of which nothing is known."""
_FLOOR_STD = 0.05
PlaceWorld = Callable[
    [CameraTrajectory, list[PersonEvidence], Array],
    tuple[WorldPlacement, StageReport],
]


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
    return measured_in_world(motion, placement.Ts_world_camera)


def world_motion(
    motion: CameraMotion,
    rig: Rig,
    placement: WorldPlacement,
    *,
    times: Array,
    config: WorldConfig | None = None,
) -> WorldMotion:
    """One person in a world that is known, with feet that stand still in stance.

    Flight, steps and chairs stay: only stances near z = 0 are drawn to it.

    Args:
        motion, rig: of one person. placement: of the same video. times: (T,) seconds, all frames.

    Raises:
        InputError: frames of the motion lie outside the placement.
    """
    return motion_by_shots(
        motion, rig, placement, times=times, shot_starts=np.zeros(1, int), config=config
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
    people = [Person(motion=motion, rig=rig)]
    priors = [SharedPrior.fixed()] * len(shot_starts)
    return solve_shots(
        people, placement, times=times, shot_starts=shot_starts, priors=priors,
        config=config or WorldConfig(),
    )[1][0]  # fmt: skip


def solve_shots(
    people: Sequence[Person],
    placement: WorldPlacement,
    *,
    times: Array,
    shot_starts: np.ndarray,
    priors: Sequence[SharedPrior],
    config: WorldConfig,
    camera: CameraPrior | None = None,
    intrinsics: Intrinsics | None = None,
    progress: Progress = no_progress,
) -> tuple[Array, list[WorldMotion], list[SolvedShot]]:
    """Cameras (T, 4, 4), a motion per person, and every shot's solution.

    Args:
        priors: one per shot, of the correction to all its cameras, camera: to their path's shape.
            Others: as `solve_shot`.
    """
    Ts, shots = placement.Ts_world_camera, []
    parts: list[list[WorldMotion]] = [[] for _ in people]
    last = max([len(times), *(int(p.motion.frame_idx[-1]) + 1 for p in people)])
    ends = [*shot_starts[1:].tolist(), last]
    for k, (start, end) in enumerate(zip(shot_starts.tolist(), ends, strict=True)):
        inside = [(i, part) for i, p in enumerate(people) if (part := _part(p, start, end))]
        solved = solve_shot(
            [part for _, part in inside], Ts, times, shot=slice(start, end),
            intrinsics=intrinsics, prior=priors[k], camera=camera, config=config,
        )  # fmt: skip
        Ts = solved.Ts_world_camera
        shots.append(solved)
        for (i, _), motion in zip(inside, solved.motions, strict=True):
            parts[i].append(motion)
        progress(k + 1, len(ends))
    return Ts, [_joined(p) for p in parts], shots


def _part(person: Person, start: int, end: int) -> Person | None:
    """The person within one shot; None if absent."""
    frames = person.motion.frame_idx
    rows = np.flatnonzero((frames >= start) & (frames < end))
    if len(rows) == len(frames):
        return person
    return replace(person, motion=_rows_of(person.motion, rows)) if len(rows) else None


def _joined(parts: Sequence[WorldMotion]) -> WorldMotion:
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
    camera, times = scene.camera, scene.video.times
    people, evidence_from = _people(scene, config)
    people = _with_motion_prior(people) if config.motion_prior else people
    evidence = [person_evidence(p.motion, p.rig) for p in people]
    placement, placed = place(camera, evidence, times)
    prior = _prior(placement, camera, config)
    with threadpool_limits(1):  # many small products: threads would only wait for each other
        Ts, motions, shots = solve_shots(
            people, placement, times=times, shot_starts=camera.shot_starts,
            priors=[prior] * len(camera.shot_starts), config=config,
            camera=_camera_prior(camera, config), intrinsics=camera.intrinsics, progress=progress,
        )  # fmt: skip
    placement = _corrected(placement, camera, Ts, shots)
    moved = [shot.moved for shot in shots]
    numbers = {
        f"person{world.track_id}": motion_numbers(world, times)
        | {"pixel_shift": round(pixel_shift(p.motion, world, placement, camera=camera), 2)}
        for p, world in zip(people, motions, strict=True)
    }
    scene.save("placement.npz", [placement])
    scene.save("world.npz", motions)
    joint = [_joint_decision(moved, evidence_from)] if config.joint and people else []
    return replace(
        placed,
        decisions=(*placed.decisions, *joint, *_contact_decisions(numbers)),
        numbers={
            **placed.numbers, **numbers, "correction": [np.round(m, 5).tolist() for m in moved]
        },
    )  # fmt: skip


def _people(scene: Scene, config: WorldConfig) -> tuple[list[Person], str]:
    """Everybody with keypoints, where the scene has them, and in words what is used."""
    motions, rigs = scene.camera_motions, scene.rigs
    people = [Person(motion=m, rig=rig) for m, rig in zip(motions, rigs, strict=True)]
    if not config.reprojection:
        return people, "the fitted joints (keypoints switched off)"
    if "people" not in scene.manifest["stages"]:
        return people, "the fitted joints (the scene keeps no keypoints)"
    tracks = {track.track_id: track for track in scene.tracks}
    names = {m.shape.model for m in motions}
    path = Path(config.body_model_path) if config.body_model_path else None
    models = {name: load_body_model(name, path) for name in names if name in BODY_MODELS}
    people = [
        replace(p, track=tracks.get(p.motion.track_id), model=models.get(p.motion.shape.model))
        for p in people
    ]
    if len(models) < len(names):
        return people, f"the fitted joints (no model {', '.join(sorted(names - set(models)))})"
    return people, "keypoints"


def _with_motion_prior(people: list[Person]) -> list[Person]:
    """The same with the shipped prior, where somebody was hidden."""
    if all(p.motion.observed.all() for p in people):
        return people
    from body.motion_prior import MotionPrior  # it needs torch, which takes seconds

    prior = MotionPrior.shipped()
    return [replace(p, motion_prior=prior) for p in people]


def _prior(placement: WorldPlacement, camera: CameraTrajectory, config: WorldConfig) -> SharedPrior:
    """How far people may correct what `place` found."""
    scaled = config.refine_scale and camera.kind == "moving"
    scale = float(np.clip(placement.scale_log_std, 0.01, _SCALE_STD)) if scaled else 0.0
    tilt = placement.gravity_std if config.refine_gravity else 0.0
    level = _FLOOR_STD if config.refine_gravity else 0.0
    return SharedPrior(mean=np.zeros(4), std=np.array([scale, tilt, tilt, level]))


def _camera_prior(camera: CameraTrajectory, config: WorldConfig) -> CameraPrior | None:
    return CameraPrior() if config.refine_camera and camera.kind == "moving" else None


def _corrected(
    placement: WorldPlacement,
    camera: CameraTrajectory,
    Ts_world_camera: Array,
    shots: Sequence[SolvedShot],
) -> WorldPlacement:
    """The placement with the cameras as solved; the similarity follows the shot it belongs to."""
    R, t = placement.R_world_slam, placement.t_world_slam
    centres = placement.scale * camera.Ts_slam_camera[:, :3, 3] @ R.T + t
    placed = placement.Ts_world_camera[:, :3, 3]
    placement = replace(placement, Ts_world_camera=Ts_world_camera)
    for start, shot in zip(camera.shot_starts.tolist(), shots, strict=True):
        if np.allclose(centres[start], placed[start], atol=1e-6):  # else: a world of its own
            linear = shot.similarity[:3, :3]
            stretch = float(np.cbrt(np.linalg.det(linear)))
            return replace(
                placement,
                scale=placement.scale * stretch,
                R_world_slam=linear / stretch @ R,
                t_world_slam=linear @ t + shot.similarity[:3, 3],
            )
    return placement


def _joint_decision(moved: Sequence[Array], evidence_from: str) -> Decision:
    largest = max(moved, key=lambda m: float(np.abs(m).sum()))
    return Decision(
        name="people and camera together",
        value=f"scale x {np.exp(largest[0]):.3f}, vertical "
        f"{np.degrees(np.hypot(*largest[1:3])):.2f} deg, floor {100 * largest[3]:+.1f} cm",
        why=f"solved jointly from {evidence_from}, stances, posture and smoothness: "
        "by so much they correct what was placed first",
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
    """Mean px between the projections of joints before and after this stage, in observed frames."""
    Ts = invert_transform(placement.Ts_world_camera[motion.frame_idx])
    after = transform_points(Ts, world.joints_world)[:, :22]
    before = motion.joints_camera[:, :22]
    ahead = (before[..., 2] > 0.1) & (after[..., 2] > 0.1) & motion.observed[:, None]
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
