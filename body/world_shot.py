"""One shot's people in one world: where they start, the joint solution, and the foot lock."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from body.foot_lock import lock_feet
from body.kinematics import NUM_BODY, BodyState, posed_keypoints
from body.models.base import BodyModel
from body.root_path import PathConfig, Stances, stances_of, steady_root
from body.solver import Noise, landmark_scale
from body.world_camera import CameraPrior
from body.world_evidence import (
    Seen,
    SeenJoints,
    SeenKeypoints,
    rest_of_model,
    rest_of_rig,
    seen_keypoints,
)
from body.world_feet import WorldNoise
from body.world_joint import SharedPrior, World, joined_windows, solve_world, windows
from body.world_person import PersonProblem
from recon.core.camera import Intrinsics
from recon.core.errors import InputError
from recon.core.geometry import Array, transform_points
from recon.core.people import BodyPoses, CameraMotion, PersonTrack, WorldMotion
from recon.core.rig import Rig

if TYPE_CHECKING:
    from body.motion_prior import MotionPrior

_OFF = 1e6  # a standard deviation that switches a residual off


@dataclass(frozen=True, kw_only=True)
class WorldConfig(PathConfig):
    """Which residuals the world is solved with; all of them but for ablations.

    Args:
        joint: solve for poses, camera and floor together; else only for each root's path.
        reprojection: keypoints and landmarks; else the fitted joints stand for them.
        pose_prior, contact, floor, smoothness: the residuals of that name.
        posture: who travels faces where he goes, upright.
        refine_scale, refine_gravity: let people correct what `place` found.
        refine_camera: let people correct the path of a camera that moves.
        motion_prior: fill in frames in which a person was hidden as people move.
        foot_lock: bend the legs so that feet in contact stay in place.
        blend_seconds: fading of the foot lock.
        depth_model: folder or name of a metric depth network that `place` may ask, or None.
        body_model_path: as the body stage had it.
    """

    joint: bool = True
    reprojection: bool = True
    pose_prior: bool = True
    contact: bool = True
    floor: bool = True
    smoothness: bool = True
    posture: bool = True
    refine_scale: bool = True
    refine_gravity: bool = True
    refine_camera: bool = True
    motion_prior: bool = True
    foot_lock: bool = True
    blend_seconds: float = 0.1
    depth_model: str | None = None
    body_model_path: str | None = None

    def noise(self) -> WorldNoise:
        """The solver's noise with what is switched off switched off."""
        noise = WorldNoise(pose_prior=self.pose_prior)
        if not self.contact:
            noise = replace(noise, contact_drift=_OFF)
        if not self.floor:
            noise = replace(noise, floor=_OFF, penetration=_OFF)
        if not self.smoothness:
            names = ("level", "vertical", "turn", "trunk", "arm", "leg")
            noise = replace(noise, **{f"{name}_acceleration": _OFF for name in names})
        return noise


@dataclass(frozen=True, kw_only=True)
class Person:
    """One person's results of the stages before.

    Args:
        track, model: what the keypoints are of; None where nobody kept them.
        motion_prior: fills in frames in which the person was hidden; None leaves them.
    """

    motion: CameraMotion
    rig: Rig
    track: PersonTrack | None = None
    model: BodyModel | None = None
    motion_prior: MotionPrior | None = None


@dataclass(frozen=True, kw_only=True)
class SolvedShot:
    """Cameras (T, 4, 4) of all frames of the video, those of the shot corrected; shared moves (G,)
    and the similarity (4, 4) that they are; a motion per person."""

    Ts_world_camera: Array
    moved: Array
    similarity: Array
    motions: list[WorldMotion]


def measured_in_world(motion: CameraMotion, Ts_world_camera: Array) -> BodyPoses:
    """The measured body in the world, as the camera saw it: skating and all."""
    Ts = Ts_world_camera[motion.frame_idx]
    rotations = np.array(motion.poses_camera.rotations, dtype=float)
    rotations[:, 0] = Ts[:, :3, :3] @ rotations[:, 0]
    root = transform_points(Ts, motion.poses_camera.root[:, None])[:, 0]
    return BodyPoses(root=root, rotations=rotations)


def solve_shot(
    people: Sequence[Person],
    Ts_world_camera: Array,
    times: Array,
    *,
    shot: slice,
    intrinsics: Intrinsics | None,
    prior: SharedPrior,
    camera: CameraPrior | None = None,
    config: WorldConfig,
) -> SolvedShot:
    """All people of one shot with plausible motion, and feet that stand still in stance.

    Args:
        people: with motions inside the shot.
        Ts_world_camera: (T, 4, 4), times: (T,) seconds, of all frames of the video.
        shot: its frames.
        intrinsics: of the keypoints, if people have any.
        prior: of the correction to all of the shot's cameras, camera: to its path's shape.

    Raises:
        InputError: frames of a motion lie outside the video.
    """
    for person in people:
        last = person.motion.frame_idx[-1]
        if last >= min(len(Ts_world_camera), len(times)):
            raise InputError(
                f"expected frames below {len(Ts_world_camera)}, got {last}; "
                "run the stages 'camera' and 'body' on the same video"
            )
    paths = [_path(p, Ts_world_camera, times, config) for p in people]
    poses = [
        replace(measured_in_world(person.motion, Ts_world_camera), root=path.root)
        for person, path in zip(people, paths, strict=True)
    ]
    world = World(cameras=Ts_world_camera[shot], bodies=())
    if config.joint and people:
        seen = [_seen(p, times, intrinsics, config) for p in people]
        cameras = Ts_world_camera[shot]
        world, poses = _solve(
            people,
            seen,
            poses,
            cameras,
            first=shot.start,
            prior=prior,
            camera=camera,
            times=np.asarray(times, float)[shot],
            config=config,
        )
        Ts_world_camera = Ts_world_camera.copy()
        Ts_world_camera[shot] = world.cameras
        paths = [
            stances_of(body.root, person.rig.soles(body), times[person.motion.frame_idx])
            for person, body in zip(people, poses, strict=True)
        ]
    motions = [
        _finished(person, body, path, times, config)
        for person, body, path in zip(people, poses, paths, strict=True)
    ]
    return SolvedShot(
        Ts_world_camera=Ts_world_camera, moved=world.moved, similarity=world.similarity,
        motions=motions,
    )  # fmt: skip


