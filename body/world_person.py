"""One person's motion in the world as banded least squares, with a border of shared unknowns.

Unknowns per frame: the pelvis position and the increments of the fitted joints, world axes.
Shared by all people of a shot, `SHARED`: how the camera's path, and with it everybody, is scaled,
tilted and raised. Residuals: what was seen of the body in the camera (`body.world_evidence`), pose
prior, acceleration in the world, and standing feet: still, on or above the floor. All terms are
integrals over time, so that neither frame rate nor length matters (SLAHMR, Ye et al. 2023, has
the same residuals; the solver is banded Gauss-Newton as in `body.solver`).
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace

import numpy as np
from scipy.linalg import solveh_banded
from scipy.ndimage import uniform_filter1d

from body.kinematics import NUM_DOF, BodyState, pose_jacobian, posed_keypoints
from body.models.base import RestBody
from body.motion_terms import MotionTerm
from body.pose_prior import FITTED_JOINTS
from body.solver import acceleration_stencil, pose_prior_terms
from body.world_evidence import Seen
from body.world_feet import (
    LEGS,
    SHARED,
    FootTerms,
    WorldNoise,
    contact_terms,
    floor_terms,
    track_terms,
)
from body.world_posture import TRUNK, posture_rows
from recon.core.geometry import Array, hat, matrix_to_rotvec
from recon.core.skeletons import SMPLX_BODY_JOINTS

_FITTED = np.array(FITTED_JOINTS)
_TRUNK, _LEG = (
    [
        3 + 3 * i + k
        for i, joint in enumerate(FITTED_JOINTS)
        for k in range(3)
        if SMPLX_BODY_JOINTS[joint].endswith(names)
    ]
    for names in (("spine1", "spine2", "spine3", "neck", "head"), ("hip", "knee", "ankle"))
)


@dataclass
class Normal:
    """Normal equations: blocks (M, D, D), couplings (M - 1, L, L) of the legs of a frame with the
    one before, border (M, D, G), corner (G, G), right-hand sides (M, D) and (G,), cost."""

    blocks: Array
    legs: Array
    border: Array
    corner: Array
    right: Array
    right_shared: Array
    cost: float


@dataclass(frozen=True, kw_only=True)
class Reduced:
    """A person's problem with the frames eliminated.

    Args:
        step: (M, D) frames' answer if the shared unknowns stay, gain: (M, D, G) by them.
        matrix: (G, G), right: (G,), what is left for the shared unknowns. cost: at this state.
    """

    step: Array
    gain: Array
    matrix: Array
    right: Array
    cost: float


@dataclass(frozen=True, kw_only=True)
class PersonProblem:
    """What is fixed while one person's motion is solved for.

    Args:
        rest: the shaped body. seen: what the camera saw over M frames.
        frames: (M,) rows of the shot's cameras. contacts: (M, 4) probabilities.
        travel: (M, 2) of `body.world_posture.travelling`, or None for no such prior.
        smoothness: (M - 2, D) weights of the accelerations, or None for the plain ones.
        prior: of motions, or None.
    """

    rest: RestBody
    seen: Seen
    frames: np.ndarray
    noise: WorldNoise
    contacts: Array
    travel: Array | None = None
    smoothness: Array | None = None
    prior: MotionTerm | None = None
    _stencil: tuple[Array, Array] = field(init=False, repr=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "_stencil", acceleration_stencil(self.seen.times))

    def take(self, rows: slice) -> PersonProblem:
        """The problem of some consecutive frames."""
        return replace(
            self,
            seen=self.seen.take(rows),
            frames=self.frames[rows],
            contacts=self.contacts[rows],
            travel=None if self.travel is None else self.travel[rows],
            smoothness=None,
        )

    @property
    def times(self) -> Array:
        """(M,) seconds."""
        return self.seen.times

    def soles(self, state: BodyState) -> Array:
        """Sole points (M, 4, 3) in the world."""
        return posed_keypoints(state, _sole_body(self.rest))[0]

    def reduce(self, state: BodyState, Ts_world_camera: Array, damping: float) -> Reduced:
        """The damped problem at `state` (world) solved for all frames given the shared unknowns.

        Args:
            Ts_world_camera: (T, 4, 4) of the shot.
        """
        normal = self.normal(state, Ts_world_camera)
        border = normal.border.reshape(-1, SHARED)
        columns = np.column_stack([normal.right.reshape(-1), border])
        solved = solveh_banded(
            _banded(normal, self.smoothing(), self._stencil, damping), columns,
            lower=True, overwrite_ab=True, check_finite=False,
        )  # fmt: skip
        gain = solved[:, 1:]
        num = len(state.root)
        return Reduced(
            step=solved[:, 0].reshape(num, NUM_DOF),
            gain=gain.reshape(num, NUM_DOF, SHARED),
            matrix=normal.corner - border.T @ gain,
            right=normal.right_shared - border.T @ solved[:, 0],
            cost=normal.cost,
        )

    def normal(self, state: BodyState, Ts_world_camera: Array) -> Normal:
        """Normal equations of all residuals at `state`."""
        num = len(state.root)
        Ts = Ts_world_camera[self.frames]
        normal = Normal(
            blocks=np.zeros((num, NUM_DOF, NUM_DOF)),
            legs=np.zeros((max(num - 1, 0), len(LEGS), len(LEGS))),
            border=np.zeros((num, NUM_DOF, SHARED)),
            corner=np.zeros((SHARED, SHARED)),
            right=np.zeros((num, NUM_DOF)),
            right_shared=np.zeros(SHARED),
            cost=0.0,
        )
        soles = np.empty((num, 4, 3))
        feet = np.empty((num, 4, 3, len(LEGS)), np.float32)
        for start in range(0, num, 128):
            rows = slice(start, min(start + 128, num))
            soles[rows], feet[rows] = self._add_seen(normal, state.take(rows), Ts[rows], rows)
        self._add_smoothness(normal, state, Ts[:, :3, 3])
        self._add_feet(normal, soles, feet, state.root, Ts_world_camera)
        if self.prior is not None:
            cost, right, information = self.prior.penalty(self.times, state, self.contacts)
            diagonal = np.arange(NUM_DOF)
            normal.blocks[:, diagonal, diagonal] += information
            normal.right += right
            normal.cost += cost
        return normal

    def share(self) -> Array:
        """(M,) what each frame's own evidence counts for: neighbours make the same mistakes."""
        steps = np.gradient(self.times) if len(self.times) > 1 else np.ones(1)
        return np.minimum(steps / self.noise.correlation, 1.0)

    def _add_seen(
        self, normal: Normal, state: BodyState, Ts: Array, rows: slice
    ) -> tuple[Array, np.ndarray]:
        """Adds what was seen and the pose prior; returns the soles and their derivatives."""
        points, turned, positions = posed_keypoints(state, self.rest)
        jac = pose_jacobian(points, turned, positions, self.rest.keypoint_joints)
        R = Ts[:, :3, :3]
        points_camera = np.einsum("nka,nab->nkb", points - Ts[:, None, :3, 3], R)
        jac_camera = np.swapaxes(R, -1, -2)[:, None].astype(np.float32) @ jac
        jacobian, error, weight, cost = self.seen.take(rows).rows(
            points_camera, jac_camera, state.landmark_scale
        )
        share = self.share()[rows]
        weighted = jacobian * (weight * share[:, None])[..., None].astype(np.float32)
        normal.blocks[rows] += np.swapaxes(weighted, 1, 2) @ jacobian
        normal.right[rows] -= np.einsum("nrd,nr->nd", weighted, error)
        normal.cost += float(share @ cost)
        if self.noise.pose_prior:
            info, pull, cost = pose_prior_terms(state.rotations[:, _FITTED])
            for i in range(len(_FITTED)):
                at = slice(3 + 3 * i, 6 + 3 * i)
                normal.blocks[rows, at, at] += share[:, None, None] * info[:, i]
                normal.right[rows, at] += share[:, None] * pull[:, i]
            normal.cost += float(share @ cost)
        if self.travel is not None:
            self._add_posture(normal, turned, share, rows)
        owner = self.rest.sole_joints
        offsets = self.rest.soles - self.rest.joints[owner]
        soles = positions[:, owner] + np.einsum("nkab,kb->nka", turned[:, owner], offsets)
        return soles, pose_jacobian(soles, turned, positions, owner)[..., LEGS]

    def _add_posture(self, normal: Normal, turned: Array, share: Array, rows: slice) -> None:
        assert self.travel is not None
        jacobian, error, weight, cost = posture_rows(turned, self.travel[rows])
        weighted = np.swapaxes(jacobian * (share[:, None] * weight)[..., None], 1, 2)
        at = np.ix_(np.arange(rows.start, rows.stop), TRUNK, TRUNK)
        normal.blocks[at] += weighted @ jacobian
        normal.right[rows, TRUNK] -= (weighted @ error[..., None])[..., 0]
        normal.cost += float(share @ cost)

    # Smoothness ------------------------------------------------------------------------------

    def adapted(self, state: BodyState) -> PersonProblem:
        """Smoothness loosened around bursts, by Student's t of the local acceleration."""
        if len(self._stencil[1]) == 0:
            return self
        rate = self._rate()
        square = self.accelerations(state) ** 2 * rate * self.noise.burst
        joints = square.reshape(len(square), -1, 3).mean(axis=-1)
        frames = round(2 * self.noise.burst / float(np.median(np.diff(self.times))))
        local = np.repeat(uniform_filter1d(joints, max(frames, 1), axis=0), 3, axis=1)
        return replace(self, smoothness=self._stencil[1][:, None] * rate / (1 + local))

    def _rate(self) -> Array:
        n = self.noise
        std = np.full(NUM_DOF, float(n.arm_acceleration))
        std[_TRUNK], std[_LEG] = n.trunk_acceleration, n.leg_acceleration
        std[:6] = [n.level_acceleration] * 2 + [n.vertical_acceleration] + [n.turn_acceleration] * 3
        return std**-2.0

    def smoothing(self) -> Array:
        """Weights (M - 2, D) of the accelerations."""
        if self.smoothness is not None:
            return self.smoothness
        return self._stencil[1][:, None] * self._rate()

    def accelerations(self, state: BodyState) -> Array:
        """(M - 2, D) per square second, of every unknown, in the world."""
        rotations = state.rotations[:, _FITTED]
        turns = matrix_to_rotvec(rotations[1:] @ np.swapaxes(rotations[:-1], -1, -2))
        moves = np.diff(state.root, axis=0)
        steps = np.concatenate([moves, turns.reshape(len(turns), -1)], axis=1)
        return _second(steps, self._stencil[0])

    def _add_smoothness(self, normal: Normal, state: BodyState, centres: Array) -> None:
        stencil, span = self._stencil
        count = len(span)
        if count == 0:
            return
        acceleration, weight = self.accelerations(state), self.smoothing()
        normal.cost += float(np.sum(weight * acceleration**2))
        root, level = acceleration[:, :3], weight[:, :3]
        shared = np.zeros((count, 3, SHARED))
        shared[..., 0] = _second(np.diff(centres, axis=0), stencil)
        shared[..., 1:3] = -hat(root)[..., :2]  # e x a, as columns
        normal.corner += np.einsum("ma,mag,mah->gh", level, shared, shared)
        normal.right_shared -= np.einsum("ma,mag,ma->g", level, shared, root)
        diagonal = np.arange(NUM_DOF)
        for i in range(3):
            part = weight * stencil[:, i : i + 1]
            normal.right[i : i + count] -= part * acceleration
            normal.blocks[i : i + count, diagonal, diagonal] += part * stencil[:, i : i + 1]
            normal.border[i : i + count, :3] += part[:, :3, None] * shared

    # Feet ------------------------------------------------------------------------------------

    def _add_feet(
        self, normal: Normal, soles: Array, feet: np.ndarray, root: Array, cameras: Array
    ) -> None:
        """Adds all that is known of sole points (M, 4, 3) with derivatives (M, 4, 3, L)."""
        centres, share = cameras[self.frames, :3, 3], self.share()
        flat = feet.reshape(len(feet), 12, -1).astype(float)
        if len(soles) > 1:
            terms = contact_terms(soles, self.contacts, self.times, centres, noise=self.noise)
            self._add_steps(normal, flat, terms)
        heights = flat[:, 2::3]
        terms = floor_terms(soles, self.contacts, centres, cameras[0, :3, 3], noise=self.noise)
        _add_legs(normal, heights, terms.scaled(share))
        if self.travel is not None:
            jacobian, terms = track_terms(soles, flat, root, self.travel)
            _add_legs(normal, jacobian, terms.scaled(share))

    def _add_steps(self, normal: Normal, flat: Array, terms: FootTerms) -> None:
        """Adds terms of differences between frames: of (M - 1, 12) steps of sole points."""
        count = len(terms.error)
        root = np.sqrt(terms.weight)[..., None]
        after, before = flat[1:] * root, flat[:-1] * root
        shared, error = terms.shared * root, terms.error * root[..., 0]
        back, ahead = np.swapaxes(before, 1, 2), np.swapaxes(after, 1, 2)
        normal.blocks[np.ix_(np.arange(count), LEGS, LEGS)] += back @ before
        normal.blocks[np.ix_(np.arange(1, count + 1), LEGS, LEGS)] += ahead @ after
        normal.legs -= ahead @ before
        normal.border[:-1][:, LEGS] -= back @ shared
        normal.border[1:][:, LEGS] += ahead @ shared
        normal.corner += np.einsum("nrg,nrh->gh", shared, shared)
        normal.right[:-1][:, LEGS] += (back @ error[..., None])[..., 0]
        normal.right[1:][:, LEGS] -= (ahead @ error[..., None])[..., 0]
        normal.right_shared -= np.einsum("nrg,nr->g", shared, error)
        normal.cost += float(terms.cost.sum())


