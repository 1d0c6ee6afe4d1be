"""A person's mask drawn around their keypoints, for networks that give none."""

from __future__ import annotations

import cv2
import numpy as np

from body.landmarks import Roi
from recon.core.geometry import Array
from recon.core.skeletons import BLAZEPOSE_KEYPOINTS

MASK_SIZE = 128
"""Pixels a side, as BlazePose's own masks."""

_K = {name: i for i, name in enumerate(BLAZEPOSE_KEYPOINTS)}
_TORSO = [_K[k] for k in ("left_shoulder", "right_shoulder", "right_hip", "left_hip")]
_HEAD = [_K[k] for k in ("nose", "left_ear", "right_ear")]
_LIMBS = tuple(
    (_K[f"{side}_{start}"], _K[f"{side}_{end}"], width)
    for side in ("left", "right")
    for start, end, width in (
        ("hip", "knee", 0.10), ("knee", "ankle", 0.07), ("ankle", "foot_index", 0.05),
        ("ankle", "heel", 0.05), ("shoulder", "elbow", 0.065), ("elbow", "wrist", 0.05),
    )
)  # fmt: skip
"""Pairs of keypoints and the flesh's width around them in body heights."""
_ARMS = [(_K[f"{side}_elbow"], _K[f"{side}_wrist"]) for side in ("left", "right")]
_HAND = 0.6
"""Length of a hand, which many networks do not see, in forearms."""
_TORSO_WIDTH, _HEAD_WIDTH, _HAND_WIDTH = 0.08, 0.13, 0.05
_LEG = 0.48
"""Length of hip to knee to ankle in body heights; torso and arms are told by the same scale."""


def limb_mask(keypoints_px: Array, roi: Roi) -> np.ndarray:
    """The mask (128, 128) bool in a region, of limbs as thick as an average body's.

    Args:
        keypoints_px: (33, 2) in the picture.
    """
    T_image_roi = roi.to_image(MASK_SIZE)
    inverse = np.linalg.inv(T_image_roi[:, :2])
    points = (keypoints_px - T_image_roi[:, 2]) @ inverse.T
    height = _height(points)
    out = np.zeros((MASK_SIZE, MASK_SIZE), np.uint8)

    def line(corners: Array, width: float) -> None:
        # OpenCV counts pixel centres from 0, and takes 1/16 px as whole numbers.
        at = np.round((corners - 0.5) * 16).astype(np.int32)
        thickness = max(1, round(width * height))
        cv2.polylines(out, [at], isClosed=False, color=1, thickness=thickness, shift=4)

    torso = points[_TORSO]
    cv2.fillConvexPoly(out, np.round((torso - 0.5) * 16).astype(np.int32), 1, shift=4)
    line(torso[[0, 1, 2, 3, 0]], _TORSO_WIDTH)
    head = points[_HEAD].mean(axis=0)
    line(np.stack([head, torso[:2].mean(axis=0)]), 0.5 * _HEAD_WIDTH)
    line(np.stack([head, head]), _HEAD_WIDTH)
    for start, end, width in _LIMBS:
        line(points[[start, end]], width)
    for elbow, wrist in _ARMS:
        hand = points[wrist] + _HAND * (points[wrist] - points[elbow])
        line(np.stack([points[wrist], hand]), _HAND_WIDTH)
    return out.astype(bool)


def _height(points: Array) -> float:
    """The body's height in the crop, from whichever of its parts looks longest for its length."""

    def length(*names: str) -> float:
        path = points[[_K[name] for name in names]]
        return float(np.hypot(*np.diff(path, axis=0).T).sum())

    legs = [length(f"{side}_hip", f"{side}_knee", f"{side}_ankle") for side in ("left", "right")]
    sides = [length(f"{side}_shoulder", f"{side}_hip") for side in ("left", "right")]
    return max(max(legs) / _LEG, max(sides) / 0.29, 1.0)
