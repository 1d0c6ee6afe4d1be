"""COCO's keypoint sets in BlazePose's names: 17 of the body, 26 with feet, 133 of all of it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from recon.core.errors import InputError
from recon.core.geometry import Array
from recon.core.skeletons import BLAZEPOSE_KEYPOINTS

_K = {name: i for i, name in enumerate(BLAZEPOSE_KEYPOINTS)}

NUM_BODY = 17
_BODY = (
    "nose", "left_eye", "right_eye", "left_ear", "right_ear", "left_shoulder", "right_shoulder",
    "left_elbow", "right_elbow", "left_wrist", "right_wrist", "left_hip", "right_hip",
    "left_knee", "right_knee", "left_ankle", "right_ankle",
)  # fmt: skip
_COCO = {name: i for i, name in enumerate(_BODY)}
_HALPE = _COCO | {
    "left_foot_index": 20, "right_foot_index": 21, "left_heel": 24, "right_heel": 25,
}  # fmt: skip
_FACE, _LEFT_HAND, _RIGHT_HAND, _END = 23, 91, 112, 133
_WHOLE = _COCO | {
    "left_foot_index": 17, "left_heel": 19, "right_foot_index": 20, "right_heel": 22,
    "right_eye_outer": _FACE + 36, "right_eye_inner": _FACE + 39,
    "left_eye_inner": _FACE + 42, "left_eye_outer": _FACE + 45,
    "mouth_right": _FACE + 48, "mouth_left": _FACE + 54,
    "left_thumb": _LEFT_HAND + 2, "left_index": _LEFT_HAND + 5, "left_pinky": _LEFT_HAND + 17,
    "right_thumb": _RIGHT_HAND + 2, "right_index": _RIGHT_HAND + 5, "right_pinky": _RIGHT_HAND + 17,
}  # fmt: skip
_SETS = {NUM_BODY: _COCO, 26: _HALPE, _END: _WHOLE}

_STAND_IN = {
    "eye_inner": "eye", "eye_outer": "eye", "pinky": "wrist", "index": "wrist", "thumb": "wrist",
    "heel": "ankle", "foot_index": "ankle",
}  # fmt: skip
"""Where a keypoint that a set lacks is put, at zero confidence."""


@dataclass(frozen=True, kw_only=True)
class CocoPerson:
    """A person's COCO keypoints in our names.

    Args:
        keypoints_px: (33, 2) BlazePose order. conf: (33,), 0 where the set has no such point.
        hands_px: (2, 21, 2) left and right, or None. hands_conf: (2,), 0-1, or None.
        face_px: (68, 2) in iBUG's order, or None. face_conf: 0-1, or None.
    """

    keypoints_px: Array
    conf: Array
    hands_px: Array | None = None
    hands_conf: Array | None = None
    face_px: Array | None = None
    face_conf: float | None = None


def check_count(count: int, source: str) -> None:
    """Raises InputError unless a network from `source` has one of the known keypoint sets."""
    if count not in _SETS:
        known = "17 (COCO), 26 (Halpe: body and feet) or 133 (COCO-WholeBody)"
        raise InputError(
            f"expected a network of {known} keypoints, got {count} in {source}; use another one"
        )


def from_coco(points: Array, scores: Array) -> CocoPerson:
    """A person's keypoints under BlazePose's names.

    Args:
        points: (K, 2) px, K one of 17, 26, 133. scores: (K,), 0-1.
    Source: COCO-WholeBody (Jin et al. 2020) and Halpe (Fang et al. 2022) define the orders.
    """
    source = _SETS[len(points)]
    rows = np.array([source.get(name, source[_stand_in(name)]) for name in BLAZEPOSE_KEYPOINTS])
    known = np.array([name in source for name in BLAZEPOSE_KEYPOINTS])
    body = CocoPerson(keypoints_px=points[rows], conf=np.where(known, scores[rows], 0.0))
    if len(points) != _END:
        return body
    hands = [slice(_LEFT_HAND, _RIGHT_HAND), slice(_RIGHT_HAND, _END)]
    return CocoPerson(
        keypoints_px=body.keypoints_px,
        conf=body.conf,
        hands_px=np.stack([points[hand] for hand in hands]),
        hands_conf=np.array([scores[hand].mean() for hand in hands]),
        face_px=points[_FACE:_LEFT_HAND],
        face_conf=float(scores[_FACE:_LEFT_HAND].mean()),
    )


def _stand_in(name: str) -> str:
    side, _, part = name.partition("_")
    return f"{side}_{_STAND_IN[part]}" if part in _STAND_IN else "nose"
