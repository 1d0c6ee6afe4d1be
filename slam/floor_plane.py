"""The floor as the plane of the scene's own points; nobody's feet are needed for it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.spatial import KDTree

from recon.core.camera import CameraTrajectory
from recon.core.depth import KeyframeDepth
from recon.core.geometry import Array, transform_points

_MAX_TILT = np.radians(15.0)  # people and cameras know the vertical about this well
_TOLERANCE = 0.015  # of the distance from the cameras: depth errs in proportion
_TRIES = 400
_MIN_POINTS = 30
_MAX_POINTS = 20_000
_MAX_BELOW = 0.2  # points below a plane, as a share of those on it: a table top has more
_MIN_CONTRAST = 2.0  # points on the plane over those in the next layer above: walls have 1
_THICKNESS = 0.08  # of the camera's height: what is farther off is not on the plane
_MIN_SLOPE = 0.08  # a look flatter than this cannot tell floor from the foot of a wall
_INDEPENDENT = 40  # neighbouring points err together: no more than this many count
_TRUSTED = 0.5  # weight from which a cell of a depth map was measured


@dataclass(frozen=True, kw_only=True)
class FloorPlane:
    """Points x with `normal @ x == level`, slam axes and units.

    Args:
        normal: (3,) unit, upwards. points: (P, 3) scene points on it.
        normal_std: radians. noise: spread of the points' heights over it, slam units.
    """

    normal: Array
    level: float
    points: Array
    normal_std: float
    noise: float

    def heights(self, points: Array) -> Array:
        """Heights (...) of points (..., 3) over the plane, slam units."""
        return np.asarray(points @ self.normal - self.level)

    def local_heights(self, points: Array, *, radius: Array, least: int) -> tuple[Array, Array]:
        """Median height (M,) of the floor around points (M, 3) on the plane, and how many it is of.

        NaN where fewer than `least` of the floor's own points are within `radius` (M,).
        """
        near = KDTree(self.points).query_ball_point(points, radius)
        own = self.heights(self.points)
        counts = np.array([len(i) for i in near])
        medians = [np.median(own[i]) if len(i) >= least else np.nan for i in near]
        return np.array(medians, dtype=float), counts


def scene_cloud(camera: CameraTrajectory, depth: KeyframeDepth | None) -> Array:
    """Scene points (P, 3) in slam units: the sparse ones and those of measured depth cells."""
    clouds = [camera.points_slam]
    if depth is not None and len(depth.frame_idx):
        intrinsics = camera.intrinsics
        height, width = depth.inverse_depth.shape[1:]
        good = (depth.weights > _TRUSTED) & (depth.inverse_depth > 0)
        k, row, column = np.nonzero(good)
        stride = max(1, len(k) // _MAX_POINTS)
        k, row, column = k[::stride], row[::stride], column[::stride]
        px = np.stack([(column + 0.5) / width, (row + 0.5) / height], axis=1)
        px = px * [intrinsics.width, intrinsics.height]
        z = 1 / depth.inverse_depth[k, row, column].astype(float)
        points = intrinsics.unproject(px, z)
        Ts = camera.Ts_slam_camera[depth.frame_idx[k]]
        clouds.append(transform_points(Ts, points[:, None])[:, 0])
    return np.concatenate(clouds)


def find_floor(cloud: Array, *, up: Array, centres: Array) -> FloorPlane | None:
    """The lowest large plane across `up` below the cameras, or None where none stands out.

    RANSAC over three points with a fixed seed, then least squares over its points. A plane with
    many points below it is a table or a ledge, one with as many just above it a slice of a wall.

    Args:
        cloud: (P, 3) slam units. up: (3,) unit, roughly known. centres: (T, 3) of the cameras.
    """
    points = cloud[cloud @ up < np.median(centres @ up)]
    if len(points) < _MIN_POINTS:
        return None
    distance = KDTree(centres).query(points)[0]
    tolerance = _TOLERANCE * np.maximum(distance, 1e-9)
    near = distance < 4 * np.median(distance)
    points, tolerance = points[near], tolerance[near]
    plane = _ransac(points, tolerance, up)
    if plane is None:
        return None
    (normal, level), std = plane, 0.0
    for _ in range(5):
        on = np.abs(points @ normal - level) < tolerance
        if on.sum() < _MIN_POINTS:
            return None
        normal, level, std = _fit(points[on], 1 / tolerance[on], up)
    camera_height = float(np.median(centres @ normal) - level)
    tolerance = np.minimum(tolerance, _THICKNESS * camera_height)
    steep = camera_height > _MIN_SLOPE * distance[near]
    residual = (points @ normal - level)[steep]
    points, tolerance = points[steep], tolerance[steep]
    on = np.abs(residual) < tolerance
    above = (residual > tolerance) & (residual < 3 * tolerance)
    below = residual < -3 * tolerance
    if on.sum() < max(_MIN_POINTS, _MIN_CONTRAST * above.sum(), below.sum() / _MAX_BELOW):
        return None
    if normal @ up < np.cos(_MAX_TILT):
        return None
    return FloorPlane(
        normal=normal,
        level=float(level),
        points=points[on],
        normal_std=std,
        noise=1.4826 * float(np.median(np.abs(residual[on]))),
    )


def _ransac(points: Array, tolerance: Array, up: Array) -> tuple[Array, float] | None:
    """Normal and level of the plane with the most points on it and the fewest below."""
    rng = np.random.default_rng(0)
    few = rng.permutation(len(points))[:3000]
    points, tolerance = points[few], tolerance[few]
    best, found = 0.0, None
    for a, b, c in points[rng.integers(0, len(points), (_TRIES, 3))]:
        normal = np.cross(b - a, c - a)
        size = float(np.linalg.norm(normal))
        if size < 1e-12:
            continue
        normal = normal / size * np.sign(normal @ up)
        if normal @ up < np.cos(_MAX_TILT):
            continue
        residual = points @ normal - normal @ a
        score = np.sum(np.abs(residual) < tolerance) - 2.0 * np.sum(residual < -3 * tolerance)
        if score > best:
            best, found = float(score), (normal, float(normal @ a))
    return found


def _fit(points: Array, weights: Array, up: Array) -> tuple[Array, float, float]:
    """Least-squares plane: normal, level, and the normal's standard deviation in radians."""
    w = (weights / weights.sum())[:, None]
    mean = np.sum(w * points, axis=0)
    values, vectors = np.linalg.eigh((points - mean).T @ (w * (points - mean)))
    normal = vectors[:, 0] * np.sign(vectors[:, 0] @ up)
    count = min(len(points), _INDEPENDENT)
    std = np.sqrt(max(values[0], 0.0) / max(values[1], 1e-18) / count)
    return normal, float(normal @ mean), float(std)
