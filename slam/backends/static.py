"""A camera that stands still: the slam frame is the camera's own."""

from __future__ import annotations

import numpy as np

from recon.core.camera import CameraTrajectory
from slam.backends.base import CameraProblem, CameraSolution


class StaticCamera:
    """The identity for every frame."""

    def solve(self, problem: CameraProblem) -> CameraSolution:
        num_frames = problem.tracks.num_frames
        return CameraSolution(
            trajectory=CameraTrajectory(
                kind="static",
                backend="static",
                intrinsics=problem.intrinsics,
                Ts_slam_camera=np.repeat(np.eye(4)[None], num_frames, axis=0),
                tracked=np.ones(num_frames, bool),
                points_slam=np.zeros((0, 3)),
                point_colors=np.zeros((0, 3), np.uint8),
            )
        )