def _add_legs(normal: Normal, jacobian: Array, terms: FootTerms) -> None:
    """Adds terms of each frame: jacobian (M, R, L) by the unknowns LEGS."""
    num = len(jacobian)
    weighted = np.swapaxes(jacobian * terms.weight[..., None], 1, 2)
    normal.blocks[np.ix_(np.arange(num), LEGS, LEGS)] += weighted @ jacobian
    normal.border[:, LEGS] += weighted @ terms.shared
    normal.right[:, LEGS] -= (weighted @ terms.error[..., None])[..., 0]
    normal.corner += np.einsum("nk,nkg,nkh->gh", terms.weight, terms.shared, terms.shared)
    normal.right_shared -= np.einsum("nk,nkg,nk->g", terms.weight, terms.shared, terms.error)
    normal.cost += float(terms.cost.sum())


def _second(steps: Array, stencil: Array) -> Array:
    """Second differences (M - 2, ...) per square second of the steps (M - 1, ...) between times."""
    return steps[1:] * stencil[:, 2:] - steps[:-1] * stencil[:, :1]


def _sole_body(rest: RestBody) -> RestBody:
    return replace(rest, keypoints=rest.soles, keypoint_joints=rest.sole_joints)


def _banded(
    normal: Normal, weight: Array, stencil_span: tuple[Array, Array], damping: float
) -> Array:
    """Lower banded storage of the frames' part."""
    num = len(normal.blocks)
    out = np.zeros((2 * NUM_DOF + 1, num * NUM_DOF))
    view = out.reshape(2 * NUM_DOF + 1, num, NUM_DOF)
    for column in range(NUM_DOF):
        view[: NUM_DOF - column, :, column] = normal.blocks[:, column:, column].T
    out[0] = out[0] * (1 + damping) + 1e-9
    if num > 1:
        row, column = np.meshgrid(LEGS, LEGS, indexing="ij")
        view[NUM_DOF + row - column, :-1, column] += np.moveaxis(normal.legs, 0, -1)
    stencil, span = stencil_span
    count = len(span)
    if count:
        view[NUM_DOF, :count] += weight * stencil[:, 0:1] * stencil[:, 1:2]
        view[NUM_DOF, 1 : count + 1] += weight * stencil[:, 1:2] * stencil[:, 2:3]
        view[2 * NUM_DOF, :count] += weight * stencil[:, 0:1] * stencil[:, 2:3]
    return out
