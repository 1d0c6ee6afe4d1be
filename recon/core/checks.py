"""Shape and dtype checks for the types that cross a seam."""

from __future__ import annotations

import numpy as np

from recon.core.errors import InputError


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
