"""People and camera at another frame rate.

Rotations go along the geodesic (slerp of each joint and of the camera), positions and contacts
linearly, and nothing is blended across a cut between shots. `cuts` are the times of the first
frames of all shots but the first, seconds.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from itertools import pairwise

import numpy as np

from recon.core.errors import InputError
from recon.core.geometry import Array, make_transform, slerp_matrices
from recon.core.people import BodyPoses, WorldMotion
from recon.core.rig import Rig

MOST_FRAMES = 500_000
"""Four hours and a half at 30 fps."""
_TOLERANCE = 1e-6
"""Seconds by which times of one frame may differ."""


def frame_times(times: Array, fps: float) -> Array:
    """Times of frames at a fixed rate, from the first of `times` (T,) up to the last, seconds.

    Raises:
        InputError: they would be more than a video has, in more memory than there is.
    """
    steps = (times[-1] - times[0]) * fps
    if not steps < MOST_FRAMES:
        raise InputError(
            f"expected up to {MOST_FRAMES} frames, got {times[-1] - times[0]:g} s at {fps:g} fps; "
            "export with a lower --fps, or run the video again with --start and --end"
        )
    return times[0] + np.arange(int(steps + _TOLERANCE) + 1) / fps


def linear(times: Array, key_times: Array, values: Array, cuts: Array) -> Array:
    """Values (T, ...) between keys (K, ...), held outside them."""
    return _by_shots(_interpolated, times, key_times, values, cuts)


def poses_at(times: Array, key_times: Array, poses: BodyPoses, cuts: Array) -> BodyPoses:
    """Poses between their frames: each joint's rotation on the shortest arc, the root linearly."""
    return BodyPoses(
        root=linear(times, key_times, poses.root, cuts),
        rotations=_by_shots(slerp_matrices, times, key_times, poses.rotations, cuts),
    )


def transforms_at(times: Array, key_times: Array, Ts: Array, cuts: Array) -> Array:
    """Rigid transforms (T, 4, 4) between keys (K, 4, 4), likewise."""
    rotations = _by_shots(slerp_matrices, times, key_times, Ts[:, :3, :3], cuts)
    return make_transform(rotations, linear(times, key_times, Ts[:, :3, 3], cuts))


def motion_at(
    motion: WorldMotion, rig: Rig, key_times: Array, *, grid: Array, cuts: Array
) -> tuple[WorldMotion, Array]:
    """The motion at those times of a `grid` that lie within it, and these times.

    `frame_idx` then counts the grid; joints and feet follow the interpolated poses.
    """
    inside = (grid >= key_times[0] - _TOLERANCE) & (grid <= key_times[-1] + _TOLERANCE)
    if not inside.any():  # between two ticks
        inside[np.argmin(np.abs(grid - key_times[0]))] = True
    index, times = np.flatnonzero(inside), grid[inside]
    poses = poses_at(times, key_times, motion.poses_world, cuts)
    resampled = replace(
        motion, frame_idx=index, poses_world=poses, joints_world=rig.joints(poses)[1],
        feet_world=rig.soles(poses), contacts=linear(times, key_times, motion.contacts, cuts),
        observed=_by_shots(_nearest, times, key_times, motion.observed, cuts),
    )  # fmt: skip
    return resampled, times


def _interpolated(times: Array, key_times: Array, values: Array) -> Array:
    flat = values.reshape(len(values), -1)
    columns = [np.interp(times, key_times, column) for column in flat.T]
    return np.stack(columns, axis=-1).reshape(len(times), *values.shape[1:])


def _nearest(times: Array, key_times: Array, values: np.ndarray) -> np.ndarray:
    return values[np.abs(times[:, None] - key_times).argmin(axis=1)]


def _by_shots(
    between: Callable[[Array, Array, np.ndarray], np.ndarray], times: Array, key_times: Array,
    values: np.ndarray, cuts: Array,
) -> np.ndarray:  # fmt: skip
    """Values (T, ...) that `between` finds among the keys (K, ...) of each moment's own shot.

    A shot without keys holds the nearest one of another.
    """
    out = np.empty((len(times), *values.shape[1:]), values.dtype)
    edges = np.concatenate([[-np.inf], np.asarray(cuts, float) - _TOLERANCE, [np.inf]])
    for start, end in pairwise(edges):
        rows = (times >= start) & (times < end)
        if rows.any():
            keys = np.flatnonzero((key_times >= start) & (key_times < end))
            if len(keys) == 0:
                keys = [np.abs(key_times - times[rows][0]).argmin()]
            out[rows] = between(times[rows], key_times[keys], values[keys])
    return out
