"""Pictures of a scene's points with the camera's path among them, drawn on the CPU."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import cv2
import numpy as np

from recon.core.camera import Intrinsics
from recon.core.geometry import Array, invert_transform, make_transform, transform_points
from recon.core.palette import BACKGROUND
from recon.core.placed import PlacedCamera
from recon.core.raster import Raster
from viewer.world import Segments, frustum, look_at

PATH_COLOR = (213, 94, 0)
START_COLOR = (0, 158, 115)
_FOV_DEG, _TOP_FOV_DEG = 50.0, 3.0
_SUPERSAMPLING = 2
_MAX_FRUSTA = 12
_RADIUS = 10.0


@dataclass(frozen=True, kw_only=True)
class LevelCamera:
    """A path and points with axes right, ahead, up; those of the world where there is one.

    In the slam frame up is the mean of the cameras' own, ahead that of the first camera, and the
    origin the first camera.

    Args:
        Ts_level_camera: (N, 4, 4), tracked frames only (all where none is). frames: (N,) their
            indices. points: (P, 3). colors: (P, 3) uint8.
    """

    Ts_level_camera: Array
    frames: np.ndarray
    points: Array
    colors: np.ndarray

    @classmethod
    def of(cls, placed: PlacedCamera) -> LevelCamera:
        frames = np.flatnonzero(placed.tracked if placed.tracked.any() else ~placed.tracked)
        Ts = placed.Ts_frame_camera[frames]
        T_level_frame = np.eye(4)
        if placed.frame == "slam":
            up = -Ts[:, :3, 1].mean(axis=0)
            up = up / np.linalg.norm(up)
            # A camera that looks along the vertical has its top ahead.
            ahead = max((Ts[0, :3, 2], -Ts[0, :3, 1]), key=lambda v: 1 - abs(float(v @ up)))
            right = np.cross(ahead, up)
            right = right / np.linalg.norm(right)
            R = np.stack([right, np.cross(up, right), up]).astype(float)
            T_level_frame = make_transform(R, -R @ Ts[0, :3, 3])
        return cls(
            Ts_level_camera=T_level_frame @ Ts, frames=frames,
            points=transform_points(T_level_frame, placed.points), colors=placed.colors,
        )  # fmt: skip

    @property
    def path(self) -> Array:
        """The camera's centres (N, 3)."""
        return self.Ts_level_camera[:, :3, 3]

    @property
    def bounds(self) -> tuple[Array, Array]:
        """Lowest and highest corner (3,) of the path and of most points."""
        low, high = self.path.min(axis=0), self.path.max(axis=0)
        if len(self.points):
            few = np.quantile(self.points, [0.04, 0.96], axis=0)
            low, high = np.minimum(low, few[0]), np.maximum(high, few[1])
        return low, high


def cloud_along_axis(
    camera: LevelCamera,
    intrinsics: Intrinsics,
    view: Literal["above", "side"],
    *,
    size: tuple[int, int],
) -> np.ndarray:
    """The points from straight above (ahead upwards) or from the right side (ahead to the left).

    Nearly without perspective; (height, width, 3) uint8 RGB.

    Args:
        intrinsics: of the camera, for its pyramids. size: width, height, px.
    """
    down = np.array([[1.0, 0, 0], [0, -1, 0], [0, 0, -1]])
    left = np.array([[0.0, 0, -1], [-1, 0, 0], [0, -1, 0]])
    R = {"above": down, "side": left}[view]
    low, high = camera.bounds
    extent = np.abs(R.T) @ (high - low)
    reach = float(np.max(extent[:2] / np.array(size))) * min(size) / 2
    distance = 1.05 * max(reach, 1e-6) / np.tan(np.deg2rad(_TOP_FOV_DEG) / 2)
    eye = (low + high) / 2 - (distance + extent[2] / 2) * R[:, 2]
    T = make_transform(R, eye)
    return _draw(camera, intrinsics, T, fov_deg=_TOP_FOV_DEG, size=size)


def cloud_in_perspective(
    camera: LevelCamera, intrinsics: Intrinsics, *, size: tuple[int, int]
) -> np.ndarray:
    """The points from behind and above the first camera: (height, width, 3) uint8 RGB.

    Args: as `cloud_along_axis`.
    """
    low, high = camera.bounds
    centre = (low + high) / 2
    radius = max(float(np.linalg.norm(high - low)) / 2, 1e-6)
    ahead = camera.Ts_level_camera[:, :2, 2].mean(axis=0)
    ahead = ahead / max(float(np.linalg.norm(ahead)), 1e-6)
    direction = np.array([0.35 * ahead[1] - ahead[0], -0.35 * ahead[0] - ahead[1], 0.75])
    distance = 0.95 * radius / np.sin(np.deg2rad(_FOV_DEG) / 2)
    eye = centre + distance * direction / np.linalg.norm(direction)
    return _draw(camera, intrinsics, look_at(eye, centre), fov_deg=_FOV_DEG, size=size)


def _draw(
    camera: LevelCamera, intrinsics: Intrinsics, T_level_eye: Array, *, fov_deg: float,
    size: tuple[int, int],
) -> np.ndarray:  # fmt: skip
    k, (width, height) = _SUPERSAMPLING, size
    focal = 0.5 * k * min(size) / np.tan(np.deg2rad(fov_deg) / 2)
    raster = Raster(
        Intrinsics(fx=focal, fy=focal, cx=k * width / 2, cy=k * height / 2, width=k * width,
                   height=k * height),
        BACKGROUND,
    )  # fmt: skip
    low, high = camera.bounds
    extent = max(float(np.linalg.norm(high - low)), 1e-6)
    # The rasteriser cuts off what is closer than some centimetres: units must not matter.
    enlarge = _RADIUS / extent
    T_eye_level = invert_transform(T_level_eye)

    def seen(points: Array) -> Array:
        return enlarge * transform_points(T_eye_level, points)

    def lines(segments: Segments, color: tuple[int, int, int], px: int) -> None:
        raster.draw_lines(seen(segments[0]), seen(segments[1]), color, size=px)

    raster.draw_points(seen(camera.points), camera.colors, size=2 * k)
    path = camera.path
    # Drawn last and without regard to depth: a path inside the cloud must be seen.
    raster.inverse_depth[:] = 0
    lines((path[:-1], path[1:]), PATH_COLOR, 2 * k)
    step = max(1, len(path) // _MAX_FRUSTA)
    for T in camera.Ts_level_camera[::step]:
        lines(frustum(intrinsics, T, depth=0.03 * extent), PATH_COLOR, k // 2)
    raster.draw_points(seen(path[:1]), np.array(START_COLOR), size=7 * k)
    return cv2.resize(raster.color, size, interpolation=cv2.INTER_AREA)
