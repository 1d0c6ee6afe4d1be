"""Worlds without pixels: what networks and trackers would say of them, errors and all."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from recon.core.camera import CameraTrajectory
from recon.core.geometry import Array
from recon.core.people import CameraMotion, PersonTrack, WorldMotion, WorldPlacement
from recon.core.rig import Rig
from recon.synth.cameras import SlamNoise, tracked_camera
from recon.synth.sensor import SensorNoise, see
from recon.synth.world import (
    StagedWorld,
    WorldSpec,
    stage_world,
    true_camera,
    true_motions,
    true_track,
)

# Limbs and trunk that hide what is behind them: keypoints at the ends, half width in metres.
_LIMBS = (
    (11, 23, 0.11), (12, 24, 0.11), (11, 24, 0.11), (23, 25, 0.08), (24, 26, 0.08), (25, 27, 0.05),
    (26, 28, 0.05), (11, 13, 0.05), (12, 14, 0.05), (13, 15, 0.04), (14, 16, 0.04), (7, 8, 0.10),
)  # fmt: skip
_OUT_OF_SIGHT = 0.08
"""Confidence left to a keypoint that is hidden or outside the picture."""


@dataclass(frozen=True, kw_only=True)
class TrueWorld:
    """The results of faultless stages: what a scene folder of the truth holds.

    Lists have one item a person; `motions` are in the camera, `world_motions` in the world.
    """

    tracks: list[PersonTrack]
    camera: CameraTrajectory
    placement: WorldPlacement
    motions: list[CameraMotion]
    rigs: list[Rig]
    world_motions: list[WorldMotion]


@dataclass(frozen=True, kw_only=True)
class KeypointWorld:
    """A world as the stages `people` and `camera` would report it, and its truth.

    Args:
        staged: the world itself (times, intrinsics, performers, props).
        tracks: one a person that was seen, in the order of the people, with a network's errors;
            `track_id` 1, 2, … is the person's place in the truth plus one.
        camera: with a tracker's errors, scale and axes unknown.
    """

    staged: StagedWorld
    tracks: list[PersonTrack]
    camera: CameraTrajectory
    truth: TrueWorld

    @property
    def times(self) -> Array:
        """(T,) seconds."""
        return self.staged.times


def keypoint_world(
    spec: WorldSpec | None = None,
    *,
    sensor: SensorNoise | None = None,
    slam: SlamNoise | None = None,
) -> KeypointWorld:
    """A world at keypoint level, deterministic by `spec.seed`; thousands of frames take seconds.

    Keypoints have the errors of `recon.synth.sensor`, the camera those of `SlamNoise`. What other
    people hide or the picture cuts off has next to no confidence.

    Raises:
        InputError: an action or a motion file that cannot be used.
    """
    world = stage_world(spec or WorldSpec())
    sensor, slam = sensor or SensorNoise(), slam or SlamNoise()
    rng = world.rng(2)
    seen = in_sight(world)
    tracks = []
    for k in range(len(world.performers)):
        points = world.keypoints_camera(k)
        # Behind the camera there is no projection; these frames are left out by `seen`.
        points = np.where(points[..., 2:] > 0.1, points, [0.0, 0.0, 1.0])
        share = np.where(seen[k], 1.0, _OUT_OF_SIGHT * seen[k].any(axis=1, keepdims=True))
        found = see(
            points, world.times, intrinsics=world.intrinsics, noise=sensor, rng=rng,
            track_id=k + 1, seen=share,
        )  # fmt: skip
        if len(found.track.frame_idx):
            tracks.append(found.track)
    camera = tracked_camera(
        world.Ts_world_camera, world.times, move=world.spec.camera, gauge=world.gauge,
        intrinsics=world.intrinsics, points_world=world.points_world, noise=slam, rng=rng,
    )  # fmt: skip
    return KeypointWorld(
        staged=world, tracks=tracks, camera=camera, truth=true_world(world, seen=seen)
    )


def true_world(world: StagedWorld, *, seen: list[np.ndarray] | None = None) -> TrueWorld:
    """The truth as stages would state it, without pictures.

    Args:
        seen: (T, 33) bool a person, what is in sight; by default what is in the picture.
    """
    camera, placement = true_camera(world)
    motions, world_motions = true_motions(world)
    people = range(len(world.performers))
    return TrueWorld(
        tracks=[true_track(world, k, seen=None if seen is None else seen[k]) for k in people],
        camera=camera,
        placement=placement,
        motions=motions,
        rigs=[p.rig for p in world.performers],
        world_motions=world_motions,
    )


def in_sight(world: StagedWorld) -> list[np.ndarray]:
    """(T, 33) bool a person: keypoints inside the picture and not behind somebody nearer."""
    people = range(len(world.performers))
    points = [world.keypoints_camera(k) for k in people]
    out = [world.in_picture(k) for k in people]
    for k in people:
        for other in people:
            if other != k:
                out[k] = out[k] & ~_hidden(points[k], points[other])
    return out


def _hidden(points: Array, others: Array) -> np.ndarray:
    """(T, 33) bool: rays to the points (T, 33, 3) that pass a limb of the other (T, 33, 3)."""
    rays = points[..., :2] / np.maximum(points[..., 2:], 0.1)
    hidden = np.zeros(rays.shape[:2], bool)
    for a, b, width in _LIMBS:
        za, zb = others[:, a, 2:], others[:, b, 2:]
        front = (za > 0.1) & (zb > 0.1)
        start = others[:, a, :2] / np.where(front, za, 1.0)
        along = others[:, b, :2] / np.where(front, zb, 1.0) - start
        length = np.maximum(np.sum(along**2, axis=1, keepdims=True), 1e-12)
        u = np.clip(np.einsum("tkc,tc->tk", rays - start[:, None], along) / length, 0, 1)
        depth = za + u * (zb - za)
        gap = np.linalg.norm(rays - start[:, None] - u[..., None] * along[:, None], axis=-1)
        hidden |= front & (gap < width / np.maximum(depth, 0.1)) & (points[..., 2] > depth + 0.25)
    return hidden
