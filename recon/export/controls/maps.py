"""What a camera sees of bodies, pixel by pixel: depth, normals and who, and their pictures."""

from __future__ import annotations

import colorsys
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from recon.core.camera import Intrinsics
from recon.core.geometry import Array
from recon.core.palette import PERSON_COLORS, person_color
from recon.core.raster import vertex_normals
from recon.synth.raster import draw

_GOLDEN = 0.618034
_FACING = (128, 128, 255)


@dataclass(frozen=True, kw_only=True)
class Layers:
    """The bodies in one picture.

    Args:
        owner: (H, W) int32, row of the body that a pixel shows, -1 where there is none.
        inverse_depth: (H, W) float32, 1 / z in 1 / metres, 0 where nothing is known: of the
            bodies, and behind them of the scene if it was given.
        normals: (H, W, 3) float32, outward unit normals in the camera (x right, y down, z
            forward), 0 where no body is.
    """

    owner: np.ndarray
    inverse_depth: np.ndarray
    normals: np.ndarray

    @property
    def depth(self) -> np.ndarray:
        """Metres along the camera's axis (H, W) float32, 0 where nothing is known."""
        z = np.zeros_like(self.inverse_depth)
        return np.divide(1, self.inverse_depth, out=z, where=self.inverse_depth > 0)


def draw_bodies(
    bodies: Sequence[tuple[Array, np.ndarray]],
    intrinsics: Intrinsics,
    *,
    behind: np.ndarray | None = None,
) -> Layers:
    """The layers of bodies, each vertices (V, 3) metres in the camera and faces (F, 3).

    A body's pixel keeps the body's depth, whatever the scene's is: the person was seen there.

    Args:
        behind: (H, W) inverse depth of the scene.
    """
    shape = (intrinsics.height, intrinsics.width)
    inverse, owner = np.zeros(shape, np.float32), np.full(shape, -1, np.int32)
    normals = np.zeros((*shape, 3), np.float32)
    if bodies:
        count = np.cumsum([0, *(len(v) for v, _ in bodies)])
        points = np.ascontiguousarray(np.concatenate([v for v, _ in bodies]), float)
        faces = np.concatenate([f + first for (_, f), first in zip(bodies, count, strict=False)])
        edges = np.zeros((len(faces), 3, 3))
        draw(points, faces, True, lens(intrinsics), edges, inverse, owner, 0)
        ys, xs = np.nonzero(owner >= 0)
        hit = owner[ys, xs]
        normals[ys, xs] = _smooth_normals(vertex_normals(points, faces)[faces], edges, hit, xs, ys)
        last_face = np.cumsum([len(f) for _, f in bodies])
        owner[ys, xs] = np.searchsorted(last_face, hit, side="right")
    if behind is not None:
        inverse = np.where(owner < 0, behind, inverse)
    return Layers(owner=owner, inverse_depth=inverse, normals=normals)


def lens(intrinsics: Intrinsics) -> Array:
    """fx, fy, cx, cy (4,), px."""
    return np.array([intrinsics.fx, intrinsics.fy, intrinsics.cx, intrinsics.cy])


def _smooth_normals(
    corners: Array, edges: Array, face: np.ndarray, xs: np.ndarray, ys: np.ndarray
) -> Array:
    """Unit normals (N, 3) between those of the corners (F, 3, 3), right in perspective."""
    e = edges[face]
    weights = e[..., 0] * xs[:, None] + e[..., 1] * ys[:, None] + e[..., 2]
    out = np.einsum("nk,nkc->nc", weights, corners[face])
    return out / np.maximum(np.linalg.norm(out, axis=1, keepdims=True), 1e-12)


def depth_picture(inverse_depth: np.ndarray, least: float, most: float) -> np.ndarray:
    """(H, W, 3) uint8, linear in 1 / z from black at `least` to white at `most`, 1 / metres."""
    share = np.clip((inverse_depth - least) / (most - least), 0, 1)
    return np.repeat(np.round(255 * share).astype(np.uint8)[..., None], 3, axis=2)


def normal_picture(normals: np.ndarray) -> np.ndarray:
    """(H, W, 3) uint8: red to the left, green upwards, blue towards the camera.

    The colours of Bae et al. 2021, which ControlNet's "normal BAE" was trained on: OpenCV's axes
    times -1, from -1..1 to 0..255. Where no body is: facing the camera, as a wall behind would.
    """
    picture = np.round((1 - normals) * 127.5).astype(np.uint8)
    picture[~normals.any(axis=2)] = _FACING
    return picture


def mask_picture(owner: np.ndarray, colors: np.ndarray) -> np.ndarray:
    """(H, W, 3) uint8: each person's colour of (P, 3), black elsewhere."""
    return np.concatenate([colors, np.zeros((1, 3), np.uint8)])[owner]


def mask_colors(track_ids: Sequence[int]) -> np.ndarray:
    """One colour each, (P, 3) uint8: the project's first, then hues far from one another."""
    colors = [
        person_color(k)
        if k <= len(PERSON_COLORS)
        else tuple(round(255 * c) for c in colorsys.hsv_to_rgb(_GOLDEN * k % 1, 0.75, 0.95))
        for k in track_ids
    ]
    return np.array(colors, np.uint8).reshape(-1, 3)
