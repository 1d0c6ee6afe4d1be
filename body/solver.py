"""Fits one body to one track: Gauss-Newton over all frames at once, banded in time.

Unknowns: one shape; per frame the pelvis position and the rotations of the fitted joints.
Residuals: 2D reprojection and bones between 3D landmarks (robust, weighted by confidence), pose
and shape priors, and white-noise acceleration over real time steps (its integral over time, so
that the frame rate does not matter).
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from scipy.linalg import cholesky_banded, get_lapack_funcs, solveh_banded
from scipy.ndimage import uniform_filter1d

from body.kinematics import (
    NUM_DOF,
    BodyState,
    ShapeLinearisation,
    linearise_shape,
    pose_jacobian,
    posed_keypoints,
    shape_jacobian,
)
from body.landmark_bones import BONE_ENDS, BONE_NOISE, BONES, NUM_BONES
from body.models.base import BodyModel, RestBody
from body.pose_prior import FITTED_JOINTS, left_jacobian_inverse, pose_prior
from body.shape_evidence import MassEvidence
from recon.core.camera import Intrinsics
from recon.core.geometry import Array, matrix_to_rotvec, rotvec_to_matrix
from recon.core.skeletons import BLAZEPOSE_KEYPOINTS

_FITTED = np.array(FITTED_JOINTS)
_HIPS = [BLAZEPOSE_KEYPOINTS.index("left_hip"), BLAZEPOSE_KEYPOINTS.index("right_hip")]


@dataclass(frozen=True, kw_only=True)
class Noise:
    """How far each kind of evidence is trusted (standard deviations)."""

    keypoint: float = 0.012
    """2D keypoint noise as a fraction of the person's height in the image."""
    landmark_across: float = 0.05
    """Noise across the line of sight of the bones between 3D landmarks, metres."""
    landmark_along: float = 0.10
    """The same along it: one view hardly tells depths."""
    root_acceleration: float = 1.5
    """Spectral density of the pelvis's acceleration, m/s^2 per sqrt(Hz)."""
    joint_acceleration: float = 6.0
    """The same for joint rotations, rad/s^2 per sqrt(Hz)."""
    burst: float = 0.05
    """Seconds for which an acceleration lasts: one above its density / sqrt(burst) loosens the
    smoothness around it, so that a sprint is not smoothed into a stroll."""
    shape_frames: float = 2.0
    """Weight of the shape prior per frame."""
    correlation: float = 0.2
    """Seconds over which a keypoint's errors stay alike; only the stated uncertainty needs it."""
    stature: float = 0.02
    """Of a stature that the user gave, metres."""
    mass: float = 0.5
    """Of a weight that the user gave, kg."""
    adult_stature: tuple[float, float] = (1.70, 0.08)
    """Mean and spread of a stature that nobody gave, metres: one view hardly tells it."""


@dataclass(frozen=True, kw_only=True)
class Evidence:
    """What was seen of one person, over M increasing times.

    Args:
        times: (M,) seconds. keypoints_px: (M, 33, 2). landmarks: (M, 33, 3) metres, camera axes.
        weights: (M, 33) trust 0-1, zero where nothing was seen. size_px: (M,) image height.
        stature: metres, mass: kg, if known. stature_std: metres, if not that of the user's word.
        metric: whether the landmarks were seen, or only guessed as a start for the fit.
    """

    times: Array
    keypoints_px: Array
    landmarks: Array
    weights: Array
    size_px: Array
    intrinsics: Intrinsics
    stature: float | None = None
    stature_std: float | None = None
    mass: float | None = None
    metric: bool = True

    def stature_prior(self, noise: Noise) -> tuple[float, float]:
        """Mean and standard deviation of the stature, metres."""
        if self.stature is None:
            return noise.adult_stature
        return self.stature, noise.stature if self.stature_std is None else self.stature_std

    def take(self, rows: np.ndarray | slice) -> Evidence:
        """The evidence of some frames."""
        names = ("times", "keypoints_px", "landmarks", "weights", "size_px")
        return replace(self, **{name: getattr(self, name)[rows] for name in names})


