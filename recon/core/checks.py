"""Shape and dtype checks for the types that cross a seam."""

from __future__ import annotations

import numpy as np

from recon.core.errors import InputError

MAX_SIDE_PX = 65_535
"""Of a picture: what image formats hold."""
_RIGID = 1e-3
"""How far a rotation may be from orthonormal, in its own unit."""


def check_array(
    name: str, array: np.ndarray, shape: tuple[int | None, ...], dtype: type = np.floating
) -> None:
    """Raises InputError unless `array` has this shape (None matches any length) and dtype kind."""
    if not isinstance(array, np.ndarray):
        raise InputError(f"{name}: expected a numpy array, got {type(array).__name__}")
    fits = len(array.shape) == len(shape) and all(
        want is None or want == got for want, got in zip(shape, array.shape, strict=True)
    )
    if not fits:
        raise InputError(f"{name}: expected shape {shape}, got {array.shape}")
    if not np.issubdtype(array.dtype, dtype):
        raise InputError(f"{name}: expected dtype {dtype.__name__}, got {array.dtype}")
    if np.issubdtype(array.dtype, np.floating) and not np.isfinite(array).all():
        raise InputError(f"{name}: expected finite numbers, got NaN or infinity")


def check_rotations(name: str, R: np.ndarray) -> None:
    """Raises InputError unless `R` (..., 3, 3) are rotations."""
    products = R @ np.swapaxes(R, -1, -2)
    error = np.abs(products - np.eye(3)).max(initial=0.0)
    if not error <= _RIGID or (np.linalg.det(R) < 0).any():
        raise InputError(f"{name}: expected rotations, got matrices off by {error:.3g}")


def check_poses(name: str, Ts: np.ndarray) -> None:
    """Raises InputError unless `Ts` (..., 4, 4) are rigid transforms."""
    check_rotations(name, Ts[..., :3, :3])
    if np.abs(Ts[..., 3, :] - [0, 0, 0, 1]).max(initial=0.0) > _RIGID:
        raise InputError(f"{name}: expected (0, 0, 0, 1) as the last row of each transform")


def check_range(name: str, value: float, low: float, high: float) -> None:
    """Raises InputError unless `value` is a number from `low` to `high`."""
    if not low <= value <= high:  # nor NaN
        raise InputError(f"{name}: expected {low:g} to {high:g}, got {value}")


def check_indices(name: str, indices: np.ndarray, count: int) -> None:
    """Raises InputError unless all integers of `indices` count things from 0 below `count`."""
    if indices.size and not (indices.min() >= 0 and indices.max() < count):
        raise InputError(
            f"{name}: expected 0 to {count - 1}, got {indices.min()} to {indices.max()}"
        )


def check_increasing(name: str, indices: np.ndarray) -> None:
    """Raises InputError unless `indices` (N,) are at least 0 and each is above the last."""
    if indices.size and (indices[0] < 0 or (np.diff(indices) <= 0).any()):
        raise InputError(f"{name}: expected increasing numbers from 0 on")
