"""All figures of the camera."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from recon.core.geometry import Array
from recon.evaluate import camera_metrics
from recon.evaluate.matching import FrameMatch
from recon.evaluate.recording import RecordedCamera


@dataclass(frozen=True, kw_only=True)
class CameraEvaluation:
    """The camera over M shared frames.

    Args:
        times: (M,) seconds. figures: by the names of FIGURES. values: per frame, likewise.
        path, true_path: (M, 3) metres, in each one's own world.
    """

    times: Array
    figures: dict[str, float]
    values: dict[str, Array]
    path: Array
    true_path: Array


def measure_camera(
    predicted: RecordedCamera, truth: RecordedCamera, frames: FrameMatch, times: Array
) -> CameraEvaluation:
    """The figures of the camera; those of a path are NaN where the true camera stands still.

    Args:
        times: (M,) seconds of the shared frames.
    """
    Ts, true = predicted.Ts_world_camera[frames.predicted], truth.Ts_world_camera[frames.truth]
    path, true_path = Ts[:, :3, 3], true[:, :3, 3]
    moves = camera_metrics.spread(true_path) >= camera_metrics.MOVING_SPREAD
    values = {
        "ate_s_m": camera_metrics.ate(path, true_path, correct_scale=False),
        "rotation_deg": np.degrees(camera_metrics.rotation_error(Ts[:, :3, :3], true[:, :3, :3])),
        "gravity_deg": np.degrees(camera_metrics.gravity_error(Ts[:, :3, :3], true[:, :3, :3])),
    }
    if moves:
        values["ate_m"] = camera_metrics.ate(path, true_path, correct_scale=True)
    figures = {name: float(v.mean()) for name, v in values.items()}
    width = truth.intrinsics.width / predicted.intrinsics.width
    focal = camera_metrics.focal_error(predicted.intrinsics.fx * width, truth.intrinsics.fx)
    figures |= {
        "focal_percent": 100 * focal,
        "camera_scale_percent": 100 * camera_metrics.scale_error(path, true_path),
        "camera_tracked_percent": 100 * float(predicted.tracked[frames.predicted].mean()),
    }
    return CameraEvaluation(
        times=times, figures=figures, values=values,
        path=path,
        true_path=true_path,
    )  # fmt: skip
