"""Errors of predicted joints against true ones, as the field's papers define them.

All take (T, J, 3) metres, prediction first, and return one number per frame and joint, so that
results of several clips can be concatenated before averaging.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from recon.core.geometry import Array, umeyama


def mpjpe(predicted: Array, truth: Array, *, root: Sequence[int]) -> Array:
    """Joint distances (T, J) in metres after moving both roots to the origin.

    Args:
        root: joints whose mean is the root, usually the two hips.
    """
    centred = [x - x[:, root].mean(axis=1, keepdims=True) for x in (predicted, truth)]
    return np.linalg.norm(centred[0] - centred[1], axis=-1)


def pa_mpjpe(predicted: Array, truth: Array) -> Array:
    """Joint distances (T, J) in metres after a similarity (Procrustes) in every frame."""
    aligned = np.empty_like(predicted)
    for t, (source, target) in enumerate(zip(predicted, truth, strict=True)):
        scale, rotation, shift = umeyama(source, target)
        aligned[t] = scale * source @ rotation.T + shift
    return np.linalg.norm(aligned - truth, axis=-1)


def acceleration(joints: Array, fps: float) -> Array:
    """Norms (T - 2, J) in m/s^2 of the joints' second differences."""
    return np.linalg.norm(np.diff(joints, n=2, axis=0), axis=-1) * fps**2
