"""Structural similarity of two pictures and its gradient, row by row (Wang et al. 2004).

Each row is filtered downwards first and then along itself, all five moments at once, so that
only a few rows are held; the colours of a pixel lie side by side and are filtered three apart.
"""

from __future__ import annotations

import numpy as np
from numba import njit, prange

F = np.float32
RADIUS = 5
SIGMA = 1.5
C1, C2 = F(0.01**2), F(0.03**2)
CHANNELS = 3
PAD = RADIUS * CHANNELS


def _window() -> np.ndarray:
    weights = np.exp(-0.5 * (np.arange(-RADIUS, RADIUS + 1) / SIGMA) ** 2)
    return (weights / weights.sum()).astype(np.float32)


WINDOW = _window()


@njit(fastmath=True)
def _along(row, out, size):
    """Filters a row that has PAD zeros on both sides."""
    w0, w1, w2, w3, w4, w5 = WINDOW[5], WINDOW[4], WINDOW[3], WINDOW[2], WINDOW[1], WINDOW[0]
    for i in range(size):
        out[i] = (
            w0 * row[i + 15]
            + w1 * (row[i + 12] + row[i + 18])
            + w2 * (row[i + 9] + row[i + 21])
            + w3 * (row[i + 6] + row[i + 24])
            + w4 * (row[i + 3] + row[i + 27])
            + w5 * (row[i] + row[i + 30])
        )


@njit(parallel=True, fastmath=True, cache=True)
def ssim_maps(x, y, weights):
    """Sum of weights times similarity, and three maps from which its gradient by x is filtered.

    Args:
        x, y: (H, 3 W) float32. weights: (H, 3 W).

    Returns:
        (H,) sums by row in float64, and (3, H, 3 W): gradient by the local mean of x, of x², of xy.
    """
    height, size = x.shape
    sums = np.zeros(height)
    maps = np.empty((3, height, size), np.float32)
    for parallel_row in prange(height):
        row = np.int64(parallel_row)  # Numba counts in unsigned numbers: -row would wrap
        down = np.zeros((5, size + 2 * PAD), np.float32)
        mean = np.empty((5, size), np.float32)
        for k in range(max(-RADIUS, -row), min(RADIUS, height - 1 - row) + 1):
            w, a, b = WINDOW[k + RADIUS], x[row + k], y[row + k]
            d0, d1, d2, d3, d4 = down[0], down[1], down[2], down[3], down[4]
            for i in range(size):
                wa, wb = w * a[i], w * b[i]
                d0[i + PAD] += wa
                d1[i + PAD] += wb
                d2[i + PAD] += wa * a[i]
                d3[i + PAD] += wb * b[i]
                d4[i + PAD] += wa * b[i]
        for k in range(5):
            _along(down[k], mean[k], size)
        m0, m1, m2, m3, m4 = mean[0], mean[1], mean[2], mean[3], mean[4]
        by_mean, by_square, by_product, w = maps[0, row], maps[1, row], maps[2, row], weights[row]
        total = F(0)
        for i in range(size):
            mx, my = m0[i], m1[i]
            a1, a2 = F(2) * mx * my + C1, F(2) * (m4[i] - mx * my) + C2
            b1, b2 = mx * mx + my * my + C1, m2[i] - mx * mx + m3[i] - my * my + C2
            scale = w[i] / (b1 * b2)
            similar = a1 * a2 * scale
            total += similar
            square = -similar / b2
            product = F(2) * a1 * scale
            by_square[i], by_product[i] = square, product
            by_mean[i] = F(2) * my * a2 * scale - F(2) * mx * (similar / b1 + square) - my * product
        sums[row] = total
    return sums, maps


@njit(parallel=True, fastmath=True, cache=True)
def ssim_gradient(x, y, maps):
    """(H, 3 W) gradient by x, from the maps of `ssim_maps`."""
    height, size = x.shape
    out = np.empty_like(x)
    for parallel_row in prange(height):
        row = np.int64(parallel_row)  # Numba counts in unsigned numbers: -row would wrap
        down = np.zeros((3, size + 2 * PAD), np.float32)
        mean = np.empty((3, size), np.float32)
        for k in range(max(-RADIUS, -row), min(RADIUS, height - 1 - row) + 1):
            w = WINDOW[k + RADIUS]
            for m in range(3):
                source, target = maps[m, row + k], down[m]
                for i in range(size):
                    target[i + PAD] += w * source[i]
        for m in range(3):
            _along(down[m], mean[m], size)
        m0, m1, m2, a, b, o = mean[0], mean[1], mean[2], x[row], y[row], out[row]
        for i in range(size):
            o[i] = m0[i] + F(2) * a[i] * m1[i] + b[i] * m2[i]
    return out
