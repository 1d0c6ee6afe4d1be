"""Rotations, rigid transforms and similarities as numpy arrays with leading batch dimensions.

Conventions: `T_a_b` maps b-coordinates to a-coordinates; rotations are (..., 3, 3) inside maths,
quaternions are unit and wxyz, rotation vectors are axis times angle in radians.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]

R_YUP_ZUP: Array = np.array([[1.0, 0.0, 0.0], [0.0, 0.0, 1.0], [0.0, -1.0, 0.0]])
"""Maps z-up coordinates to y-up coordinates: (x, y, z) -> (x, z, -y)."""

R_OPENGL_OPENCV: Array = np.diag([1.0, -1.0, -1.0])
"""Maps an OpenCV camera's axes (y down, z forward) to OpenGL's (y up, z backward)."""


def hat(v: Array) -> Array:
    """Skew matrices (..., 3, 3) with `hat(v) @ x == cross(v, x)`, from vectors (..., 3)."""
    v = np.asarray(v, dtype=float)
    out = np.zeros((*v.shape, 3))
    out[..., 0, 1], out[..., 0, 2] = -v[..., 2], v[..., 1]
    out[..., 1, 0], out[..., 1, 2] = v[..., 2], -v[..., 0]
    out[..., 2, 0], out[..., 2, 1] = -v[..., 1], v[..., 0]
    return out


def rotvec_to_matrix(rotvec: Array) -> Array:
    """Rotation matrices (..., 3, 3) from rotation vectors (..., 3), radians (Rodrigues)."""
    rotvec = np.asarray(rotvec, dtype=float)
    angle2 = np.sum(rotvec**2, axis=-1)[..., None, None]
    angle = np.sqrt(angle2)
    small = angle < 1e-4
    safe = np.where(small, 1.0, angle)
    a = np.where(small, 1 - angle2 / 6, np.sin(safe) / safe)
    b = np.where(small, 0.5 - angle2 / 24, (1 - np.cos(safe)) / safe**2)
    k = hat(rotvec)
    return np.eye(3) + a * k + b * (k @ k)


def matrix_to_quat(matrix: Array) -> Array:
    """Unit quaternions wxyz (..., 4) with w >= 0 from rotation matrices (..., 3, 3)."""
    m = np.asarray(matrix, dtype=float)
    t = np.einsum("...ii->...", m)
    d = np.stack([t, m[..., 0, 0], m[..., 1, 1], m[..., 2, 2]], axis=-1)
    # Shepperd's method: four candidates, each exact where its own component is the largest.
    x, y, z = (
        m[..., 2, 1] - m[..., 1, 2],
        m[..., 0, 2] - m[..., 2, 0],
        m[..., 1, 0] - m[..., 0, 1],
    )
    xy, yz, zx = (
        m[..., 0, 1] + m[..., 1, 0],
        m[..., 1, 2] + m[..., 2, 1],
        m[..., 2, 0] + m[..., 0, 2],
    )
    diag = 1 - t[..., None] + 2 * d[..., 1:]
    candidates = np.stack(
        [
            np.stack([1 + t, x, y, z], axis=-1),
            np.stack([x, diag[..., 0], xy, zx], axis=-1),
            np.stack([y, xy, diag[..., 1], yz], axis=-1),
            np.stack([z, zx, yz, diag[..., 2]], axis=-1),
        ],
        axis=-2,
    )
    best = np.argmax(d, axis=-1)
    quat = np.take_along_axis(candidates, best[..., None, None], axis=-2)[..., 0, :]
    quat = quat / np.linalg.norm(quat, axis=-1, keepdims=True)
    return np.where(quat[..., :1] < 0, -quat, quat)


def quat_to_matrix(quat: Array) -> Array:
    """Rotation matrices (..., 3, 3) from quaternions wxyz (..., 4), normalised first."""
    q = np.asarray(quat, dtype=float)
    q = q / np.linalg.norm(q, axis=-1, keepdims=True)
    w, v = q[..., 0, None, None], q[..., 1:]
    k = hat(v)
    return np.eye(3) + 2 * w * k + 2 * (k @ k)


def matrix_to_rotvec(matrix: Array) -> Array:
    """Rotation vectors (..., 3), angle in [0, pi], from rotation matrices (..., 3, 3)."""
    q = matrix_to_quat(matrix)
    norm = np.linalg.norm(q[..., 1:], axis=-1, keepdims=True)
    angle = 2 * np.arctan2(norm, q[..., :1])
    return q[..., 1:] * np.where(norm < 1e-9, 2.0, angle / np.maximum(norm, 1e-12))


def wxyz_to_xyzw(quat: Array) -> Array:
    """Quaternions (..., 4) in xyzw order (SciPy, glTF, TUM files) from our wxyz order."""
    return np.roll(np.asarray(quat, dtype=float), -1, axis=-1)


def xyzw_to_wxyz(quat: Array) -> Array:
    """Quaternions (..., 4) in our wxyz order from xyzw order (SciPy, glTF, TUM files)."""
    return np.roll(np.asarray(quat, dtype=float), 1, axis=-1)


def sign_continuous(quats: Array) -> Array:
    """Quaternions (T, ..., 4) with signs flipped so that neighbours in time never jump."""
    q = np.array(quats, dtype=float)
    if len(q) > 1:
        dots = np.sum(q[1:] * q[:-1], axis=-1, keepdims=True)
        q[1:] *= np.cumprod(np.where(dots < 0, -1.0, 1.0), axis=0)
    return q


def nearest_rotation(matrix: Array) -> Array:
    """The rotations (..., 3, 3) nearest to matrices (..., 3, 3) in Frobenius norm (SVD)."""
    u, _, vt = np.linalg.svd(np.asarray(matrix, dtype=float))
    u = u.copy()
    u[..., :, 2] *= np.linalg.det(u @ vt)[..., None]
    return u @ vt


def slerp_matrices(times: Array, key_times: Array, key_rotations: Array) -> Array:
    """Rotations (T, ..., 3, 3) interpolated on the shortest arc, held constant outside the keys.

    Args:
        times: (T,) seconds. key_times: (K,) increasing seconds. key_rotations: (K, ..., 3, 3).
    """
    times, key_times = np.asarray(times, dtype=float), np.asarray(key_times, dtype=float)
    keys = np.asarray(key_rotations, dtype=float)
    if len(keys) == 1:
        return np.repeat(keys, len(times), axis=0)
    i = np.clip(np.searchsorted(key_times, times, side="right") - 1, 0, len(keys) - 2)
    u = np.clip((times - key_times[i]) / (key_times[i + 1] - key_times[i]), 0, 1)
    step = matrix_to_rotvec(keys[i + 1] @ np.swapaxes(keys[i], -1, -2))
    return rotvec_to_matrix(step * u.reshape(-1, *[1] * (step.ndim - 1))) @ keys[i]


def rotation_between(a: Array, b: Array) -> Array:
    """The smallest rotations (..., 3, 3) that turn directions a (..., 3) into directions b."""
    a = np.asarray(a, dtype=float)
    b = np.asarray(b, dtype=float)
    a = a / np.linalg.norm(a, axis=-1, keepdims=True)
    b = b / np.linalg.norm(b, axis=-1, keepdims=True)
    axis = np.cross(a, b)
    sin = np.linalg.norm(axis, axis=-1, keepdims=True)
    cos = np.sum(a * b, axis=-1, keepdims=True)
    # Opposite directions have no unique axis: take any that is perpendicular to a.
    other = np.where(np.abs(a[..., :1]) < 0.9, [1.0, 0.0, 0.0], [0.0, 1.0, 0.0])
    perpendicular = np.cross(a, other)
    perpendicular /= np.linalg.norm(perpendicular, axis=-1, keepdims=True)
    unit = np.where(
        sin > 1e-9, axis / np.maximum(sin, 1e-12), np.where(cos < 0, perpendicular, 0.0)
    )
    return rotvec_to_matrix(unit * np.arctan2(sin, cos))


def make_transform(rotation: Array, translation: Array) -> Array:
    """Homogeneous transforms (..., 4, 4) from rotations (..., 3, 3) and translations (..., 3)."""
    rotation, translation = np.asarray(rotation, dtype=float), np.asarray(translation, dtype=float)
    shape = np.broadcast_shapes(rotation.shape[:-2], translation.shape[:-1])
    out = np.zeros((*shape, 4, 4))
    out[..., :3, :3] = rotation
    out[..., :3, 3] = translation
    out[..., 3, 3] = 1
    return out


def invert_transform(transform: Array) -> Array:
    """Inverses (..., 4, 4) of rigid transforms `T_a_b`, that is `T_b_a`."""
    transform = np.asarray(transform, dtype=float)
    r = np.swapaxes(transform[..., :3, :3], -1, -2)
    return make_transform(r, -np.einsum("...ij,...j->...i", r, transform[..., :3, 3]))


def transform_points(transform: Array, points: Array) -> Array:
    """Points (..., N, 3) mapped by homogeneous transforms (..., 4, 4), rigid or similar."""
    transform, points = np.asarray(transform, dtype=float), np.asarray(points, dtype=float)
    r = np.swapaxes(transform[..., :3, :3], -1, -2)
    return points @ r + transform[..., None, :3, 3]


def umeyama(source: Array, target: Array, *, with_scale: bool = True) -> tuple[float, Array, Array]:
    """Scale, rotation (3, 3), translation (3,) minimising |target - (s R source + t)|^2.

    Args:
        source, target: (N, 3) matching points. with_scale: False fixes the scale to 1.
    Source: Umeyama 1991, equations 34-43.
    """
    source, target = np.asarray(source, dtype=float), np.asarray(target, dtype=float)
    mean_s, mean_t = source.mean(axis=0), target.mean(axis=0)
    xs, xt = source - mean_s, target - mean_t
    u, s, vt = np.linalg.svd(xt.T @ xs / len(xs))
    sign = np.array([1.0, 1.0, np.sign(np.linalg.det(u @ vt))])
    rotation = (u * sign) @ vt
    variance = np.sum(xs**2) / len(xs)
    scale = float(np.sum(s * sign) / variance) if with_scale and variance > 0 else 1.0
    return scale, rotation, mean_t - scale * rotation @ mean_s
