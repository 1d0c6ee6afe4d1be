"""Numbers as more than one format writes them: log scales, and rotations without a component."""

from __future__ import annotations

import numpy as np

_SMALLEST_SCALE = 1e-20
_OTHERS = np.array([[1, 2, 3], [0, 2, 3], [0, 1, 3], [0, 1, 2]])


def log_scales(scales: np.ndarray) -> np.ndarray:
    """Logarithms of scales, which may be zero."""
    return np.log(np.maximum(scales, _SMALLEST_SCALE))


def unit_quats(quats: np.ndarray) -> np.ndarray:
    """Quaternions (N, 4) of length one, largest component positive; q and -q turn alike."""
    quats = quats / np.linalg.norm(quats, axis=1, keepdims=True)
    largest = np.take_along_axis(quats, np.abs(quats).argmax(1)[:, None], 1)
    return np.where(largest < 0, -quats, quats)


def split_largest(quats: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The index (N,) of the largest component, and the other three (N, 3), within ±√½.

    Args:
        quats: (N, 4) in any order of components and of any length; both are kept.
    """
    unit = unit_quats(quats)
    largest = np.abs(unit).argmax(1)
    return largest, np.take_along_axis(unit, _OTHERS[largest], 1)


def join_largest(largest: np.ndarray, smallest: np.ndarray) -> np.ndarray:
    """The unit quaternions (N, 4) of what `split_largest` told."""
    quats = np.empty((len(largest), 4))
    np.put_along_axis(quats, _OTHERS[largest], smallest, 1)
    rest = np.sqrt(np.maximum(0, 1 - (smallest**2).sum(1)))
    np.put_along_axis(quats, largest[:, None], rest[:, None], 1)
    return quats
