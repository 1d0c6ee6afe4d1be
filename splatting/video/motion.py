"""How the Gaussians of a clip move: a polynomial and a Fourier series in time."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float
from numpy.polynomial import legendre

from recon.core.errors import InputError
from recon.core.geometry import Array

POLYNOMIALS = 3
FASTEST_HZ, LEAST_HARMONICS, MOST_HARMONICS = 4.0, 2, 60
SMOOTHNESS, REST = 0.1, 1e-5
"""Weights of a fitted curve's squared acceleration, per frame², and of its squared coefficients,
against its squared error."""
NORMAL_NUMBERS = 4_000_000
"""Of normal matrices that are solved at once: 32 MB."""


@dataclass(frozen=True, kw_only=True)
class MotionBasis:
    """Functions of time whose weighted sum is what a Gaussian moves by.

    With u from -1 at `start` to 1 at `end`: the Legendre polynomials of degree 1 to `polynomials`
    (the span of the powers, but well conditioned), then the cosines and the sines of
    `harmonics` whole periods in the clip. No constant: that is the Gaussian's own centre. The
    representation is Splatter a Video's (Sun et al. 2024).

    Args:
        start, end: seconds. polynomials: highest degree, 1 or more. harmonics: 0 or more.
    """

    start: float
    end: float
    polynomials: int = POLYNOMIALS
    harmonics: int = 4

    def __post_init__(self) -> None:
        if not self.end > self.start or self.polynomials < 1 or self.harmonics < 0:
            raise InputError(
                f"expected times that increase, a degree of 1 or more and 0 or more harmonics, got "
                f"{self.start:g} to {self.end:g} s, {self.polynomials} and {self.harmonics}"
            )

    @classmethod
    def of(cls, times: Array) -> MotionBasis:
        """For frames at these times: frequencies to 4 Hz (of more than 15 s to less), but no more
        terms than about a third of the frames."""
        duration = float(times[-1] - times[0])
        harmonics = math.ceil(FASTEST_HZ * duration)
        most = min(MOST_HARMONICS, max(0, (len(times) - POLYNOMIALS) // 6))
        return cls(
            start=float(times[0]), end=float(times[-1]),
            polynomials=min(POLYNOMIALS, len(times) - 1),
            harmonics=min(max(harmonics, LEAST_HARMONICS), most),
        )  # fmt: skip

    @property
    def terms(self) -> int:
        """The number B of functions."""
        return self.polynomials + 2 * self.harmonics

    def values(self, times: Array, *, derivative: int = 0) -> Float[np.ndarray, "M B"]:
        """The functions at these times, or their derivatives by u of some order; float64.

        Args:
            times: (M,) seconds; outside the clip the polynomials go on as they are.
        """
        u = (2 * np.asarray(times, float) - self.start - self.end) / (self.end - self.start)
        polynomials = [
            legendre.legval(u, legendre.legder(np.eye(self.polynomials + 1)[k], derivative))
            for k in range(1, self.polynomials + 1)
        ]
        turns = math.pi * np.arange(1, self.harmonics + 1)
        # Each derivative of a cosine turns it by a quarter.
        angles = u[:, None] * turns + derivative * math.pi / 2
        waves = np.concatenate((np.cos(angles), np.sin(angles)), axis=1)
        return np.concatenate(
            (np.stack(polynomials, axis=1), waves * np.tile(turns, 2) ** derivative), axis=1
        )


def fit_motion(
    basis: MotionBasis, times: Array, places: Array, weights: Array, *, rest: float = REST
) -> tuple[Float[np.ndarray, "N D"], Float[np.ndarray, "N D B"]]:
    """Centres and coefficients of the curves through tracks (weighted least squares).

    Where a track has no weight the curve goes on as straight as it can: its accelerations, and
    a little its motion, are held down, too little to matter where it is seen.

    Args:
        times: (T,) seconds. places: (N, T, D). weights: (N, T), not negative.
        rest: weight of the squared coefficients.
    """
    columns = np.concatenate((np.ones((len(times), 1)), basis.values(times)), axis=1)
    frame = 2 * float(np.median(np.diff(times))) / (basis.end - basis.start)
    accelerations = basis.values(times, derivative=2) * frame**2
    bent = np.concatenate((np.zeros((len(times), 1)), accelerations), axis=1)
    held = np.append(1e-9, np.full(basis.terms, rest))
    stiffness = SMOOTHNESS * bent.T @ bent + np.diag(held)
    solved = np.empty((len(places), columns.shape[1], places.shape[2]))
    outer = (columns[:, :, None] * columns[:, None, :]).reshape(len(times), -1)
    blocks = len(places) * columns.shape[1] ** 2 // NORMAL_NUMBERS + 1
    for rows in np.array_split(np.arange(len(places)), blocks):
        w = weights[rows].astype(float)
        normal = (w @ outer).reshape(len(rows), *stiffness.shape) + stiffness
        right = np.einsum("tb,ntd->nbd", columns, w[..., None] * places[rows])
        solved[rows] = np.linalg.solve(normal, right)
    return solved[:, 0], solved[:, 1:].swapaxes(1, 2)
