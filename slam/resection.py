"""Poses of the frames between keyframes, from their background points and the keyframes' map."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from recon.core.camera import Intrinsics
from recon.core.geometry import (
    Array,
    invert_transform,
    make_transform,
    matrix_to_rotvec,
    rotvec_to_matrix,
    slerp_matrices,
)
from slam.mapping import KeyframeMap
from slam.tracks import BackgroundTracks

MIN_POINTS = 12
START_PX, INLIER_PX = 12.0, 2.0


@dataclass(frozen=True, kw_only=True)
class FrameMatches:
    """Where a frame saw points of the map: points_px (N, 2), points_map (N, 3); N may be 0."""

    points_px: np.ndarray
    points_map: Array


def match_frame(tracks: BackgroundTracks, mapped: KeyframeMap, i: int) -> FrameMatches:
    """Frame i's background points that the map knows."""
    _, here, there = np.intersect1d(
        tracks.ids[i], mapped.track_ids, assume_unique=True, return_indices=True
    )
    return FrameMatches(points_px=tracks.points[i][here], points_map=mapped.track_points_map[there])


def place_frames(
    tracks: BackgroundTracks, mapped: KeyframeMap, *, intrinsics: Intrinsics, times: Array
) -> tuple[Array, np.ndarray]:
    """Poses Ts_map_camera (T, 4, 4) of all frames, and tracked (T,) bool.

    Keyframes keep their pose; frames between are resected from their points, starting at the
    pose interpolated between keyframes, and keep the interpolated one where that fails.

    Args:
        tracks: background points. mapped: the keyframes' map.
        intrinsics: for the tracks' pictures. times: (T,) seconds.
    """
    keys = np.array([tracks.keyframes[row].index for row in mapped.rows])
    poses = interpolate_poses(times, times[keys], mapped.Ts_map_camera)
    tracked = np.zeros(tracks.num_frames, bool)
    tracked[keys] = True
    for i in np.flatnonzero(~tracked).tolist():
        match = match_frame(tracks, mapped, i)
        guess = poses[i] if keys[0] < i < keys[-1] else _nearest(poses, tracked, i)
        refined = refine_pose(
            match.points_px, match.points_map,
            T_map_camera=guess, intrinsics=intrinsics,
        )  # fmt: skip
        if refined is not None:
            poses[i], tracked[i] = refined, True
    if not tracked.all():
        poses = interpolate_poses(times, times[tracked], poses[tracked])
    return poses, tracked


def interpolate_poses(times: Array, key_times: Array, key_poses: Array) -> Array:
    """Rigid poses (T, 4, 4): shortest arc and straight line, held constant outside the keys."""
    rotations = slerp_matrices(times, key_times, key_poses[:, :3, :3])
    centres = [np.interp(times, key_times, key_poses[:, axis, 3]) for axis in range(3)]
    return make_transform(rotations, np.stack(centres, axis=-1))


def refine_pose(
    points_px: np.ndarray, points_map: Array, *, T_map_camera: Array, intrinsics: Intrinsics
) -> Array | None:
    """The pose (4, 4) that projects the points where they were seen; None if too few agree.

    Levenberg-Marquardt on those within a distance that shrinks to 2 px.

    Args:
        points_px: (N, 2). points_map: (N, 3). T_map_camera: starting pose.
    """
    if len(points_px) < MIN_POINTS:
        return None
    observed = points_px.astype(float)
    T_camera_map = invert_transform(T_map_camera)
    rotvec = matrix_to_rotvec(T_camera_map[:3, :3])
    translation = T_camera_map[:3, 3].copy()
    for limit in (START_PX, 2 * INLIER_PX, INLIER_PX):
        p = points_map @ rotvec_to_matrix(rotvec).T + translation
        error = np.linalg.norm(
            intrinsics.project(np.maximum(p, [-np.inf, -np.inf, 1e-6])) - observed, axis=1
        )
        near = max(limit, 2 * float(np.median(error))) if limit == START_PX else limit
        good = (error < near) & (p[:, 2] > 1e-3)
        if good.sum() < MIN_POINTS:
            return None
        solved = cv2.solvePnPRefineLM(
            points_map[good], observed[good], intrinsics.matrix, np.zeros(4),
            rotvec.reshape(3, 1), translation.reshape(3, 1),
        )  # fmt: skip
        rotvec, translation = (np.asarray(part, float).reshape(3) for part in solved)
    rotation = rotvec_to_matrix(rotvec).T
    return make_transform(rotation, -rotation @ translation)


def _nearest(poses: Array, tracked: np.ndarray, i: int) -> Array:
    known = np.flatnonzero(tracked)
    return poses[known[np.argmin(np.abs(known - i))]]
