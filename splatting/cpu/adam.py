"""One step of Adam in one pass over memory (Kingma and Ba 2015)."""

from __future__ import annotations

import numpy as np
from numba import njit, prange

F = np.float32
BETA1, BETA2, EPSILON = F(0.9), F(0.999), F(1e-15)
ROWS = 256


@njit(parallel=True, fastmath=True, cache=True)
def adam_step(values, gradients, first, second, rates, step):
    """Moves `values` (N, D) and both moments in place; `rates` (D,) are the learning rates."""
    count, size = values.shape
    correction1 = F(1) / (F(1) - BETA1**step)
    correction2 = F(1) / (F(1) - BETA2**step)
    for chunk in prange((count + ROWS - 1) // ROWS):
        for i in range(chunk * ROWS, min(count, (chunk + 1) * ROWS)):
            x, g, m, v = values[i], gradients[i], first[i], second[i]
            for k in range(size):
                m[k] = BETA1 * m[k] + (F(1) - BETA1) * g[k]
                v[k] = BETA2 * v[k] + (F(1) - BETA2) * g[k] * g[k]
                x[k] -= rates[k] * m[k] * correction1 / (np.sqrt(v[k] * correction2) + EPSILON)
