"""How far away the things in a scene's frames are: dense depth, the floor, the fitted people."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from scipy import ndimage

from recon.core.camera import Intrinsics
from recon.core.depth import KeyframeDepth
from recon.core.geometry import Array, invert_transform, transform_points
from recon.core.people import CameraMotion
from recon.core.placed import PlacedCamera, placed_camera
from recon.core.scene import Scene

FARTHEST, LEAST_Z = 60.0, 0.1
UNMEASURED, GUESSED = 0.1, 0.3
"""Weights of depth that was filled in, and of a floor and a wall that were not measured."""
WALL, LEAST_WALL = 1.5, 6.0
"""A wall is assumed behind the farthest person: times as far, metres at least."""


@dataclass(frozen=True, kw_only=True)
class KnownDepth:
    """Depth and weight (T, H, W) float32 as in Clip; K (3, 3) px; notes for the user."""

    depth: np.ndarray
    weight: np.ndarray
    K: Array
    unit: str
    notes: tuple[str, ...]


def known_depth(
    scene: Scene, rows: np.ndarray, people: dict[int, np.ndarray], size: tuple[int, int]
) -> KnownDepth:
    """What a scene knows of the depth of frames `rows`, metres; else assumptions, which are told.

    Args:
        people: masks (T, H, W) by track. size: width and height of the pictures.

    Raises:
        StaleSceneError: the camera stage has not run.
    """
    from splatting.video.assumed import ASSUMED, assumed_depth

    width, height = size
    camera, placed = scene.camera, placed_camera(scene)
    K = camera.intrinsics.resized(width, height)
    motions = {m.track_id: m for m in scene.camera_motions} if scene.is_current("body") else {}
    keyframes = scene.keyframe_depth
    metric = placed.frame == "world"
    if metric and keyframes is not None and len(keyframes.frame_idx):
        small = camera.intrinsics.resized(*keyframes.inverse_depth.shape[:0:-1])
        found = [seen_from(keyframes, placed, int(i), small, size) for i in rows]
        notes: tuple[str, ...] = ()
    elif metric:
        wall = _wall(motions, rows)
        floor = [floor_depth(placed.Ts_frame_camera[i], K, wall) for i in rows]
        found = [(z, np.full_like(z, GUESSED)) for z in floor]
        notes = (f"the camera's place gives no parallax: depth is the floor's, and {wall:.1f} m "
                 "for all above it",)  # fmt: skip
    else:
        ground = assumed_depth(height, width)
        found = [(ground, np.ones_like(ground))] * len(rows)
        motions, notes = {}, (ASSUMED,)
    depth, weight = (np.stack(maps).astype(np.float32) for maps in zip(*found, strict=True))
    for track_id, masks in people.items():
        depth = _with_person(depth, masks, motions.get(track_id), rows)
        weight = np.where(masks, np.float32(1), weight)
    unit = "metres" if metric else "assumed metres"
    return KnownDepth(depth=depth, weight=weight, K=K.matrix, unit=unit, notes=notes)


def _with_person(
    depth: np.ndarray, masks: np.ndarray, motion: CameraMotion | None, rows: np.ndarray
) -> np.ndarray:
    """Depth (T, H, W) with one person, a flat figure as far away as the pelvis, or as the feet."""
    from splatting.video.assumed import standing

    if motion is None:
        return np.stack([standing(z, mask) for z, mask in zip(depth, masks, strict=True)])
    z = np.interp(rows, motion.frame_idx, motion.poses_camera.root[:, 2])
    return np.where(masks, np.maximum(z, LEAST_Z)[:, None, None].astype(np.float32), depth)


def seen_from(
    keyframes: KeyframeDepth, placed: PlacedCamera, frame: int, small: Intrinsics,
    size: tuple[int, int],
) -> tuple[Array, Array]:  # fmt: skip
    """Depth and weight (H, W) of a frame: the nearest keyframe's cells as they are seen from it."""
    k = int(np.argmin(np.abs(keyframes.frame_idx - frame)))
    inverse = keyframes.inverse_depth[k].astype(float)
    z = np.clip(placed.scale / np.maximum(inverse, 1e-6), LEAST_Z, FARTHEST)
    y, x = np.mgrid[: inverse.shape[0], : inverse.shape[1]] + 0.5
    points = small.unproject(np.stack((x, y), axis=-1).reshape(-1, 2), z.ravel())
    source = placed.Ts_frame_camera[int(keyframes.frame_idx[k])]
    moved = transform_points(invert_transform(placed.Ts_frame_camera[frame]) @ source, points)
    ahead = moved[:, 2] > LEAST_Z
    cell = np.floor(small.project(moved[ahead])).astype(int)
    inside = np.all((cell >= 0) & (cell < (inverse.shape[1], inverse.shape[0])), axis=1)
    column, row = cell[inside].T
    # Near cells last: what is in front stays.
    order = np.argsort(-moved[ahead][inside, 2])
    seen = np.full(inverse.shape, np.nan)
    trust = np.zeros(inverse.shape)
    weights = UNMEASURED + (1 - UNMEASURED) * keyframes.weights[k].astype(float).ravel()
    seen[row[order], column[order]] = moved[ahead][inside][order, 2]
    trust[row[order], column[order]] = weights[ahead][inside][order]
    if np.isnan(seen).all():
        return np.full(size[::-1], float(np.median(z))), np.full(size[::-1], UNMEASURED)
    empty = np.isnan(seen)
    nearest = ndimage.distance_transform_edt(empty, return_distances=False, return_indices=True)
    seen, trust = seen[tuple(np.asarray(nearest))], np.where(empty, UNMEASURED, trust)
    inverse = cv2.resize(1 / seen, size, interpolation=cv2.INTER_LINEAR)
    trust = cv2.resize(trust, size, interpolation=cv2.INTER_LINEAR)
    return 1 / np.asarray(inverse, float), np.asarray(trust, float)


def _wall(motions: dict[int, CameraMotion], rows: np.ndarray) -> float:
    """How far away what stands on no floor is assumed to be, metres."""
    near = [m.poses_camera.root[np.isin(m.frame_idx, rows), 2] for m in motions.values()]
    return max(LEAST_WALL, WALL * max((float(z.max()) for z in near if len(z)), default=0.0))


def floor_depth(T_world_camera: Array, K: Intrinsics, wall: float) -> Array:
    """Depth (H, W) of the floor z = 0 as a camera sees it, and of a wall at so many metres."""
    y, x = np.mgrid[: K.height, : K.width] + 0.5
    rays = K.unproject(np.stack((x, y), axis=-1), np.ones(x.shape)) @ T_world_camera[2, :3]
    falling = rays < -1e-6
    z = np.where(falling, -T_world_camera[2, 3] / np.where(falling, rays, 1), wall)
    return np.clip(z, LEAST_Z, wall)
