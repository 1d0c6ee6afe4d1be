"""The dense bundle adjustment: its derivatives, and that it finds the truth it is given."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from recon.core.camera import Intrinsics
from recon.core.geometry import (
    Array,
    invert_transform,
    make_transform,
    matrix_to_rotvec,
    rotvec_to_matrix,
    umeyama,
)
from slam.dense_ba import (
    Damping,
    DenseEdges,
    DenseState,
    adjust,
    cell_centers,
    judge_fit,
    linearise,
    twist_exp,
    with_focal,
)

INTRINSICS = replace(Intrinsics.from_fov(96, 64, fov_deg=60, source="user"), fy=90.0)
CELLS = cell_centers(96, 64, 8)


def some_poses(count: int, seed: int = 0) -> Array:
    """Cameras (count, 4, 4) along a gentle path, camera to slam, looking along +z."""
    rng = np.random.default_rng(seed)
    steps = np.arange(count)[:, None]
    centres = 0.12 * steps * [1.0, 0.3, 0.2] + rng.normal(0, 0.02, (count, 3))
    turns = 0.02 * steps * [0.3, -1.0, 0.2] + rng.normal(0, 0.01, (count, 3))
    return make_transform(rotvec_to_matrix(turns), centres)


def scene(count: int = 5) -> tuple[DenseState, DenseEdges]:
    """True state and exact correspondences between all pairs up to three apart."""
    T = invert_transform(some_poses(count))
    rng = np.random.default_rng(1)
    d = rng.uniform(0.3, 1.2, (count, len(CELLS)))
    pairs = np.array([(i, j) for i in range(count) for j in range(count) if 0 < abs(i - j) <= 3])
    seen = np.stack([predict(T[j] @ invert_transform(T[i]), d[i]) for i, j in pairs])
    edges = DenseEdges(
        sources=pairs[:, 0], targets=pairs[:, 1], seen_px=seen.astype(np.float32),
        weights=np.ones((len(pairs), len(CELLS)), np.float32),
    )  # fmt: skip
    return DenseState(Ts_camera_slam=T, inverse_depth=d, focal_px=INTRINSICS.fx), edges


def predict(T_target_source: Array, d: Array, intrinsics: Intrinsics = INTRINSICS) -> Array:
    """Pixels (2, N) from points built the long way round, through metric depth."""
    points = intrinsics.unproject(CELLS, 1 / d)
    there = points @ T_target_source[:3, :3].T + T_target_source[:3, 3]
    return intrinsics.project(there).T


def disturbed(truth: DenseState, amount: float) -> DenseState:
    rng = np.random.default_rng(2)
    twists = rng.normal(0, amount, (len(truth.Ts_camera_slam), 6))
    twists[0] = 0
    return replace(
        truth, Ts_camera_slam=twist_exp(twists) @ truth.Ts_camera_slam,
        inverse_depth=truth.inverse_depth * np.exp(rng.normal(0, 0.1, truth.inverse_depth.shape)),
    )  # fmt: skip


def test_twist_exp_is_the_matrix_exponential() -> None:
    sizes = 10.0 ** np.arange(-5, 1)[:, None]
    twists = np.random.default_rng(0).normal(0, 1, (6, 6)) * sizes
    generators = torch.zeros(6, 4, 4, dtype=torch.float64)
    v, w = torch.from_numpy(twists[:, :3]), torch.from_numpy(twists[:, 3:])
    generators[:, :3, 3] = v
    generators[:, 0, 1], generators[:, 0, 2], generators[:, 1, 2] = -w[:, 2], w[:, 1], -w[:, 0]
    generators[:, 1, 0], generators[:, 2, 0], generators[:, 2, 1] = w[:, 2], -w[:, 1], w[:, 0]
    np.testing.assert_allclose(twist_exp(twists), torch.linalg.matrix_exp(generators), atol=1e-12)


@pytest.mark.parametrize("seed", [0, 1])
def test_derivatives_equal_autograd(seed: int) -> None:
    """Target twist, source twist, focal length and depth, against torch's autograd."""
    rng = np.random.default_rng(seed)
    T_i, T_j = invert_transform(some_poses(4, seed))[[0, 3]]
    T = T_j @ invert_transform(T_i)
    d = rng.uniform(0.3, 1.2, len(CELLS))
    seen = np.zeros((1, 2, len(CELLS)), np.float32)
    line = linearise(T[None], d, seen, cells_px=CELLS, intrinsics=INTRINSICS)
    assert line.valid.all()
    np.testing.assert_allclose(-line.residual[0], predict(T, d), rtol=1e-4)

    def generator(x: torch.Tensor) -> torch.Tensor:
        z = torch.zeros((), dtype=torch.float64)
        rows = [[z, -x[5], x[4], x[0]], [x[5], z, -x[3], x[1]], [-x[4], x[3], z, x[2]], [z] * 4]
        return torch.linalg.matrix_exp(torch.stack([torch.stack(row) for row in rows]))

    def model(source: torch.Tensor, target: torch.Tensor, focal: torch.Tensor, depth: torch.Tensor):
        Ti, Tj = torch.from_numpy(T_i), torch.from_numpy(T_j)
        relative = generator(target) @ Tj @ torch.linalg.inv(generator(source) @ Ti)
        fy = focal * (INTRINSICS.fy / INTRINSICS.fx)
        x = torch.from_numpy(CELLS[:, 0] - INTRINSICS.cx) / focal
        y = torch.from_numpy(CELLS[:, 1] - INTRINSICS.cy) / fy
        point = torch.stack([x, y, torch.ones_like(x), depth])
        p = relative[:3] @ point
        return torch.stack([focal * p[0] / p[2], fy * p[1] / p[2]])

    zero = torch.zeros(6, dtype=torch.float64)
    inputs = (zero, zero, torch.tensor(INTRINSICS.fx, dtype=torch.float64), torch.from_numpy(d))
    exact = torch.autograd.functional.jacobian(model, inputs)
    columns = [exact[0], exact[1], exact[2][..., None]]
    expected = torch.cat(columns, dim=-1).numpy()  # (2, N, 13)
    ours = np.einsum("kcn,kg->cng", line.by_target[0], line.to_both[0])
    np.testing.assert_allclose(ours, expected, rtol=1e-3, atol=1e-3)
    by_depth = torch.diagonal(exact[3], dim1=1, dim2=2).numpy()
    np.testing.assert_allclose(line.by_depth[0], by_depth, rtol=1e-3, atol=1e-3)