@dataclass
class _Normal:
    """Normal equations: frame blocks (M, D, D), border (M, D, S), shape block, right-hand sides."""

    blocks: Array
    border: Array
    corner: Array
    right: Array
    right_shape: Array
    cost: float


def stepped(state: BodyState, step: Array) -> BodyState:
    """The state after increments (M, D) in the state's own axes, at most a radian per joint."""
    turn = step[:, 3:].reshape(len(step), -1, 3)
    length = np.linalg.norm(turn, axis=-1, keepdims=True)
    turn = turn * np.minimum(1.0, 1.0 / np.maximum(length, 1e-9))
    rotations = state.rotations.copy()
    rotations[:, _FITTED] = rotvec_to_matrix(turn) @ rotations[:, _FITTED]
    return replace(state, root=state.root + step[:, :3], rotations=rotations)


class TrackSolver:
    """Minimises the sum of all residuals for one track."""

    def __init__(self, model: BodyModel, evidence: Evidence, noise: Noise) -> None:
        self.model, self.evidence, self.noise = model, evidence, noise
        self._mass = (
            None if evidence.mass is None else MassEvidence(model, evidence.mass, noise.mass)
        )
        self._acceleration = acceleration_stencil(evidence.times)
        root, joint = noise.root_acceleration, noise.joint_acceleration
        self._rate = np.array([root] * 3 + [joint] * (NUM_DOF - 3)) ** -2.0
        self._smoothness = self._acceleration[1][:, None] * self._rate

    def solve(self, state: BodyState, *, fit_shape: bool) -> BodyState:
        """The state of least cost, with smoothness first equal everywhere, then as it moves."""
        state = self._minimise(state, fit_shape=fit_shape, max_iterations=12)
        self._adapt_smoothness(state)
        return self._minimise(state, fit_shape=False, max_iterations=6)

    def sample(self, state: BodyState, *, count: int, seed: int = 0) -> list[BodyState]:
        """Bodies drawn from the posterior around a solution, its shape held (Laplace).

        Evidence counts once per `Noise.correlation`: neighbouring frames make the same mistakes.
        """
        self._adapt_smoothness(state)
        normal = self._normal_equations(state, linearise_shape(self.model, state.shape))
        times = self.evidence.times
        step = float(np.median(np.diff(times))) if len(times) > 1 else self.noise.correlation
        share = min(1.0, step / self.noise.correlation)
        factor = cholesky_banded(share * self._banded(normal, 1e-9), lower=True, check_finite=False)
        draws = np.random.default_rng(seed).standard_normal((factor.shape[1], count))
        (solve_triangular,) = get_lapack_funcs(("tbtrs",), (factor, draws))
        moves, info = solve_triangular(factor, draws, uplo="L", trans="T")
        assert info == 0  # a Cholesky factor has no zero on its diagonal
        return [stepped(state, move.reshape(len(times), NUM_DOF)) for move in moves.T]

    def _adapt_smoothness(self, state: BodyState) -> None:
        """Weighs smoothness by Student's t of the local acceleration of each joint."""
        if len(self._smoothness) == 0:
            return
        square = self._accelerations(state) ** 2 * self._rate * self.noise.burst
        joints = square.reshape(len(square), -1, 3).sum(axis=-1)
        frames = round(2 * self.noise.burst / float(np.median(np.diff(self.evidence.times))))
        local = np.repeat(uniform_filter1d(joints, max(frames, 1), axis=0), 3, axis=1)
        self._smoothness = self._acceleration[1][:, None] * self._rate / (1 + local)

    def _minimise(self, state: BodyState, *, fit_shape: bool, max_iterations: int) -> BodyState:
        """The state after at most `max_iterations` damped Gauss-Newton steps."""
        lin = linearise_shape(self.model, state.shape)
        accepted = self._rescale_landmarks(state, lin.rest) if fit_shape else state
        normal = self._normal_equations(accepted, lin)
        damping = 1e-3
        for _ in range(max_iterations):
            trial = self._step(accepted, normal, damping, fit_shape)
            if fit_shape:
                lin = linearise_shape(self.model, trial.shape)
                trial = self._rescale_landmarks(trial, lin.rest)
            proposed = self._normal_equations(trial, lin)
            if proposed.cost >= normal.cost:
                damping *= 20
                continue
            gain = normal.cost - proposed.cost
            accepted, normal, damping = trial, proposed, max(damping / 5, 1e-6)
            if gain < 1e-3 * normal.cost:
                break
        return accepted

    def _rescale_landmarks(self, state: BodyState, rest: RestBody) -> BodyState:
        scale = landmark_scale(posed_keypoints(state, rest)[0], self.evidence)
        return replace(state, landmark_scale=scale)

    def _normal_equations(self, state: BodyState, lin: ShapeLinearisation) -> _Normal:
        parts = [
            self._data_terms(state.take(rows), lin, self.evidence.take(rows))
            for rows in _chunks(len(state.root))
        ]
        normal = _Normal(
            blocks=np.concatenate([p.blocks for p in parts]),
            border=np.concatenate([p.border for p in parts]),
            corner=sum((p.corner for p in parts), np.zeros(1)),
            right=np.concatenate([p.right for p in parts]),
            right_shape=sum((p.right_shape for p in parts), np.zeros(1)),
            cost=sum(p.cost for p in parts),
        )
        self._add_pose_prior(normal, state)
        self._add_shape_prior(normal, state, lin)
        self._add_smoothness(normal, state)
        return normal

    def _data_terms(self, state: BodyState, lin: ShapeLinearisation, seen: Evidence) -> _Normal:
        points, turned, positions = posed_keypoints(state, lin.rest)
        pose_jac = pose_jacobian(points, turned, positions, lin.rest.keypoint_joints)
        jac = np.concatenate([pose_jac, shape_jacobian(lin, turned).astype(np.float32)], axis=-1)
        rows_2d, error_2d, w_2d, cost_2d = reprojection_rows(points, jac, seen, noise=self.noise)
        rows_3d, error_3d, w_3d, cost_3d = bone_rows(
            points, jac, seen, scale=state.landmark_scale, noise=self.noise
        )
        num = len(points)
        jac_all = np.concatenate(
            [rows_2d.reshape(num, 66, -1), rows_3d.reshape(num, 3 * NUM_BONES, -1)], axis=1
        )
        error = np.concatenate([error_2d.reshape(num, -1), error_3d.reshape(num, -1)], axis=1)
        weight = np.concatenate([np.repeat(w_2d, 2, axis=1), np.repeat(w_3d, 3, axis=1)], axis=1)
        weighted = (jac_all * weight[..., None]).astype(np.float32)
        full = np.swapaxes(weighted, 1, 2) @ jac_all
        right = -np.einsum("nrd,nr->nd", weighted, error)
        return _Normal(
            blocks=full[:, :NUM_DOF, :NUM_DOF].astype(float),
            border=full[:, :NUM_DOF, NUM_DOF:].astype(float),
            corner=full[:, NUM_DOF:, NUM_DOF:].sum(axis=0, dtype=float),
            right=right[:, :NUM_DOF],
            right_shape=right[:, NUM_DOF:].sum(axis=0),
            cost=float((cost_2d + cost_3d).sum()),
        )

    def _add_pose_prior(self, normal: _Normal, state: BodyState) -> None:
        info, pull, cost = pose_prior_terms(state.rotations[:, _FITTED])
        for i in range(len(_FITTED)):
            at = slice(3 + 3 * i, 6 + 3 * i)
            normal.blocks[:, at, at] += info[:, i]
            normal.right[:, at] += pull[:, i]
        normal.cost += float(cost.sum())

    def _add_shape_prior(self, normal: _Normal, state: BodyState, lin: ShapeLinearisation) -> None:
        spec = self.model.param_spec
        # A keypoint's error is much the same in every frame (where the network thinks a joint is):
        # more frames must not make the evidence for the shape ever stronger.
        frames = self.noise.shape_frames * len(state.root)
        spread = spec.std if self._mass is None else self._mass.prior_std()
        weight = frames / spread**2
        normal.corner += np.diag(weight)
        normal.right_shape -= weight * (state.shape - spec.mean)
        normal.cost += float(np.sum(weight * (state.shape - spec.mean) ** 2))
        mean, std = self.evidence.stature_prior(self.noise)
        error, info = lin.rest.stature - mean, frames / std**2
        normal.corner += info * np.outer(lin.stature, lin.stature)
        normal.right_shape -= info * lin.stature * error
        normal.cost += info * error**2
        if self._mass is not None:
            error, slopes = self._mass.residual(state.shape)
            normal.corner += frames * np.outer(slopes, slopes)
            normal.right_shape -= frames * slopes * error
            normal.cost += frames * error**2

    def _add_smoothness(self, normal: _Normal, state: BodyState) -> None:
        stencil, span = self._acceleration
        if len(span) == 0:
            return
        acceleration, weight = self._accelerations(state), self._smoothness
        normal.cost += float(np.sum(weight * acceleration**2))
        diagonal = np.arange(NUM_DOF)
        count = len(span)
        for i in range(3):
            normal.right[i : i + count] -= weight * acceleration * stencil[:, i : i + 1]
            normal.blocks[i : i + count, diagonal, diagonal] += weight * stencil[:, i : i + 1] ** 2

    def _accelerations(self, state: BodyState) -> Array:
        """Second differences (M - 2, D) of every unknown, per square second."""
        rotations = state.rotations[:, _FITTED]
        turns = matrix_to_rotvec(rotations[1:] @ np.swapaxes(rotations[:-1], -1, -2))
        moves = np.diff(state.root, axis=0)
        steps = np.concatenate([moves, turns.reshape(len(turns), -1)], axis=1)
        stencil, _ = self._acceleration
        return steps[1:] * stencil[:, 2:] - steps[:-1] * stencil[:, :1]

    def _step(
        self, state: BodyState, normal: _Normal, damping: float, fit_shape: bool
    ) -> BodyState:
        """The state after solving the damped bordered system."""
        num = len(state.root)
        banded = self._banded(normal, damping)
        border = normal.border.reshape(num * NUM_DOF, -1)
        columns = np.column_stack([normal.right.reshape(-1), border])
        if not fit_shape:
            columns = columns[:, :1]
        solved = solveh_banded(banded, columns, lower=True, overwrite_ab=True, check_finite=False)
        move, shape = solved[:, 0], state.shape
        if fit_shape:
            schur = normal.corner * (1 + damping) - border.T @ solved[:, 1:]
            delta = np.linalg.solve(schur, normal.right_shape - border.T @ move)
            spec = self.model.param_spec
            shape = np.clip(state.shape + delta, spec.low, spec.high)
            move = move - solved[:, 1:] @ (shape - state.shape)
        return replace(stepped(state, move.reshape(num, NUM_DOF)), shape=shape)

    def _banded(self, normal: _Normal, damping: float) -> Array:
        """Lower banded storage: the frame blocks, then the two diagonals that couple frames."""
        num = len(normal.blocks)
        out = np.zeros((2 * NUM_DOF + 1, num * NUM_DOF))
        view = out.reshape(2 * NUM_DOF + 1, num, NUM_DOF)
        for column in range(NUM_DOF):
            view[: NUM_DOF - column, :, column] = normal.blocks[:, column:, column].T
        out[0] *= 1 + damping
        stencil, span = self._acceleration
        count = len(span)
        if count:
            weight = self._smoothness
            view[NUM_DOF, :count] += weight * stencil[:, 0:1] * stencil[:, 1:2]
            view[NUM_DOF, 1 : count + 1] += weight * stencil[:, 1:2] * stencil[:, 2:3]
            view[2 * NUM_DOF, :count] += weight * stencil[:, 0:1] * stencil[:, 2:3]
        return out


