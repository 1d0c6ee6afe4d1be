"""How far a motion prior is off, measured: it fills gaps in clips that it was not trained on."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from body.motion_features import NUM_BODY, RATE, Start, decode, headings
from body.motion_infill import infill
from body.motion_prior import MotionPrior
from recon.core.geometry import Array, matrix_to_rotvec, rotvec_to_matrix
from recon.core.people import BodyPoses

SPREAD_SECONDS = (0.0, 0.1, 0.25, 0.5, 1.0)
_GAPS = (0.5, 1.0, 2.0)
_CONTEXT = 0.7
_FLOOR = 0.004
"""Radians and leg lengths that no spread is below."""


def with_spread(prior: MotionPrior, clips: Sequence[Array]) -> MotionPrior:
    """The prior with its spread by distance in time from the nearest frame seen.

    Args:
        clips: features (T, 140) that it was not trained on; too short ones are passed over.
    """
    far: list[Array] = []
    errors: list[Array] = []
    for clip in clips:
        poses = decode(clip, Start(position=np.zeros(2), heading=0.0), leg=1.0)
        times = np.arange(len(clip)) / RATE
        for gap in _GAPS:
            for before in np.arange(_CONTEXT, times[-1] - gap - _CONTEXT, 2.0):
                observed = (times < before) | (times > before + gap)
                filled = infill(prior, poses, times, observed=observed, leg=1.0)
                hidden = np.flatnonzero(~observed)
                far.append(np.minimum(times[hidden] - before, before + gap - times[hidden]))
                errors.append(_errors(filled, poses)[hidden])
    if not far:
        return prior
    return replace(
        prior, spread_seconds=np.array(SPREAD_SECONDS),
        spread=_by_distance(np.concatenate(far), np.concatenate(errors)),
    )  # fmt: skip


def _errors(filled: BodyPoses, true: BodyPoses) -> Array:
    """Errors (N, 69): the pelvis in the heading's axes, then rotation vectors."""
    level = rotvec_to_matrix(np.multiply.outer(-headings(true.rotations[:, 0]), [0.0, 0.0, 1.0]))
    root = np.einsum("nij,nj->ni", level, filled.root - true.root)
    ours, theirs = filled.rotations[:, :NUM_BODY], true.rotations[:, :NUM_BODY]
    turns = matrix_to_rotvec(ours @ np.swapaxes(theirs, -1, -2))
    return np.concatenate([root, turns.reshape(len(root), -1)], axis=1)


def _by_distance(far: Array, errors: Array) -> Array:
    """Root mean squares (B, 69) about each of SPREAD_SECONDS, never falling with distance."""
    bins = np.array(SPREAD_SECONDS)
    nearest = np.abs(far[:, None] - bins).argmin(axis=1)
    out = np.full((len(bins), errors.shape[1]), _FLOOR)
    for k in range(1, len(bins)):
        if np.any(nearest == k):
            out[k] = np.sqrt(np.mean(errors[nearest == k] ** 2, axis=0))
    return np.maximum.accumulate(out, axis=0)
