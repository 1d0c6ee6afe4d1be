"""Other programs' bodies as our results: one metric world, z up, and bodies on its floor."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from recon.core.camera import CameraTrajectory, Intrinsics
from recon.core.contacts import contact_probabilities
from recon.core.geometry import (
    Array,
    invert_transform,
    make_transform,
    nearest_rotation,
    rotation_between,
    slerp_matrices,
    transform_points,
)
from recon.core.people import (
    BodyPoses,
    BodyShape,
    CameraMotion,
    WorldMotion,
    WorldPlacement,
)
from recon.core.rig import Rig
from recon.imports.base import Imported, ImportedPerson, Placed

FLOOR_QUANTILE = 0.05
"""The floor lies where this share of frames has its lowest sole below it."""


@dataclass(frozen=True, kw_only=True)
class Body:
    """What stands for one imported person: a rig, and J0 (3,) of the body the file means."""

    rig: Rig
    pelvis: Array


@dataclass(frozen=True, kw_only=True)
class Results:
    """What the stages of a run would have left."""

    camera: CameraTrajectory
    camera_motions: list[CameraMotion]
    placement: WorldPlacement
    world_motions: list[WorldMotion]


def assemble(imported: Imported, bodies: list[Body], times: Array) -> Results:
    """The file's people and camera in our world, over consecutive frames.

    Gaps are filled on the shortest arc and marked as unobserved. Contacts are measured here; the
    motion itself stays the file's.

    Args:
        bodies: one per person. times: (T,) seconds, every frame of the file.
    """
    in_file = [
        _in_file(person, imported, body.pelvis)
        for person, body in zip(imported.people, bodies, strict=True)
    ]
    R = imported.R_world_file if imported.R_world_file is not None else _upright(in_file)
    turned = [moved_poses(poses, make_transform(R, np.zeros(3))) for poses in in_file]
    height = 0.0 if imported.floor_known else _floor(turned, bodies)
    T_world_file = make_transform(R, np.array([0.0, 0.0, -height]))
    Ts, tracked = _camera_path(imported, in_file, bodies, len(times))
    Ts = T_world_file @ Ts if Ts is not None else np.repeat(
        _onlooker(turned)[None], len(times), axis=0
    )  # fmt: skip
    camera_motions, world_motions = [], []
    for k, (person, body) in enumerate(zip(imported.people, bodies, strict=True)):
        shape = _shape(imported.model, person)
        poses = moved_poses(in_file[k], T_world_file)
        seen = (
            placed_poses(person, person.camera, body.pelvis)
            if person.camera is not None
            else moved_poses(poses, invert_transform(Ts[person.frame_idx]))
        )
        world = _filled(poses, person.frame_idx, times)
        camera = _filled(seen, person.frame_idx, times)
        frames = np.arange(person.frame_idx[0], person.frame_idx[-1] + 1)
        observed = np.isin(frames, person.frame_idx)
        soles = body.rig.soles(world)
        up = np.array([0.0, 0.0, 1.0])
        world_motions.append(
            WorldMotion(
                track_id=k + 1, frame_idx=frames, observed=observed, shape=shape,
                poses_world=world, joints_world=body.rig.joints(world)[1], feet_world=soles,
                contacts=contact_probabilities(soles, times[frames], up=up),
            )
        )  # fmt: skip
        camera_motions.append(
            CameraMotion(
                track_id=k + 1, frame_idx=frames, observed=observed, shape=shape,
                poses_camera=camera, joints_camera=body.rig.joints(camera)[1],
                reprojection_px=np.zeros(len(frames)), confidence=observed.astype(float),
            )
        )  # fmt: skip
    return Results(
        camera=_trajectory(imported, Ts, tracked),
        camera_motions=camera_motions,
        placement=WorldPlacement(
            scale=1.0, scale_log_std=0.0, scale_source=f"as {imported.source} gives it",
            R_world_slam=np.eye(3), t_world_slam=np.zeros(3), Ts_world_camera=Ts,
            gravity_std=0.0,
        ),
        world_motions=world_motions,
    )  # fmt: skip


# Bodies -----------------------------------------------------------------------------------------


def _in_file(person: ImportedPerson, imported: Imported, pelvis: Array) -> BodyPoses:
    """A person in the file's world, by its camera where the file has only camera and bodies."""
    if person.world is not None:
        return placed_poses(person, person.world, pelvis)
    assert person.camera is not None and imported.Ts_file_camera is not None
    Ts = imported.Ts_file_camera[person.frame_idx]
    return moved_poses(placed_poses(person, person.camera, pelvis), Ts)


