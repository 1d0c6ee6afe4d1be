"""One person in one picture: the region around them and what a landmark network sees there."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import cv2
import numpy as np

from recon.core.geometry import Array

MARGIN = 1.25
"""Side of the region relative to the circle around the hips that holds the whole body."""
VISIBLE = 0.5
"""Keypoints with at least this confidence count as seen."""


@dataclass(frozen=True, kw_only=True)
class Roi:
    """A square region of a picture.

    Args:
        centre: (2,) px. side: px.
        angle: radians that the region's up axis is turned clockwise from the picture's.
    """

    centre: Array
    side: float
    angle: float

    @classmethod
    def from_circle(cls, hips: Array, top: Array) -> Roi:
        """The region around the circle with centre `hips` through `top`, both (2,) px.

        `top` lies over the hips in the direction of the upright body.
        """
        up = top - hips
        side = float(2 * MARGIN * np.hypot(*up))
        return cls(centre=np.array(hips, float), side=side, angle=float(np.arctan2(up[0], -up[1])))

    @classmethod
    def from_box(cls, box: Array) -> Roi:
        """An upright region for a person of whom only the box (4,) xyxy px is known."""
        side = MARGIN * float(max(box[2] - box[0], box[3] - box[1]))
        return cls(centre=(box[:2] + box[2:]) / 2, side=side, angle=0.0)

    @property
    def axes(self) -> Array:
        """Columns: the region's x and y axes in the picture (2, 2), unit length."""
        c, s = np.cos(self.angle), np.sin(self.angle)
        return np.array([[c, -s], [s, c]])

    def to_image(self, size: int) -> Array:
        """(2, 3), pixel (x, y, 1) of a crop with `size` px a side to picture pixel."""
        linear = self.axes * (self.side / size)
        return np.column_stack([linear, self.centre - linear @ np.full(2, size / 2)])

    def crop(self, image: np.ndarray, size: int) -> np.ndarray:
        """The region of `image` resampled to (size, size, 3) uint8; black outside the picture."""
        T_image_crop = self.to_image(size)
        # OpenCV counts pixel centres from 0, we count them from 0.5.
        T_image_crop[:, 2] += T_image_crop[:, :2] @ [0.5, 0.5] - 0.5
        flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
        return cv2.warpAffine(image, T_image_crop, (size, size), flags=flags)


@dataclass(frozen=True, kw_only=True)
class Landmarks:
    """One person in one picture.

    Args:
        presence: 0-1, whether the region holds a person.
        keypoints_px: (33, 2) in the picture. keypoint_conf: (33,), 0-1.
        landmarks: (33, 3) metres, origin at mid-hip, axes of the picture (x right, y down, z away).
        mask: (S, S) bool in the region.
        roi: the region. next_roi: where the network expects the person's region to be.
    """

    presence: float
    keypoints_px: Array
    keypoint_conf: Array
    landmarks: Array
    mask: np.ndarray
    roi: Roi
    next_roi: Roi

    @property
    def box(self) -> Array:
        """Box (4,) xyxy px around the visible keypoints, with room for flesh around the joints."""
        seen = self.keypoint_conf >= VISIBLE
        points = self.keypoints_px[seen] if seen.sum() >= 4 else self.keypoints_px
        low, high = points.min(axis=0), points.max(axis=0)
        pad = 0.06 * float((high - low).max())
        return np.concatenate([low - pad, high + pad])

    @property
    def quality(self) -> float:
        """Presence times mean keypoint confidence, 0-1."""
        return self.presence * float(self.keypoint_conf.mean())


class Landmarker(Protocol):
    """Finds the keypoints of the one person in a region."""

    def landmarks(self, image: np.ndarray, roi: Roi) -> Landmarks:
        """What the region shows.

        Args:
            image: (H, W, 3) uint8 RGB, the whole picture.
        """
        ...


LANDMARKERS = {
    "blazepose-heavy": "body.backends.blazepose:BlazePoseHeavy",
    "blazepose-full": "body.backends.blazepose:BlazePoseFull",
}


def settle(landmarker: Landmarker, image: np.ndarray, roi: Roi, *, rounds: int = 2) -> Landmarks:
    """Landmarks after the region has moved to where the network itself wants it.

    Args:
        image: (H, W, 3) uint8 RGB. rounds: times the network runs.
    """
    found = landmarker.landmarks(image, roi)
    for _ in range(rounds - 1):
        found = landmarker.landmarks(image, found.next_roi)
    return found
