"""Which sole points stand still: contact probabilities from the points' own motion."""

from __future__ import annotations

import numpy as np

from recon.core.geometry import Array

DEPTH_NOISE_RATIO = 5.0
"""How much noisier a monocular body is along the viewing ray than across it."""

REFERENCE_STEP = 1 / 30
"""Seconds for which one frame counts as one piece of evidence; others count by their length."""

_STILL_SPEED = 0.6  # m/s; a swinging foot does 1-5, the noise of a standing one 0.1-0.2
_STILL_SHARE = 0.35  # of the travelling speed: a runner's swinging foot does twice that speed,
# and fits that lag behind the picture leave the standing one a part of it
_MAX_HEIGHT = 0.22  # metres above the lowest sole point of the last and next half second
_SWITCH_SECONDS = 0.15  # mean time between changes that the smoothing expects


def frame_steps(times: Array) -> Array:
    """Seconds (N,) that each frame stands for; REFERENCE_STEP for a single frame."""
    times = np.asarray(times, dtype=float)
    return np.gradient(times) if len(times) > 1 else np.full(len(times), REFERENCE_STEP)


def local_velocity(points: Array, times: Array, *, window: float = 0.05) -> Array:
    """Velocities (N, ..., 3) in m/s: slopes of Gaussian-weighted lines through the neighbours.

    Args:
        points: (N, ..., 3) metres. times: (N,) seconds. window: seconds, 1/e half width.
    """
    n = len(times)
    if n < 2:
        return np.zeros_like(points)
    reach = min(n - 1, max(1, int(np.ceil(1.5 * window / np.median(np.diff(times))))))
    sums = np.zeros((3, n))
    moments = np.zeros((2, *points.shape))
    for k in range(-reach, reach + 1):
        i = np.arange(max(0, -k), n - max(0, k))
        tau = times[i + k] - times[i]
        w = np.exp(-((tau / max(window, 1e-9)) ** 2)) if k else np.ones(len(i))
        w = np.maximum(w, 1e-3)
        shape = (-1, *[1] * (points.ndim - 1))
        sums[:, i] += np.stack([w, w * tau, w * tau**2])
        moments[0, i] += w.reshape(shape) * points[i + k]
        moments[1, i] += (w * tau).reshape(shape) * points[i + k]
    s0, s1, s2 = (s.reshape(-1, *[1] * (points.ndim - 1)) for s in sums)
    return (s0 * moments[1] - s1 * moments[0]) / (s0 * s2 - s1**2)


def contact_probabilities(
    soles: Array,
    times: Array,
    *,
    up: Array,
    rays: Array | None = None,
    window: float = 0.05,
    strictness: float = 1.0,
) -> Array:
    """Probabilities (N, 4) that each sole point stands still on something.

    A point in contact is slow and not far above the lowest sole point of the surrounding second.
    Frame-wise odds are smoothed by a two-state hidden Markov model whose rates are per second, so
    that the answer does not depend on the frame rate.

    Args:
        soles: (N, 4, 3) metres, axes at rest in the world. times: (N,) seconds. up: (3,) unit.
        rays: (N, 3) unit viewing rays in the same axes, along which speed is judged
            DEPTH_NOISE_RATIO times more leniently; None where noise is isotropic.
        window: seconds over which speed is measured; more where positions are noisy.
        strictness: how many times slower than a noisy one a point must be to be still; more than
            one for motion that was smoothed already.
    """
    velocity = local_velocity(soles, times, window=window)
    speed2 = np.sum(velocity**2, axis=-1)
    if rays is not None:
        along = np.einsum("nkj,nj->nk", velocity, rays)
        speed2 = speed2 - (1 - DEPTH_NOISE_RATIO**-2) * along**2
    still = np.maximum(_STILL_SPEED, _STILL_SHARE * _travelling_speed(soles, times))[:, None]
    still = still / strictness
    slow = 2 * np.log(still**2 / np.maximum(speed2, 1e-6))
    height = soles @ up
    low = (_MAX_HEIGHT - (height - _floor_below(height, times)[:, None])) / 0.03
    odds = np.clip(np.minimum(slow, low), -4, 4)
    return _smooth(odds * np.minimum(frame_steps(times) / REFERENCE_STEP, 3)[:, None], times)


def interval_labels(contacts: Array) -> np.ndarray:
    """Labels (N, K) counting each column's runs of contact (> 0.5) from 0; -1 outside them."""
    on = contacts > 0.5
    starts = on.copy()
    starts[1:] &= ~on[:-1]
    labels = np.cumsum(starts.T.ravel()).reshape(on.T.shape).T - 1
    return np.where(on, labels, -1)


def trimmed(labels: np.ndarray, times: Array, *, seconds: float) -> np.ndarray:
    """Labels (N, K) without the first and last `seconds` of every run, where feet still roll.

    Runs too short to lose their ends are kept whole.
    """
    out = labels.copy()
    n, k = np.nonzero(labels >= 0)
    if len(n) == 0:
        return out
    label, count = labels[n, k], int(labels.max()) + 1
    first, last = np.full(count, np.inf), np.full(count, -np.inf)
    np.minimum.at(first, label, times[n])
    np.maximum.at(last, label, times[n])
    margin = np.where(last - first > 3 * seconds, seconds, 0.0)[label]
    ends = (times[n] < first[label] + margin) | (times[n] > last[label] - margin)
    out[n[ends], k[ends]] = -1
    return out


def _travelling_speed(soles: Array, times: Array) -> Array:
    """Speed (N,) in m/s of the middle of the feet over the surrounding second."""
    if len(times) < 2:
        return np.zeros(len(times))
    first = np.searchsorted(times, times - 0.5)
    last = np.searchsorted(times, times + 0.5, side="right") - 1
    middle = soles.mean(axis=1)
    distance = np.linalg.norm(middle[last] - middle[first], axis=-1)
    return distance / np.maximum(times[last] - times[first], 1e-6)


def _floor_below(height: Array, times: Array) -> Array:
    """Lowest sole height (N,) within half a second of each frame."""
    lowest = height.min(axis=1)
    first = np.searchsorted(times, times - 0.5)
    last = np.searchsorted(times, times + 0.5, side="right")
    return np.array([lowest[a:b].min() for a, b in zip(first, last, strict=True)])


def _smooth(log_odds: Array, times: Array) -> Array:
    """Posterior (N, K) of the on-state of K two-state Markov chains (forward-backward)."""
    n = len(log_odds)
    on = 1 / (1 + np.exp(-log_odds))
    likelihood = np.stack([1 - on, on], axis=-1)
    switch = 0.5 * (1 - np.exp(-np.diff(times) / _SWITCH_SECONDS))
    forward, backward = likelihood / likelihood.sum(-1, keepdims=True), np.ones_like(likelihood)
    for t in range(1, n):
        mixed = forward[t - 1] * (1 - switch[t - 1]) + forward[t - 1, :, ::-1] * switch[t - 1]
        forward[t] = likelihood[t] * mixed
        forward[t] /= forward[t].sum(-1, keepdims=True)
    for t in range(n - 2, -1, -1):
        message = likelihood[t + 1] * backward[t + 1]
        backward[t] = message * (1 - switch[t]) + message[:, ::-1] * switch[t]
        backward[t] /= backward[t].sum(-1, keepdims=True)
    posterior = forward * backward
    return posterior[..., 1] / posterior.sum(-1)
