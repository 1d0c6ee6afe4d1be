"""A small software rasteriser: shaded meshes and points with a depth buffer, in plain numpy.

It needs no display, GL or system package. All candidate pixels of all triangles are tested at
once, so its cost follows the pixels that a mesh covers, not the number of Python calls.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from recon.core.camera import Intrinsics
from recon.core.checks import check_array
from recon.core.errors import InputError
from recon.core.geometry import Array

NEAR = 0.05
"""Metres; what comes closer to the camera than this is left out."""

_MAX_CANDIDATES = 1_000_000
"""Candidate pixels tested at once; bounds the memory for triangles that fill the image."""

_LIGHT = np.array([-0.35, -0.6, -0.72]) / np.linalg.norm([-0.35, -0.6, -0.72])
_AMBIENT = 0.42


@dataclass(frozen=True, kw_only=True)
class Surface:
    """A closed mesh in the camera frame.

    Args:
        vertices_camera: (V, 3) metres. faces: (F, 3) int, counter-clockwise seen from outside.
        color: RGB 0-255.
    """

    vertices_camera: np.ndarray
    faces: np.ndarray
    color: tuple[int, int, int]

    def __post_init__(self) -> None:
        check_array("vertices_camera", self.vertices_camera, (None, 3))
        check_array("faces", self.faces, (None, 3), np.integer)
        count, faces = len(self.vertices_camera), self.faces
        if len(faces) and (faces.min() < 0 or faces.max() >= count):
            raise InputError(
                f"faces: expected indices below {count}, got {faces.min()}..{faces.max()}; "
                "pass the mesh that the vertices belong to"
            )


class Raster:
    """A picture that is drawn into: colours, depth, and which surface each pixel shows.

    `color` (H, W, 3) uint8; `inverse_depth` (H, W) float32, 1 / z, 0 where empty;
    `owner` (H, W) int32, index of the surface, -1 where there is none.
    """

    def __init__(
        self, intrinsics: Intrinsics, background: tuple[int, int, int] = (0, 0, 0)
    ) -> None:
        self.intrinsics = intrinsics
        shape = (intrinsics.height, intrinsics.width)
        self.color = np.full((*shape, 3), background, np.uint8)
        self.inverse_depth = np.zeros(shape, np.float32)
        self.owner = np.full(shape, -1, np.int32)

    @property
    def depth(self) -> np.ndarray:
        """Depth z (H, W) in metres, infinite where nothing was drawn."""
        with np.errstate(divide="ignore"):
            return 1 / self.inverse_depth

    def draw_surfaces(self, surfaces: Sequence[Surface]) -> None:
        """Draws closed meshes with smooth shading; nearer surfaces hide farther ones."""
        for index, surface in enumerate(surfaces):
            points = np.asarray(surface.vertices_camera, float)
            shade = _vertex_shade(points, surface.faces)
            for face, pixel, weights, inverse_z in self._candidates(points, surface.faces):
                won = self._win(pixel, inverse_z)
                pixel_won = pixel[won]
                self.owner.reshape(-1)[pixel_won] = index
                light = (shade[surface.faces[face[won]]] * weights[won]).sum(axis=1)
                color = light[:, None] * np.asarray(surface.color, np.float32)
                self.color.reshape(-1, 3)[pixel_won] = np.minimum(color, 255).astype(np.uint8)

    def draw_points(self, points_camera: Array, colors: np.ndarray, *, size: int = 1) -> None:
        """Draws points (P, 3) as squares of `size` px, hidden behind what is nearer.

        Args:
            points_camera: (P, 3) metres. colors: (P, 3) or (3,) RGB 0-255.
        """
        points = np.asarray(points_camera, float)
        front = points[:, 2] > NEAR
        colors = np.broadcast_to(np.asarray(colors, np.uint8), points.shape)[front]
        corner = np.floor(self.intrinsics.project(points[front]) - (size - 1) / 2)
        inverse_z = (1 / points[front, 2]).astype(np.float32)
        height, width = self.owner.shape
        for dy in range(size):
            for dx in range(size):
                x, y = corner[:, 0] + dx, corner[:, 1] + dy
                seen = np.flatnonzero((x >= 0) & (x < width) & (y >= 0) & (y < height))
                pixel = y[seen].astype(np.int64) * width + x[seen].astype(np.int64)
                won = self._win(pixel, inverse_z[seen])
                self.color.reshape(-1, 3)[pixel[won]] = colors[seen[won]]
                self.owner.reshape(-1)[pixel[won]] = -1

    def draw_lines(
        self, starts: Array, ends: Array, color: tuple[int, int, int], *, size: int = 1
    ) -> None:
        """Draws segments from `starts` (S, 3) to `ends` (S, 3), camera frame, `size` px wide."""
        a, b = _clip_near(np.asarray(starts, float), np.asarray(ends, float))
        if len(a) == 0:
            return
        limit = max(self.owner.shape) * 3
        length = np.abs(self.intrinsics.project(b) - self.intrinsics.project(a)).max(axis=1)
        counts = np.clip(np.ceil(length), 1, limit).astype(int) + 1
        segment = np.repeat(np.arange(len(a)), counts)
        step = np.arange(len(segment)) - np.repeat(np.cumsum(counts) - counts, counts)
        u = (step / (counts[segment] - 1))[:, None]
        # Even steps in the image are even steps in 1 / z, not in z.
        za, zb = a[segment, 2:], b[segment, 2:]
        v = u * za / (u * za + (1 - u) * zb)
        self.draw_points(a[segment] * (1 - v) + b[segment] * v, np.asarray(color), size=size)

    def _win(self, pixel: np.ndarray, inverse_z: np.ndarray) -> np.ndarray:
        """Updates the depth buffer; indices of the candidates that are now the nearest."""
        buffer = self.inverse_depth.reshape(-1)
        np.maximum.at(buffer, pixel, inverse_z)
        return np.flatnonzero(inverse_z >= buffer[pixel])

    def _candidates(self, points: Array, faces: np.ndarray):
        """Yields face, pixel, barycentric weights and 1 / z of the pixels that faces cover."""
        z = points[:, 2]
        px = self.intrinsics.project(np.where(z[:, None] > NEAR, points, [0.0, 0.0, 1.0]))
        inverse_z = (1 / np.maximum(z, NEAR)).astype(np.float32)
        corners = px[faces]
        # Written out: NumPy's reductions along an axis of three are five times slower.
        a, b, c = corners[:, 0], corners[:, 1], corners[:, 2]
        least, most = np.minimum(np.minimum(a, b), c), np.maximum(np.maximum(a, b), c)
        low = np.ceil(np.maximum(least - 0.5, 0)).astype(np.int64)
        last = np.array(self.owner.shape[::-1]) - 1
        high = np.floor(np.minimum(most - 0.5, last)).astype(np.int64)
        e1, e2 = b - a, c - a
        area = e1[:, 0] * e2[:, 1] - e1[:, 1] * e2[:, 0]
        sides = high - low + 1
        # Faces turned away run clockwise in an image whose y points down: positive area.
        shown = (area < 0) & (sides[:, 0] > 0) & (sides[:, 1] > 0)
        shown &= (z > NEAR)[faces].all(axis=1)
        kept = np.flatnonzero(shown)
        counts = sides[kept, 0] * sides[kept, 1]
        # Barycentric weights are affine in the pixel: w1 = g1 . d, w2 = g2 . d, d from corner 0.
        scale = 1 / area[kept, None]
        g1 = (np.stack([e2[kept, 1], -e2[kept, 0]], axis=1) * scale).astype(np.float32)
        g2 = (np.stack([-e1[kept, 1], e1[kept, 0]], axis=1) * scale).astype(np.float32)
        shift = (low[kept] + 0.5 - a[kept]).astype(np.float32)
        for rows in _chunks(counts):
            count = counts[rows]
            row = np.repeat(rows, count)
            step = np.arange(len(row)) - np.repeat(np.cumsum(count) - count, count)
            dy, dx = np.divmod(step, sides[kept[row], 0])
            x = dx.astype(np.float32) + shift[row, 0]
            y = dy.astype(np.float32) + shift[row, 1]
            w1 = g1[row, 0] * x + g1[row, 1] * y
            w2 = g2[row, 0] * x + g2[row, 1] * y
            w0 = 1 - w1 - w2
            inside = np.flatnonzero((w0 >= 0) & (w1 >= 0) & (w2 >= 0))
            face = kept[row[inside]]
            pixel = (low[face, 1] + dy[inside]) * self.owner.shape[1] + low[face, 0] + dx[inside]
            weights = np.stack([w0[inside], w1[inside], w2[inside]], axis=1)
            yield face, pixel, weights, (inverse_z[faces[face]] * weights).sum(axis=1)


def vertex_normals(points: Array, faces: np.ndarray) -> Array:
    """Unit outward normals (V, 3), area-weighted, of a mesh with points (V, 3), faces (F, 3)."""
    a, b, c = (points[faces[:, k]] for k in range(3))
    normal = np.cross(b - a, c - a)
    corner = faces.T.reshape(-1)
    total = np.stack(
        [np.bincount(corner, np.tile(normal[:, k], 3), minlength=len(points)) for k in range(3)],
        axis=1,
    )
    return total / np.maximum(np.linalg.norm(total, axis=1, keepdims=True), 1e-12)


def _vertex_shade(points: Array, faces: np.ndarray) -> np.ndarray:
    """Brightness (V,) float32: ambient, and a lamp above the camera's left shoulder."""
    lit = np.maximum(vertex_normals(points, faces) @ _LIGHT, 0)
    return (_AMBIENT + (1.08 - _AMBIENT) * lit).astype(np.float32)


def _chunks(counts: np.ndarray):
    """Yields runs of indices whose counts add up to at most the limit (or to a single one)."""
    total = np.cumsum(counts)
    start = 0
    while start < len(counts):
        done = total[start - 1] if start else 0
        stop = int(np.searchsorted(total, done + _MAX_CANDIDATES, side="right"))
        stop = max(stop, start + 1)
        yield np.arange(start, stop)
        start = stop


def _clip_near(a: Array, b: Array) -> tuple[Array, Array]:
    """The parts of segments a-b (S, 3) in front of the near plane."""
    near = NEAR * 1.01
    kept = (a[:, 2] > near) | (b[:, 2] > near)
    a, b = a[kept], b[kept]
    crosses = (a[:, 2:] < near) | (b[:, 2:] < near)
    step = np.where(crosses, b[:, 2:] - a[:, 2:], 1.0)
    cut = a + (near - a[:, 2:]) / step * (b - a)
    return np.where(a[:, 2:] < near, cut, a), np.where(b[:, 2:] < near, cut, b)
