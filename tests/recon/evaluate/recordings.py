"""A walker before a camera as a recording, and the errors that tests give it."""

from __future__ import annotations

import dataclasses

import numpy as np

from recon.core.geometry import Array, invert_transform, make_transform, transform_points
from recon.core.people import BodyPoses, WorldMotion, WorldPlacement
from recon.evaluate.recording import RecordedPerson, Recording, make_recording
from tests.walking_world import View, WalkingWorld, walking_world


def true_recording(world: WalkingWorld, name: str = "truth") -> Recording:
    """The walk as it is."""
    Ts_camera_world = invert_transform(world.Ts_world_camera)
    joints = world.rig.joints(world.poses)[1]
    rotations = world.poses.rotations.copy()
    rotations[:, 0] = Ts_camera_world[:, :3, :3] @ rotations[:, 0]
    joints_camera = transform_points(Ts_camera_world, joints)
    motion = dataclasses.replace(
        world.motion, joints_camera=joints_camera,
        poses_camera=BodyPoses(root=joints_camera[:, 0], rotations=rotations),
    )  # fmt: skip
    placed = WorldMotion(
        track_id=1, frame_idx=motion.frame_idx, observed=motion.observed, shape=motion.shape,
        poses_world=world.poses, joints_world=joints, feet_world=world.rig.soles(world.poses),
        contacts=world.contacts,
    )  # fmt: skip
    placement = WorldPlacement(
        scale=1.0, scale_log_std=0.0, scale_source="known", R_world_slam=np.eye(3),
        t_world_slam=np.zeros(3), Ts_world_camera=world.Ts_world_camera, gravity_std=0.0,
    )  # fmt: skip
    return make_recording(
        name, world.times, world.camera, placement,
        in_camera=[motion], in_world=[placed], rigs=[world.rig],
    )  # fmt: skip


def walk(view: View = "side", *, seconds: float = 4.0, fps: float = 30.0) -> Recording:
    """A walk and its camera, exact."""
    return true_recording(walking_world(view, seconds=seconds, fps=fps))


def changed(person: RecordedPerson, **fields) -> RecordedPerson:
    """The person with other values."""
    return dataclasses.replace(person, **fields)


def with_people(recording: Recording, *people: RecordedPerson, name: str = "found") -> Recording:
    """The recording with other people."""
    return dataclasses.replace(recording, name=name, people=people)


def in_another_world(recording: Recording, T: Array, *, scale: float = 1.0) -> Recording:
    """The same people and cameras, the world turned, moved and scaled by T (4, 4) and `scale`."""
    R = T[:3, :3]

    def moved(points: Array) -> Array:
        return scale * transform_points(T, points)

    people = [
        changed(
            p, joints_world=moved(p.joints_world), feet_world=moved(p.feet_world),
            R_world_root=R @ p.R_world_root,
        )
        for p in recording.people
    ]  # fmt: skip
    assert recording.camera is not None
    Ts = T @ recording.camera.Ts_world_camera
    Ts = make_transform(Ts[:, :3, :3], scale * Ts[:, :3, 3])
    camera = dataclasses.replace(recording.camera, Ts_world_camera=Ts)
    return dataclasses.replace(recording, name="found", people=tuple(people), camera=camera)
