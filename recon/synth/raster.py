"""Compiled kernels that draw textured triangles: what is visible, its colour, and its shadow.

Perspective follows Olano and Greer, "Triangle scan conversion using 2D homogeneous coordinates"
(1997): with M = [v0 v1 v2] in the camera, the rows of M^-1 are linear functions of the pixel whose
signs tell the inside and whose sum is 1 / z, so nothing has to be clipped.
"""

from __future__ import annotations

import numpy as np
from numba import njit

NEAR = 0.05
_FAST = {"cache": True, "fastmath": True, "nogil": True, "error_model": "numpy"}


@njit(**_FAST)
def draw(points, faces, closed, k, edges, inverse_depth, owner, first):
    """Draws faces into a picture of 1 / z and of face numbers (plus `first`).

    Args:
        points: (V, 3) in the camera. faces: (F, 3). closed: whether faces turned away are hidden.
        k: (4,) fx fy cx cy px. edges: (F, 3, 3) out, the linear functions of the pixel.
        inverse_depth: (H, W) float32. owner: (H, W) int32.
    """
    height, width = owner.shape
    fx, fy, cx, cy = k[0], k[1], k[2], k[3]
    for f in range(len(faces)):
        a, b, g = points[faces[f, 0]], points[faces[f, 1]], points[faces[f, 2]]
        ax, ay, az = a[0], a[1], a[2]
        bx, by, bz = b[0], b[1], b[2]
        gx, gy, gz = g[0], g[1], g[2]
        if az < NEAR and bz < NEAR and gz < NEAR:
            continue
        # Rows of the inverse, up to the determinant: cross products of the corners.
        r = edges[f]
        r[0, 0], r[0, 1], r[0, 2] = by * gz - bz * gy, bz * gx - bx * gz, bx * gy - by * gx
        r[1, 0], r[1, 1], r[1, 2] = gy * az - gz * ay, gz * ax - gx * az, gx * ay - gy * ax
        r[2, 0], r[2, 1], r[2, 2] = ay * bz - az * by, az * bx - ax * bz, ax * by - ay * bx
        det = ax * r[0, 0] + ay * r[0, 1] + az * r[0, 2]
        if abs(det) < 1e-14 or (closed and det > 0):
            continue
        for i in range(3):
            x, y, z = r[i, 0] / det / fx, r[i, 1] / det / fy, r[i, 2] / det
            r[i, 0], r[i, 1], r[i, 2] = x, y, z - x * (cx - 0.5) - y * (cy - 0.5)
        x0, x1, y0, y1 = 0, width - 1, 0, height - 1
        if az > NEAR and bz > NEAR and gz > NEAR:
            ua, ub, ug = fx * ax / az, fx * bx / bz, fx * gx / gz
            va, vb, vg = fy * ay / az, fy * by / bz, fy * gy / gz
            x0 = max(x0, int(np.ceil(min(ua, ub, ug) + cx - 0.5)))
            x1 = min(x1, int(np.floor(max(ua, ub, ug) + cx - 0.5)))
            y0 = max(y0, int(np.ceil(min(va, vb, vg) + cy - 0.5)))
            y1 = min(y1, int(np.floor(max(va, vb, vg) + cy - 0.5)))
        for y in range(y0, y1 + 1):
            for x in range(x0, x1 + 1):
                w0 = r[0, 0] * x + r[0, 1] * y + r[0, 2]
                w1 = r[1, 0] * x + r[1, 1] * y + r[1, 2]
                w2 = r[2, 0] * x + r[2, 1] * y + r[2, 2]
                if w0 < -1e-9 or w1 < -1e-9 or w2 < -1e-9:
                    continue
                w = w0 + w1 + w2
                if w < 1 / NEAR and w > inverse_depth[y, x]:
                    inverse_depth[y, x] = w
                    owner[y, x] = first + f


@njit(**_FAST)
def draw_heights(points, faces, heights):
    """Raises a map (H, W) to the height of the highest face over every cell.

    Args:
        points: (V, 3): column, row and height. faces: (F, 3).
    """
    rows, columns = heights.shape
    for f in range(len(faces)):
        a, b, g = points[faces[f, 0]], points[faces[f, 1]], points[faces[f, 2]]
        ax, ay, az = a[0], a[1], a[2]
        bx, by, bz = b[0], b[1], b[2]
        gx, gy, gz = g[0], g[1], g[2]
        area = (bx - ax) * (gy - ay) - (by - ay) * (gx - ax)
        if abs(area) < 1e-12:
            continue
        for y in range(
            max(0, int(np.ceil(min(ay, by, gy)))), min(rows - 1, int(max(ay, by, gy))) + 1
        ):
            for x in range(
                max(0, int(np.ceil(min(ax, bx, gx)))), min(columns - 1, int(max(ax, bx, gx))) + 1
            ):
                w1 = ((x - ax) * (gy - ay) - (y - ay) * (gx - ax)) / area
                w2 = ((bx - ax) * (y - ay) - (by - ay) * (x - ax)) / area
                if w1 >= 0 and w2 >= 0 and w1 + w2 <= 1:
                    z = az + w1 * (bz - az) + w2 * (gz - az)
                    heights[y, x] = max(heights[y, x], z)


