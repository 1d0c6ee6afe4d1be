"""Joint and keypoint names that several packages share."""

from __future__ import annotations

BLAZEPOSE_KEYPOINTS: tuple[str, ...] = (
    "nose",
    "left_eye_inner", "left_eye", "left_eye_outer",
    "right_eye_inner", "right_eye", "right_eye_outer",
    "left_ear", "right_ear", "mouth_left", "mouth_right",
    "left_shoulder", "right_shoulder", "left_elbow", "right_elbow",
    "left_wrist", "right_wrist", "left_pinky", "right_pinky",
    "left_index", "right_index", "left_thumb", "right_thumb",
    "left_hip", "right_hip", "left_knee", "right_knee",
    "left_ankle", "right_ankle", "left_heel", "right_heel",
    "left_foot_index", "right_foot_index",
)  # fmt: skip
"""The 33 BlazePose landmarks; left and right are the person's own."""

HAND_LINES: tuple[tuple[int, ...], ...] = tuple(
    (0, *range(first, first + 4)) for first in (1, 5, 9, 13, 17)
)
"""Fingers of a hand's 21 keypoints, from the wrist to each tip, to draw."""

FACE_LINES: dict[int, tuple[tuple[int, ...], ...]] = {
    68: (
        tuple(range(17)), tuple(range(27, 31)), (*range(36, 42), 36), (*range(42, 48), 42),
        (*range(48, 60), 48), (*range(60, 68), 60),
    ),
    468: (
        (10, 284, 389, 454, 361, 397, 379, 400, 152, 176, 150, 172, 132, 234, 162, 54, 10),
        (168, 6, 197, 195, 5, 4, 1),
        (33, 160, 158, 133, 153, 144, 33), (263, 387, 385, 362, 380, 373, 263),
        (61, 40, 37, 0, 267, 270, 291, 321, 314, 17, 84, 91, 61),
        (78, 81, 13, 311, 308, 402, 14, 178, 78),
    ),
}  # fmt: skip
"""Outline, nose, eyes and lips of a face's points, by their number (iBUG, MediaPipe), to draw."""

SMPLX_BODY_JOINTS: tuple[str, ...] = (
    "pelvis", "left_hip", "right_hip", "spine1", "left_knee", "right_knee", "spine2",
    "left_ankle", "right_ankle", "spine3", "left_foot", "right_foot", "neck",
    "left_collar", "right_collar", "head", "left_shoulder", "right_shoulder",
    "left_elbow", "right_elbow", "left_wrist", "right_wrist",
)  # fmt: skip
"""The pelvis and the 21 body joints of SMPL-X, in its order."""

SMPLX_BODY_PARENTS: tuple[int, ...] = (
    -1, 0, 0, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 9, 9, 12, 13, 14, 16, 17, 18, 19,
)  # fmt: skip

_FINGERS = ("index", "middle", "pinky", "ring", "thumb")
LEFT_HAND_JOINTS: tuple[str, ...] = tuple(f"left_{f}{k}" for f in _FINGERS for k in (1, 2, 3))
RIGHT_HAND_JOINTS: tuple[str, ...] = tuple(f"right_{f}{k}" for f in _FINGERS for k in (1, 2, 3))
"""The 15 joints of a hand in SMPL-X (MANO) order."""

CANONICAL_JOINTS: tuple[str, ...] = SMPLX_BODY_JOINTS + LEFT_HAND_JOINTS + RIGHT_HAND_JOINTS
"""The 52 joints of our canonical motion: SMPL-X without jaw and eyes."""


def _hand_parents(wrist: int, first: int) -> tuple[int, ...]:
    return tuple(wrist if k % 3 == 0 else first + k - 1 for k in range(15))


CANONICAL_PARENTS: tuple[int, ...] = (
    SMPLX_BODY_PARENTS + _hand_parents(20, 22) + _hand_parents(21, 37)
)
"""Parent index of every canonical joint, -1 for the pelvis; parents come first."""
