"""Gaussians to splats on screen (EWA splatting, Zwicker et al. 2001), and the gradients."""
# Scalars are spelled out: small arrays inside a Numba loop cost more than the arithmetic.

from __future__ import annotations

import numpy as np
from numba import njit, prange

from splatting.cpu.blending import DEPTH, HALF_HEIGHT, LEAST_POWER, OPACITY, RED, SPLAT, A, U
from splatting.cpu.harmonics import sh_basis, sh_gradient
from splatting.rasterize import BLUR_PX2, FRUSTUM_MARGIN, MIN_ALPHA, NEAR

F = np.float32
CHUNK = 256
POSE = 12
BLUR, LEAST_SHARE, ONE, TWO, HALF = F(BLUR_PX2), F(1e-12), F(1), F(2), F(0.5)
MOST_DET = F(1e36)
"""px⁴: wider Gaussians, of a billion pixels, leave the range of float32 and are not drawn."""


@njit(fastmath=True)
def _rotation(quat):
    """The unit quaternion wxyz, 1 over its former length, and its matrix by rows."""
    n = ONE / np.sqrt(quat[0] ** 2 + quat[1] ** 2 + quat[2] ** 2 + quat[3] ** 2)
    w, x, y, z = quat[0] * n, quat[1] * n, quat[2] * n, quat[3] * n
    matrix = (
        ONE - TWO * (y * y + z * z), TWO * (x * y - w * z), TWO * (x * z + w * y),
        TWO * (x * y + w * z), ONE - TWO * (x * x + z * z), TWO * (y * z - w * x),
        TWO * (x * z - w * y), TWO * (y * z + w * x), ONE - TWO * (x * x + y * y),
    )  # fmt: skip
    return (w, x, y, z), n, matrix


@njit(fastmath=True)
def _camera_point(T, mean):
    x = T[0, 0] * mean[0] + T[0, 1] * mean[1] + T[0, 2] * mean[2] + T[0, 3]
    y = T[1, 0] * mean[0] + T[1, 1] * mean[1] + T[1, 2] * mean[2] + T[1, 3]
    z = T[2, 0] * mean[0] + T[2, 1] * mean[1] + T[2, 2] * mean[2] + T[2, 3]
    return x, y, z


@njit(fastmath=True)
def _held(ray, focal, centre, size):
    """x / z, held inside the picture plus a margin: outside it the linearisation explodes."""
    margin = F(FRUSTUM_MARGIN) * HALF * size / focal
    return min(max(ray, -centre / focal - margin), (size - centre) / focal + margin)


@njit(fastmath=True)
def _half_covariance(T, K, z, hx, hy, matrix, scale):
    """Jacobian times camera rotation (2, 3), and that times the scaled axes (2, 3), by rows."""
    j00, j02 = K[0, 0] / z, -K[0, 0] * hx / z
    j11, j12 = K[1, 1] / z, -K[1, 1] * hy / z
    t0, t1, t2 = (j00 * T[0, 0] + j02 * T[2, 0], j00 * T[0, 1] + j02 * T[2, 1],
                  j00 * T[0, 2] + j02 * T[2, 2])  # fmt: skip
    t3, t4, t5 = (j11 * T[1, 0] + j12 * T[2, 0], j11 * T[1, 1] + j12 * T[2, 1],
                  j11 * T[1, 2] + j12 * T[2, 2])  # fmt: skip
    r0, r1, r2, r3, r4, r5, r6, r7, r8 = matrix
    p = (
        (t0 * r0 + t1 * r3 + t2 * r6) * scale[0], (t0 * r1 + t1 * r4 + t2 * r7) * scale[1],
        (t0 * r2 + t1 * r5 + t2 * r8) * scale[2], (t3 * r0 + t4 * r3 + t5 * r6) * scale[0],
        (t3 * r1 + t4 * r4 + t5 * r7) * scale[1], (t3 * r2 + t4 * r5 + t5 * r8) * scale[2],
    )  # fmt: skip
    return (t0, t1, t2, t3, t4, t5), p


@njit(fastmath=True)
def _covariance(p):
    """a, b, c and the determinants before and after widening by the least blur."""
    a = p[0] * p[0] + p[1] * p[1] + p[2] * p[2]
    b = p[0] * p[3] + p[1] * p[4] + p[2] * p[5]
    c = p[3] * p[3] + p[4] * p[4] + p[5] * p[5]
    return a, b, c, a * c - b * b, (a + BLUR) * (c + BLUR) - b * b