def _path(person: Person, Ts_world_camera: Array, times: Array, config: WorldConfig) -> Stances:
    """The root's path as it is found without touching poses."""
    motion = person.motion
    poses = measured_in_world(motion, Ts_world_camera)
    return steady_root(
        poses.root, person.rig.soles(poses), times=np.asarray(times, float)[motion.frame_idx],
        centres=Ts_world_camera[motion.frame_idx, :3, 3], trust=_trust(motion), config=config,
    )  # fmt: skip


def _trust(motion: CameraMotion) -> Array:
    return np.where(motion.observed, np.clip(motion.confidence, 0.1, 1), 0.1)


def _seen(person: Person, times: Array, intrinsics: Intrinsics | None, config: WorldConfig) -> Seen:
    motion, track = person.motion, person.track
    if config.reprojection and track is not None and person.model is not None:
        assert intrinsics is not None
        return seen_keypoints(motion, track, times, intrinsics, noise=Noise())
    return SeenJoints(
        times=np.asarray(times, float)[motion.frame_idx],
        joints=motion.joints_camera[:, :NUM_BODY],
        trust=_trust(motion),
        lateral=config.lateral_std,
        depth=config.depth_std,
    )


def _solve(
    people: Sequence[Person],
    seen: Sequence[Seen],
    poses: Sequence[BodyPoses],
    cameras: Array,
    *,
    first: int,
    prior: SharedPrior,
    camera: CameraPrior | None,
    times: Array,
    config: WorldConfig,
) -> tuple[World, list[BodyPoses]]:
    """The joint solution from these poses; long motions in windows that share the world."""
    problems, bodies, counts = [], [], []
    for person, evidence, start in zip(people, seen, poses, strict=True):
        problem, body = _problem(person, evidence, start, config)
        problem = replace(problem, frames=problem.frames - first)
        parts = windows(len(start.root))
        problems += [problem.take(rows) for rows in parts]
        bodies += [body.take(rows) for rows in parts]
        counts.append(len(parts))
    world = World(cameras=cameras, bodies=tuple(bodies))
    world = solve_world(problems, world, prior=prior, camera=camera, times=times)
    solved, at = [], 0
    for start, count in zip(poses, counts, strict=True):
        body = joined_windows(world.bodies[at : at + count])
        rotations = start.rotations.copy()
        rotations[:, :NUM_BODY] = body.rotations
        solved.append(BodyPoses(root=body.root, rotations=rotations))
        at += count
    return world, solved


def _problem(
    person: Person, seen: Seen, start: BodyPoses, config: WorldConfig
) -> tuple[PersonProblem, BodyState]:
    motion, prior = person.motion, None
    if person.motion_prior is not None and not motion.observed.all():
        from body.motion_prior_term import hidden_frames  # it needs torch, which takes seconds

        start, prior = hidden_frames(
            person.motion_prior, start, seen.times, observed=motion.observed, rig=person.rig
        )
    shape = motion.shape.values
    body = BodyState(shape=shape, root=start.root, rotations=start.rotations[:, :NUM_BODY].copy())
    if isinstance(seen, SeenKeypoints):
        assert person.model is not None
        rest = rest_of_model(person.model, person.rig, shape)
        camera = motion.poses_camera
        fitted = replace(body, root=camera.root, rotations=camera.rotations[:, :NUM_BODY])
        scale = landmark_scale(posed_keypoints(fitted, rest)[0], seen.evidence)
        body = replace(body, landmark_scale=scale)
    else:
        rest = rest_of_rig(person.rig)
    count = len(motion.frame_idx)
    problem = PersonProblem(
        rest=rest, seen=seen, frames=motion.frame_idx, noise=config.noise(),
        contacts=np.zeros((count, 4)), travel=np.zeros((count, 2)) if config.posture else None,
        prior=prior,
    )  # fmt: skip
    return problem, body


def _finished(
    person: Person, poses: BodyPoses, stances: Stances, times: Array, config: WorldConfig
) -> WorldMotion:
    """The motion with its feet locked to their stances."""
    motion, rig = person.motion, person.rig
    if config.foot_lock:
        poses = lock_feet(
            rig, poses, np.asarray(times, float)[motion.frame_idx],
            labels=stances.labels, anchors=stances.anchors, blend=config.blend_seconds,
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