def landmark_scale(points: Array, seen: Evidence) -> float:
    """The scale that best fits landmarks, which come at a mean adult's size, to this person.

    Args:
        points: (M, 33, 3) metres, the body's keypoints.
    """
    points = points - points[:, _HIPS].mean(axis=1, keepdims=True)
    w = seen.weights[..., None]
    scale = np.sum(w * points * seen.landmarks) / max(float(np.sum(w * seen.landmarks**2)), 1e-9)
    return float(np.clip(scale, 0.5, 2.0))


def reprojection_rows(
    points: Array, jac: np.ndarray, seen: Evidence, *, noise: Noise
) -> tuple[np.ndarray, Array, Array, Array]:
    """Jacobian rows (M, 33, 2, D), residuals in noise units, weights (M, 33), costs (M,).

    Args:
        points: (M, 33, 3) metres, camera frame. jac: (M, 33, 3, D), their derivative.
    """
    k = seen.intrinsics
    depth = np.maximum(points[..., 2], 0.1)
    sigma = (noise.keypoint * seen.size_px)[:, None, None]
    focal = np.array([k.fx, k.fy])
    error = (points[..., :2] / depth[..., None] * focal + [k.cx, k.cy]) - seen.keypoints_px
    error = error / sigma
    gain = (focal / depth[..., None] / sigma)[..., None]
    slope = (points[..., :2] / depth[..., None])[..., None]
    rows = gain.astype(np.float32) * (jac[..., :2, :] - slope.astype(np.float32) * jac[..., 2:, :])
    weight, cost = _robust(error, seen.weights)
    return rows, error, weight, cost


