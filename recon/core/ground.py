"""The ground that people stand on, as a camera that stays in one place sees it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from recon.core.checks import check_array
from recon.core.geometry import Array


@dataclass(frozen=True, kw_only=True)
class GroundView:
    """One level plane under the camera, and how tall the people on it are.

    Args:
        up_slam: (3,) unit, the plane's normal in slam axes. up_std: radians.
        camera_height: metres over the plane. camera_height_std: metres.
        track_ids: (P,) int. statures, stature_stds: (P,) metres.
    """

    up_slam: Array
    up_std: float
    camera_height: float
    camera_height_std: float
    track_ids: np.ndarray
    statures: Array
    stature_stds: Array

    def __post_init__(self) -> None:
        count = len(self.track_ids)
        check_array("up_slam", self.up_slam, (3,))
        check_array("track_ids", self.track_ids, (count,), np.integer)
        check_array("statures", self.statures, (count,))
        check_array("stature_stds", self.stature_stds, (count,))

    def stature_of(self, track_id: int) -> tuple[float, float] | None:
        """Mean and standard deviation of a person's stature in metres, None if not known."""
        rows = np.flatnonzero(self.track_ids == track_id)
        if len(rows) == 0:
            return None
        return float(self.statures[rows[0]]), float(self.stature_stds[rows[0]])
