"""Camera paths about people who move: beside them, around them, and around a stopped moment."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.ndimage import gaussian_filter1d

from recon.core.checks import check_array
from recon.core.errors import InputError
from recon.core.geometry import Array, make_transform, rotvec_to_matrix
from splatting.paths import look_at

UP = np.array([0.0, 0.0, 1.0])
CALM_SECONDS = 0.5
"""Standard deviation by which a camera that goes along with somebody lags and leads."""
MARGIN = 0.82
"""Of half the picture, within which people stay."""
ELEVATION = np.radians(8)
ASIDE = np.radians(35)
"""From straight ahead of the person, where a camera beside them stands."""


@dataclass(frozen=True, kw_only=True)
class Subject:
    """What a camera follows.

    Args:
        times: (T,) increasing seconds. points: (T, P, 3) metres, z up, that shall be seen.
        forward: (3,) horizontal unit, where the person faces on the whole.
    """

    times: Array
    points: Array
    forward: Array

    def __post_init__(self) -> None:
        check_array("points", self.points, (len(self.times), None, 3))
        check_array("forward", self.forward, (3,))
        if not self.points.size:
            raise InputError("expected somebody to look at, got no moments or no points")

    @property
    def centres(self) -> Array:
        """(T, 3) middles of the points, calmed."""
        middles = 0.5 * (self.points.min(axis=1) + self.points.max(axis=1))
        if len(self.times) < 2:
            return middles
        sigma = CALM_SECONDS / float(np.median(np.diff(self.times)))
        # Continued as a mirrored point: who walks out of the clip walks on.
        more = min(len(middles) - 1, int(np.ceil(4 * sigma)))
        longer = np.pad(middles, ((more, more), (0, 0)), mode="reflect", reflect_type="odd")
        return gaussian_filter1d(longer, sigma, axis=0, mode="nearest")[more : -more or None]


def facing(rotations: Array) -> Array:
    """Where somebody faces on the whole, (3,) horizontal unit vector.

    Args:
        rotations: (T, 3, 3) of the pelvis from the rest pose (facing +z, y up), in a z-up world.
    """
    ahead = rotations[:, :2, 2].mean(axis=0)
    length = float(np.linalg.norm(ahead))
    if length < 0.1:  # turned all around: as at the beginning
        ahead = rotations[0, :2, 2]
        length = max(float(np.linalg.norm(ahead)), 1e-9)
    return np.array([*(ahead / length), 0.0])


def beside(subject: Subject, K: Array, size: tuple[int, int], *, follow: bool = True) -> Array:
    """Cameras (T, 4, 4) that look at people from ahead and a little aside.

    Args:
        K: (3, 3) px for pictures of `size`. follow: go along; else one camera sees everything.
    """
    return _around(subject, np.zeros(len(subject.times)), K, size, follow=follow)


def turntable(subject: Subject, K: Array, size: tuple[int, int], *, turns: float = 1.0) -> Array:
    """Cameras (T, 4, 4) that circle evenly around people while they move, ahead of them first."""
    count = len(subject.times)
    return _around(subject, 2 * np.pi * turns * np.arange(count) / count, K, size, follow=True)


def swung(Ts_world_camera: Array, centres: Array, angles: Array) -> Array:
    """The cameras (T, 4, 4) turned about the vertical through `centres` (T, 3) by (T,) radians."""
    turns = rotvec_to_matrix(angles[:, None] * UP)
    out = make_transform(turns, centres - np.einsum("tij,tj->ti", turns, centres))
    return out @ np.asarray(Ts_world_camera, float)


@dataclass(frozen=True, kw_only=True)
class Schedule:
    """When and from where a bullet-time shot is taken.

    Args:
        times: (F,) seconds of the scene, never going back. angles: (F,) radians around.
    """

    times: Array
    angles: Array


def bullet_time(
    times: Array, *, at: float, seconds: float, arc: float, slow: float = 0.0
) -> Schedule:
    """Time runs to `at`, stops or slows while the camera swings around, and runs on.

    Args:
        times: (T,) seconds of the frames, evenly spaced. at: second at which time stops.
        seconds: that the swing takes. arc: radians; a full circle ends where it began, less goes
            to one side, to the other and back. slow: share of its speed that time keeps.
    """
    step = float(np.median(np.diff(times))) if len(times) > 1 else 1 / 30
    count = max(2, round(seconds / step))
    share = np.arange(1, count + 1) / count
    eased = share - np.sin(2 * np.pi * share) / (2 * np.pi)
    whole = arc >= 2 * np.pi - 1e-6
    angles = arc * eased if whole else 0.5 * arc * np.sin(2 * np.pi * eased)
    before, during = times[times <= at], at + slow * step * np.arange(1, count + 1)
    during = np.minimum(during, times[-1])
    after = times[times > during[-1] + 1e-9]
    return Schedule(
        times=np.concatenate([before, during, after]),
        angles=np.concatenate([np.zeros(len(before)), angles, np.full(len(after), angles[-1])]),
    )


def _around(
    subject: Subject, turn: Array, K: Array, size: tuple[int, int], *, follow: bool
) -> Array:
    """Cameras that see all of the subject's points, as near as that allows, all equally far."""
    centres = subject.centres
    if not follow:
        low, high = subject.points.min(axis=(0, 1)), subject.points.max(axis=(0, 1))
        centres = np.broadcast_to(0.5 * (low + high), centres.shape)
    start = np.arctan2(subject.forward[1], subject.forward[0]) + ASIDE
    angles = start + turn
    flat = np.stack([np.cos(angles), np.sin(angles)], axis=1) * np.cos(ELEVATION)
    directions = np.concatenate([flat, np.full((len(flat), 1), np.sin(ELEVATION))], axis=1)
    Ts = np.concatenate(
        [look_at(d[None], np.zeros(3), UP) for d in directions]
    )  # at distance 1 from the origin
    seen = np.einsum("tji,tpj->tpi", Ts[:, :3, :3], subject.points - centres[:, None])
    focal, half = K[[0, 1], [0, 1]], MARGIN * 0.5 * np.array(size)
    distance = float((np.abs(seen[..., :2]) * focal / half - seen[..., 2:]).max())
    Ts[:, :3, 3] = centres + distance * directions
    return Ts
