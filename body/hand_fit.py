"""Fingers and wrists of a fitted body from hand landmarks: Gauss-Newton over a whole track.

Residuals are directions of the hand's bones, which do not depend on whose hand is longer: the
picture's keypoints give them across the line of sight, the metric points along it. Unknowns per
frame: the wrist's rotation and the angles of the finger joints about anatomical axes.
"""

from __future__ import annotations

from dataclasses import dataclass, fields, replace
from typing import Any

import numpy as np
import scipy.sparse
from scipy.sparse.linalg import spsolve

from body.hand_model import NUM_ANGLES, HandModel, finger_rotations, hand_model
from body.hands import GOOD, SIDES
from body.models.base import BodyModel
from body.pose_prior import left_jacobian_inverse
from recon.core.camera import Intrinsics
from recon.core.geometry import (
    Array,
    matrix_to_rotvec,
    nearest_rotation,
    rotation_between,
    rotvec_to_matrix,
)
from recon.core.people import BodyPoses, PersonTrack
from recon.core.rig import forward_kinematics
from recon.core.skeletons import CANONICAL_JOINTS

_NUM_DOF = 3 + NUM_ANGLES
_WINDOW, _CONTEXT = 600, 30


@dataclass(frozen=True, kw_only=True)
class HandNoise:
    """How far each kind of evidence is trusted (standard deviations)."""

    across: float = 0.12
    """Of a bone's unit direction across the line of sight."""
    along: float = 0.35
    """The same along it: depths inside a hand are mostly the network's imagination."""
    wrist: float = 0.4
    """Between the wrist's rotation and that of the body's fit, radians."""
    finger_acceleration: float = 12.0
    """Spectral density of the finger angles' acceleration, rad/s^2 per sqrt(Hz)."""
    wrist_acceleration: float = 9.0
    """The same for the wrist's rotation."""
    limit: float = 0.05
    """Beyond an angle's limits, radians."""


# How far the wrist turns about the rest pose's axes, left hand: twist (of the forearm too),
# sideways, and up or down; radians.
_WRIST_LOW = np.array([-1.7, -0.7, -1.5])
_WRIST_HIGH = np.array([1.7, 0.7, 1.5])


@dataclass(frozen=True, kw_only=True)
class _Seen:
    """One hand over M frames: times (M,), unit bone directions (M, B, 3) in camera axes, trust
    (M,), the body's wrist rotation (M, 3, 3) and its parent's global one, and the axes of the
    line of sight (M, 3, 3, rows: across, across, along)."""

    times: Array
    bones: Array
    trust: Array
    wrist: Array
    R_camera_forearm: Array
    R_sight_camera: Array

    def take(self, rows: slice) -> _Seen:
        """What was seen in some frames."""
        return _Seen(**{f.name: getattr(self, f.name)[rows] for f in fields(self)})


@dataclass(frozen=True, kw_only=True)
class _State:
    """A solution: wrist rotations (M, 3, 3) and angles (M, A)."""

    wrist: Array
    angles: Array


def fit_hands(
    track: PersonTrack,
    frame_idx: np.ndarray,
    poses: BodyPoses,
    *,
    times: Array,
    intrinsics: Intrinsics,
    model: BodyModel,
    shape: Array,
    noise: HandNoise | None = None,
) -> BodyPoses:
    """The poses with the fingers, and the wrists where hands were seen well, as the track shows.

    Hands that are out of sight come to rest in a relaxed pose.

    Args:
        frame_idx: (M,) consecutive frames of `poses` (camera frame). times: (T,) seconds.
        shape: (S,) of the body model.
    """
    if track.hands_px is None or track.hands_3d is None or track.hands_conf is None:
        return poses
    noise = noise or HandNoise()
    row = np.clip(np.searchsorted(track.frame_idx, frame_idx), 0, len(track.frame_idx) - 1)
    observed = track.frame_idx[row] == frame_idx
    rig = model.skinning_spec(shape)
    turned, _ = forward_kinematics(poses.rotations, poses.root, rig.rest_joints)
    rotations = np.array(poses.rotations, dtype=float)
    for which, side in enumerate(SIDES):
        hand = hand_model(rig, side)
        px, trust = track.hands_px[row, which], track.hands_conf[row, which] * observed
        points, R_sight_camera = lifted(px, track.hands_3d[row, which], intrinsics)
        elbow = CANONICAL_JOINTS.index(f"{side}_elbow")
        seen = _Seen(
            times=times[frame_idx],
            bones=hand.observed_bones(points),
            trust=np.where(trust >= GOOD, trust, 0.0),
            wrist=rotations[:, hand.wrist],
            R_camera_forearm=turned[:, elbow],
            R_sight_camera=R_sight_camera,
        )
        # Windows keep memory flat; so far beyond their ends nothing is felt any more.
        for start in range(0, len(frame_idx), _WINDOW):
            first = max(start - _CONTEXT, 0)
            rows = slice(first, start + _WINDOW + _CONTEXT)
            state = _Fit(hand, seen.take(rows), noise).solve()
            kept, own = slice(start, start + _WINDOW), slice(start - first, start - first + _WINDOW)
            rotations[kept, hand.wrist] = state.wrist[own]
            rotations[kept, hand.fingers] = finger_rotations(hand, state.angles[own])
    return replace(poses, rotations=rotations)