def bone_rows(
    points: Array, jac: np.ndarray, seen: Evidence, *, scale: float, noise: Noise
) -> tuple[np.ndarray, Array, Array, Array]:
    """The same for the landmarks' bones (M, B, 3), whose errors add up along a limb."""
    across, along = noise.landmark_across, noise.landmark_along
    sigma = BONE_NOISE[:, None] * [across, across, along]
    error = BONES @ (points - scale * seen.landmarks) / sigma
    num, count, _, width = jac.shape
    rows = (BONES.astype(np.float32) @ jac.reshape(num, count, -1)).reshape(num, -1, 3, width)
    rows /= sigma[..., None].astype(np.float32)
    weight, cost = _robust(error, seen.weights @ BONE_ENDS.T * seen.metric)
    return rows, error, weight, cost


def pose_prior_terms(rotations: Array) -> tuple[Array, Array, Array]:
    """Information (M, J, 3, 3), pull (M, J, 3) and costs (M,) of the prior on each increment.

    Args:
        rotations: (M, J, 3, 3) of the FITTED_JOINTS, relative to their parents.
    """
    rotvecs = matrix_to_rotvec(rotations)
    residual, weight = pose_prior(rotvecs)
    jac = left_jacobian_inverse(rotvecs)
    weighted = np.swapaxes(jac, -1, -2) * weight[..., None, :]
    pull = -np.einsum("njab,njb->nja", weighted, residual)
    return weighted @ jac, pull, np.sum(weight * residual**2, axis=(1, 2))


def _robust(error: Array, trust: Array) -> tuple[Array, Array]:
    """IRLS weights (M, K) and costs (M,) of Geman-McClure's kernel, scale 3 noise units.

    Args:
        error: (M, K, d) in units of its noise. trust: (M, K).
    """
    square = np.sum(error**2, axis=-1) / 9.0
    return trust / (1 + square) ** 2, np.sum(trust * 9.0 * square / (1 + square), axis=1)


def acceleration_stencil(times: Array) -> tuple[Array, Array]:
    """Coefficients (M - 2, 3) of the second difference on uneven times, and spans (M - 2,)."""
    if len(times) < 3:
        return np.zeros((0, 3)), np.zeros(0)
    before, after = np.diff(times)[:-1], np.diff(times)[1:]
    mid = 0.5 * (before + after)
    outer, inner = 1 / (before * mid), 1 / (after * mid)
    return np.stack([outer, -outer - inner, inner], axis=1), mid


def _chunks(num: int, size: int = 128) -> list[slice]:
    return [slice(a, min(a + size, num)) for a in range(0, num, size)]
