"""Numbers about each person of a scene, as the report states them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from recon.core.geometry import Array
from recon.core.people import CameraMotion, PersonTrack, WorldMotion
from recon.core.rig import Rig
from recon.core.scene import Scene

_CONTACT = 0.5
_SPEED_WINDOW = 0.25
"""Seconds on either side over which a speed is taken, so that it is not the pelvis' sway."""


@dataclass(frozen=True, kw_only=True)
class PersonMeasures:
    """One person's numbers over N frames; NaN where a number is not defined.

    Args:
        times: (N,) seconds. stature: metres, of the rest mesh.
        reprojection_px: (N,). reprojection_percent: (N,) of the person's box height.
        confidence: (N,) 0-1. track_xy: (N, 2) metres, the pelvis from above, None before the
            world stage; likewise pelvis_height (N,) metres, speed (N,) m/s over the floor, and
            stance_slide (N,) metres that the fastest sole point in contact moved since the frame
            before.
    """

    track_id: int
    num_frames: int
    num_observed: int
    times: Array
    stature: float
    reprojection_px: Array
    reprojection_percent: Array
    confidence: Array
    track_xy: Array | None = None
    pelvis_height: Array | None = None
    speed: Array | None = None
    stance_slide: Array | None = None

    @property
    def distance(self) -> float | None:
        """Metres walked, at the speed that the report shows."""
        if self.speed is None:
            return None
        return float(np.trapezoid(self.speed, self.times)) if len(self.times) > 1 else 0.0


def measure_people(scene: Scene) -> list[PersonMeasures]:
    """Measures of every person of a scene, in the scene's order.

    Raises:
        StaleSceneError: the body stage has not run.
    """
    times = scene.video.times
    tracks = {track.track_id: track for track in scene.tracks}
    worlds = {}
    if "world" in scene.manifest["stages"]:
        worlds = {motion.track_id: motion for motion in scene.world_motions}
    return [
        measure_person(motion, rig, times, track=tracks[motion.track_id],
                       world=worlds.get(motion.track_id))
        for motion, rig in zip(scene.camera_motions, scene.rigs, strict=True)
    ]  # fmt: skip


def measure_person(
    motion: CameraMotion, rig: Rig, times: Array, *, track: PersonTrack, world: WorldMotion | None
) -> PersonMeasures:
    """Measures of one person; `times` (T,) are those of the video."""
    own = times[motion.frame_idx]
    reprojection = np.where(motion.observed, motion.reprojection_px, np.nan)
    row_of = {int(frame): row for row, frame in enumerate(track.frame_idx)}
    rows = [row_of.get(int(frame)) for frame in motion.frame_idx]
    height = np.array(
        [np.nan if r is None else track.boxes[r, 3] - track.boxes[r, 1] for r in rows]
    )
    more = {}
    if world is not None:
        pelvis = world.joints_world[:, 0]
        more = {
            "track_xy": pelvis[:, :2],
            "pelvis_height": pelvis[:, 2],
            "speed": floor_speed(pelvis[:, :2], times[world.frame_idx]),
            "stance_slide": stance_slide(world.feet_world, world.contacts),
        }
    return PersonMeasures(
        track_id=motion.track_id,
        num_frames=len(motion.frame_idx),
        num_observed=int(motion.observed.sum()),
        times=own,
        stature=stature(rig),
        reprojection_px=reprojection,
        reprojection_percent=100 * reprojection / np.where(height > 0, height, np.nan),
        confidence=np.where(motion.observed, motion.confidence, np.nan),
        **more,
    )


def stature(rig: Rig) -> float:
    """Height of the body standing straight, metres: from its sole points to its highest vertex."""
    dense = rig.dense_weights()
    highest = -np.inf
    # In the rest pose every joint's global rotation is the identity: only translations blend.
    bind = np.asarray(rig.bind_vertices, float)
    for joint in np.unique(rig.indices):
        own = np.flatnonzero(dense[:, joint] > 0.5)
        if len(own):
            up = bind[own] @ rig.Ts_joint_bind[joint, 1, :3] + rig.Ts_joint_bind[joint, 1, 3]
            highest = max(highest, float(np.max(up + rig.rest_joints[joint, 1])))
    soles = rig.rest_joints[rig.sole_joints, 1] + rig.sole_points[:, 1]
    return highest - float(soles.min())


def floor_speed(xy: Array, times: Array) -> Array:
    """Speed (N,) in m/s along a path (N, 2) at times (N,), over a quarter of a second each way."""
    if len(times) < 2:
        return np.zeros(len(times))
    first = np.searchsorted(times, times - _SPEED_WINDOW)
    last = np.searchsorted(times, times + _SPEED_WINDOW, side="right") - 1
    # A frame without neighbours inside the window (long gaps) reaches for the next ones.
    first = np.where(last > first, first, np.maximum(np.arange(len(times)) - 1, 0))
    last = np.where(last > first, last, np.minimum(np.arange(len(times)) + 1, len(times) - 1))
    return np.linalg.norm(xy[last] - xy[first], axis=1) / (times[last] - times[first])


def stance_slide(feet: Array, contacts: Array) -> Array:
    """Metres (N,) that the fastest standing sole point moved since the frame before.

    NaN in the first frame and where no point stood still in both frames.

    Args:
        feet: (N, 4, 3) metres. contacts: (N, 4) probabilities.
    """
    out = np.full(len(feet), np.nan)
    step = np.linalg.norm(np.diff(feet, axis=0), axis=-1)
    both = (contacts[1:] > _CONTACT) & (contacts[:-1] > _CONTACT)
    some = both.any(axis=1)
    out[1:][some] = np.where(both, step, 0.0).max(axis=1)[some]
    return out
