"""Errors of a body's joints and vertices in the camera, as the field's papers define them.

All take (T, J, 3) metres, prediction first, and return values per frame (and joint), so that
those of several clips can be concatenated before averaging.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import numpy as np

from recon.core.errors import InputError
from recon.core.geometry import Array, umeyama

AccelVariant = Literal["wham", "tram", "gvhmr"]

SMPL_HIPS = (1, 2)
"""Joints of SMPL's 24 (and of our 22) whose mean is the pelvis of MPJPE and PVE."""

LSP14_HIPS = (2, 3)
"""The same in the 14 joints of the 3DPW protocol."""

H36M_TO_LSP14 = (6, 5, 4, 1, 2, 3, 16, 15, 14, 11, 12, 13, 8, 10)
"""Rows of the Human3.6M joint regressor that are the 14 joints of the 3DPW protocol.

Source: WHAM configs/constants.py `H36M_TO_J14`, after SPIN.
"""

_HAND_BEYOND_WRIST = (0.3438, 0.3345)


def mpjpe(predicted: Array, truth: Array, *, root: Sequence[int]) -> Array:
    """Joint distances (T, J) in metres after moving both roots to the origin.

    Source: WHAM lib/eval/eval_utils.py `batch_align_by_pelvis`, `compute_jpe`.

    Args:
        root: joints whose mean is the root, usually the two hips.
    """
    return np.linalg.norm(_centred(predicted, root) - _centred(truth, root), axis=-1)


def pa_mpjpe(predicted: Array, truth: Array) -> Array:
    """Joint distances (T, J) in metres after a similarity (Procrustes) in every frame.

    Source: WHAM lib/eval/eval_utils.py `batch_compute_similarity_transform_torch`.
    """
    aligned = np.empty_like(predicted)
    for t, (source, target) in enumerate(zip(predicted, truth, strict=True)):
        scale, rotation, shift = umeyama(source, target)
        aligned[t] = scale * source @ rotation.T + shift
    return np.linalg.norm(aligned - truth, axis=-1)


def pve(
    predicted: Array, truth: Array, *, predicted_joints: Array, joints: Array, root: Sequence[int]
) -> Array:
    """Vertex distances (T, V) in metres after moving both pelvises to the origin.

    Source: WHAM lib/eval/eval_utils.py `batch_align_by_pelvis`, `compute_jpe` (of vertices).

    Args:
        predicted, truth: (T, V, 3) vertices of the same mesh.
        predicted_joints, joints: (T, J, 3) of prediction and truth. root: the hips among them.
    """
    if predicted.shape != truth.shape:
        raise InputError(
            f"expected vertices of one mesh, got {predicted.shape} and {truth.shape}; "
            "convert one of the bodies first (recon convert)"
        )
    shift = _mean(predicted_joints, root) - _mean(joints, root)
    return np.linalg.norm(predicted - truth - shift, axis=-1)


def acceleration(joints: Array, fps: float) -> Array:
    """Norms (T - 2, J) in m/s^2 of the joints' second differences."""
    return np.linalg.norm(np.diff(joints, n=2, axis=0), axis=-1) * fps**2


def acceleration_error(
    predicted: Array,
    truth: Array,
    *,
    fps: float,
    root: Sequence[int] = SMPL_HIPS,
    variant: AccelVariant = "wham",
    valid: np.ndarray | None = None,
) -> Array:
    """Accel: mean over joints of the difference of accelerations, m/s^2, per frame.

    Both bodies are moved to their pelvis first. `gvhmr` keeps all T - 2 values; `wham` and `tram`
    also leave out the first and the last.

    Source: WHAM and TRAM `compute_error_accel(...)[1:-1] * 30 ** 2` (lib/eval/evaluate_emdb.py,
    scripts/emdb/run_eval.py); GVHMR hmr4d/utils/eval/eval_utils.py `compute_error_accel`.

    Args:
        valid: (T,) bool; values that need an invalid frame are left out (`vis` of the source).
            The papers' scripts take the valid frames out of the arrays before instead.
    """
    change = np.diff(_centred(predicted, root) - _centred(truth, root), n=2, axis=0)
    values = np.linalg.norm(change, axis=-1).mean(axis=-1) * fps**2
    keep = stencils_valid(valid, len(predicted), 3)
    if variant == "gvhmr":
        return values[keep]
    return values[1:-1][keep[1:-1]]


def stencils_valid(valid: np.ndarray | None, num_frames: int, width: int) -> np.ndarray:
    """Which runs of `width` frames, by their first one, hold valid frames only.

    Args:
        valid: (T,) bool, or None where all are.
    Returns:
        (max(0, T - width + 1),) bool.
    """
    count = max(0, num_frames - width + 1)
    if valid is None:
        return np.ones(count, bool)
    return np.all([valid[k : k + count] for k in range(width)], axis=0)


def lsp14(vertices: Array, regressor: Array) -> Array:
    """The 14 joints (T, 14, 3) of the 3DPW protocol from SMPL vertices (T, 6890, 3).

    Source: WHAM lib/eval/evaluate_3dpw.py; 4D-Humans takes the same joints.

    Args:
        regressor: (17, 6890), the user's own J_regressor_h36m.npy.
    """
    if regressor.ndim != 2 or len(regressor) <= max(H36M_TO_LSP14):
        raise InputError(
            f"expected the Human3.6M regressor (17, 6890), got {regressor.shape}; "
            "give J_regressor_h36m.npy"
        )
    if vertices.shape[1] != regressor.shape[1]:
        raise InputError(
            f"expected bodies of {regressor.shape[1]} vertices for this regressor, got "
            f"{vertices.shape[1]}; the 14-joint protocol needs SMPL bodies"
        )
    return np.einsum("jv,tvc->tjc", regressor[list(H36M_TO_LSP14)], vertices)


def with_hands(joints22: Array) -> Array:
    """SMPL's 24 joints (T, 24, 3) from the pelvis and 21 body joints (T, 22, 3).

    The two hands are put beyond the wrists, in line with the forearms, where a body has no joint
    for them.

    Source: GVHMR hmr4d/utils/eval/eval_utils.py `convert_joints22_to_24`.
    """
    hands = [
        joints22[:, wrist] + ratio * (joints22[:, wrist] - joints22[:, elbow])
        for wrist, elbow, ratio in zip((20, 21), (18, 19), _HAND_BEYOND_WRIST, strict=True)
    ]
    return np.concatenate([joints22, np.stack(hands, axis=1)], axis=1)


def _mean(joints: Array, root: Sequence[int]) -> Array:
    return joints[:, list(root)].mean(axis=1, keepdims=True)


def _centred(joints: Array, root: Sequence[int]) -> Array:
    return joints - _mean(joints, root)
