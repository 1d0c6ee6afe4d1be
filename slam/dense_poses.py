"""Keyframe poses and depths from dense flow alone: growing windows, then all at once."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from recon.core.camera import Intrinsics
from recon.core.geometry import Array, invert_transform, make_transform
from slam.dense_ba import (
    Damping,
    DenseEdges,
    DenseState,
    adjust_rows,
    cell_centers,
    judge_fit,
)
from slam.dense_flow import CELL, DenseView, Flow, match_views

NEIGHBOURS = 3
WINDOW, MIN_OVERLAP = 8, 0.1
FIRST_KERNELS_PX = (8.0,) * 6 + (4.0,) * 6 + (2.0,) * 6 + (1.0,) * 6
NEXT_KERNELS_PX = (4.0, 4.0, 2.0, 2.0, 1.0, 1.0)
GLOBAL_KERNELS_PX = (2.0,) * 4 + (1.0,) * 4 + (0.7,) * 4


@dataclass(frozen=True, kw_only=True)
class DenseTrack:
    """Solved keyframes.

    Args:
        state: median inverse depth 1, first camera at the origin.
        cell_weights: (K, N) total weight of the flow that bounds each cell.
        residual_px: weighted median. parallax_px: weighted median of the distance that the
            cells' finite depth moves their images.
    """

    state: DenseState
    cell_weights: np.ndarray
    residual_px: float
    parallax_px: float


def link_views(
    views: Sequence[DenseView], turns: Array, *, intrinsics: Intrinsics, flow: Flow
) -> DenseEdges:
    """Flow between keyframes up to three apart, both ways; links with too little overlap are
    left out, except between neighbours.

    Args:
        turns: (K, 3, 3) rotations camera to slam, from which the flow starts.
    """
    links: list[tuple[int, int, np.ndarray, np.ndarray]] = []
    for a in range(len(views)):
        for b in range(a + 1, min(a + 1 + NEIGHBOURS, len(views))):
            both = match_views(
                views[a], views[b], R_b_a=turns[b].T @ turns[a], intrinsics=intrinsics, flow=flow
            )
            for source, target, (seen, weights) in ((a, b, both[0]), (b, a, both[1])):
                if b == a + 1 or np.mean(weights > 0) >= MIN_OVERLAP:
                    links.append((source, target, seen, weights))
    return DenseEdges(
        sources=np.array([link[0] for link in links]),
        targets=np.array([link[1] for link in links]),
        seen_px=np.stack([link[2] for link in links]),
        weights=np.stack([link[3] for link in links]),
    )


def solve_keyframes(
    edges: DenseEdges, turns: Array, *, intrinsics: Intrinsics, free_focal: bool
) -> DenseTrack:
    """Poses and inverse depths of all keyframes, up to scale; the first at the origin.

    Args:
        edges: from `link_views`. turns: (K, 3, 3) rotations camera to slam, the warm start.
        intrinsics: of the views. free_focal: whether its focal length is a guess.
    """
    solver = _Solver(edges, turns, intrinsics)
    count = len(turns)
    first = np.arange(min(WINDOW, count))
    solver.start(first)
    for newest in range(len(first), count):
        solver.append(newest)
        rows = np.arange(max(0, newest + 1 - WINDOW), newest + 1)
        for k, kernel in enumerate(NEXT_KERNELS_PX):
            # The newcomer is placed alone first, then its neighbours may give way.
            solver.step(
                rows, held=len(rows) - 1 if k < 2 else 2, damping=solver.weak_prior(rows, kernel)
            )
    everything = np.arange(count)
    for kernel in GLOBAL_KERNELS_PX:
        solver.step(everything, held=1, damping=Damping(kernel_px=kernel), free_focal=free_focal)
    solver.rescale(everything)
    residual_px, parallax_px = judge_fit(
        solver.state, edges, cells_px=solver.cells_px, intrinsics=intrinsics
    )
    weights = np.zeros_like(solver.state.inverse_depth)
    np.add.at(weights, edges.sources, edges.weights)
    return DenseTrack(
        state=solver.state, cell_weights=weights, residual_px=residual_px, parallax_px=parallax_px
    )


class _Solver:
    """The state as it grows; every step acts on some rows of it."""

    def __init__(self, edges: DenseEdges, turns: Array, intrinsics: Intrinsics) -> None:
        self.edges, self.turns, self.intrinsics = edges, turns, intrinsics
        self.cells_px = cell_centers(intrinsics.width, intrinsics.height, CELL)
        poses = make_transform(np.swapaxes(turns, 1, 2), np.zeros(3))
        self.state = DenseState(
            Ts_camera_slam=poses, inverse_depth=np.ones((len(turns), len(self.cells_px))),
            focal_px=intrinsics.fx,
        )  # fmt: skip

    def start(self, rows: np.ndarray) -> None:
        """Solves the first window from the turns alone, and again from its mirrored depths.

        Small motion hardly tells a scene from its mirror image in depth seen by a camera that
        moved the other way; the fit ends in the one it falls into first, so the better is kept.
        """
        found: list[tuple[float, DenseState]] = []
        for mirrored in (False, True):
            if mirrored:
                poses = self.state.Ts_camera_slam.copy()
                poses[:, :3, 3] *= -1
                depths = np.clip(2 - self.state.inverse_depth, 0.1, 2)
                self.state = replace(self.state, Ts_camera_slam=poses, inverse_depth=depths)
            costs = [
                self.step(rows, held=1, damping=Damping(kernel_px=kernel, prior=1e-2))
                for kernel in FIRST_KERNELS_PX
            ]
            self.rescale(rows)
            found.append((costs[-1], self.state))
        self.state = min(found, key=lambda item: item[0])[1]

    def step(
        self, rows: np.ndarray, *, held: int, damping: Damping, free_focal: bool = False
    ) -> float:
        """One step of these rows, the first `held` of which keep their pose; the cost before."""
        self.state, cost = adjust_rows(
            self.state, self.edges, rows, cells_px=self.cells_px, intrinsics=self.intrinsics,
            free=np.arange(len(rows)) >= held, free_focal=free_focal, damping=damping,
        )  # fmt: skip
        return cost

    def append(self, row: int) -> None:
        """Starts a new row where the last two lead to, turned as the background turned."""
        poses, depths = self.state.Ts_camera_slam.copy(), self.state.inverse_depth.copy()
        back, last = invert_transform(poses[row - 2 : row])
        poses[row] = invert_transform(
            make_transform(
                last[:3, :3] @ self.turns[row - 1].T @ self.turns[row],
                2 * last[:3, 3] - back[:3, 3],
            )
        )
        depths[row] = np.median(depths[row - 1])
        self.state = replace(self.state, Ts_camera_slam=poses, inverse_depth=depths)

    def weak_prior(self, rows: np.ndarray, kernel: float) -> Damping:
        value = float(np.median(self.state.inverse_depth[rows]))
        return Damping(kernel_px=kernel, prior=1e-3, prior_value=value)

    def rescale(self, rows: np.ndarray) -> None:
        """Makes the median inverse depth of these rows 1."""
        unit = float(np.median(self.state.inverse_depth[rows]))
        poses = self.state.Ts_camera_slam.copy()
        poses[:, :3, 3] *= unit
        self.state = replace(
            self.state, Ts_camera_slam=poses, inverse_depth=self.state.inverse_depth / unit
        )
