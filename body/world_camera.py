"""The camera's own path corrected by the people it films: banded least squares over its frames.

A tracked camera wanders from the truth the farther it goes. Everybody is carried along with their
camera, which sees them as before; where that leaves them less shaken, their feet more still and
on the floor, the camera was wrong and not they. Six unknowns a frame, one banded solve.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.linalg import solveh_banded

from body.kinematics import BodyState
from body.solver import acceleration_stencil
from body.world_feet import contact_terms, floor_terms
from body.world_person import PersonProblem
from recon.core.geometry import Array, hat, rotvec_to_matrix

_DOF = 6


@dataclass(frozen=True, kw_only=True)
class CameraPrior:
    """How far a tracked camera may be from the truth (standard deviations).

    Args:
        drift: of its place, metres per sqrt(metre) of its way. wander: metres per sqrt(second), of
            a camera that stays. turn: radians per sqrt(second). place: metres, angle: radians, of
            every frame against where it was tracked.
    """

    drift: float = 0.02
    wander: float = 0.004
    turn: float = 0.002
    place: float = 0.5
    angle: float = 0.02


class _Banded:
    """Normal equations of unknowns that couple a frame with the two before it."""

    def __init__(self, num_frames: int) -> None:
        self.blocks = np.zeros((3, num_frames, _DOF, _DOF))  # with itself, one and two frames back
        self.right = np.zeros((num_frames, _DOF))

    def add(self, parts: Sequence[tuple[np.ndarray, Array]], error: Array, weight: Array) -> None:
        """Adds M residuals (M, R) of weights (M, R): sum of jacobian (M, R, 6) x[frames (M,)]."""
        for frames, jacobian in parts:
            weighted = np.swapaxes(jacobian * weight[..., None], 1, 2)
            np.add.at(self.right, frames, -(weighted @ error[..., None])[..., 0])
            for others, other in parts:
                lag = int(frames[0] - others[0]) if len(frames) else 0
                if lag >= 0:
                    np.add.at(self.blocks[lag], frames, weighted @ other)

    def solve(self) -> Array:
        """The unknowns (T, 6)."""
        num = len(self.right)
        out = np.zeros((3 * _DOF, num * _DOF))
        view = out.reshape(3 * _DOF, num, _DOF)
        for lag in range(min(3, num)):
            for row in range(_DOF):
                for column in range(_DOF):
                    at = lag * _DOF + row - column
                    if at >= 0:
                        view[at, : num - lag, column] += self.blocks[lag, lag:, row, column]
        out[0] += 1e-9
        solved = solveh_banded(out, self.right.reshape(-1), lower=True, check_finite=False)
        return solved.reshape(num, _DOF)


def refined_cameras(
    problems: Sequence[PersonProblem],
    bodies: Sequence[BodyState],
    cameras: Array,
    *,
    tracked: Array,
    times: Array,
    prior: CameraPrior,
) -> Array:
    """The cameras (T, 4, 4) of a shot where people carried by them move most plausibly.

    Args:
        cameras: (T, 4, 4) as they are, tracked: (T, 4, 4) as they were tracked, world.
        times: (T,) seconds.
    """
    normal = _Banded(len(cameras))
    _add_prior(normal, cameras, tracked, times, prior)
    for problem, body in zip(problems, bodies, strict=True):
        _add_person(normal, problem, body, cameras)
    moves = normal.solve()
    out = cameras.copy()
    out[:, :3, :3] = rotvec_to_matrix(moves[:, 3:]) @ cameras[:, :3, :3]
    out[:, :3, 3] += moves[:, :3]
    return out


def _add_prior(
    normal: _Banded, cameras: Array, tracked: Array, times: Array, prior: CameraPrior
) -> None:
    """Near the tracked path as a whole, and with its steps."""
    turn = cameras[:, :3, :3] @ np.swapaxes(tracked[:, :3, :3], -1, -2)
    # Corrections are small: the antisymmetric part is the rotation vector.
    angle = 0.5 * np.stack(
        [
            turn[:, 2, 1] - turn[:, 1, 2],
            turn[:, 0, 2] - turn[:, 2, 0],
            turn[:, 1, 0] - turn[:, 0, 1],
        ],
        axis=1,
    )
    off = np.concatenate([cameras[:, :3, 3] - tracked[:, :3, 3], angle], axis=1)
    frames, count = np.arange(len(cameras)), len(cameras)
    eye = np.broadcast_to(np.eye(_DOF), (count, _DOF, _DOF))
    step = np.gradient(times)[:, None] if count > 1 else np.ones((1, 1))
    std = np.repeat([[prior.place, prior.angle]], 3, axis=1)
    normal.add([(frames, eye)], off, np.broadcast_to(step / std**2, off.shape))
    if count < 2:
        return
    span = np.diff(times)
    way = np.linalg.norm(np.diff(tracked[:, :3, 3], axis=0), axis=1)
    moved = prior.wander**2 * span + prior.drift**2 * way
    turned = prior.turn**2 * span
    variance = np.repeat(np.stack([moved, turned], axis=1), 3, axis=1)
    parts = [(frames[1:], eye[1:]), (frames[:-1], -eye[1:])]
    normal.add(parts, np.diff(off, axis=0), 1 / variance)


def _add_person(normal: _Banded, problem: PersonProblem, body: BodyState, cameras: Array) -> None:
    """One person's accelerations, contacts and heights, carried by the camera."""
    frames, noise = problem.frames, problem.noise
    centres = cameras[frames, :3, 3]
    root = _carried(body.root[:, None] - centres[:, None])[:, 0]
    stencil, _ = acceleration_stencil(problem.times)
    if len(stencil):
        acceleration = problem.accelerations(body)[:, :3]
        weight = problem.smoothing()[:, :3]
        parts = [
            (
                frames[k : len(frames) - 2 + k],
                stencil[:, k, None, None] * root[k : len(root) - 2 + k],
            )
            for k in range(3)
        ]
        normal.add(parts, acceleration, weight)
    soles = problem.soles(body)
    flat = _carried(soles - centres[:, None])
    if len(frames) > 1:
        terms = contact_terms(soles, problem.contacts, problem.times, centres, noise=noise)
        steps = flat.reshape(len(flat), 12, _DOF)
        parts = [(frames[1:], steps[1:]), (frames[:-1], -steps[:-1])]
        normal.add(parts, terms.error, terms.weight)
    terms = floor_terms(soles, problem.contacts, centres, cameras[0, :3, 3], noise=noise)
    terms = terms.scaled(problem.share())
    normal.add([(frames, flat[:, :, 2])], terms.error, terms.weight)


def _carried(offsets: Array) -> Array:
    """How points at (M, K, 3) from their camera move with it: (M, K, 3, 6)."""
    eye = np.broadcast_to(np.eye(3), (*offsets.shape[:2], 3, 3))
    return np.concatenate([eye, -hat(offsets)], axis=-1)
