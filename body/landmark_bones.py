"""The bones between 3D landmarks: what a keypoint network's depth errors add up along.

A network that misjudges the depth of an elbow misjudges the wrist's with it: on pose2sim the
errors of elbow and wrist correlate by 0.8 to 0.96, of ankle and heel by 0.98. Differences along
limbs have errors of their own, positions relative to the hips have not.
"""

from __future__ import annotations

import numpy as np

from recon.core.geometry import Array
from recon.core.skeletons import BLAZEPOSE_KEYPOINTS

_K = {name: i for i, name in enumerate(BLAZEPOSE_KEYPOINTS)}
_HIPS, _SHOULDERS, _EARS = (
    (_K[f"left_{part}"], _K[f"right_{part}"]) for part in ("hip", "shoulder", "ear")
)
_LONG, _SHORT = 1.0, 0.6


def _bones() -> list[tuple[tuple[int, ...], tuple[int, ...], float]]:
    """Start and end of every bone (means of keypoints) and the size of its error."""
    out: list[tuple[tuple[int, ...], tuple[int, ...], float]] = [
        (_HIPS[:1], _HIPS[1:], _LONG),
        (_SHOULDERS[:1], _SHOULDERS[1:], _LONG),
        (_HIPS, _SHOULDERS, _LONG),
        (_SHOULDERS, _EARS, _LONG),
    ]
    limbs = (
        ("shoulder", "elbow", _LONG), ("elbow", "wrist", _LONG), ("hip", "knee", _LONG),
        ("knee", "ankle", _LONG), ("ankle", "heel", _SHORT), ("ankle", "foot_index", _SHORT),
        ("wrist", "index", _SHORT), ("wrist", "pinky", _SHORT), ("wrist", "thumb", _SHORT),
    )  # fmt: skip
    for side in ("left", "right"):
        out += [((_K[f"{side}_{a}"],), (_K[f"{side}_{b}"],), size) for a, b, size in limbs]
    return out + [(_EARS, (face,), _SHORT) for face in range(11) if face not in _EARS]


def _tables() -> tuple[Array, Array, Array]:
    bones = _bones()
    difference, ends = (np.zeros((len(bones), len(_K))) for _ in range(2))
    for row, (start, end, _) in enumerate(bones):
        difference[row, list(start)] -= 1 / len(start)
        difference[row, list(end)] += 1 / len(end)
        ends[row, [*start, *end]] = 1 / (len(start) + len(end))
    return difference, ends, np.array([size for _, _, size in bones])


BONES, BONE_ENDS, BONE_NOISE = _tables()
"""Maps (B, 33) from keypoints to bones and to the mean over their ends; relative noise (B,)."""
NUM_BONES = len(BONES)
