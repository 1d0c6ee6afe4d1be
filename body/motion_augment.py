"""More motions out of few: other styles of a clip, and made-up movements about its poses.

Clips that a user has, and procedural ones even more, are few people moving in few ways. A prior
that has seen only them copies them; one that must also fill in strange gaits learns to look at
the steps before and after. Features are those of `body.motion_features`; the results are not
physical (feet slide), which is why they only join the clips themselves in training.
"""

from __future__ import annotations

import numpy as np

from body.motion_features import (
    CONTACTS,
    HEIGHT,
    NUM_BODY,
    NUM_FEATURES,
    RATE,
    RATES,
    TURNS_6D,
    from_6d,
    to_6d,
)
from recon.core.geometry import Array, matrix_to_rotvec, nearest_rotation, rotvec_to_matrix
from recon.core.skeletons import SMPLX_BODY_JOINTS

_PACE_STD, _SWING_STD, _TRAVEL_STD = 0.2, 0.25, 0.25
"""Spreads in log scale of a clip's tempo, of each joint's swing, of heights and speeds."""
_POSTURE_STD, _PELVIS_SHARE = 0.15, 0.4
"""Radians by which each joint is turned for a whole clip; the pelvis by this share of it."""
_HARMONICS = np.array([1.0, 0.35, 0.12])
_WAVES = 6

# Radians that joints swing in made-up movements; those not named hardly move.
_SWING = {
    "pelvis": 0.1, "hip": 0.4, "knee": 0.4, "spine1": 0.1, "ankle": 0.2, "spine2": 0.1,
    "spine3": 0.1, "neck": 0.1, "head": 0.1, "collar": 0.1, "shoulder": 0.4, "elbow": 0.4,
    "wrist": 0.1,
}  # fmt: skip


def restyled(features: Array, rng: np.random.Generator) -> Array:
    """The same movement (T', 140) by somebody with another tempo, posture and swing."""
    pace = np.exp(rng.normal(0, _PACE_STD))
    at = np.arange(0, len(features) - 1, pace)
    out = np.stack([np.interp(at, np.arange(len(features)), c) for c in features.T], axis=-1)
    turns = from_6d(out[:, TURNS_6D].reshape(-1, NUM_BODY, 6))
    middle = nearest_rotation(turns.mean(axis=0))
    away = matrix_to_rotvec(np.swapaxes(middle, -1, -2) @ turns)
    swing = np.exp(rng.normal(0, _SWING_STD) + rng.normal(0, _SWING_STD, (NUM_BODY, 1)))
    posture = rng.normal(0, _POSTURE_STD, (NUM_BODY, 3))
    posture[0] *= _PELVIS_SHARE
    turns = middle @ rotvec_to_matrix(posture) @ rotvec_to_matrix(swing * away)
    out[:, TURNS_6D] = to_6d(turns).reshape(len(out), -1)
    height = out[:, HEIGHT].mean()
    out[:, HEIGHT] = height + (out[:, HEIGHT] - height) * np.exp(rng.normal(0, _TRAVEL_STD))
    out[:, RATES] *= pace * np.exp(rng.normal(0, _TRAVEL_STD, 3))
    return out


def made_up(pose: Array, rng: np.random.Generator, *, rows: int) -> Array:
    """A movement (rows, 140) about one pose (140,): periodic, or a slow wandering of all joints."""
    t = np.arange(rows)[:, None, None] / RATE
    size = np.exp(rng.normal(0, 0.4)) * _swings()[:, None]
    period = rng.uniform(0.5, 2.0)
    if rng.uniform() < 0.6:
        rates = np.arange(1, len(_HARMONICS) + 1)[:, None, None] / period
        heights = _HARMONICS[:, None, None] * rng.standard_normal((len(_HARMONICS), NUM_BODY, 3))
    else:
        rates = rng.uniform(0.1, 1.5, (_WAVES, NUM_BODY, 3))
        heights = np.full((_WAVES, 1, 1), 0.5)
    phases = rng.uniform(0, 2 * np.pi, (len(heights), NUM_BODY, 3))
    waves = [h * np.sin(2 * np.pi * r * t + p) for h, r, p in zip(
        heights, np.broadcast_to(rates, phases.shape), phases, strict=True)]  # fmt: skip
    turns = from_6d(pose[TURNS_6D].reshape(NUM_BODY, 6)) @ rotvec_to_matrix(size * sum(waves))
    out = np.tile(pose, (rows, 1))
    out[:, TURNS_6D] = to_6d(turns).reshape(rows, -1)
    out[:, CONTACTS] = 0.5
    speeds = rng.normal(0, [0.5, 1.0, 0.5])
    for column, mean, sway in ((HEIGHT, pose[HEIGHT], 0.05), *zip(
        range(RATES.start, RATES.stop), speeds, (0.3, 0.3, 0.4), strict=True)):  # fmt: skip
        wave = 2 * np.pi * rng.integers(1, 3) * t[:, 0, 0] / period + rng.uniform(0, 2 * np.pi)
        out[:, column] = mean + sway * np.sin(wave)
    assert out.shape == (rows, NUM_FEATURES)
    return out


def _swings() -> Array:
    names = [n.removeprefix("left_").removeprefix("right_") for n in SMPLX_BODY_JOINTS]
    return np.array([_SWING.get(name, 0.02) for name in names])
