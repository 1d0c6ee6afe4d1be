"""Dense bundle adjustment: poses and inverse depth maps from dense correspondences.

DROID's layer in numpy. A cell p_i of frame i with inverse depth d_i is seen in frame j at
Π(G_j G_i⁻¹ ∘ Π⁻¹(p_i, d_i)); Gauss-Newton fits that to where the flow says it is. Cells touch one
another only through the poses, so the depth block is diagonal and is eliminated (Schur).

Source: Teed and Deng 2021, DROID-SLAM, section 3.3 and appendix.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from recon.core.camera import Intrinsics
from recon.core.geometry import Array, hat, invert_transform, make_transform, rotvec_to_matrix

MIN_Z = 0.05
MIN_INVERSE_DEPTH, MAX_INVERSE_DEPTH = 1e-4, 20.0


@dataclass(frozen=True, kw_only=True)
class DenseEdges:
    """Where the cells of source frames are seen in target frames.

    Args:
        sources, targets: (E,) int rows of frames.
        seen_px: (E, 2, N) float32, in the pictures of the intrinsics.
        weights: float32, (E, N) alike in all directions, or (E, 2, N) for x and y.
    """

    sources: np.ndarray
    targets: np.ndarray
    seen_px: np.ndarray
    weights: np.ndarray

    def among(self, rows: np.ndarray) -> DenseEdges:
        """The edges between these frames (increasing rows), renumbered by their places in it."""
        part = self.take(np.isin(self.sources, rows) & np.isin(self.targets, rows))
        return replace(
            part,
            sources=np.searchsorted(rows, part.sources),
            targets=np.searchsorted(rows, part.targets),
        )

    def take(self, kept: np.ndarray) -> DenseEdges:
        """Some of the edges, by a mask (E,) or their numbers."""
        return DenseEdges(**{name: value[kept] for name, value in vars(self).items()})

    def joined(self, other: DenseEdges) -> DenseEdges:
        """These edges, then the others."""
        return DenseEdges(
            **{name: np.concatenate([a, vars(other)[name]]) for name, a in vars(self).items()}
        )


@dataclass(frozen=True, kw_only=True)
class DenseState:
    """Args: Ts_camera_slam: (K, 4, 4). inverse_depth: (K, N) of the cells. focal_px: shared."""

    Ts_camera_slam: Array
    inverse_depth: Array
    focal_px: float


@dataclass(frozen=True, kw_only=True)
class Damping:
    """What keeps a step short where the data say little.

    Args:
        kernel_px: residual at which a cell's weight is halved (Cauchy); np.inf for no kernel.
        pose: added to the poses' information; pose_relative: share of its diagonal added to it.
        depth: share of a frame's mean depth information added to every cell.
        cells: (K, N) added to each cell's information; np.inf holds its depth where it is.
        prior: information that every cell lies at `prior_value`.
    """

    kernel_px: float = 1.0
    pose: float = 1e-3
    pose_relative: float = 1e-4
    depth: float = 1e-3
    cells: Array | None = None
    prior: float = 0.0
    prior_value: float = 1.0


@dataclass(frozen=True, kw_only=True)
class Linearised:
    """Residuals and Jacobians of m edges of one source frame with N cells.

    Args:
        residual: (m, 2, N) px, seen minus predicted. valid: (m, N), in front of the target.
        by_target: (m, 7, 2, N) of the prediction by the target's twist (translation, rotation;
            applied on the left) and by the focal length. by_depth: (m, 2, N).
        to_both: (m, 7, 13): by_target in terms of source twist, target twist, focal length.
    """

    residual: np.ndarray
    valid: np.ndarray
    by_target: np.ndarray
    by_depth: np.ndarray
    to_both: Array


def cell_centers(width: int, height: int, cell: int) -> Array:
    """Pixels (N, 2), row by row, of the centres of the whole `cell` px cells of a picture."""
    x, y = np.meshgrid(np.arange(width // cell), np.arange(height // cell))
    return np.stack([x.ravel(), y.ravel()], axis=-1).astype(np.float64) * cell + 0.5 * cell


def reproject(
    Ts_target_source: Array, inverse_depth: np.ndarray, *, cells_px: Array, intrinsics: Intrinsics
) -> tuple[np.ndarray, np.ndarray]:
    """Where one source frame's cells are seen in m frames, (m, 2, N) px, and whether in front.

    Args: as `linearise`.
    """
    seen = _Seen(Ts_target_source, inverse_depth, cells_px, intrinsics)
    return seen.predicted, seen.valid


class _Seen:
    """Cells in the target frames: their rays there (x, y, 1), inverse z, and pixels; float32."""

    def __init__(
        self, Ts_target_source: Array, inverse_depth: np.ndarray, cells_px: Array, k: Intrinsics
    ) -> None:
        self.R = Ts_target_source[:, :3, :3].astype(np.float32)
        self.t = Ts_target_source[:, :3, 3, None].astype(np.float32)
        self.d = inverse_depth.astype(np.float32)
        self.rays = k.unproject(cells_px, np.ones(len(cells_px))).T.astype(np.float32)
        X, Y, Z = np.moveaxis(self.R @ self.rays + self.d * self.t, 1, 0)
        self.valid = Z > MIN_Z
        self.inverse_z = 1 / np.maximum(Z, MIN_Z)
        self.x, self.y = X * self.inverse_z, Y * self.inverse_z
        fx, fy = np.float32(k.fx), np.float32(k.fy)
        self.predicted = np.stack([fx * self.x, fy * self.y], axis=1)
        self.predicted += np.array([[k.cx], [k.cy]], np.float32)


def linearise(
    Ts_target_source: Array,
    inverse_depth: np.ndarray,
    seen_px: np.ndarray,
    *,
    cells_px: Array,
    intrinsics: Intrinsics,
) -> Linearised:
    """Residuals of one source frame's cells in m target frames, and their derivatives.

    Args:
        Ts_target_source: (m, 4, 4). inverse_depth: (N,). seen_px: (m, 2, N).
        cells_px: (N, 2). intrinsics: of all the pictures; its fx and fy scale together.
    """
    fx, fy = np.float32(intrinsics.fx), np.float32(intrinsics.fy)
    seen = _Seen(Ts_target_source, inverse_depth, cells_px, intrinsics)
    x, y, inverse_z, R, t = seen.x, seen.y, seen.inverse_z, seen.R, seen.t
    depth = seen.d * inverse_z
    by_target = np.zeros((len(R), 7, 2, len(cells_px)), np.float32)
    by_target[:, 0, 0], by_target[:, 2, 0] = fx * depth, -fx * x * depth
    by_target[:, 1, 1], by_target[:, 2, 1] = fy * depth, -fy * y * depth
    by_target[:, 3, 0], by_target[:, 4, 0], by_target[:, 5, 0] = (
        -fx * x * y,
        fx * (1 + x * x),
        -fx * y,
    )
    by_target[:, 3, 1], by_target[:, 4, 1], by_target[:, 5, 1] = (
        -fy * (1 + y * y),
        fy * x * y,
        fy * x,
    )
    # A longer focal length scales the prediction and narrows the rays it starts from.
    narrowed = R[:, :, :2] @ (-seen.rays[:2])
    by_target[:, 6, 0] = x + inverse_z * (narrowed[:, 0] - x * narrowed[:, 2])
    by_target[:, 6, 1] = (y + inverse_z * (narrowed[:, 1] - y * narrowed[:, 2])) * (fy / fx)
    by_depth = np.stack(
        [fx * inverse_z * (t[:, 0] - x * t[:, 2]), fy * inverse_z * (t[:, 1] - y * t[:, 2])], axis=1
    )
    return Linearised(
        residual=seen_px - seen.predicted, valid=seen.valid, by_target=by_target,
        by_depth=by_depth,
        to_both=_to_both(Ts_target_source),
    )  # fmt: skip


def adjust(
    state: DenseState,
    edges: DenseEdges,
    *,
    cells_px: Array,
    intrinsics: Intrinsics,
    free: np.ndarray,
    free_focal: bool = False,
    damping: Damping = Damping(),
) -> tuple[DenseState, float]:
    """The state after one Gauss-Newton step, and the mean robust cost before it (px²-like).

    With no free frame and a fixed focal length only the depths move (fixed-pose mode).

    Args:
        edges: at least one. cells_px: (N, 2). intrinsics: of the pictures; the state's focal
            length replaces its own. free: (K,) bool, frames whose pose may change.
    """
    camera = with_focal(intrinsics, state.focal_px)
    num_frames = len(state.Ts_camera_slam)
    moves_cameras = bool(free.any()) or free_focal
    size = 6 * num_frames + 1
    system, gradient, diagonal = np.zeros((size, size)), np.zeros(size), np.zeros(size)
    blocks, cost, total = [], 0.0, 0.0
    for source in np.unique(edges.sources).tolist():
        block = _reduce_source(
            state, edges, source,
            cells_px=cells_px, intrinsics=camera, damping=damping, cameras=moves_cameras,
        )  # fmt: skip
        blocks.append(block)
        cost, total = cost + block.cost, total + block.total_weight
        if moves_cameras:
            system[np.ix_(block.columns, block.columns)] += block.system
            gradient[block.columns] += block.gradient
            diagonal[block.columns] += block.diagonal
    step = np.zeros(size)
    if moves_cameras:
        may = np.append(np.repeat(free, 6), free_focal)
        extra = damping.pose_relative * diagonal[may] + damping.pose
        step[may] = np.linalg.solve(system[np.ix_(may, may)] + np.diag(extra), gradient[may])
    inverse_depth = state.inverse_depth.copy()
    for block in blocks:
        moved = block.depth_step - step[block.columns] @ block.depth_by_column
        inverse_depth[block.source] = np.clip(
            inverse_depth[block.source] + moved, MIN_INVERSE_DEPTH, MAX_INVERSE_DEPTH
        )
    updated = DenseState(
        Ts_camera_slam=twist_exp(step[:-1].reshape(num_frames, 6)) @ state.Ts_camera_slam,
        inverse_depth=inverse_depth,
        focal_px=state.focal_px + float(step[-1]),
    )
    return updated, cost / max(total, 1e-9)


def adjust_rows(
    state: DenseState,
    edges: DenseEdges,
    rows: np.ndarray,
    *,
    cells_px: Array,
    intrinsics: Intrinsics,
    free: np.ndarray,
    free_focal: bool = False,
    damping: Damping = Damping(),
) -> tuple[DenseState, float]:
    """As `adjust`, of some frames (increasing rows) and the edges among them; the others stay.

    Args: free: of these rows.
    """
    cells = None if damping.cells is None else damping.cells[rows]
    part = replace(
        state, Ts_camera_slam=state.Ts_camera_slam[rows], inverse_depth=state.inverse_depth[rows]
    )
    part, cost = adjust(
        part, edges.among(rows), cells_px=cells_px, intrinsics=intrinsics, free=free,
        free_focal=free_focal, damping=replace(damping, cells=cells),
    )  # fmt: skip
    poses, depths = state.Ts_camera_slam.copy(), state.inverse_depth.copy()
    poses[rows], depths[rows] = part.Ts_camera_slam, part.inverse_depth
    return DenseState(Ts_camera_slam=poses, inverse_depth=depths, focal_px=part.focal_px), cost


def judge_fit(
    state: DenseState, edges: DenseEdges, *, cells_px: Array, intrinsics: Intrinsics
) -> tuple[float, float]:
    """Weighted medians over all edges: length of the residuals, and of the parallax, px.

    Parallax is the distance that the cells' finite depth moves their images. Both are infinite
    where no edge has any weight.

    Args: as `adjust`.
    """
    camera, T = with_focal(intrinsics, state.focal_px), state.Ts_camera_slam
    residuals, parallaxes, weights = [], [], []
    for e, (source, target) in enumerate(zip(edges.sources, edges.targets, strict=True)):
        d = state.inverse_depth[source]
        T_target_source = (T[target] @ invert_transform(T[source]))[None]
        (near, valid), (far, _) = (
            reproject(T_target_source, depth, cells_px=cells_px, intrinsics=camera)
            for depth in (d, 0 * d)
        )
        residuals.append(np.linalg.norm(edges.seen_px[e] - near[0], axis=0))
        parallaxes.append(np.linalg.norm(near[0] - far[0], axis=0))
        weights.append(edges.weights[e].reshape(-1, len(d)).mean(axis=0) * valid[0])
    weight = np.concatenate(weights)
    return (
        _weighted_median(np.concatenate(residuals), weight),
        _weighted_median(np.concatenate(parallaxes), weight),
    )


def _weighted_median(values: np.ndarray, weights: np.ndarray) -> float:
    order = np.argsort(values)
    total = np.cumsum(weights[order])
    if not total[-1] > 0:
        return np.inf
    return float(values[order][np.searchsorted(total, 0.5 * total[-1])])


def with_focal(intrinsics: Intrinsics, focal_px: float) -> Intrinsics:
    """The same camera with fx = focal_px and fy scaled alike."""
    return replace(intrinsics, fx=focal_px, fy=focal_px * intrinsics.fy / intrinsics.fx)


def robust_weights(residual: np.ndarray, kernel_px: float) -> np.ndarray:
    """Cauchy weights (m, N) of residuals (m, 2, N) px."""
    return 1 / (1 + (residual[:, 0] ** 2 + residual[:, 1] ** 2) / np.float32(kernel_px**2))


def twist_exp(twists: Array) -> Array:
    """Rigid transforms (..., 4, 4) of twists (..., 6): translation part first, then rotation."""
    velocity, rotvec = twists[..., :3], twists[..., 3:]
    angle = np.linalg.norm(rotvec, axis=-1)[..., None, None]
    small = angle < 1e-4
    safe = np.where(small, 1.0, angle)
    k = hat(rotvec)
    b = np.where(small, 0.5 - angle**2 / 24, (1 - np.cos(safe)) / safe**2)
    c = np.where(small, 1 / 6 - angle**2 / 120, (safe - np.sin(safe)) / safe**3)
    left = np.eye(3) + b * k + c * (k @ k)
    return make_transform(rotvec_to_matrix(rotvec), (left @ velocity[..., None])[..., 0])


@dataclass(frozen=True, kw_only=True)
class _SourceBlock:
    """One source frame's share of the system, its depths eliminated.

    Args:
        columns: (c,) places of its unknowns. system: (c, c), gradient: (c,) reduced.
        diagonal: (c,) before the reduction. depth_step: (N,) while the cameras stand.
        depth_by_column: (c, N), how much a camera's step takes from it.
    """

    source: int
    columns: np.ndarray
    system: Array
    gradient: Array
    diagonal: Array
    depth_step: np.ndarray
    depth_by_column: np.ndarray
    cost: float
    total_weight: float


def _reduce_source(
    state: DenseState,
    edges: DenseEdges,
    source: int,
    *,
    cells_px: Array,
    intrinsics: Intrinsics,
    damping: Damping,
    cameras: bool,
) -> _SourceBlock:
    """Normal equations of one source frame after the Schur complement over its depths."""
    rows = np.flatnonzero(edges.sources == source)
    targets, d = edges.targets[rows], state.inverse_depth[source]
    T = state.Ts_camera_slam[targets] @ invert_transform(state.Ts_camera_slam[source])
    line = linearise(T, d, edges.seen_px[rows], cells_px=cells_px, intrinsics=intrinsics)
    # (m, 1, N) or, where x and y have weights of their own, (m, 2, N).
    base = edges.weights[rows].reshape(len(rows), -1, len(d)) * line.valid[:, None]
    robust = robust_weights(line.residual, damping.kernel_px)[:, None]
    w = base * robust
    weighted = line.by_depth * w
    depth_information = (weighted * line.by_depth).sum(axis=(0, 1))
    depth_gradient = (weighted * line.residual).sum(axis=(0, 1))
    depth_gradient += damping.prior * (damping.prior_value - d)
    depth_information += damping.prior + damping.depth * depth_information.mean() + 1e-9
    if damping.cells is not None:
        depth_information = depth_information + damping.cells[source]
    columns = np.concatenate([_columns(source), *map(_columns, targets.tolist())])
    columns = np.append(columns, 6 * len(state.Ts_camera_slam))
    count = len(columns) if cameras else 0
    system, gradient = np.zeros((count, count)), np.zeros(count)
    coupling = np.zeros((count, len(d)), np.float32)
    if cameras:
        jacobian = line.by_target.reshape(len(rows), 7, -1)
        scaled = (line.by_target * w[:, None]).reshape(jacobian.shape)
        per_edge = scaled @ np.swapaxes(jacobian, 1, 2)
        per_edge_gradient = (scaled @ line.residual.reshape(len(rows), -1, 1))[..., 0]
        per_edge_coupling = (line.by_target * weighted[:, None]).sum(axis=2)
        for m, to_both in enumerate(line.to_both):
            # Two frames may share several edges, but a source names each target once.
            at = np.concatenate([np.arange(6), 6 * (m + 1) + np.arange(6), [count - 1]])
            system[np.ix_(at, at)] += to_both.T @ per_edge[m] @ to_both
            gradient[at] += to_both.T @ per_edge_gradient[m]
            coupling[at] += to_both.T.astype(np.float32) @ per_edge_coupling[m]
    diagonal = np.diag(system).copy()
    depth_by_column = coupling / depth_information
    return _SourceBlock(
        source=source, columns=columns[:count],
        system=system - depth_by_column @ coupling.T,
        gradient=gradient - depth_by_column @ depth_gradient,
        diagonal=diagonal,
        depth_step=depth_gradient / depth_information, depth_by_column=depth_by_column,
        cost=float(-(base * np.log(robust)).sum()), total_weight=float(base.sum()),
    )  # fmt: skip


def _columns(frame: int) -> np.ndarray:
    return 6 * frame + np.arange(6)


def _to_both(Ts_target_source: Array) -> Array:
    """(m, 7, 13): a twist of the source acts on the target as minus its adjoint."""
    R, t = Ts_target_source[:, :3, :3], Ts_target_source[:, :3, 3]
    out = np.zeros((len(R), 7, 13))
    out[:, :3, :3] = out[:, 3:6, 3:6] = -R
    out[:, :3, 3:6] = -hat(t) @ R
    out[:, :6, 6:12] = np.eye(6)
    out[:, 6, 12] = 1
    return out
