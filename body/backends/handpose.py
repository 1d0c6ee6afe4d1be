"""MediaPipe's hand landmarks: keypoints, metric points and handedness of one hand."""

from __future__ import annotations

import numpy as np

from body.backends.litert import LiteRtNetwork
from body.hands import NUM_HAND_POINTS, Hand
from body.landmarks import Roi
from recon.core.weights import network_path

CROP_SIZE = 224


class MediaPipeHands:
    """The landmark network of Zhang et al. 2020, "MediaPipe Hands: On-device Real-time Hand
    Tracking"; about 8 ms a hand on one core. `threads` 0 takes all cores.

    It was trained on both hands: nothing is mirrored, and its handedness is the person's own.
    """

    def __init__(self, *, threads: int = 0) -> None:
        self._network = LiteRtNetwork(network_path("hand_landmark_full"), threads=threads)

    def hand(self, image: np.ndarray, roi: Roi) -> Hand:
        """The hand in the region of `image` (H, W, 3) uint8 RGB."""
        crop = roi.crop(image, CROP_SIZE)
        outputs = self._network(crop.astype(np.float32) * np.float32(1 / 255))
        shape = (NUM_HAND_POINTS, 3)
        in_crop = outputs["Identity"].reshape(shape)[:, :2].astype(float)
        points = outputs["Identity_3"].reshape(shape).astype(float)
        points[:, :2] = points[:, :2] @ roi.axes.T
        T_image_crop = roi.to_image(CROP_SIZE)
        return Hand(
            presence=float(outputs["Identity_1"][0]),
            right=float(outputs["Identity_2"][0]),
            keypoints_px=in_crop @ T_image_crop[:, :2].T + T_image_crop[:, 2],
            points=points - points[0],
        )