def test_fixed_poses_give_the_true_depth_and_stay() -> None:
    truth, edges = scene()
    state = replace(truth, inverse_depth=np.full_like(truth.inverse_depth, 0.6))
    fixed = np.zeros(5, bool)
    for _ in range(8):
        state, _ = adjust(
            state, edges, cells_px=CELLS, intrinsics=INTRINSICS, free=fixed,
            damping=Damping(kernel_px=20),
        )  # fmt: skip
    np.testing.assert_array_equal(state.Ts_camera_slam, truth.Ts_camera_slam)
    np.testing.assert_allclose(state.inverse_depth, truth.inverse_depth, rtol=0.02)


def test_poses_and_depth_are_found_up_to_scale_despite_lies() -> None:
    truth, edges = scene(6)
    rng = np.random.default_rng(3)
    seen = edges.seen_px.copy()
    lies = rng.random((len(seen), 1, len(CELLS))) < 0.1
    seen += np.where(lies, rng.normal(0, 15, seen.shape), 0).astype(np.float32)
    edges = replace(edges, seen_px=seen)
    state = disturbed(truth, 0.01)
    free = np.arange(6) > 0
    costs = []
    for kernel in [4] * 6 + [1] * 12:
        state, cost = adjust(
            state, edges, cells_px=CELLS, intrinsics=INTRINSICS, free=free,
            damping=Damping(kernel_px=kernel),
        )  # fmt: skip
        costs.append(cost)
    found, true = (invert_transform(s.Ts_camera_slam) for s in (state, truth))
    scale, R, t = umeyama(found[:, :3, 3], true[:, :3, 3])
    np.testing.assert_allclose(scale * found[:, :3, 3] @ R.T + t, true[:, :3, 3], atol=2e-3)
    turn = matrix_to_rotvec(np.swapaxes(found[:, :3, :3], 1, 2) @ true[:, :3, :3])
    assert np.abs(turn).max() < 2e-3
    ratio = state.inverse_depth / truth.inverse_depth * scale
    assert abs(np.median(ratio) - 1) < 0.02
    assert np.mean(np.abs(ratio - 1) < 0.05) > 0.95