@njit(fastmath=True)
def _view(T, mean):
    """Unit vector from the camera's centre to a mean, and 1 over their distance."""
    x = mean[0] + T[0, 0] * T[0, 3] + T[1, 0] * T[1, 3] + T[2, 0] * T[2, 3]
    y = mean[1] + T[0, 1] * T[0, 3] + T[1, 1] * T[1, 3] + T[2, 1] * T[2, 3]
    z = mean[2] + T[0, 2] * T[0, 3] + T[1, 2] * T[1, 3] + T[2, 2] * T[2, 3]
    n = ONE / max(np.sqrt(x * x + y * y + z * z), LEAST_SHARE)
    return x * n, y * n, z * n, n


@njit(parallel=True, fastmath=True, cache=True)
def project(means, quats, scales, opacities, sh, T, K, width, height, antialiased):
    """Splats (N, 12) and radii (N,), px; a radius is 0 where nothing is to be drawn.

    Args:
        means (N, 3), quats (N, 4), scales (N, 3), opacities (N,), sh (N, k, 3): float32, as in
            Gaussians. T: (4, 4) world to camera. K: (3, 3).
    """
    count, terms = len(means), sh.shape[1]
    splats, radii = np.empty((count, SPLAT), np.float32), np.zeros(count, np.float32)
    W, H = F(width), F(height)
    for chunk in prange((count + CHUNK - 1) // CHUNK):
        basis = np.empty(16, np.float32)
        for i in range(chunk * CHUNK, min(count, (chunk + 1) * CHUNK)):
            splat = splats[i]
            splat[:] = 0
            x, y, z = _camera_point(T, means[i])
            if not z > F(NEAR):
                continue
            u, v = K[0, 0] * x / z + K[0, 2], K[1, 1] * y / z + K[1, 2]
            hx, hy = _held(x / z, K[0, 0], K[0, 2], W), _held(y / z, K[1, 1], K[1, 2], H)
            _, _, matrix = _rotation(quats[i])
            _, p = _half_covariance(T, K, z, hx, hy, matrix, scales[i])
            a, b, c, det_sharp, det = _covariance(p)
            opacity = opacities[i]
            if antialiased:
                opacity *= np.sqrt(max(det_sharp / det, LEAST_SHARE))
            if not (0 < det < MOST_DET and opacity >= F(MIN_ALPHA)):
                continue
            power = np.log(opacity / F(MIN_ALPHA))
            sigmas = np.sqrt(TWO * power)
            reach_x, reach_y = sigmas * np.sqrt(a + BLUR), sigmas * np.sqrt(c + BLUR)
            inside_x = u + reach_x > 0 and u - reach_x < W
            if not (inside_x and v + reach_y > 0 and v - reach_y < H):
                continue
            radii[i] = max(reach_x, reach_y)
            splat[U], splat[U + 1] = u, v
            splat[A], splat[A + 1], splat[A + 2] = (c + BLUR) / det, -b / det, (a + BLUR) / det
            splat[OPACITY], splat[DEPTH] = opacity, z
            splat[LEAST_POWER], splat[HALF_HEIGHT] = -power, reach_y
            dx, dy, dz, _ = _view(T, means[i])
            sh_basis(dx, dy, dz, terms, basis)
            red, green, blue = HALF, HALF, HALF
            for k in range(terms):
                red += basis[k] * sh[i, k, 0]
                green += basis[k] * sh[i, k, 1]
                blue += basis[k] * sh[i, k, 2]
            splat[RED], splat[RED + 1], splat[RED + 2] = (
                max(red, F(0)),
                max(green, F(0)),
                max(blue, F(0)),
            )
    return splats, radii


@njit(parallel=True, fastmath=True, cache=True)
def unproject(
    means, quats, scales, opacities, sh, T, K, width, height, antialiased, splats, radii, by
):
    """Gradients by means, quats, scales, opacities, sh and T's upper three rows.

    Args:
        as in `project`, whose results `splats` and `radii` are; by: (N, 12) gradient by splats.
    """
    count, terms = len(means), sh.shape[1]
    by_means, by_quats = np.zeros((count, 3), np.float32), np.zeros((count, 4), np.float32)
    by_scales, by_opacities = np.zeros((count, 3), np.float32), np.zeros(count, np.float32)
    by_sh = np.empty(sh.shape, np.float32)
    chunks = (count + CHUNK - 1) // CHUNK
    by_pose = np.zeros((chunks, POSE))
    W, H = F(width), F(height)
    for chunk in prange(chunks):
        basis, by_basis = np.empty(16, np.float32), np.empty(16, np.float32)
        pose = np.zeros(POSE)
        for i in range(chunk * CHUNK, min(count, (chunk + 1) * CHUNK)):
            if radii[i] == 0:
                by_sh[i] = 0
                continue
            mean, scale, splat, g = means[i], scales[i], splats[i], by[i]
            x, y, z = _camera_point(T, mean)
            fx, fy, rz = K[0, 0], K[1, 1], ONE / z
            hx, hy = _held(x / z, fx, K[0, 2], W), _held(y / z, fy, K[1, 2], H)
            (w, qx, qy, qz), n, R = _rotation(quats[i])
            t, p = _half_covariance(T, K, z, hx, hy, R, scale)
            a, b, c, det_sharp, det = _covariance(p)

            # The inverse covariance Q = S^-1: dS = -Q dQ Q, with dQ symmetric.
            qa, qb, qc = splat[A], splat[A + 1], splat[A + 2]
            ga, gb, gc = g[A], HALF * g[A + 1], g[A + 2]
            m00, m01 = qa * ga + qb * gb, qa * gb + qb * gc
            m10, m11 = qb * ga + qc * gb, qb * gb + qc * gc
            sa = -(m00 * qa + m01 * qb)
            sb = -(m00 * qb + m01 * qc)
            sc = -(m10 * qb + m11 * qc)
            share = ONE
            if antialiased:
                ratio = det_sharp / det
                share = np.sqrt(max(ratio, LEAST_SHARE))
                if ratio > LEAST_SHARE:
                    change = HALF * g[OPACITY] * opacities[i] / (share * det)
                    sa += change * (c - ratio * (c + BLUR))
                    sc += change * (a - ratio * (a + BLUR))
                    sb += change * b * (ratio - ONE)
            by_opacities[i] = share * g[OPACITY]

            # S = P P^T, P = t M with M the rotated axes times their lengths.
            p0, p1, p2 = (TWO * (sa * p[0] + sb * p[3]), TWO * (sa * p[1] + sb * p[4]),
                          TWO * (sa * p[2] + sb * p[5]))  # fmt: skip
            p3, p4, p5 = (TWO * (sb * p[0] + sc * p[3]), TWO * (sb * p[1] + sc * p[4]),
                          TWO * (sb * p[2] + sc * p[5]))  # fmt: skip
            s0, s1, s2 = scale[0], scale[1], scale[2]
            g00, g01, g02 = (t[0] * p0 + t[3] * p3, t[0] * p1 + t[3] * p4, t[0] * p2 + t[3] * p5)
            g10, g11, g12 = (t[1] * p0 + t[4] * p3, t[1] * p1 + t[4] * p4, t[1] * p2 + t[4] * p5)
            g20, g21, g22 = (t[2] * p0 + t[5] * p3, t[2] * p1 + t[5] * p4, t[2] * p2 + t[5] * p5)
            by_scales[i, 0] = g00 * R[0] + g10 * R[3] + g20 * R[6]
            by_scales[i, 1] = g01 * R[1] + g11 * R[4] + g21 * R[7]
            by_scales[i, 2] = g02 * R[2] + g12 * R[5] + g22 * R[8]
            g00, g10, g20 = g00 * s0, g10 * s0, g20 * s0
            g01, g11, g21 = g01 * s1, g11 * s1, g21 * s1
            g02, g12, g22 = g02 * s2, g12 * s2, g22 * s2
            bw = TWO * (qx * (g21 - g12) + qy * (g02 - g20) + qz * (g10 - g01))
            bx = TWO * (
                w * (g21 - g12) + qy * (g01 + g10) + qz * (g02 + g20) - TWO * qx * (g11 + g22)
            )
            by_ = TWO * (
                w * (g02 - g20) + qx * (g01 + g10) + qz * (g12 + g21) - TWO * qy * (g00 + g22)
            )
            bz = TWO * (
                w * (g10 - g01) + qx * (g02 + g20) + qy * (g12 + g21) - TWO * qz * (g00 + g11)
            )
            along = bw * w + bx * qx + by_ * qy + bz * qz
            by_quats[i, 0], by_quats[i, 1] = (bw - along * w) * n, (bx - along * qx) * n
            by_quats[i, 2], by_quats[i, 3] = (by_ - along * qy) * n, (bz - along * qz) * n

            # t = J R_camera: by t, then by J and by the camera's rotation.
            a0, a1, a2, b0, b1, b2 = (
                R[0] * s0,
                R[1] * s1,
                R[2] * s2,
                R[3] * s0,
                R[4] * s1,
                R[5] * s2,
            )
            c0, c1, c2 = R[6] * s0, R[7] * s1, R[8] * s2
            t0, t1, t2 = (p0 * a0 + p1 * a1 + p2 * a2, p0 * b0 + p1 * b1 + p2 * b2,
                          p0 * c0 + p1 * c1 + p2 * c2)  # fmt: skip
            t3, t4, t5 = (p3 * a0 + p4 * a1 + p5 * a2, p3 * b0 + p4 * b1 + p5 * b2,
                          p3 * c0 + p4 * c1 + p5 * c2)  # fmt: skip
            j00 = t0 * T[0, 0] + t1 * T[0, 1] + t2 * T[0, 2]
            j02 = t0 * T[2, 0] + t1 * T[2, 1] + t2 * T[2, 2]
            j11 = t3 * T[1, 0] + t4 * T[1, 1] + t5 * T[1, 2]
            j12 = t3 * T[2, 0] + t4 * T[2, 1] + t5 * T[2, 2]
            px, py = fx * rz * g[U], fy * rz * g[U + 1]
            pz = g[DEPTH] - rz * (x * px + y * py)
            pz += rz * rz * (fx * (hx * j02 - j00) + fy * (hy * j12 - j11))
            by_hx, by_hy = -fx * rz * j02, -fy * rz * j12
            if hx == x / z:
                px += by_hx * rz
                pz -= by_hx * x * rz * rz
            if hy == y / z:
                py += by_hy * rz
                pz -= by_hy * y * rz * rz

            # The colour, seen along the direction from the camera.
            dx, dy, dz, near = _view(T, mean)
            sh_basis(dx, dy, dz, terms, basis)
            red = g[RED] if splat[RED] > 0 else F(0)
            green = g[RED + 1] if splat[RED + 1] > 0 else F(0)
            blue = g[RED + 2] if splat[RED + 2] > 0 else F(0)
            for k in range(terms):
                by_sh[i, k, 0] = basis[k] * red
                by_sh[i, k, 1] = basis[k] * green
                by_sh[i, k, 2] = basis[k] * blue
                by_basis[k] = red * sh[i, k, 0] + green * sh[i, k, 1] + blue * sh[i, k, 2]
            ex, ey, ez = sh_gradient(dx, dy, dz, terms, by_basis)
            along = ex * dx + ey * dy + ez * dz
            ex, ey, ez = (
                (ex - along * dx) * near,
                (ey - along * dy) * near,
                (ez - along * dz) * near,
            )

            by_means[i, 0] = T[0, 0] * px + T[1, 0] * py + T[2, 0] * pz + ex
            by_means[i, 1] = T[0, 1] * px + T[1, 1] * py + T[2, 1] * pz + ey
            by_means[i, 2] = T[0, 2] * px + T[1, 2] * py + T[2, 2] * pz + ez

            jx, jx2, jy, jy2 = fx * rz, -fx * hx * rz, fy * rz, -fy * hy * rz
            tx, ty, tz = T[0, 3], T[1, 3], T[2, 3]
            pose[0] += px * mean[0] + jx * t0 + tx * ex
            pose[1] += px * mean[1] + jx * t1 + tx * ey
            pose[2] += px * mean[2] + jx * t2 + tx * ez
            pose[3] += px + T[0, 0] * ex + T[0, 1] * ey + T[0, 2] * ez
            pose[4] += py * mean[0] + jy * t3 + ty * ex
            pose[5] += py * mean[1] + jy * t4 + ty * ey
            pose[6] += py * mean[2] + jy * t5 + ty * ez
            pose[7] += py + T[1, 0] * ex + T[1, 1] * ey + T[1, 2] * ez
            pose[8] += pz * mean[0] + jx2 * t0 + jy2 * t3 + tz * ex
            pose[9] += pz * mean[1] + jx2 * t1 + jy2 * t4 + tz * ey
            pose[10] += pz * mean[2] + jx2 * t2 + jy2 * t5 + tz * ez
            pose[11] += pz + T[2, 0] * ex + T[2, 1] * ey + T[2, 2] * ez
        by_pose[chunk] = pose
    return by_means, by_quats, by_scales, by_opacities, by_sh, by_pose.sum(0).reshape(3, 4)
