"""Camera paths through a scene, from the cameras that filmed it."""

from __future__ import annotations

import numpy as np
from scipy.interpolate import CubicSpline
from scipy.ndimage import gaussian_filter1d
from scipy.spatial.transform import Rotation, RotationSpline

from recon.core.errors import InputError
from recon.core.geometry import Array, nearest_rotation

KEYFRAMES = 8
SMOOTHING_SHARE = 0.03
FULL_CIRCLE = np.radians(300)


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
    up = -Ts[:, :3, 1].mean(0)
    up /= np.linalg.norm(up)
    centre = focus_of(Ts) if centre is None else np.asarray(centre, float)
    offsets = Ts[:, :3, 3] - centre
    heights = offsets @ up
    flat = offsets - heights[:, None] * up
    ahead = flat.mean(0)
    if np.linalg.norm(ahead) < 1e-3 * np.linalg.norm(flat, axis=1).max():  # all around
        ahead = flat[0]
    ahead = ahead / np.linalg.norm(ahead)
    aside = np.cross(up, ahead)
    angles = np.arctan2(flat @ aside, flat @ ahead)
    turn = 2 * np.pi * np.arange(count) / count
    low, high = np.percentile(angles, [2, 98])
    if high - low < FULL_CIRCLE:
        turn = (low + high) / 2 + (high - low) / 2 * np.sin(turn)
    radius = np.median(np.linalg.norm(flat, axis=1))
    circle = np.cos(turn)[:, None] * ahead + np.sin(turn)[:, None] * aside
    return look_at(centre + radius * circle + np.median(heights) * up, centre, up)


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
