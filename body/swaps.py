"""Left-right swaps of a keypoint network: stretches in which arms or legs have each other's names.

A network that takes a back for a front swaps all of them. The clean stretches before and after
tell where each side is: per frame, the choice of "as named" or "swapped" for arms and for legs
whose points move least from frame to frame and over two frames (Viterbi), in the picture and,
where the network sees in 3D, in depth, since both legs of a person seen from the side project
onto one another. Steps over two frames see past one in which both sides lie on one another.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from recon.core.geometry import Array
from recon.core.people import PersonTrack
from recon.core.skeletons import BLAZEPOSE_KEYPOINTS

_K = {name: i for i, name in enumerate(BLAZEPOSE_KEYPOINTS)}
PARTS: dict[str, tuple[tuple[int, int], ...]] = {
    "arms": tuple(
        (_K[f"left_{k}"], _K[f"right_{k}"])
        for k in ("shoulder", "elbow", "wrist", "pinky", "index", "thumb")
    ),
    "legs": tuple(
        (_K[f"left_{k}"], _K[f"right_{k}"]) for k in ("hip", "knee", "ankle", "heel", "foot_index")
    ),
}
"""Pairs of keypoints that change names together."""
_REACH = 0.5
"""Seconds after which nobody is still where they were: motion across a longer gap says nothing."""
_SLOW = 0.03
"""Motion between frames that is nothing unusual, of the person's size."""
_SWITCH = 5.0
"""Cost of a change of names: what a few keypoints that jump to the other side cost."""
_STAY = 0.25
"""Cost a frame of arms or legs that are swapped: the network is mostly right."""
_APART = 0.2
"""Cost a frame of arms that are swapped while legs are not, or the reverse: a person's left and
right are mistaken as a whole rather."""
_OVER_TWO = 0.5
"""Weight of a step over two frames, of one over one."""
_STATES = np.array([[False, False], [True, True], [True, False], [False, True]])
"""(4, 2): whether arms and legs are swapped."""


def repair_swaps(track: PersonTrack, times: Array) -> tuple[PersonTrack, np.ndarray]:
    """The track with swapped limbs renamed, and (N, 2) bool, which frames of arms, legs were.

    A clean track comes back unchanged (the same object).

    Args:
        times: (T,) seconds of all frames of the video.
    """
    swapped = _swapped(track, times[track.frame_idx])
    if not swapped.any():
        return track, swapped
    arrays = [np.array(getattr(track, n)) for n in ("keypoints_px", "keypoint_conf", "landmarks")]
    for part, pairs in enumerate(PARTS.values()):
        rows = np.flatnonzero(swapped[:, part])[:, None]
        left, right = np.array(pairs).T
        for array in arrays:
            array[rows, left], array[rows, right] = array[rows, right], array[rows, left]
    hands = {
        name: _exchanged(array, swapped[:, 0])
        for name in ("hands_px", "hands_conf", "hands_3d")
        if (array := getattr(track, name)) is not None
    }
    px, conf, landmarks = arrays
    centred = landmarks - landmarks[:, [_K["left_hip"], _K["right_hip"]]].mean(1, keepdims=True)
    repaired = replace(track, keypoints_px=px, keypoint_conf=conf, landmarks=centred, **hands)
    return repaired, swapped


def _exchanged(hands: Array, rows: np.ndarray) -> Array:
    """Left and right (axis 1) exchanged in some frames."""
    return np.where(rows.reshape(-1, *[1] * (hands.ndim - 1)), hands[:, ::-1], hands)


def _swapped(track: PersonTrack, times: Array) -> np.ndarray:
    """(N, 2) bool of arms and legs by the best path over pairs of neighbouring frames' states."""
    num = len(times)
    if num < 3:
        return np.zeros((num, 2), bool)
    step, far = _step_costs(track, times, over=1), _OVER_TWO * _step_costs(track, times, over=2)
    step += _SWITCH * (1 - np.eye(len(_STATES)))
    stay = _STAY * _STATES.sum(axis=1) + _APART * (_STATES[:, 0] != _STATES[:, 1])
    best = stay[:, None] + stay + step[0]  # (before, now)
    came_from = np.zeros((num, *best.shape), int)
    for n in range(2, num):
        total = best[:, :, None] + far[n - 2][:, None, :]  # (two before, before, now)
        came_from[n] = total.argmin(axis=0)
        best = total.min(axis=0) + step[n - 1] + stay
    path = np.zeros(num, int)
    path[-2:] = np.unravel_index(best.argmin(), best.shape)
    for n in range(num - 1, 1, -1):
        path[n - 2] = came_from[n, path[n - 1], path[n]]
    return _STATES[path]


def _step_costs(track: PersonTrack, times: Array, *, over: int) -> Array:
    """Costs (N - over, 4, 4) of the motion from a frame's state to that `over` frames later."""
    changed = _STATES[:, None] != _STATES[None]
    costs = 0.0
    for part, pairs in enumerate(PARTS.values()):
        same, crossed = _motion_costs(track, times, pairs, over=over)
        costs = costs + np.where(changed[..., part], crossed[:, None, None], same[:, None, None])
    return np.asarray(costs)


def _motion_costs(
    track: PersonTrack, times: Array, pairs: tuple[tuple[int, int], ...], *, over: int
) -> tuple[Array, Array]:
    """Costs (N - over,) of going on under the same names and of having changed them."""
    boxes = track.boxes
    size = np.maximum((boxes[:, 2:] - boxes[:, :2]).max(axis=1), 1.0)[:, None, None]
    # A metre of landmarks is about 0.55 of the size; depths are worth half of what is seen.
    depth = 0.55 * 0.5 * track.metric * track.landmarks[..., 2:]
    centre = track.keypoints_px[:, [11, 12, 23, 24]].mean(axis=1, keepdims=True)
    points = np.concatenate([(track.keypoints_px - centre) / size, depth], axis=-1)
    left, right = np.array(pairs).T
    trust = np.minimum(track.keypoint_conf[:, left], track.keypoint_conf[:, right])
    weight = np.minimum(trust[over:], trust[:-over])
    gap = times[over:] - times[:-over]
    noise = _SLOW * (1 + gap / 0.1)[:, None]

    def cost(a: np.ndarray, b: np.ndarray) -> Array:
        left_step = np.linalg.norm(points[over:, left] - points[:-over, a], axis=-1)
        right_step = np.linalg.norm(points[over:, right] - points[:-over, b], axis=-1)
        square = (left_step**2 + right_step**2) / noise**2
        return (weight * square / (1 + square / 18)).sum(axis=1) * (gap < _REACH)

    return cost(left, right), cost(right, left)
