"""Dense depth of keyframes whose poses are known, and the coloured points they agree on."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from scipy.sparse import coo_matrix, diags
from scipy.sparse.linalg import spsolve
from threadpoolctl import threadpool_limits

from recon.core.camera import CameraTrajectory, Intrinsics
from recon.core.depth import KeyframeDepth
from recon.core.geometry import Array, invert_transform, transform_points
from slam.dense_ba import MIN_INVERSE_DEPTH, cell_centers, linearise, robust_weights
from slam.dense_flow import CELL, DenseView, dis_flow, flow_size, match_views, prepare_view
from slam.tracks import LONG_SIDE, BackgroundTracks, Keyframe

NEIGHBOURS = 3
EVERY_FRAME_STEP = 6
# Robust kernel (px) and strength of smoothness of each step: from stiff and tolerant to free.
STEPS = ((4.0, 10.0), (4.0, 5.0), (2.0, 2.0), (1.0, 1.0), (1.0, 1.0))
# A flow vector's standard error, px; with the parallax it gives the depth's.
FLOW_STD_PX = 0.5
GOOD_RELATIVE_STD = 0.05
# Smoothness: its share of the median information of a cell, and the steps in inverse depth
# (relative) and in brightness (0-255) over which neighbours stop holding each other.
SMOOTHNESS, DEPTH_STEP, BRIGHTNESS_STEP = 0.3, 0.05, 12.0
AGREEMENT = 0.1
MIN_POINT_WEIGHT, MAX_POINTS, MAX_DEPTH = 0.4, 30_000, 30.0


@dataclass(frozen=True, kw_only=True)
class DenseScene:
    """Depth of the keyframes, and points (P, 3) in the slam frame with colours (P, 3) uint8.

    `numbers`: measured values for the report.
    """

    depth: KeyframeDepth
    points_slam: Array
    point_colors: np.ndarray
    numbers: dict[str, Any]


def with_dense_points(trajectory: CameraTrajectory, dense: DenseScene) -> CameraTrajectory:
    """The trajectory with dense points beside its own, together at most MAX_POINTS."""
    room = max(0, MAX_POINTS - len(trajectory.points_slam))
    # The points come keyframe by keyframe: even steps leave out a little of each.
    total = len(dense.points_slam)
    chosen = np.unique(np.linspace(0, max(total - 1, 0), min(room, total)).astype(int))
    return replace(
        trajectory,
        points_slam=np.concatenate([trajectory.points_slam, dense.points_slam[chosen]]),
        point_colors=np.concatenate([trajectory.point_colors, dense.point_colors[chosen]]),
    )


@dataclass(frozen=True, kw_only=True)
class _Solved:
    """One keyframe: (N,) inverse depth and relative standard deviation; rows it is linked to."""

    inverse_depth: np.ndarray
    relative_std: np.ndarray
    colors: np.ndarray
    free: np.ndarray
    linked: tuple[int, ...]


def dense_depth(
    tracks: BackgroundTracks, trajectory: CameraTrajectory, *, seed: int = 0
) -> DenseScene:
    """Depth at an eighth of the tracks' resolution for the tracked keyframes.

    The poses stay as they are. Each keyframe is matched to its neighbours by optical flow; its
    depths minimise the reprojection error and a smoothness that gives way at edges, so that cells
    without texture, parallax or background are filled in, with weight 0.

    Args:
        tracks: with the keyframes' pictures. trajectory: of a moving camera.
        seed: of the choice of points where there are more than 30 000.
    """
    moving = trajectory.kind == "moving"
    keyframes = [k for k in tracks.keyframes if moving and trajectory.tracked[k.index]]
    if len(tracks.keyframes) == tracks.num_frames:
        keyframes = keyframes[::EVERY_FRAME_STEP]  # neighbouring frames have hardly any parallax
    poses = trajectory.Ts_slam_camera[[k.index for k in keyframes]]
    width, height = flow_size(tracks.width, tracks.height, LONG_SIDE)
    intrinsics = trajectory.intrinsics.resized(width, height)
    shots = np.searchsorted(trajectory.shot_starts, [k.index for k in keyframes], side="right")
    with threadpool_limits(1):  # small products: threads would only wait for each other
        solved = list(_solve_all(keyframes, poses, shots, intrinsics))
        weights = [_weights(row, solved, poses, intrinsics) for row in range(len(solved))]
    grid = (len(solved), height // CELL, width // CELL)
    weights_grid = np.array(weights, np.float16).reshape(grid)
    depths = np.array([s.inverse_depth for s in solved], np.float16).reshape(grid)
    points, colors = _points(solved, weights, poses, intrinsics, seed=seed)
    return DenseScene(
        depth=KeyframeDepth(
            frame_idx=np.array([k.index for k in keyframes], dtype=np.int64),
            inverse_depth=depths, weights=weights_grid,
        ),
        points_slam=points, point_colors=colors,
        numbers={
            "depth_keyframes": len(solved), "depth_points": len(points),
            "depth_unseen": round(float(np.mean(weights_grid == 0)) if solved else 1.0, 3),
        },
    )  # fmt: skip


def _solve_all(
    keyframes: Sequence[Keyframe], poses: Array, shots: np.ndarray, intrinsics: Intrinsics
) -> Iterator[_Solved]:
    """Keyframes in order, each as soon as its last neighbour is matched; few are kept at once."""
    flow = dis_flow()
    views: dict[int, DenseView] = {}
    links: dict[int, list[tuple[int, np.ndarray, np.ndarray]]] = {}
    count, width, height = len(keyframes), intrinsics.width, intrinsics.height
    for a in range(count):
        for b in range(a, min(a + 1 + NEIGHBOURS, count)):
            if b not in views:
                views[b] = prepare_view(keyframes[b], width=width, height=height)
            if a == b or shots[a] != shots[b]:
                continue
            turn = poses[b, :3, :3].T @ poses[a, :3, :3]
            there, back = match_views(
                views[a], views[b], R_b_a=turn, intrinsics=intrinsics, flow=flow
            )
            links.setdefault(a, []).append((b, *there))
            links.setdefault(b, []).append((a, *back))
        yield _solve_keyframe(a, links.pop(a, []), views.pop(a), poses, intrinsics)


def _solve_keyframe(
    row: int,
    links: list[tuple[int, np.ndarray, np.ndarray]],
    view: DenseView,
    poses: Array,
    intrinsics: Intrinsics,
) -> _Solved:
    cells_px = cell_centers(intrinsics.width, intrinsics.height, CELL)
    free = view.trust > 0
    if not links:
        ones = np.ones(len(cells_px))
        return _Solved(inverse_depth=ones, relative_std=ones * np.inf, colors=view.colors,
                       free=free, linked=())  # fmt: skip
    linked = tuple(link[0] for link in links)
    seen, base = np.stack([link[1] for link in links]), np.stack([link[2] for link in links])
    T = invert_transform(poses[list(linked)]) @ poses[row]
    d = triangulate(T, seen, base, cells_px=cells_px, intrinsics=intrinsics)
    information = np.zeros(len(d))
    for kernel, strength in STEPS:
        line = linearise(T, d, seen, cells_px=cells_px, intrinsics=intrinsics)
        w = base * line.valid * robust_weights(line.residual, kernel)
        weighted = line.by_depth * w[:, None]
        information = (weighted * line.by_depth).sum(axis=(0, 1)).astype(float)
        gradient = (weighted * line.residual).sum(axis=(0, 1)).astype(float)
        laplacian = _smoothness(d, view, information, strength=strength)
        system = laplacian + diags(information)
        d = np.maximum(d + spsolve(system.tocsc(), gradient - laplacian @ d), MIN_INVERSE_DEPTH)
    std = FLOW_STD_PX / np.sqrt(np.maximum(information, 1e-12)) / d
    return _Solved(inverse_depth=d, relative_std=std, colors=view.colors, free=free, linked=linked)


def triangulate(
    Ts_target_source: Array,
    seen_px: np.ndarray,
    weights: np.ndarray,
    *,
    cells_px: Array,
    intrinsics: Intrinsics,
) -> Array:
    """Inverse depths (N,) that bring the rays of all views closest (linear least squares).

    From q × (R x + d t) = 0 for the ray q seen in each target; cells that nothing determines get
    the median of the others.

    Args:
        Ts_target_source: (m, 4, 4). seen_px: (m, 2, N). weights: (m, N). cells_px: (N, 2).
    """
    rays = intrinsics.unproject(cells_px, np.ones(len(cells_px)))
    seen = intrinsics.unproject(np.moveaxis(seen_px, 1, 2), np.ones(weights.shape))
    turned = rays @ np.swapaxes(Ts_target_source[:, :3, :3], 1, 2)
    moved = np.cross(seen, Ts_target_source[:, None, :3, 3])
    top = -(weights[..., None] * moved * np.cross(seen, turned)).sum(axis=(0, 2))
    bottom = (weights[..., None] * moved**2).sum(axis=(0, 2))
    known = bottom > 0.1 * max(float(np.quantile(bottom, 0.75)), 1e-12)
    ratio = top / np.maximum(bottom, 1e-12)
    middle = np.median(ratio[known & (ratio > 0)]) if (known & (ratio > 0)).any() else 1.0
    return np.where(known, np.clip(ratio, 0.05 * middle, 20 * middle), middle)


def _smoothness(d: Array, view: DenseView, information: Array, *, strength: float):
    """The weighted Laplacian (N, N) of the cell grid, sparse.

    While stronger than 1 it ignores steps in depth, which are then mostly the start's mistakes.
    """
    rows, columns = view.grid
    index = np.arange(rows * columns).reshape(rows, columns)
    a = np.concatenate([index[:, :-1].ravel(), index[:-1].ravel()])
    b = np.concatenate([index[:, 1:].ravel(), index[1:].ravel()])
    brightness = np.abs(view.colors[a].astype(float) - view.colors[b]).mean(axis=1)
    step = (d[a] - d[b]) / (DEPTH_STEP * 0.5 * (d[a] + d[b]))
    seen = information[information > 0]
    scale = strength * SMOOTHNESS * (float(np.quantile(seen, 0.75)) if len(seen) else 1.0)
    w = scale * (0.02 + np.exp(-brightness / BRIGHTNESS_STEP))
    if strength <= 1:
        w = w / (1 + step**2)
    adjacency = coo_matrix((w, (a, b)), shape=(len(d), len(d)))
    adjacency = (adjacency + adjacency.T).tocsr()
    return diags(np.asarray(adjacency.sum(axis=1)).ravel()) - adjacency


def _weights(row: int, solved: Sequence[_Solved], poses: Array, intrinsics: Intrinsics) -> Array:
    """(N,) 0-1: certain by its parallax, and not contradicted by the neighbours' depths."""
    here = solved[row]
    certain = here.free / (1 + (here.relative_std / GOOD_RELATIVE_STD) ** 2)
    if not here.linked:
        return 0 * certain
    cells_px = cell_centers(intrinsics.width, intrinsics.height, CELL)
    points = intrinsics.unproject(cells_px, 1 / here.inverse_depth)
    agree, disagree = np.zeros(len(points)), np.zeros(len(points))
    size = np.array([intrinsics.width // CELL, intrinsics.height // CELL])
    for other in here.linked:
        there = transform_points(invert_transform(poses[other]) @ poses[row], points)
        z = np.maximum(there[:, 2], 1e-6)
        cell = np.floor(intrinsics.project(np.column_stack([there[:, :2], z])) / CELL)
        inside = np.all((cell >= 0) & (cell < size), axis=1) & (there[:, 2] > 1e-6)
        x, y = np.clip(cell, 0, size - 1).astype(int).T
        at = y * size[0] + x
        ratio = solved[other].inverse_depth[at] * z
        counts = inside & solved[other].free[at]
        agree += counts & (np.abs(ratio - 1) < AGREEMENT)
        # A larger inverse depth there means that something nearer hides the point: no verdict.
        disagree += counts & (ratio < 1 - AGREEMENT)
    return certain * (agree > 0) * (agree >= disagree)


def _points(
    solved: Sequence[_Solved],
    weights: Sequence[Array],
    poses: Array,
    intrinsics: Intrinsics,
    *,
    seed: int,
) -> tuple[Array, np.ndarray]:
    """Points and colours of well measured cells, at most MAX_POINTS."""
    cells_px = cell_centers(intrinsics.width, intrinsics.height, CELL)
    good = [
        np.flatnonzero((w > MIN_POINT_WEIGHT) & (s.inverse_depth > 1 / MAX_DEPTH))
        for s, w in zip(solved, weights, strict=True)
    ]
    total = sum(map(len, good))
    kept = np.ones(total, bool)
    if total > MAX_POINTS:
        kept[:] = False
        kept[np.random.default_rng(seed).choice(total, MAX_POINTS, replace=False)] = True
    points, colors, start = [np.zeros((0, 3))], [np.zeros((0, 3), np.uint8)], 0
    for s, cells, pose in zip(solved, good, poses, strict=True):
        chosen = cells[kept[start : start + len(cells)]]
        start += len(cells)
        local = intrinsics.unproject(cells_px[chosen], 1 / s.inverse_depth[chosen])
        points.append(transform_points(pose, local))
        colors.append(s.colors[chosen])
    return np.concatenate(points), np.concatenate(colors)
