"""People and camera at another frame rate.

Rotations go along the geodesic (slerp of each joint and of the camera), positions and contacts
linearly, and nothing is blended across a cut between shots.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from itertools import pairwise

import numpy as np

from recon.core.geometry import Array, make_transform, slerp_matrices
from recon.core.people import BodyPoses, WorldMotion
from recon.core.rig import Rig


def frame_times(times: Array, fps: float) -> Array:
    """Times of frames at a fixed rate, from the first of `times` (T,) up to the last, seconds."""
    return times[0] + np.arange(int((times[-1] - times[0]) * fps + 1e-6) + 1) / fps


def linear(times: Array, key_times: Array, values: Array) -> Array:
    """Values (T, ...) between keys (K, ...), held outside them."""
    flat = values.reshape(len(values), -1)
    columns = [np.interp(times, key_times, column) for column in flat.T]
    return np.stack(columns, axis=-1).reshape(len(times), *values.shape[1:])


def poses_at(times: Array, key_times: Array, poses: BodyPoses) -> BodyPoses:
    """Poses between their frames: each joint's rotation on the shortest arc, the root linearly."""
    return BodyPoses(
        root=linear(times, key_times, poses.root),
        rotations=slerp_matrices(times, key_times, poses.rotations),
    )


def transforms_at(times: Array, key_times: Array, Ts: Array, cuts: Array) -> Array:
    """Rigid transforms (T, 4, 4) between keys (K, 4, 4); `cuts` are the times of first frames."""
    out = np.empty((len(times), 4, 4))
    for rows, keys in _shots(times, key_times, cuts):
        at, own = times[rows], key_times[keys]
        rotations = slerp_matrices(at, own, Ts[keys, :3, :3])
        out[rows] = make_transform(rotations, linear(at, own, Ts[keys, :3, 3]))
    return out


def motion_at(
    motion: WorldMotion, rig: Rig, key_times: Array, *, grid: Array, cuts: Array
) -> tuple[WorldMotion, Array]:
    """The motion at those times of a `grid` that lie within it, and these times.

    `frame_idx` then counts the grid; joints and feet follow the interpolated poses.
    """
    tolerance = 1e-6
    inside = (grid >= key_times[0] - tolerance) & (grid <= key_times[-1] + tolerance)
    if not inside.any():  # between two ticks
        inside[np.argmin(np.abs(grid - key_times[0]))] = True
    index, times = np.flatnonzero(inside), grid[inside]
    parts = []
    for rows, keys in _shots(times, key_times, cuts):
        at, own = times[rows], key_times[keys]
        source = motion.poses_world
        shot = BodyPoses(root=source.root[keys], rotations=source.rotations[keys])
        nearest = keys[np.abs(at[:, None] - own).argmin(axis=1)]
        contacts = linear(at, own, motion.contacts[keys])
        parts.append((poses_at(at, own, shot), contacts, motion.observed[nearest]))
    poses = BodyPoses(
        root=np.concatenate([part[0].root for part in parts]),
        rotations=np.concatenate([part[0].rotations for part in parts]),
    )
    resampled = replace(
        motion, frame_idx=index, poses_world=poses, joints_world=rig.joints(poses)[1],
        feet_world=rig.soles(poses), contacts=np.concatenate([part[1] for part in parts]),
        observed=np.concatenate([part[2] for part in parts]),
    )  # fmt: skip
    return resampled, times


def _shots(times: Array, key_times: Array, cuts: Array) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """For every shot, the rows of `times` in it and the keys to take, never none."""
    tolerance = 1e-6
    edges = np.concatenate([[-np.inf], np.asarray(cuts, float) - tolerance, [np.inf]])
    for start, end in pairwise(edges):
        rows = np.flatnonzero((times >= start) & (times < end))
        keys = np.flatnonzero((key_times >= start) & (key_times < end))
        if len(rows):
            fallback = np.abs(key_times - times[rows[0]]).argmin()
            yield rows, keys if len(keys) else np.array([fallback])