def some_weights(edges: DenseEdges, directions: int) -> np.ndarray:
    """Random weights (E, N), or (E, 2, N) where x and y have their own, some of them zero."""
    shape = (len(edges.sources), *[2] * (directions == 2), len(CELLS))
    weights = np.random.default_rng(4).uniform(0.2, 1.5, shape)
    weights[..., ::7] = 0
    return weights.astype(np.float32)


@pytest.mark.parametrize("directions", [1, 2], ids=["one weight a cell", "weights of x and y"])
@pytest.mark.parametrize("damped", [False, True], ids=["free", "damped cells"])
def test_one_step_solves_the_whole_system(directions: int, damped: bool) -> None:
    """The Schur complement changes nothing: the step equals that of the dense normal equations."""
    truth, edges = scene(3)
    edges = replace(edges, weights=some_weights(edges, directions))
    state, n = disturbed(truth, 0.005), len(CELLS)
    cells = np.random.default_rng(5).uniform(0.1, 50, (3, n)) if damped else np.full((3, n), 1e-6)
    damping = Damping(kernel_px=np.inf, depth=0.0, cells=cells)
    free = np.array([False, True, True])
    size = 19 + 3 * n
    H, g = np.zeros((size, size)), np.zeros(size)
    for e, (i, j) in enumerate(zip(edges.sources, edges.targets, strict=True)):
        T = state.Ts_camera_slam[j] @ invert_transform(state.Ts_camera_slam[i])
        line = linearise(
            T[None], state.inverse_depth[i], edges.seen_px[e : e + 1],
            cells_px=CELLS, intrinsics=INTRINSICS,
        )  # fmt: skip
        J = np.zeros((2, n, size))
        both = np.einsum("kcn,kg->cng", line.by_target[0], line.to_both[0])
        J[..., 6 * i : 6 * i + 6], J[..., 6 * j : 6 * j + 6] = both[..., :6], both[..., 6:12]
        J[..., 18] = both[..., 12]
        J[:, np.arange(n), 19 + i * n + np.arange(n)] = line.by_depth[0]
        flat = J.reshape(2 * n, size)
        w = np.broadcast_to(edges.weights[e], (2, n)).reshape(-1)
        H += (flat.T * w) @ flat
        g += (flat.T * w) @ line.residual[0].reshape(-1)
    H[np.arange(19, size), np.arange(19, size)] += cells.ravel()
    H[np.arange(6, 19), np.arange(6, 19)] += damping.pose + damping.pose_relative * np.diag(H)[6:19]
    step = np.linalg.solve(H[6:, 6:], g[6:])
    moved, _ = adjust(
        state, edges, cells_px=CELLS, intrinsics=INTRINSICS, free=free, free_focal=True,
        damping=damping,
    )  # fmt: skip
    expected = twist_exp(step[:12].reshape(2, 6).astype(np.float64)) @ state.Ts_camera_slam[1:]
    np.testing.assert_allclose(moved.Ts_camera_slam[1:], expected, atol=2e-4)
    assert moved.focal_px - state.focal_px == pytest.approx(step[12], rel=0.05, abs=0.02)
    np.testing.assert_allclose(
        (moved.inverse_depth - state.inverse_depth).ravel(), step[13:], atol=3e-3
    )


