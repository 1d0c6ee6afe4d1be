"""Dense depth of a video's keyframes."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from recon.core.checks import check_array


@dataclass(frozen=True, kw_only=True)
class KeyframeDepth:
    """Inverse depth 1 / z of some frames, in the units of the camera's trajectory.

    The maps cover the whole picture: cell (row, column) of an (h, w) map is centred at
    ((column + 0.5) / w, (row + 0.5) / h) of its width and height.

    Args:
        frame_idx: (K,) int, increasing frame indices; K may be 0.
        inverse_depth: (K, h, w) float16, 1 / slam units; filled in smoothly where unseen.
        weights: (K, h, w) float16, 0-1: how well it was measured; 0 where it was filled in, where
            people are, and where the views disagree.
    """

    frame_idx: np.ndarray
    inverse_depth: np.ndarray
    weights: np.ndarray

    def __post_init__(self) -> None:
        count = len(self.frame_idx)
        check_array("frame_idx", self.frame_idx, (count,), np.integer)
        check_array("inverse_depth", self.inverse_depth, (count, None, None))
        check_array("weights", self.weights, self.inverse_depth.shape)
