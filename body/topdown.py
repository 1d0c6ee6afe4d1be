"""Networks that see one upright person in a tall crop: the crop, and reading their outputs.

Such networks give 2D keypoints only: landmarks are guessed and masks drawn from the keypoints.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from body.coco import NUM_BODY, from_coco
from body.landmarks import MARGIN, Landmarks, Roi, keypoint_box
from body.lift import lifted_landmarks
from body.limb_mask import limb_mask
from recon.core.geometry import Array

_MEAN = np.array([123.675, 116.28, 103.53], np.float32)
_STD = np.array([58.395, 57.12, 57.375], np.float32)
"""ImageNet's colours, RGB 0-255, by which these networks are trained."""


@dataclass(frozen=True, kw_only=True)
class TallCrop:
    """The input of a top-down network: `width` x `height` px; a region's side is its height."""

    width: int
    height: int

    def pixels(self, image: np.ndarray, roi: Roi) -> np.ndarray:
        """The region of `image` (H, W, 3) uint8 RGB as normalised (1, 3, height, width) float32."""
        crop = roi.crop(image, self.height, width=self.width)
        return ((crop - _MEAN) / _STD).transpose(2, 0, 1)[None]

    def region(self, box: Array) -> Roi:
        """The upright region that shows a box (4,) xyxy px and the margin around it."""
        width, height = box[2:] - box[:2]
        side = MARGIN * max(height, width * self.height / self.width)
        return Roi(centre=(box[:2] + box[2:]) / 2, side=float(side), angle=0.0)

    def landmarks(self, points: Array, scores: Array, roi: Roi) -> Landmarks:
        """What a network saw in a region.

        Args:
            points: (K, 2) crop px, K one of COCO's counts. scores: (K,), clipped to 0-1 here.
        """
        scores = np.clip(scores, 0.0, 1.0)
        T_image_crop = roi.to_image(self.height, width=self.width)
        person = from_coco(points @ T_image_crop[:, :2].T + T_image_crop[:, 2], scores)
        # Half a body is a person: whether one is there shows in the better half of the points.
        better = np.sort(scores[:NUM_BODY])[NUM_BODY // 2 :]
        return Landmarks(
            presence=float(better.mean()),
            keypoints_px=person.keypoints_px,
            keypoint_conf=person.conf,
            landmarks=lifted_landmarks(person.keypoints_px[None], person.conf[None])[0],
            metric=False,
            mask=limb_mask(person.keypoints_px, roi),
            roi=roi,
            next_roi=self.region(keypoint_box(person.keypoints_px, person.conf)),
            hands_px=person.hands_px,
            hands_conf=person.hands_conf,
            face_px=person.face_px,
            face_conf=person.face_conf,
        )


def simcc_peaks(simcc_x: np.ndarray, simcc_y: np.ndarray, *, split: float) -> tuple[Array, Array]:
    """Positions (K, 2) in crop px and scores (K,) of keypoints that are told axis by axis.

    A bin is 1 / split px wide; bin 0 stands on the centre of the first pixel. The peak is refined
    by the parabola through it and its neighbours.

    Args:
        simcc_x: (K, split * width), simcc_y: (K, split * height), likelihoods along each axis.
    Source: Li et al. 2022, "SimCC: a Simple Coordinate Classification Perspective for Human Pose
        Estimation"; the score is the lower of both maxima, as in MMPose.
    """
    axes = [_peaks(np.asarray(axis, dtype=float)) for axis in (simcc_x, simcc_y)]
    points = np.stack([bins for bins, _ in axes], axis=1) / split + 0.5
    return points, np.minimum(axes[0][1], axes[1][1])


def heatmap_peaks(heatmaps: np.ndarray, crop: TallCrop) -> tuple[Array, Array]:
    """Positions (K, 2) in crop px and scores (K,) of keypoints that are told by a heat map each.

    The first and the last cell stand on the centres of the crop's first and last pixel. The peak
    is refined along each axis by the Gaussian through it and its neighbours.

    Args:
        heatmaps: (K, h, w).
    Source: Huang et al. 2020, "The Devil is in the Details: Delving into Unbiased Data Processing
        for Human Pose Estimation"; Zhang et al. 2020, "Distribution-Aware Coordinate
        Representation for Human Pose Estimation".
    """
    _, h, w = heatmaps.shape
    score = heatmaps.max(axis=(1, 2)).astype(float)
    rows, columns = np.unravel_index(heatmaps.reshape(len(heatmaps), -1).argmax(axis=1), (h, w))
    logs = np.log(np.maximum(heatmaps, 1e-6).astype(float))
    which = np.arange(len(heatmaps))
    x = _refined(logs[which, rows], columns)
    y = _refined(logs[which, :, columns], rows)
    step = np.array([(crop.width - 1) / (w - 1), (crop.height - 1) / (h - 1)])
    return np.stack([x, y], axis=1) * step + 0.5, score


def _peaks(values: Array) -> tuple[Array, Array]:
    at = values.argmax(axis=1)
    return _refined(values, at), values.max(axis=1)


def _refined(values: Array, at: np.ndarray) -> Array:
    """Index (K,) of the top of the parabola through the greatest of (K, N) values; ends stay."""
    last = values.shape[1] - 1
    rows, middle = np.arange(len(values)), np.clip(at, 1, last - 1)
    before, peak, after = (values[rows, middle + k] for k in (-1, 0, 1))
    bend = before - 2 * peak + after
    inside = (at == middle) & (bend < 0)
    shift = 0.5 * (before - after) / np.where(inside, bend, 1.0)
    return at + np.where(inside, shift, 0.0)
