"""Spherical harmonics and their gradient for one direction at a time, as splatting.harmonics."""

from __future__ import annotations

import numpy as np
from numba import njit

F = np.float32
C0, C1 = F(0.28209479177387814), F(0.4886025119029199)
C2, C2Z, C2X = F(1.0925484305920792), F(0.9461746957575601), F(0.5462742152960396)
C3A, C3B, C3C = F(0.5900435899266435), F(2.890611442640554), F(0.4570457994644658)
C3Z, C3D = F(0.3731763325901154), F(1.445305721320277)


@njit(fastmath=True)
def sh_basis(x, y, z, count, out):
    """Fills out[:count] with the basis at the unit vector (x, y, z); count is 1, 4, 9 or 16."""
    out[0] = C0
    if count > 1:
        out[1], out[2], out[3] = -C1 * y, C1 * z, -C1 * x
    if count > 4:
        out[4], out[5], out[6] = C2 * x * y, -C2 * y * z, C2Z * z * z - F(0.31539156525252)
        out[7], out[8] = -C2 * x * z, C2X * (x * x - y * y)
    if count > 9:
        zz = F(5) * z * z
        out[9], out[10] = -C3A * y * (F(3) * x * x - y * y), C3B * x * y * z
        out[11], out[12] = -C3C * y * (zz - F(1)), C3Z * z * (zz - F(3))
        out[13], out[14] = -C3C * x * (zz - F(1)), C3D * z * (x * x - y * y)
        out[15] = -C3A * x * (x * x - F(3) * y * y)


@njit(fastmath=True)
def sh_gradient(x, y, z, count, by):
    """Gradient by (x, y, z) of the sum of by[k] times the basis."""
    gx, gy, gz = F(0), F(0), F(0)
    if count > 1:
        gx, gy, gz = -C1 * by[3], -C1 * by[1], C1 * by[2]
    if count > 4:
        gx += C2 * (y * by[4] - z * by[7]) + F(2) * C2X * x * by[8]
        gy += C2 * (x * by[4] - z * by[5]) - F(2) * C2X * y * by[8]
        gz += -C2 * (y * by[5] + x * by[7]) + F(2) * C2Z * z * by[6]
    if count > 9:
        zz, d = F(5) * z * z - F(1), F(3) * (x * x - y * y)
        gx += F(-6) * C3A * x * y * by[9] + C3B * y * z * by[10] - C3C * zz * by[13]
        gx += F(2) * C3D * x * z * by[14] - C3A * d * by[15]
        gy += -C3A * d * by[9] + C3B * x * z * by[10] - C3C * zz * by[11]
        gy += F(-2) * C3D * y * z * by[14] + F(6) * C3A * x * y * by[15]
        gz += C3B * x * y * by[10] - F(10) * C3C * z * (y * by[11] + x * by[13])
        gz += F(3) * C3Z * zz * by[12] + C3D * (x * x - y * y) * by[14]
    return gx, gy, gz
