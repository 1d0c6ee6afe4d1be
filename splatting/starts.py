"""Where Gaussians start: at points of the scene, and where those leave the pictures bare."""

from __future__ import annotations

import numpy as np
from scipy.spatial import KDTree

from splatting.paths import focus_of
from splatting.photos import Photos

VIEWS, CELLS = 12, 40
BARE_CELLS = 2.0


def points_in_view(photos: Photos, count: int, generator: np.random.Generator) -> np.ndarray:
    """Random points (N, 3) along pixels' rays, up to three times as far as the point that the
    cameras look at."""
    centres, axes = photos.Ts_world_camera[:, :3, 3], photos.Ts_world_camera[:, :3, 2]
    along = np.einsum("ck,ck->c", focus_of(photos.Ts_world_camera) - centres, axes)
    distance = float(np.median(along))
    rows = generator.integers(len(photos), size=count)
    height, width = photos.images.shape[1:3]
    pixels = generator.uniform(size=(count, 2)) * (width, height)
    depths = distance * generator.uniform(0.2, 3.0, size=count)
    return unproject(photos, rows, pixels, depths)


def fill_bare(photos: Photos, points: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """More points (M, 3) with colours (M, 3), for cells of the pictures that show none of the
    given points: as far away as what is shown nearest to them in the picture.

    Sky, plain walls and what is too far for its depth to be measured have no points; a training
    of a few minutes would leave them blurred.
    """
    height, width = photos.images.shape[1:3]
    cell = max(width, height) / CELLS
    grid = np.stack(np.meshgrid(np.arange(cell / 2, width, cell),
                                np.arange(cell / 2, height, cell)), -1).reshape(-1, 2)  # fmt: skip
    found, colours = [np.zeros((0, 3))], [np.zeros((0, 3))]
    for i in np.unique(np.linspace(0, len(photos) - 1, VIEWS).round().astype(int)).tolist():
        pixels, depths = _project(photos, i, np.concatenate((points, *found)))
        if len(pixels) == 0:
            continue
        distance, nearest = KDTree(pixels).query(grid)
        column, row = grid.astype(int).T
        bare = np.asarray(distance) > BARE_CELLS * cell
        if photos.ignored is not None:
            bare &= ~photos.ignored[i][row, column]
        rows = np.full(int(bare.sum()), i)
        found.append(unproject(photos, rows, grid[bare], depths[np.asarray(nearest)[bare]]))
        colours.append(photos.images[i][row[bare], column[bare]] / 255)
    return np.concatenate(found), np.concatenate(colours)


def _project(photos: Photos, i: int, points: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Pixels (M, 2) and depths (M,) of the points that picture i shows."""
    height, width = photos.images.shape[1:3]
    T, K = photos.Ts_world_camera[i], photos.Ks[i]
    camera = (points - T[:3, 3]) @ T[:3, :3]
    camera = camera[camera[:, 2] > 1e-6]
    pixels = camera[:, :2] / camera[:, 2:] * [K[0, 0], K[1, 1]] + K[:2, 2]
    inside = (pixels >= 0).all(1) & (pixels < (width, height)).all(1)
    return pixels[inside], camera[inside, 2]


def unproject(
    photos: Photos, rows: np.ndarray, pixels: np.ndarray, depths: np.ndarray
) -> np.ndarray:
    """World points (N, 3) at depths (N,) behind pixels (N, 2) of pictures `rows` (N,)."""
    homogeneous = np.concatenate((pixels, np.ones((len(pixels), 1))), axis=1)
    rays = np.einsum("cij,cj->ci", np.linalg.inv(photos.Ks[rows]), homogeneous)
    Ts = photos.Ts_world_camera[rows]
    return Ts[:, :3, 3] + np.einsum("cij,cj->ci", Ts[:, :3, :3], rays * depths[:, None])
