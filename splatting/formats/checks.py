"""What every format checks before it allocates memory, and before it hands Gaussians on."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch

from recon.core.errors import InputError
from splatting.gaussians import Gaussians

MAX_GAUSSIANS = 50_000_000
"""12 GB in float32 with colours of degree 3; the largest published scenes have a tenth of it."""

LEAST_QUAT = 1e-18
"""A quaternion of shorter components has a squared length of zero in float32."""

MAX_EXPANSION = 200
"""Gaussians as dull as can be shrink by less when compressed; a zip bomb by more."""

SMALL = 64 << 20
"""Bytes that may be unpacked whatever the ratio."""


def check_count(path: Path, count: int) -> None:
    """Raises InputError unless a file may hold this many Gaussians."""
    if count < 1:
        raise InputError(
            f"expected at least one Gaussian in {path}, got {count}; write the file again"
        )
    if count > MAX_GAUSSIANS:
        raise InputError(
            f"expected at most {MAX_GAUSSIANS} Gaussians, got a header in {path} that claims "
            f"{count}; the file is damaged, or must be split"
        )


def check_room(path: Path, count: int, needed: int, available: int) -> None:
    """Raises InputError if a file is shorter than the Gaussians that its header claims."""
    if needed > available:
        raise InputError(
            f"expected {needed} bytes for the {count} Gaussians that {path} claims, "
            f"got {available}; the file is cut short or damaged, copy or write it again"
        )


def check_expansion(path: Path, unpacked: int, stored: int) -> None:
    """Raises InputError where compressed data claims to be implausibly much."""
    limit = max(SMALL, MAX_EXPANSION * stored)
    if unpacked > limit:
        raise InputError(
            f"expected at most {limit} bytes from the {stored} that {path} holds, got a claim of "
            f"{unpacked}; the file is damaged or made to exhaust memory, do not use it"
        )


def checked_gaussians(
    what: Path | str,
    *,
    means: np.ndarray,
    quats: np.ndarray,
    scales: np.ndarray,
    opacities: np.ndarray,
    sh: np.ndarray,
) -> Gaussians:
    """Gaussians of these arrays as float32.

    Raises:
        InputError: numbers that are not finite, or that no Gaussian can have.
    """
    arrays = {
        "means": means, "quats": quats, "scales": scales, "opacities": opacities, "sh": sh
    }  # fmt: skip
    # A float64 too large for float32 is caught as infinity below.
    with np.errstate(over="ignore"):
        arrays = {k: np.ascontiguousarray(v, dtype=np.float32) for k, v in arrays.items()}
    check_numbers(what, arrays)
    return Gaussians(**{k: torch.from_numpy(v) for k, v in arrays.items()})


def check_numbers(what: Path | str, arrays: dict[str, np.ndarray]) -> None:
    """Raises InputError for numbers that no Gaussian can have, naming the parameter and rows."""
    for name, array in arrays.items():
        rows = np.logical_not(np.isfinite(array.reshape(len(array), -1)).all(axis=1))
        if np.any(rows):
            raise InputError(
                f"expected finite numbers in {what}, got NaN or infinity in the {name} of "
                f"{np.sum(rows)} of {len(array)} Gaussians (first: {np.argmax(rows)}); "
                f"delete them, or train again"
            )
    impossible = {
        "rotations of non-zero length": (abs(arrays["quats"]) < LEAST_QUAT).all(1, keepdims=True),
        "scales of zero or more": arrays["scales"] < 0,
        "opacities from 0 to 1": abs(arrays["opacities"][:, None] - 0.5) > 0.5 + 1e-6,
    }
    for expected, found in impossible.items():
        rows = found.any(axis=1)
        if np.any(rows):
            raise InputError(
                f"expected {expected} in {what}, got others in {np.sum(rows)} of {len(found)} "
                f"Gaussians (first: {np.argmax(rows)}); delete them, or train again"
            )
