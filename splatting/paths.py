"""Camera paths through a scene, from the cameras that filmed it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.interpolate import CubicSpline
from scipy.ndimage import gaussian_filter1d
from scipy.spatial.transform import Rotation, RotationSpline

from recon.core.errors import InputError
from recon.core.geometry import Array, nearest_rotation

KEYFRAMES = 8
SMOOTHING_SHARE = 0.03
FULL_CIRCLE = np.radians(300)
ROUNDS = 3
ORBIT_SCALE, ORBIT_LIFT = 0.25, 0.4
"""Of several orbits: change of the radius either way, and rise, both in radii."""
SPIRAL_DEPTH = 0.35
SPREADS = (0.05, 0.2)
"""Least and greatest radius of paths that face forward, in distances to the focus."""


def smoothed(Ts_world_camera: Array, count: int) -> Array:
    """The original path without its shaking, (count, 4, 4).

    Args:
        Ts_world_camera: (T, 4, 4) in the order of filming. count: of cameras to return.
    """
    Ts = _checked(Ts_world_camera)
    sigma = max(1.0, SMOOTHING_SHARE * len(Ts))
    calm = gaussian_filter1d(Ts, sigma, axis=0, mode="nearest")
    calm[:, :3, :3] = nearest_rotation(calm[:, :3, :3])
    return spline(calm, count, keyframes=len(calm))


def spline(Ts_world_camera: Array, count: int, *, keyframes: int = KEYFRAMES) -> Array:
    """A smooth path, (count, 4, 4), through some of the cameras spread evenly over the original.

    Cubic in place, and in turn a spline of continuous angular acceleration.
    """
    Ts = _checked(Ts_world_camera)
    rows = np.unique(np.linspace(0, len(Ts) - 1, min(keyframes, len(Ts))).round().astype(int))
    at = np.linspace(rows[0], rows[-1], count)
    out = np.tile(np.eye(4), (count, 1, 1))
    out[:, :3, 3] = CubicSpline(rows, Ts[rows, :3, 3])(at)
    out[:, :3, :3] = RotationSpline(rows, Rotation.from_matrix(Ts[rows, :3, :3]))(at).as_matrix()
    return out


def orbit(Ts_world_camera: Array, count: int, *, centre: Array | None = None) -> Array:
    """Around what the cameras look at, at their median height and distance, (count, 4, 4).

    A full circle where they went around it; else to and fro through the arc that they covered,
    because nothing is known of the other side. Ends where it begins.

    Args:
        centre: (3,) to look at; default the point nearest to all the cameras' axes.
    """
    Ts = _checked(Ts_world_camera)
    ring = _Ring.of(Ts, centre)
    return ring.cameras(2 * np.pi * np.arange(count) / count)


def orbits(Ts_world_camera: Array, count: int, *, centre: Array | None = None) -> Array:
    """Several rounds of `orbit`, (count, 4, 4), nearer, farther and higher as they go.

    One of CAT3D's kinds of paths (Gao et al. 2024: orbits of several scales and heights around
    the centre of the scene). Ends where it begins.
    """
    Ts = _checked(Ts_world_camera)
    ring = _Ring.of(Ts, centre)
    share = 2 * np.pi * np.arange(count) / count
    lift = ORBIT_LIFT * ring.radius * (1 - np.cos(share)) / 2
    return ring.cameras(ROUNDS * share, scale=1 + ORBIT_SCALE * np.sin(share), lift=lift)


def circles(Ts_world_camera: Array, count: int) -> Array:
    """Circles of growing and shrinking radius about a camera in the middle, (count, 4, 4), that
    all look at what the cameras look at.

    One of CAT3D's kinds of paths (Gao et al. 2024: forward-facing circles of several scales and
    offsets). Ends where it begins.
    """
    share = 2 * np.pi * np.arange(count) / count
    return _before(Ts_world_camera, ROUNDS * share, radius=0.4 + 0.3 * (1 - np.cos(share)))


def spiral(Ts_world_camera: Array, count: int) -> Array:
    """Along a cylinder into the scene and out again, (count, 4, 4).

    One of CAT3D's kinds of paths (Gao et al. 2024: spirals along a cylinder). Ends where it begins.
    """
    share = 2 * np.pi * np.arange(count) / count
    ahead = SPIRAL_DEPTH * (1 - np.cos(share)) / 2
    return _before(Ts_world_camera, ROUNDS * share, radius=np.full(count, 0.7), ahead=ahead)


def _before(
    Ts_world_camera: Array, turn: Array, *, radius: Array, ahead: Array | float = 0.0
) -> Array:
    """Cameras turned by `turn` (T,) about the axis from the middlemost camera to the focus.

    Args:
        radius: (T,) in spreads of the cameras across that axis. ahead: (T,) in distances to the
            focus.
    """
    Ts = _checked(Ts_world_camera)
    centres, focus = Ts[:, :3, 3], focus_of(Ts)
    off = np.linalg.norm(centres - centres.mean(0), axis=1)
    middle = centres[off.argmin()]
    distance = float(np.linalg.norm(focus - middle))
    base = look_at(middle[None], focus, _up(Ts))[0]
    sideways = np.linalg.norm((centres - middle) @ base[:3, :2], axis=1)
    # Cameras that went all around would make a circle around everything.
    least, most = (share * distance for share in SPREADS)
    spread = float(np.clip(np.percentile(sideways, 80), least, most))
    across = np.cos(turn)[:, None] * base[:3, 0] + np.sin(turn)[:, None] * base[:3, 1]
    onward = np.broadcast_to(ahead, turn.shape)[:, None] * distance * base[:3, 2]
    return look_at(middle + spread * radius[:, None] * across + onward, focus, -base[:3, 1])


@dataclass(frozen=True, kw_only=True)
class _Ring:
    """The circle around `centre` on which cameras were, on the whole, and their arc of it."""

    centre: Array
    up: Array
    ahead: Array
    radius: float
    height: float
    arc: tuple[float, float]

    @classmethod
    def of(cls, Ts: Array, centre: Array | None) -> _Ring:
        up = _up(Ts)
        centre = focus_of(Ts) if centre is None else np.asarray(centre, float)
        offsets = Ts[:, :3, 3] - centre
        heights = offsets @ up
        flat = offsets - heights[:, None] * up
        ahead = flat.mean(0)
        if np.linalg.norm(ahead) < 1e-3 * np.linalg.norm(flat, axis=1).max():  # all around
            ahead = flat[0]
        ahead = ahead / np.linalg.norm(ahead)
        angles = np.arctan2(flat @ np.cross(up, ahead), flat @ ahead)
        low, high = np.percentile(angles, [2, 98]).tolist()
        return cls(
            centre=centre, up=up, ahead=ahead, arc=(low, high), height=float(np.median(heights)),
            radius=float(np.median(np.linalg.norm(flat, axis=1))),
        )  # fmt: skip

    def cameras(
        self, turn: Array, *, scale: Array | float = 1.0, lift: Array | float = 0.0
    ) -> Array:
        """Cameras (T, 4, 4) at phases `turn` (T,), with the radius times `scale`, `lift` higher."""
        low, high = self.arc
        if high - low < FULL_CIRCLE:
            turn = (low + high) / 2 + (high - low) / 2 * np.sin(turn)
        circle = np.cos(turn)[:, None] * self.ahead
        circle += np.sin(turn)[:, None] * np.cross(self.up, self.ahead)
        radius, height = (np.broadcast_to(x, turn.shape)[:, None] for x in (scale, lift))
        places = self.centre + self.radius * radius * circle + (self.height + height) * self.up
        return look_at(places, self.centre, self.up)


def _up(Ts: Array) -> Array:
    """The cameras' common upward direction."""
    up = -Ts[:, :3, 1].mean(0)
    return up / np.linalg.norm(up)


