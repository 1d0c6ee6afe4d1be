"""Straight pictures from a lens that bends them."""

from __future__ import annotations

import cv2
import numpy as np


class Straightener:
    """Takes radial distortion out of pictures, which keep their size and their focal length.

    Brown's model with its first term: a point x (in focal lengths from the centre) is seen at
    x (1 + k1 |x|²); k1 is negative for a barrel, as of wide lenses, and as OpenCV and COLMAP
    count it. Where the straight picture shows more than the lens saw, the edge is repeated.

    Args:
        k1: of the lens. focal_px: px of pictures of this size. width, height: px.
    """

    def __init__(self, k1: float, *, focal_px: float, width: int, height: int) -> None:
        # OpenCV counts from the centre of the top-left pixel, we from its corner.
        centre = ((width - 1) / 2, (height - 1) / 2)
        K = np.array([[focal_px, 0, centre[0]], [0, focal_px, centre[1]], [0, 0, 1.0]])
        bends = np.array([k1, 0.0, 0.0, 0.0])
        size = (width, height)
        self._maps = cv2.initUndistortRectifyMap(K, bends, np.eye(3), K, size, cv2.CV_16SC2)

    def __call__(self, image: np.ndarray) -> np.ndarray:
        """The straight picture of (H, W, 3) uint8."""
        straight = cv2.remap(image, *self._maps, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
        return np.asarray(straight, np.uint8)
