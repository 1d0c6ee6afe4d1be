"""A first guess of depth for keypoints that a network saw in 2D only.

Bones of an average adult look shorter where they point away from the picture; which way they
point is guessed from what bodies do: knees bend forward, forearms reach forward. It is a start
for the fit, not evidence.
"""

from __future__ import annotations

import numpy as np

from recon.core.geometry import Array
from recon.core.skeletons import BLAZEPOSE_KEYPOINTS

_K = {name: i for i, name in enumerate(BLAZEPOSE_KEYPOINTS)}
_SHOULDERS = [_K["left_shoulder"], _K["right_shoulder"]]
_HIPS = [_K["left_hip"], _K["right_hip"]]
_EARS = [_K["left_ear"], _K["right_ear"]]
_THIGH, _SHIN, _UPPER_ARM, _FOREARM, _TORSO, _FOOT = 0.40, 0.41, 0.27, 0.25, 0.50, 0.20
_SHOULDER_WIDTH, _HIP_WIDTH = 0.34, 0.20
"""Metres between keypoints of an average adult."""
_BONES = np.array(
    [
        (_K[f"{side}_{start}"], _K[f"{side}_{end}"])
        for side in ("left", "right")
        for start, end in (
            ("hip", "knee"), ("knee", "ankle"), ("shoulder", "elbow"), ("elbow", "wrist"),
        )
    ]
)  # fmt: skip
_LENGTHS = np.array([_THIGH, _SHIN, _UPPER_ARM, _FOREARM] * 2)
_FORWARD = np.array([1.0, -1.0, 0.0, 1.0] * 2)
"""Which way a foreshortened bone is taken to point: thighs and forearms forward, shins back."""
_SEEN = 0.3


def pixels_per_metre(keypoints_px: Array, conf: Array) -> Array:
    """Pixels (N,) that a metre across the view takes at the person's distance.

    The least foreshortened of the seen bones tells it.

    Args:
        keypoints_px: (N, 33, 2). conf: (N, 33), 0-1.
    """
    start, end = _BONES.T
    seen = np.hypot(*np.moveaxis(keypoints_px[:, end] - keypoints_px[:, start], -1, 0)) / _LENGTHS
    sure = np.minimum(conf[:, start], conf[:, end]) >= _SEEN
    spine = keypoints_px[:, _HIPS].mean(axis=1) - keypoints_px[:, _SHOULDERS].mean(axis=1)
    torso = np.hypot(*spine.T) / _TORSO
    return np.maximum(np.where(sure, seen, 0.0).max(axis=1), np.maximum(torso, 1e-3))


def lifted_landmarks(keypoints_px: Array, conf: Array) -> Array:
    """Landmarks (N, 33, 3) in metres, axes of the picture, origin at mid-hip, by guess.

    Args and source of the idea: as pixels_per_metre; Taylor 2000, "Reconstruction of Articulated
    Objects from Point Correspondences in a Single Uncalibrated Image".
    """
    scale = pixels_per_metre(keypoints_px, conf)
    origin = keypoints_px[:, _HIPS].mean(axis=1, keepdims=True)
    out = np.zeros((*conf.shape, 3))
    out[..., :2] = (keypoints_px - origin) / scale[:, None, None]
    forward_x, forward_z = _facing(out).T
    for pair, width in ((_SHOULDERS, _SHOULDER_WIDTH), (_HIPS, _HIP_WIDTH)):
        out[:, pair[0], 2] = 0.5 * width * forward_x
        out[:, pair[1], 2] = -0.5 * width * forward_x
    across = np.linalg.norm(out[:, _BONES[:, 1], :2] - out[:, _BONES[:, 0], :2], axis=-1)
    depth = np.sqrt(np.maximum(_LENGTHS**2 - across**2, 0.0)) * _FORWARD * forward_z[:, None]
    for k, (start, end) in enumerate(_BONES):
        out[:, end, 2] = out[:, start, 2] + depth[:, k]
    for side in ("left", "right"):
        hand, foot = out[:, _K[f"{side}_wrist"], 2], out[:, _K[f"{side}_ankle"], 2]
        for name in ("thumb", "index", "pinky"):
            out[:, _K[f"{side}_{name}"], 2] = hand
        out[:, _K[f"{side}_heel"], 2] = foot
        out[:, _K[f"{side}_foot_index"], 2] = foot + _FOOT * forward_z
    head = np.arange(_K["mouth_right"] + 1)
    out[:, head, 2] = out[:, _SHOULDERS, 2].mean(axis=1, keepdims=True)
    out[:, _K["nose"], 2] += 0.1 * forward_z
    return out


def _facing(points: Array) -> Array:
    """Which way (N, 2) the chest faces: x across the picture and z away, a unit vector.

    Shoulders look narrow from the side; the nose tells from which. A back shows its left shoulder
    on the left.

    Args:
        points: (N, 33, 3) metres, axes of the picture; only x and y are read.
    """
    widths = ((_SHOULDERS, _SHOULDER_WIDTH), (_HIPS, _HIP_WIDTH))
    shown = sum(points[:, pair[0], 0] - points[:, pair[1], 0] for pair, _ in widths)
    cosine = np.clip(shown / sum(width for _, width in widths), -1.0, 1.0)
    nose = points[:, _K["nose"], 0] - points[:, _EARS, 0].mean(axis=1)
    return np.stack([np.sign(nose) * np.sqrt(1 - cosine**2), -cosine], axis=-1)