def stereo(Ts_world_camera: Array, baseline: float) -> tuple[Array, Array]:
    """Left and right eyes (T, 4, 4) each, parallel, `baseline` (the path's unit) apart."""
    left, right = np.array(Ts_world_camera, float), np.array(Ts_world_camera, float)
    half = 0.5 * baseline * left[:, :3, 0]
    left[:, :3, 3] -= half
    right[:, :3, 3] += half
    return left, right


def look_at(places: Array, target: Array, up: Array) -> Array:
    """Cameras (T, 4, 4) at places (T, 3) that look at a point, with `up` towards their top."""
    z = target - places
    z = z / np.linalg.norm(z, axis=1, keepdims=True)
    x = np.cross(z, up)
    x /= np.linalg.norm(x, axis=1, keepdims=True)
    out = np.tile(np.eye(4), (len(places), 1, 1))
    out[:, :3, :3] = np.stack([x, np.cross(z, x), z], axis=-1)
    out[:, :3, 3] = places
    return out


def focus_of(Ts_world_camera: Array) -> Array:
    """The point (3,) nearest to all cameras' axes, at least somewhat in front of them.

    Where they look nearly the same way the least squares find it anywhere along the axes; then it
    is as far ahead of the middle camera as the path is long.
    """
    Ts = _checked(Ts_world_camera)
    centres, axes = Ts[:, :3, 3], Ts[:, :3, 2]
    across = np.eye(3) - axes[:, :, None] * axes[:, None, :]
    sums = across.sum(0), np.einsum("cij,cj->i", across, centres)
    focus = np.linalg.lstsq(*sums, rcond=None)[0]
    extent = float(np.linalg.norm(centres - centres.mean(0), axis=1).max())
    along = float(np.median(np.einsum("ck,ck->c", focus - centres, axes)))
    if along > 0.1 * extent and along > 0:
        return focus
    middle = len(Ts) // 2
    return centres[middle] + axes[middle] * (2 * extent if extent > 1e-6 else 1.0)


def _checked(Ts: Array) -> Array:
    Ts = np.asarray(Ts, float)
    if Ts.ndim != 3 or Ts.shape[1:] != (4, 4) or len(Ts) < 2 or not np.isfinite(Ts).all():
        raise InputError(f"expected 2 finite camera poses (T, 4, 4) or more, got {Ts.shape}")
    return Ts
