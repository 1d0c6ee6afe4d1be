"""Dense correspondences between keyframes: optical flow, and how far to trust it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import cv2
import numpy as np

from recon.core.camera import Intrinsics
from recon.core.geometry import Array
from slam.dense_ba import cell_centers
from slam.tracks import LONG_SIDE, Keyframe

CELL = 8
# Round trip at which the trust in a flow vector is halved, and where it ends; px at 640.
HALF_TRUST_PX, MAX_ROUND_TRIP_PX = 0.7, 2.0
# Smaller eigenvalue of a cell's mean squared gradient (0-255 per px) that counts as full texture.
FULL_TEXTURE = 20.0
MIN_TEXTURE = 0.02


@dataclass(frozen=True, kw_only=True)
class DenseView:
    """A keyframe prepared for dense matching.

    Args:
        gray: (H, W) uint8, H and W multiples of CELL. background: (H, W) bool, nobody there.
        trust: (N,) float32 per cell, 0-1: texture, and 0 where people are.
        colors: (N, 3) uint8 RGB, the cells' means.
    """

    gray: np.ndarray
    background: np.ndarray
    trust: np.ndarray
    colors: np.ndarray

    @property
    def grid(self) -> tuple[int, int]:
        """Rows and columns of cells."""
        return self.gray.shape[0] // CELL, self.gray.shape[1] // CELL


def flow_size(width: int, height: int, side: int) -> tuple[int, int]:
    """The picture's size, longer side at most about `side` px, rounded to whole cells."""
    scale = min(1.0, side / max(width, height)) / CELL
    return max(1, round(width * scale)) * CELL, max(1, round(height * scale)) * CELL


def prepare_view(keyframe: Keyframe, *, width: int, height: int) -> DenseView:
    """A keyframe as a picture of width x height, multiples of CELL."""
    image = keyframe.image()
    background = keyframe.background(*image.shape[:2])
    size = (width, height)
    image = cv2.resize(image, size, interpolation=cv2.INTER_AREA)
    people = cv2.resize((~background).astype(np.uint8), size, interpolation=cv2.INTER_NEAREST)
    # The flow's patches and smoothing carry a person's motion about this far into the background.
    background = cv2.dilate(people, np.ones((2 * CELL + 1,) * 2, np.uint8)) == 0
    gray = np.asarray(cv2.cvtColor(image, cv2.COLOR_RGB2GRAY), np.uint8)
    cells = (width // CELL, height // CELL)
    texture = _texture(gray, cells)
    free = cv2.resize(background.astype(np.float32), cells, interpolation=cv2.INTER_AREA)
    trust = np.clip(texture / FULL_TEXTURE, MIN_TEXTURE, 1) * (free > 0.99)
    return DenseView(
        gray=gray, background=background, trust=trust.ravel().astype(np.float32),
        colors=cv2.resize(image, cells, interpolation=cv2.INTER_AREA).reshape(-1, 3),
    )  # fmt: skip


def _texture(gray: np.ndarray, cells: tuple[int, int]) -> np.ndarray:
    """Smaller eigenvalue of each cell's structure tensor (rows, columns)."""
    gx = cv2.Sobel(gray, cv2.CV_32F, 1, 0, scale=1 / 8)
    gy = cv2.Sobel(gray, cv2.CV_32F, 0, 1, scale=1 / 8)
    xx, xy, yy = (
        cv2.resize(product, cells, interpolation=cv2.INTER_AREA)
        for product in (gx * gx, gx * gy, gy * gy)
    )
    return 0.5 * (xx + yy - np.sqrt((xx - yy) ** 2 + 4 * xy**2))


Flow = Callable[[np.ndarray, np.ndarray, np.ndarray], np.ndarray]
"""(from, to, start) -> where each pixel of the first grey picture went, (H, W, 2) float32 px."""


def dis_flow() -> Flow:
    """Dense inverse search (Kroeger et al. 2016), OpenCV's medium preset, from a given start."""
    dis = cv2.DISOpticalFlow.create(cv2.DISOPTICAL_FLOW_PRESET_MEDIUM)
    return lambda a, b, start: np.asarray(dis.calc(a, b, start.copy()))


def match_views(
    a: DenseView, b: DenseView, *, R_b_a: Array, intrinsics: Intrinsics, flow: Flow
) -> tuple[tuple[np.ndarray, np.ndarray], tuple[np.ndarray, np.ndarray]]:
    """For a's cells in b, then for b's cells in a: pixels (2, N) and weights (N,), float32.

    A weight is the product of the cell's texture, of how well the flow there and back closes,
    and of nobody standing at either end.

    Args:
        R_b_a: (3, 3) the camera's turn, from which the flow starts. intrinsics: of the views.
    """
    there = flow(a.gray, b.gray, turning_flow(R_b_a, intrinsics))
    back = flow(b.gray, a.gray, turning_flow(R_b_a.T, intrinsics))
    return _at_cells(a, b, there, back), _at_cells(b, a, back, there)


def turning_flow(R_b_a: Array, intrinsics: Intrinsics) -> np.ndarray:
    """The flow (H, W, 2) px of a camera that only turns, held to twice the picture."""
    size = np.array([intrinsics.width, intrinsics.height])
    # Cell by cell, and enlarged: a start need not be exact.
    grid = cell_centers(intrinsics.width, intrinsics.height, CELL)
    turned = intrinsics.unproject(grid, np.ones(len(grid))) @ R_b_a.T
    moved = intrinsics.project(np.maximum(turned, [-np.inf, -np.inf, 0.05])) - grid
    moved = np.clip(moved, -size, size).reshape(size[1] // CELL, size[0] // CELL, 2)
    return cv2.resize(moved.astype(np.float32), tuple(size), interpolation=cv2.INTER_LINEAR)


def _at_cells(
    a: DenseView, b: DenseView, there: np.ndarray, back: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    height, width = a.gray.shape
    centers = cell_centers(width, height, CELL)
    moved = _sample(there, centers)
    seen = centers + moved
    error = np.linalg.norm(moved + _sample(back, seen), axis=1) * (LONG_SIDE / max(width, height))
    weights = a.trust / (1 + (error / HALF_TRUST_PX) ** 2)
    pixel = np.floor(seen).astype(int)
    inside = np.all((pixel >= 0) & (pixel < [width, height]), axis=1) & (error < MAX_ROUND_TRIP_PX)
    x, y = np.clip(pixel, 0, [width - 1, height - 1]).T
    weights *= inside & b.background[y, x]
    return seen.T.astype(np.float32), weights.astype(np.float32)


def _sample(flow: np.ndarray, points_px: Array) -> np.ndarray:
    """Flow (N, 2) at pixels (N, 2) whose first pixel's centre is (0.5, 0.5)."""
    at = (points_px - 0.5).astype(np.float32)[:, None]
    return cv2.remap(
        flow, at, np.empty(0, np.float32), cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE
    )[:, 0]