@njit(**_FAST, inline="always")
def _cells(table, texture, level, u, v):
    """Where a repeating texture has the four texels round (u, v), and how far between they lie."""
    start, width, height = (
        table[texture, level, 0],
        table[texture, level, 1],
        table[texture, level, 2],
    )
    x, y = (u - np.floor(u)) * width - 0.5, (v - np.floor(v)) * height - 0.5
    x0, y0 = int(np.floor(x)), int(np.floor(y))
    p, q = np.float32(x - x0), np.float32(y - y0)
    x1 = x0 + 1 if x0 + 1 < width else 0
    y1 = y0 + 1 if y0 + 1 < height else 0
    x0 = x0 if x0 >= 0 else width - 1
    y0 = y0 if y0 >= 0 else height - 1
    top, low = start + y0 * width, start + y1 * width
    return top + x0, top + x1, low + x0, low + x1, p, q


@njit(**_FAST)
def _color(texels, table, texture, level, u, v, out):
    """Writes a texture's colour (3,) at (u, v)."""
    a, b, c, d, p, q = _cells(table, texture, level, u, v)
    for i in range(3):
        top = texels[a, i] + p * (texels[b, i] - texels[a, i])
        low = texels[c, i] + p * (texels[d, i] - texels[c, i])
        out[i] = top + q * (low - top)


@njit(**_FAST)
def _gain(texels, table, texture, level, u, v):
    """A grey texture's value at (u, v)."""
    a, b, c, d, p, q = _cells(table, texture, level, u, v)
    top = texels[a, 0] + p * (texels[b, 0] - texels[a, 0])
    low = texels[c, 0] + p * (texels[d, 0] - texels[c, 0])
    return top + q * (low - top)


@njit(**_FAST)
def _level(scale, table, texture, du_dx, dv_dx, du_dy, dv_dy, dither, levels):
    """The mip level whose texels are as large as a sample."""
    width, height = table[texture, 0, 1], table[texture, 0, 2]
    ax, ay = du_dx * width * scale, dv_dx * height * scale
    bx, by = du_dy * width * scale, dv_dy * height * scale
    long = max(ax * ax + ay * ay, bx * bx + by * by)
    # Samples of a pixel lie apart: they share the work along the longer side.
    size = max(min(ax * ax + ay * ay, bx * bx + by * by), long / 9)
    return min(levels - 1, max(0, int(0.5 * np.log2(max(size, 1e-9)) - 0.35 + dither)))