def lifted(px: Array, points: Array, intrinsics: Intrinsics) -> tuple[Array, Array]:
    """Hand points (M, 21, 3) in camera axes, and the rotations (M, 3, 3) from them to the sight's.

    Across the line of sight the picture is more exact than the network's metric points, so only
    their depth is taken, and their size as the scale. What a crop shows is seen along its own ray.

    Args:
        px: (M, 21, 2). points: (M, 21, 3) metres, wrist at the origin, axes of the picture.
    """
    offset = px - px[:, :1]
    overlap = np.sum(offset * points[..., :2], axis=(1, 2))
    scale = overlap / np.maximum(np.sum(offset**2, axis=(1, 2)), 1e-9)
    flat = np.concatenate([offset * np.maximum(scale, 0)[:, None, None], points[..., 2:]], axis=-1)
    rays = intrinsics.unproject(px.mean(axis=1), np.ones(len(px)))
    R_camera_sight = rotation_between(np.broadcast_to([0.0, 0.0, 1.0], rays.shape), rays)
    return flat @ np.swapaxes(R_camera_sight, -1, -2), np.swapaxes(R_camera_sight, -1, -2)


class _Fit:
    """Minimises all residuals of one hand over one track."""

    def __init__(self, hand: HandModel, seen: _Seen, noise: HandNoise) -> None:
        self.hand, self.seen, self.noise = hand, seen, noise
        # The right wrist mirrors the left: x stays, y and z change their signs.
        signs = np.array([1.0, 1.0, 1.0] if hand.side == "left" else [1.0, -1.0, -1.0])
        bounds = np.stack([signs * _WRIST_LOW, signs * _WRIST_HIGH])
        self._low = np.concatenate([bounds.min(axis=0), hand.low])
        self._high = np.concatenate([bounds.max(axis=0), hand.high])
        self._stencil, span = second_difference(seen.times)
        weighted = scipy.sparse.csr_array(self._stencil * span[:, None])
        rate = np.full(_NUM_DOF, noise.finger_acceleration**-2.0)
        rate[:3] = noise.wrist_acceleration**-2.0
        self._weight = span[:, None] * rate
        curvature = self._stencil.T @ weighted
        self._smooth: Any = scipy.sparse.kron(curvature, np.diag(rate), format="csc")

    def solve(self, *, iterations: int = 15) -> _State:
        """The state of least cost, by damped Gauss-Newton steps from the palm's own rotation."""
        state = self._start()
        blocks, right, cost = self._linearised(state)
        damping = 1e-3
        for _ in range(iterations):
            trial = self._step(state, blocks, right, damping)
            proposed = self._linearised(trial)
            if proposed[2] >= cost:
                damping *= 10
                continue
            gain = cost - proposed[2]
            state, (blocks, right, cost) = trial, proposed
            damping = max(damping / 5, 1e-6)
            if gain < 1e-4 * cost:
                break
        return state

    def _start(self) -> _State:
        """Relaxed fingers; the wrist as the palm lies, unless that contradicts the body."""
        rest = self.hand.bones[self.hand.palm]
        seen = self.seen.bones[:, self.hand.palm]
        aligned = nearest_rotation(np.einsum("mba,bc->mac", seen, rest))
        wrist = np.swapaxes(self.seen.R_camera_forearm, -1, -2) @ aligned
        turn = matrix_to_rotvec(wrist @ np.swapaxes(self.seen.wrist, -1, -2))
        near = (np.linalg.norm(turn, axis=-1) < 1.5) & (self.seen.trust > 0)
        angles = np.tile(self.hand.mean, (len(wrist), 1))
        return _State(wrist=np.where(near[:, None, None], wrist, self.seen.wrist), angles=angles)

    def _step(self, state: _State, blocks: Array, right: Array, damping: float) -> _State:
        num = len(blocks)
        damped = blocks * (1 + damping * np.eye(_NUM_DOF))
        where = np.arange(num)
        data = scipy.sparse.bsr_matrix((damped, where, np.arange(num + 1)))
        solved = np.asarray(spsolve((data + self._smooth).tocsc(), right.ravel()))
        step = np.clip(solved.reshape(num, _NUM_DOF), -0.7, 0.7)
        return _State(
            wrist=rotvec_to_matrix(step[:, :3]) @ state.wrist, angles=state.angles + step[:, 3:]
        )

    def _linearised(self, state: _State) -> tuple[Array, Array, float]:
        """Frame blocks (M, D, D) without smoothness, right-hand side (M, D), and the cost."""
        blocks, right, cost = self._bones(state)
        for jac, residual, weight in self._priors(state):
            weighted = np.swapaxes(jac, -1, -2) * weight[:, None, :]
            blocks = blocks + weighted @ jac
            right = right - np.einsum("mda,ma->md", weighted, residual)
            cost += float(np.sum(weight * residual**2))
        acceleration = self._accelerations(state)
        right = right - self._stencil.T @ (self._weight * acceleration)
        return blocks, right, cost + float(np.sum(self._weight * acceleration**2))

    def _bones(self, state: _State) -> tuple[Array, Array, float]:
        R_camera_wrist = self.seen.R_camera_forearm @ state.wrist
        local, local_jac = self.hand.posed_bones(state.angles)
        turn = self.seen.R_sight_camera @ R_camera_wrist
        bones = np.einsum("mab,mkb->mka", turn, local)
        # An increment d of the wrist turns bone b by (G_forearm d) x b.
        axes = np.swapaxes(self.seen.R_sight_camera @ self.seen.R_camera_forearm, -1, -2)
        jac = np.empty((*bones.shape, _NUM_DOF))
        jac[..., :3] = np.swapaxes(np.cross(axes[:, None], bones[:, :, None]), -1, -2)
        jac[..., 3:] = np.einsum("mab,mkbd->mkad", turn, local_jac)
        target = np.einsum("mab,mkb->mka", self.seen.R_sight_camera, self.seen.bones)
        sigma = np.array([self.noise.across, self.noise.across, self.noise.along])
        jac = jac / sigma[:, None]
        error = (bones - target) / sigma
        square = np.sum(error**2, axis=-1) / 9.0  # Geman-McClure, three standard deviations
        weight = self.seen.trust[:, None] / (1 + square) ** 2
        rows = (jac * weight[..., None, None]).reshape(len(jac), -1, _NUM_DOF)
        flat = jac.reshape(rows.shape)
        right = -np.einsum("mrd,mr->md", rows, error.reshape(len(jac), -1))
        cost = float(np.sum(self.seen.trust[:, None] * 9.0 * square / (1 + square)))
        return np.swapaxes(rows, 1, 2) @ flat, right, cost

    def _priors(self, state: _State) -> list[tuple[Array, Array, Array]]:
        """(Jacobian (M, A, D), residual (M, A), weight (M, A)) of each prior."""
        num = len(state.wrist)
        away = matrix_to_rotvec(state.wrist @ np.swapaxes(self.seen.wrist, -1, -2))
        total = matrix_to_rotvec(state.wrist)
        wrist_jac, limit_jac = np.zeros((2, num, 3, _NUM_DOF))
        wrist_jac[..., :3] = left_jacobian_inverse(away)
        limit_jac[..., :3] = left_jacobian_inverse(total)
        finger_jac = np.broadcast_to(np.eye(_NUM_DOF)[3:], (num, NUM_ANGLES, _NUM_DOF))
        limited = np.concatenate([limit_jac, finger_jac], axis=1)
        value = np.concatenate([total, state.angles], axis=1)
        beyond = np.minimum(value - self._low, 0) + np.maximum(value - self._high, 0)
        ones = np.ones((num, 1))
        return [
            (wrist_jac, away, ones * np.full(3, self.noise.wrist**-2)),
            (finger_jac, state.angles - self.hand.mean, ones * self.hand.std**-2),
            (limited, beyond, (beyond != 0) / self.noise.limit**2),
        ]

    def _accelerations(self, state: _State) -> Array:
        """Second differences (M - 2, D) of every unknown per square second."""
        steps = matrix_to_rotvec(state.wrist[1:] @ np.swapaxes(state.wrist[:-1], -1, -2))
        path = np.concatenate([np.zeros((1, 3)), np.cumsum(steps, axis=0)])
        return self._stencil @ np.concatenate([path, state.angles], axis=1)


def second_difference(times: Array) -> tuple[Any, Array]:
    """Sparse (M - 2, M) that makes accelerations of samples at `times` (M,); seconds of each."""
    if len(times) < 3:
        return scipy.sparse.csr_array((0, len(times))), np.zeros(0)
    before, after = np.diff(times)[:-1], np.diff(times)[1:]
    mid = 0.5 * (before + after)
    outer, inner = 1 / (before * mid), 1 / (after * mid)
    values = np.stack([outer, -outer - inner, inner], axis=1)
    row, offset = np.divmod(np.arange(values.size), 3)
    where = (row, row + offset)
    return scipy.sparse.csr_array((values.ravel(), where), shape=(len(mid), len(times))), mid
