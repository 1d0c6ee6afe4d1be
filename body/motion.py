"""Where somebody is and will be: a 3D location in the camera's frame, moving steadily."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from recon.core.geometry import Array

_FOCAL = 1.1
"""Assumed focal length in units of the picture's longer side (about 50 degrees across). It only
stretches depth, of which a body's size tells little anyway."""
_LATERAL_STD = 0.06
"""Metres, spread of a sighting's mid-hip across the line of sight."""
_DEPTH_STD = 0.1
"""Spread of a sighting's distance, as a share of it."""
_CROWDED = 2.5
"""How much less a sighting tells where bodies overlap: factor on its spread."""
_SPEED_STD = 1.5
"""Metres per second, of somebody first seen."""
_ACCELERATION = 1.0
"""m^2/s^3, spectral density of people's acceleration: 1 m/s of change in a second."""
_LEAP, _LEAP_TIME = 9.81, 0.5
"""m/s^2 and seconds: gravity, which hips follow in jumps, falls and somersaults for so long. Up and
down is taken to be the picture's."""
_HIPS = [23, 24]
_TRUNK = [0, 11, 12, 13, 14, 23, 24, 25, 26, 27, 28]


def locate(keypoints_px: Array, conf: Array, landmarks: Array, size: tuple[int, int]) -> Array:
    """The mid-hip (..., 3) in the camera's frame, metres, for a body of average stature.

    The network's metric landmarks give the scale in any attitude, where a box's height would
    take who bends or turns over for who walks away: pixels per metre is the least-squares fit of
    the landmarks' x and y to the keypoints (weak perspective).

    Args:
        keypoints_px: (..., 33, 2). conf: (..., 33). landmarks: (..., 33, 3) metres.
        size: width and height of the picture.
    """
    weights = conf[..., _TRUNK, None] + 1e-3
    weights = weights / weights.sum(axis=-2, keepdims=True)
    points, body = keypoints_px[..., _TRUNK, :], landmarks[..., _TRUNK, :2]
    points = points - (weights * points).sum(axis=-2, keepdims=True)
    body = body - (weights * body).sum(axis=-2, keepdims=True)
    moment = (weights * points * body).sum(axis=(-2, -1))
    px_per_m = np.maximum(moment / np.maximum((weights * body**2).sum(axis=(-2, -1)), 1e-6), 1.0)
    hips = keypoints_px[..., _HIPS, :].mean(axis=-2)
    across = (hips - np.array(size) / 2) / px_per_m[..., None]
    return np.concatenate([across, (focal(size) / px_per_m)[..., None]], axis=-1)


def focal(size: tuple[int, int]) -> float:
    """The focal length in pixels that locations assume for pictures of this width and height."""
    return _FOCAL * max(size)


def project(location: Array, size: tuple[int, int]) -> Array:
    """Picture point (2,) px of a location (3,) in front of the camera."""
    return focal(size) * location[:2] / max(float(location[2]), 0.1) + np.array(size) / 2


@dataclass(frozen=True, kw_only=True)
class Motion:
    """What is known of one person's movement: a Kalman filter of constant velocity.

    Args:
        mean: (6,) location (metres) and velocity (m/s) in the camera's frame. cov: (6, 6).
        time: seconds.
    """

    mean: Array
    cov: Array
    time: float

    @classmethod
    def begin(cls, location: Array, time: float) -> Motion:
        """Somebody first seen at `location` (3,)."""
        cov = np.zeros((6, 6))
        cov[:3, :3], cov[3:, 3:] = _spread(location, 1.0), _SPEED_STD**2 * np.eye(3)
        return cls(mean=np.concatenate([location, np.zeros(3)]), cov=cov, time=time)

    def at(self, time: float) -> Motion:
        """The same movement carried on, or back, to `time`."""
        dt = time - self.time
        step = np.eye(6)
        step[:3, 3:] = dt * np.eye(3)
        length = abs(dt)
        # White acceleration integrated over the step; backwards in time the signs of the
        # coupling turn.
        block = np.array([[length**3 / 3, dt * length / 2], [dt * length / 2, length]])
        noise = np.kron(_ACCELERATION * block, np.eye(3))
        return Motion(mean=step @ self.mean, cov=step @ self.cov @ step.T + noise, time=time)

    def _expected(self, time: float) -> Motion:
        """As `at`, for somebody who may also have leapt or fallen since."""
        ahead = self.at(time)
        cov = ahead.cov.copy()
        cov[1, 1] += (_LEAP / 2 * min(abs(time - self.time), _LEAP_TIME) ** 2) ** 2
        return Motion(mean=ahead.mean, cov=cov, time=time)

    def seen(self, location: Array, time: float, *, crowded: bool = False) -> Motion:
        """The movement after a sighting at `location` (3,)."""
        ahead = self._expected(time)
        innovation = location - ahead.mean[:3]
        spread = ahead.cov[:3, :3] + _spread(location, _CROWDED if crowded else 1.0)
        gain = np.linalg.solve(spread, ahead.cov[:3]).T
        cov = ahead.cov - gain @ ahead.cov[:3]
        return Motion(mean=ahead.mean + gain @ innovation, cov=(cov + cov.T) / 2, time=time)

    def log_likelihood(self, location: Array, time: float) -> tuple[float, float]:
        """Log density (1/m^3) and squared sigmas of a sighting at `location` (3,) metres."""
        ahead = self._expected(time)
        off = location - ahead.mean[:3]
        spread = ahead.cov[:3, :3] + _spread(location, 1.0)
        squared = float(off @ np.linalg.solve(spread, off))
        _, log_det = np.linalg.slogdet(2 * np.pi * spread)
        return -0.5 * (squared + float(log_det)), squared


def _spread(location: Array, factor: float) -> Array:
    """Covariance (3, 3) of a sighting at `location` (3,)."""
    ray = location / np.linalg.norm(location)
    depth = _DEPTH_STD * float(location[2])
    return factor**2 * (_LATERAL_STD**2 * np.eye(3) + depth**2 * np.outer(ray, ray))