@njit(**_FAST)
def shade(
    owner, inverse_depth, edges, uvs, normals, textures, details, detail_scales, texels, table,
    k, R_world_camera, eye, light, sun, ambient, shadow, shadow_frame, contact, contact_frame,
    sky, dither, out,
):  # fmt: skip
    """Adds the light of every sample to a picture (H, W, 3).

    Args:
        edges, uvs, normals: (F, 3, 3), (F, 3, 2), (F, 3, 3) of the faces in `owner`.
        textures, details: (F,) int, `detail_scales`: (F,) repeats of the detail per uv unit.
        texels, table: all textures, (N, 3), and (textures, levels, 3): start, width, height.
        light: (3,) unit, towards the sun. sun, ambient: (3,) colours.
        shadow: (h, w) heights along the light; shadow_frame: (3, 4) from the world to its cells.
        contact: (h, w) how much the floor is darkened; contact_frame: (2, 3) likewise from x, y, 1.
        sky: texture of what lies beyond everything. dither: 0-1, added to the mip level.
    """
    height, width = owner.shape
    levels = table.shape[1]
    fx, fy, cx, cy = k[0], k[1], k[2], k[3]
    color, ray, n, p = np.empty(3, np.float32), np.empty(3), np.empty(3), np.empty(3)
    for y in range(height):
        for x in range(width):
            a, b = (x + 0.5 - cx) / fx, (y + 0.5 - cy) / fy
            for i in range(3):
                ray[i] = R_world_camera[i, 0] * a + R_world_camera[i, 1] * b + R_world_camera[i, 2]
            f = owner[y, x]
            if f < 0:
                length = np.sqrt(ray[0] ** 2 + ray[1] ** 2 + ray[2] ** 2)
                u = np.arctan2(ray[1], ray[0]) / (2 * np.pi)
                v = 0.5 - np.arcsin(ray[2] / length) / np.pi
                _color(texels, table, sky, 0, u, v, color)
                for i in range(3):
                    out[y, x, i] += color[i]
                continue
            e, uv = edges[f], uvs[f]
            w0 = e[0, 0] * x + e[0, 1] * y + e[0, 2]
            w1 = e[1, 0] * x + e[1, 1] * y + e[1, 2]
            w2 = e[2, 0] * x + e[2, 1] * y + e[2, 2]
            z = 1 / (w0 + w1 + w2)
            b0, b1, b2 = w0 * z, w1 * z, w2 * z
            u = b0 * uv[0, 0] + b1 * uv[1, 0] + b2 * uv[2, 0]
            v = b0 * uv[0, 1] + b1 * uv[1, 1] + b2 * uv[2, 1]
            wx = e[0, 0] + e[1, 0] + e[2, 0]
            wy = e[0, 1] + e[1, 1] + e[2, 1]
            du_dx = (e[0, 0] * uv[0, 0] + e[1, 0] * uv[1, 0] + e[2, 0] * uv[2, 0] - u * wx) * z
            dv_dx = (e[0, 0] * uv[0, 1] + e[1, 0] * uv[1, 1] + e[2, 0] * uv[2, 1] - v * wx) * z
            du_dy = (e[0, 1] * uv[0, 0] + e[1, 1] * uv[1, 0] + e[2, 1] * uv[2, 0] - u * wy) * z
            dv_dy = (e[0, 1] * uv[0, 1] + e[1, 1] * uv[1, 1] + e[2, 1] * uv[2, 1] - v * wy) * z
            texture = textures[f]
            level = _level(1.0, table, texture, du_dx, dv_dx, du_dy, dv_dy, dither, levels)
            _color(texels, table, texture, level, u, v, color)
            fine, s = details[f], detail_scales[f]
            level = _level(s, table, fine, du_dx, dv_dx, du_dy, dv_dy, dither, levels)
            gain = _gain(texels, table, fine, level, u * s, v * s)
            size = 1e-12
            for i in range(3):
                n[i] = b0 * normals[f, 0, i] + b1 * normals[f, 1, i] + b2 * normals[f, 2, i]
                size += n[i] ** 2
                p[i] = eye[i] + ray[i] * z
            size = np.sqrt(size)
            facing = (n[0] * light[0] + n[1] * light[1] + n[2] * light[2]) / size
            # Light leaks a little round the edge: bodies and cloth scatter it.
            lit = max(0.0, (facing + 0.15) / 1.15)
            if lit > 0:
                lit *= _sunlit(shadow, shadow_frame, p, n, size)
            up = 0.5 + 0.5 * n[2] / size
            dark = 1.0
            if p[2] < 0.03 and up > 0.9:
                dark = 1 - _contact(contact, contact_frame, p)
            for i in range(3):
                around = ambient[i] * (0.55 + 0.45 * up)
                out[y, x, i] += color[i] * gain * dark * (around + sun[i] * lit)


@njit(**_FAST)
def _sunlit(shadow, frame, p, n, size):
    """0-1: share of four cells around a point, a little off its surface, that nothing shades."""
    q0, q1, q2 = p[0] + 0.02 * n[0] / size, p[1] + 0.02 * n[1] / size, p[2] + 0.02 * n[2] / size
    x = frame[0, 0] * q0 + frame[0, 1] * q1 + frame[0, 2] * q2 + frame[0, 3]
    y = frame[1, 0] * q0 + frame[1, 1] * q1 + frame[1, 2] * q2 + frame[1, 3]
    z = frame[2, 0] * q0 + frame[2, 1] * q1 + frame[2, 2] * q2 + frame[2, 3] + 0.012
    x0, y0 = int(np.floor(x)), int(np.floor(y))
    if x0 < 1 or y0 < 1 or x0 >= shadow.shape[1] - 2 or y0 >= shadow.shape[0] - 2:
        return 1.0
    a, b = x - x0, y - y0
    out = 0.0
    for j in range(-1, 2):  # a box two cells wide
        wy = 1 - b if j == -1 else b if j == 1 else 1.0
        for i in range(-1, 2):
            wx = 1 - a if i == -1 else a if i == 1 else 1.0
            if shadow[y0 + j, x0 + i] <= z:
                out += wx * wy
    return out / 4


@njit(**_FAST)
def _contact(contact, frame, p):
    """How much the floor at a point is darkened by what stands close above it."""
    x = frame[0, 0] * p[0] + frame[0, 1] * p[1] + frame[0, 2]
    y = frame[1, 0] * p[0] + frame[1, 1] * p[1] + frame[1, 2]
    x0, y0 = int(np.floor(x)), int(np.floor(y))
    if x0 < 0 or y0 < 0 or x0 >= contact.shape[1] - 1 or y0 >= contact.shape[0] - 1:
        return 0.0
    a, b = x - x0, y - y0
    top = (1 - a) * contact[y0, x0] + a * contact[y0, x0 + 1]
    low = (1 - a) * contact[y0 + 1, x0] + a * contact[y0 + 1, x0 + 1]
    return (1 - b) * top + b * low
