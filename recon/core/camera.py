"""The pinhole camera and its trajectory."""

from __future__ import annotations

import math
from dataclasses import dataclass, field, replace
from typing import Literal

import numpy as np

from recon.core.checks import (
    MAX_SIDE_PX,
    check_array,
    check_indices,
    check_poses,
    check_range,
)
from recon.core.errors import InputError
from recon.core.geometry import Array

IntrinsicsSource = Literal["user", "metadata", "prior", "estimated"]
_MAX_PX = 1e9
CameraKind = Literal["static", "rotating", "zooming", "moving"]


@dataclass(frozen=True, kw_only=True)
class Intrinsics:
    """Pinhole intrinsics in pixels for one image size; (0.5, 0.5) is the top-left pixel's centre.

    `source` records where the focal length came from.
    """

    fx: float
    fy: float
    cx: float
    cy: float
    width: int
    height: int
    source: IntrinsicsSource = "user"

    def __post_init__(self) -> None:
        if not all(value > 0 for value in (self.fx, self.fy, self.width, self.height)):  # nor NaN
            raise InputError(
                f"expected a positive focal length and image size, got fx={self.fx} fy={self.fy} "
                f"for {self.width}x{self.height}; check --focal"
            )
        check_range("width", self.width, 1, MAX_SIDE_PX)
        check_range("height", self.height, 1, MAX_SIDE_PX)
        for name in ("fx", "fy", "cx", "cy"):
            check_range(name, getattr(self, name), -_MAX_PX, _MAX_PX)

    @classmethod
    def from_fov(
        cls, width: int, height: int, *, fov_deg: float, source: IntrinsicsSource
    ) -> Intrinsics:
        """Centred square-pixel intrinsics; `fov_deg` spans the longer image side."""
        focal = 0.5 * max(width, height) / math.tan(math.radians(fov_deg) / 2)
        return cls(
            fx=focal, fy=focal, cx=width / 2, cy=height / 2, width=width, height=height,
            source=source,
        )  # fmt: skip

    @property
    def matrix(self) -> Array:
        """The calibration matrix K, (3, 3)."""
        return np.array([[self.fx, 0.0, self.cx], [0.0, self.fy, self.cy], [0.0, 0.0, 1.0]])

    @property
    def fov_deg(self) -> float:
        """Field of view across the longer image side, degrees."""
        focal = self.fx if self.width >= self.height else self.fy
        return math.degrees(2 * math.atan(0.5 * max(self.width, self.height) / focal))

    def resized(self, width: int, height: int) -> Intrinsics:
        """The same camera for the image resized to width x height (a pure scale)."""
        sx, sy = width / self.width, height / self.height
        return replace(
            self, fx=self.fx * sx, cx=self.cx * sx, fy=self.fy * sy, cy=self.cy * sy,
            width=width, height=height,
        )  # fmt: skip

    def project(self, points_camera: Array) -> Array:
        """Pixels (..., 2) of camera-frame points (..., 3); undefined for z <= 0."""
        p = np.asarray(points_camera, dtype=float)
        return p[..., :2] / p[..., 2:] * [self.fx, self.fy] + [self.cx, self.cy]

    def unproject(self, points_px: Array, depth: Array) -> Array:
        """Camera-frame points (..., 3) at depths z (...) behind pixels (..., 2)."""
        p = (np.asarray(points_px, dtype=float) - [self.cx, self.cy]) / [self.fx, self.fy]
        z = np.asarray(depth, dtype=float)[..., None]
        return np.concatenate([p * z, z], axis=-1)


@dataclass(frozen=True, kw_only=True)
class CameraTrajectory:
    """The camera of every video frame in the slam frame (arbitrary scale and gauge).

    Args:
        kind: what the camera does; of several shots, the one that does most.
        backend: the tracker that produced it.
        intrinsics: for the video's own frame size.
        Ts_slam_camera: (T, 4, 4), camera to slam.
        tracked: (T,) bool; False where the pose was interpolated or extrapolated, or lies in
            a gauge that nothing ties to the slam frame (another shot, or only its turn known).
        points_slam: (P, 3) sparse scene points, P may be 0. point_colors: (P, 3) uint8 RGB.
        shot_starts: (S,) int, the first frame of every shot between cuts.
    """

    kind: CameraKind
    backend: str
    intrinsics: Intrinsics
    Ts_slam_camera: Array
    tracked: np.ndarray
    points_slam: Array
    point_colors: np.ndarray
    shot_starts: np.ndarray = field(default_factory=lambda: np.zeros(1, int))

    def __post_init__(self) -> None:
        num_frames = len(self.Ts_slam_camera)
        check_array("Ts_slam_camera", self.Ts_slam_camera, (num_frames, 4, 4))
        check_poses("Ts_slam_camera", self.Ts_slam_camera)
        check_array("tracked", self.tracked, (num_frames,), bool)
        check_array("points_slam", self.points_slam, (len(self.points_slam), 3))
        check_array("point_colors", self.point_colors, (len(self.points_slam), 3), np.uint8)
        check_array("shot_starts", self.shot_starts, (len(self.shot_starts),), np.integer)
        check_indices("shot_starts", self.shot_starts, num_frames)