def test_the_gradient_of_two_weights_equals_autograd() -> None:
    """The cost's derivative by depth and target twist, weights of x and y apart."""
    truth, edges = scene(2)
    edges = replace(edges, weights=some_weights(edges, 2))
    state = disturbed(truth, 0.01)
    T_i, T_j = (torch.from_numpy(T) for T in state.Ts_camera_slam)
    seen, w = (torch.from_numpy(a[0].astype(np.float64)) for a in (edges.seen_px, edges.weights))
    rays = torch.from_numpy(INTRINSICS.unproject(CELLS, np.ones(len(CELLS))).T)
    twist = torch.zeros(6, dtype=torch.float64, requires_grad=True)
    d = torch.from_numpy(state.inverse_depth[0]).requires_grad_()
    zero = torch.zeros((), dtype=torch.float64)
    v, r = twist[:3], twist[3:]
    skew = torch.stack([zero, -r[2], r[1], r[2], zero, -r[0], -r[1], r[0], zero]).reshape(3, 3)
    turn = torch.eye(3, dtype=torch.float64) + skew
    T = T_j @ torch.linalg.inv(T_i)
    p = turn @ (T[:3, :3] @ rays + T[:3, 3:] * d) + v[:, None] * d
    focal = torch.tensor([[INTRINSICS.fx], [INTRINSICS.fy]], dtype=torch.float64)
    centre = torch.tensor([[INTRINSICS.cx], [INTRINSICS.cy]], dtype=torch.float64)
    (0.5 * w * (seen - focal * p[:2] / p[2] - centre) ** 2).sum().backward()
    assert d.grad is not None and twist.grad is not None
    line = linearise(
        T[None].numpy(), state.inverse_depth[0], edges.seen_px[:1],
        cells_px=CELLS, intrinsics=INTRINSICS,
    )  # fmt: skip
    pull = edges.weights[0] * line.residual[0]
    expected = (-d.grad.numpy(), -twist.grad.numpy())
    ours = (
        (pull * line.by_depth[0]).sum(axis=0),
        np.einsum("cn,kcn->k", pull, line.by_target[0, :6]),
    )
    for a, b in zip(ours, expected, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-3, atol=1e-4 * np.abs(b).max())
    # While the poses stand, the depth's step is its gradient over its information.
    fixed, damping = np.zeros(2, bool), Damping(kernel_px=np.inf, depth=0.0)
    moved, _ = adjust(
        state, edges, cells_px=CELLS, intrinsics=INTRINSICS, free=fixed, damping=damping
    )
    information = (edges.weights[0] * line.by_depth[0] ** 2).sum(axis=0)
    certain = information > 1
    np.testing.assert_allclose(
        (moved.inverse_depth - state.inverse_depth)[0][certain],
        (-d.grad.numpy() / np.maximum(information, 1e-9))[certain],
        atol=2e-3,
    )


def test_held_depths_stay_and_place_a_camera() -> None:
    """Infinite information about the cells: resection, as for frames between keyframes."""
    truth, edges = scene(4)
    state = disturbed(truth, 0.02)
    state = replace(state, inverse_depth=truth.inverse_depth)
    T = truth.Ts_camera_slam.copy()
    T[2] = state.Ts_camera_slam[2]
    state = replace(state, Ts_camera_slam=T)
    free = np.arange(4) == 2
    held = Damping(kernel_px=np.inf, cells=np.full(truth.inverse_depth.shape, np.inf))
    for _ in range(6):
        state, _ = adjust(
            state, edges, cells_px=CELLS, intrinsics=INTRINSICS, free=free, damping=held
        )
    np.testing.assert_array_equal(state.inverse_depth, truth.inverse_depth)
    np.testing.assert_allclose(state.Ts_camera_slam, truth.Ts_camera_slam, atol=1e-4)


def test_the_fit_is_judged_in_pixels() -> None:
    """A cell with no weight does not count; parallax is what depth adds to a turn."""
    truth, edges = scene(3)
    off = edges.seen_px.copy()
    off[:, 0] += 3
    weights = np.ones_like(edges.weights)
    weights[:, :40], off[:, :, :40] = 0, 1e4
    residual, parallax = judge_fit(
        truth, replace(edges, seen_px=off, weights=weights), cells_px=CELLS, intrinsics=INTRINSICS
    )
    assert residual == pytest.approx(3, abs=1e-3)
    assert parallax > 1
    nothing = replace(edges, weights=0 * weights)
    assert judge_fit(truth, nothing, cells_px=CELLS, intrinsics=INTRINSICS) == (np.inf, np.inf)
    T = truth.Ts_camera_slam.copy()
    T[:, :3, 3] = 0
    turning = replace(truth, Ts_camera_slam=T)
    assert judge_fit(turning, edges, cells_px=CELLS, intrinsics=INTRINSICS)[1] < 1e-4


def test_a_wrong_focal_length_is_corrected() -> None:
    truth, edges = scene(6)
    state = replace(truth, focal_px=truth.focal_px * 1.1)
    for _ in range(25):
        state, _ = adjust(
            state, edges, cells_px=CELLS, intrinsics=INTRINSICS, free=np.arange(6) > 0,
            free_focal=True, damping=Damping(kernel_px=4),
        )  # fmt: skip
    assert state.focal_px == pytest.approx(truth.focal_px, rel=0.01)
    assert with_focal(INTRINSICS, 200).fy == pytest.approx(200 * INTRINSICS.fy / INTRINSICS.fx)