def placed_poses(person: ImportedPerson, placed: Placed, pelvis: Array) -> BodyPoses:
    """SMPL turns a body about its pelvis, which lies at J0 before `transl` is added."""
    rotations = np.concatenate([placed.global_orient[:, None], person.body], axis=1)
    return BodyPoses(root=placed.transl + pelvis, rotations=rotations)


def moved_poses(poses: BodyPoses, T: Array) -> BodyPoses:
    """Poses in another frame; T is (4, 4) or (N, 4, 4)."""
    T = np.broadcast_to(T, (len(poses.root), 4, 4))
    rotations = poses.rotations.copy()
    rotations[:, 0] = T[:, :3, :3] @ rotations[:, 0]
    return BodyPoses(root=transform_points(T, poses.root[:, None])[:, 0], rotations=rotations)


def _filled(poses: BodyPoses, frame_idx: np.ndarray, times: Array) -> BodyPoses:
    """Poses of all frames between the first and the last."""
    frames = np.arange(frame_idx[0], frame_idx[-1] + 1)
    if len(frames) == len(frame_idx):
        return poses
    keys, grid = times[frame_idx], times[frames]
    root = np.stack([np.interp(grid, keys, poses.root[:, k]) for k in range(3)], axis=-1)
    return BodyPoses(root=root, rotations=slerp_matrices(grid, keys, poses.rotations))


def _shape(model: str, person: ImportedPerson) -> BodyShape:
    names = tuple(f"beta{k}" for k in range(len(person.betas)))
    return BodyShape(model=model, names=names, values=np.asarray(person.betas, dtype=float))


# World ------------------------------------------------------------------------------------------


def _upright(people: list[BodyPoses]) -> Array:
    """The turn (3, 3) that makes the mean direction of all trunks vertical."""
    trunks = np.concatenate([p.rotations[:, 0, :, 1] for p in people])
    return rotation_between(trunks.mean(axis=0), np.array([0.0, 0.0, 1.0]))


def _floor(people: list[BodyPoses], bodies: list[Body]) -> float:
    lowest = [
        body.rig.soles(poses)[..., 2].min(axis=1)
        for poses, body in zip(people, bodies, strict=True)
    ]
    return float(np.quantile(np.concatenate(lowest), FLOOR_QUANTILE))


def _camera_path(
    imported: Imported, in_file: list[BodyPoses], bodies: list[Body], num_frames: int
) -> tuple[Array | None, np.ndarray]:
    """Ts_file_camera (T, 4, 4) or None, and in which frames it is known (T,).

    Without a path in the file, the camera is where the body seen longest must have been seen
    from: the same body in the camera and in the world.
    """
    if imported.Ts_file_camera is not None:
        return imported.Ts_file_camera, np.ones(num_frames, bool)
    both = [k for k, p in enumerate(imported.people) if p.camera is not None]
    if not both:
        return None, np.zeros(num_frames, bool)
    k = max(both, key=lambda k: len(imported.people[k].frame_idx))
    person, placed = imported.people[k], imported.people[k].camera
    assert placed is not None
    seen = placed_poses(person, placed, bodies[k].pelvis)
    R = nearest_rotation(in_file[k].rotations[:, 0] @ np.swapaxes(seen.rotations[:, 0], -1, -2))
    t = in_file[k].root - np.einsum("nij,nj->ni", R, seen.root)
    keys, frames = person.frame_idx.astype(float), np.arange(num_frames, dtype=float)
    path = np.stack([np.interp(frames, keys, t[:, c]) for c in range(3)], axis=-1)
    known = np.isin(np.arange(num_frames), person.frame_idx)
    return make_transform(slerp_matrices(frames, keys, R), path), known


def _onlooker(people: list[BodyPoses]) -> Array:
    """A camera (4, 4) that has everybody in view, for files without one."""
    from viewer.world import look_at

    points = np.concatenate([p.root for p in people])
    low, high = points.min(axis=0), points.max(axis=0)
    target = (low + high) / 2
    away = 4 + 1.2 * float(np.linalg.norm((high - low)[:2]))
    return look_at(target + away * np.array([0.0, -1.0, 0.15]), target)


def _trajectory(imported: Imported, Ts: Array, tracked: np.ndarray) -> CameraTrajectory:
    intrinsics = imported.intrinsics or Intrinsics.from_fov(1280, 720, fov_deg=60, source="prior")
    still = np.allclose(Ts, Ts[:1], atol=1e-4)
    return CameraTrajectory(
        kind="static" if still else "moving", backend=f"import from {imported.source}",
        intrinsics=intrinsics, Ts_slam_camera=Ts, tracked=tracked,
        points_slam=np.zeros((0, 3)), point_colors=np.zeros((0, 3), np.uint8),
    )  # fmt: skip
