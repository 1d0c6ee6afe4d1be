"""A scene's camera where it is best known: in the metric world, or in its own slam frame."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np

from recon.core.camera import CameraTrajectory
from recon.core.geometry import Array, make_transform, transform_points
from recon.core.people import WorldPlacement
from recon.core.scene import Scene


@dataclass(frozen=True, kw_only=True)
class PlacedCamera:
    """Every frame's camera and the scene's points in one frame.

    Args:
        frame: "world" (metric, z up) or "slam" (arbitrary scale and axes).
        scale: `frame` units per slam unit.
        Ts_frame_camera: (T, 4, 4), OpenCV camera axes. tracked: (T,) bool, as in the trajectory.
        points: (P, 3). colors: (P, 3) uint8 RGB.
    """

    frame: Literal["world", "slam"]
    scale: float
    Ts_frame_camera: Array
    tracked: np.ndarray
    points: Array
    colors: np.ndarray

    @property
    def unit(self) -> str:
        """The unit of lengths, for axes and tables."""
        return "m" if self.frame == "world" else "slam units"

    @property
    def frame_words(self) -> str:
        """The frame in one phrase, for files and pages."""
        if self.frame == "world":
            return "world frame: metres, z up, floor at z = 0"
        return "slam frame: arbitrary scale and axes, no metric world placed"


def placed_camera(scene: Scene) -> PlacedCamera:
    """The scene's camera in the world if it was placed there from the present path, else in slam.

    Raises:
        StaleSceneError: the camera stage has not run.
    """
    placement = scene.placement if scene.is_current("world") else None
    return place_camera(scene.camera, placement)


def place_camera(camera: CameraTrajectory, placement: WorldPlacement | None) -> PlacedCamera:
    """The trajectory in the placement's world, or unchanged without one."""
    points, Ts, scale = camera.points_slam, camera.Ts_slam_camera, 1.0
    if placement is not None:
        scale = placement.scale
        S_world_slam = make_transform(scale * placement.R_world_slam, placement.t_world_slam)
        points, Ts = transform_points(S_world_slam, points), placement.Ts_world_camera
    return PlacedCamera(
        frame="slam" if placement is None else "world", scale=scale, Ts_frame_camera=Ts,
        tracked=camera.tracked, points=points, colors=camera.point_colors,
    )  # fmt: skip
