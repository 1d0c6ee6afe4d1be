"""MediaPipe's face mesh: 468 keypoints of one face."""

from __future__ import annotations

import numpy as np

from body.backends.litert import LiteRtNetwork
from body.faces import Face
from body.landmarks import Roi
from recon.core.weights import network_path

CROP_SIZE = 192


class MediaPipeFace:
    """The network of Kartynnik et al. 2019, "Real-time Facial Surface Geometry from Monocular
    Video on Mobile GPUs"; about 2 ms a face on one core. `threads` 0 takes all cores.
    """

    num_points = 468

    def __init__(self, *, threads: int = 0) -> None:
        self._network = LiteRtNetwork(network_path("face_landmark"), threads=threads)

    def face(self, image: np.ndarray, roi: Roi) -> Face:
        """The face in the region of `image` (H, W, 3) uint8 RGB."""
        crop = roi.crop(image, CROP_SIZE)
        outputs = self._network(crop.astype(np.float32) * np.float32(1 / 255))
        in_crop = outputs["conv2d_21"].reshape(self.num_points, 3)[:, :2].astype(float)
        logit = float(outputs["conv2d_31"].ravel()[0])
        T_image_crop = roi.to_image(CROP_SIZE)
        return Face(
            presence=1 / (1 + np.exp(-np.clip(logit, -50, 50))),
            keypoints_px=in_crop @ T_image_crop[:, :2].T + T_image_crop[:, 2],
        )
