"""Smooth curves of time that motion is written in."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from scipy.interpolate import BPoly, CubicSpline
from scipy.ndimage import minimum_filter1d

from recon.core.geometry import Array

GRID_RATE = 100.0
"""Samples a second of what is smoothed before it becomes a curve."""


def ease(u: Array) -> Array:
    """The minimum-jerk course from 0 to 1 (Flash and Hogan 1985), held outside [0, 1]."""
    u = np.clip(u, 0.0, 1.0)
    return u**3 * (10 - 15 * u + 6 * u**2)


def keyed(keys: Sequence[tuple[float, float]], times: Array) -> Array:
    """Values (N,) that rest at each key (seconds, value) and ease from one to the next."""
    at, values = (np.array(column, dtype=float) for column in zip(*sorted(keys), strict=True))
    if len(at) == 1:
        return np.full(len(times), values[0])
    i = np.clip(np.searchsorted(at, times, side="right") - 1, 0, len(at) - 2)
    step = values[i + 1] - values[i]
    return values[i] + step * ease((times - at[i]) / np.maximum(at[i + 1] - at[i], 1e-9))


def quintic(knots: Sequence[tuple[float, Sequence]]) -> BPoly:
    """The curve, continuous in acceleration, through knots (seconds, [value, rate, ...])."""
    times, values = zip(*knots, strict=True)
    return BPoly.from_derivatives(np.array(times, dtype=float), [np.asarray(v) for v in values])


def spline(times: Array, values: Array) -> CubicSpline:
    """The cubic spline through samples."""
    return CubicSpline(times, values, axis=0)


def smooth(values: Array, seconds: float) -> Array:
    """Samples (N, ...) at GRID_RATE under a Hann window `seconds` wide; ends are repeated."""
    kernel = _hann(seconds)
    half = len(kernel) // 2
    padded = np.pad(values, [(half, half)] + [(0, 0)] * (values.ndim - 1), mode="edge")
    flat = padded.reshape(len(padded), -1)
    columns = [np.convolve(column, kernel, mode="valid") for column in flat.T]
    return np.stack(columns, axis=-1).reshape(values.shape)


def smooth_below(values: Array, seconds: float) -> Array:
    """A smooth curve (N,) on or below samples at GRID_RATE: sliding minimum, then two means."""
    wide, narrow = 0.75 * seconds, 0.25 * seconds
    width = len(_hann(wide)) + len(_hann(narrow)) - 1
    return smooth(smooth(minimum_filter1d(values, width, mode="nearest"), wide), narrow)


def _hann(seconds: float) -> Array:
    half = max(1, round(seconds * GRID_RATE / 2))
    window = 1 + np.cos(np.pi * np.arange(-half, half + 1) / (half + 1))
    return window / window.sum()
