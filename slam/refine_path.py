"""Poses of the frames that see few known points, from these and from how the camera moves."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.linalg import solveh_banded

from recon.core.camera import Intrinsics
from recon.core.geometry import Array, make_transform, matrix_to_rotvec, rotvec_to_matrix
from slam.resection import INLIER_PX, FrameMatches

FEW_POINTS = 30
# A frame whose pose is this much less certain than the median one counts as having few points:
# many of them in one corner tell less than a handful all over the picture.
FEW_STD_RATIO = 3.0
MIN_WELL_TRACKED = 10
MAX_BRIDGE_SECONDS, MIN_SEEN = 0.5, 4
# Of the typical pose's information, what holds a pose near its start: lines of points leave it
# free to slide.
ANCHOR = 1e-6
ITERATIONS = 5
KERNEL_STDS = 3.0
MIN_NOISE_PX = 1e-4
# Of the observed change of velocity, at least this share is taken for motion and not for noise.
MIN_MOTION_SHARE = 0.1
CHI2_3_TENTH = 6.251  # a tenth of the sums of three unit Gaussians' squares lie above


@dataclass(frozen=True, kw_only=True)
class RefinedPath:
    """The path, and what was done to it.

    Args:
        Ts_map_camera: (T, 4, 4). few: (T,) bool, the frames with few points.
        moved: (T,) distance in map units. turned: (T,) radians.
    """

    Ts_map_camera: Array
    few: np.ndarray
    moved: Array
    turned: Array


def refine_path(
    Ts_map_camera: Array,
    matches: Sequence[FrameMatches],
    *,
    held: np.ndarray,
    times: Array,
    intrinsics: Intrinsics,
) -> RefinedPath:
    """The path of one shot with the poses of frames that have few points estimated anew.

    All poses together are explained by reprojection errors and by a velocity that changes as a
    random walk, whose strength the well-tracked frames tell (their own noise taken off). Only the
    poses of frames with few points are taken over: elsewhere the points know better than the
    prior. Frames without points are bridged, over at most half a second; where too few frames are
    well tracked to tell how the camera moves, nothing changes.

    Args:
        Ts_map_camera: (T, 4, 4) from resection, interpolated where that failed.
        matches: of every frame. held: (T,) bool, keyframes, whose poses are bundled.
        times: (T,) increasing seconds. intrinsics: for the matches' pictures.
    Source: Gauss-Newton with Cauchy weights; white noise on acceleration as in Barfoot 2024, State
        Estimation for Robotics, section 11.1, with SO(3) x R3 increments in the map's axes.
    """
    start = Ts_map_camera
    looks = [_reprojection(T, m, intrinsics) for T, m in zip(start, matches, strict=True)]
    counts = np.array([int((np.linalg.norm(r, axis=1) < INLIER_PX).sum()) for r, _ in looks])
    enough = counts >= FEW_POINTS
    if enough.sum() < MIN_WELL_TRACKED:
        return _compare(start, start, few=~enough & ~held)
    noise_px = max(float(np.median([_spread(looks[i][0]) for i in np.flatnonzero(enough)])),
                   MIN_NOISE_PX)  # fmt: skip
    information = np.stack([_normal_equations(*look, noise_px)[0] for look in looks])
    variances = np.full((len(start), 2), np.inf)
    variances[enough] = _variances(information[enough])
    typical = np.median(variances[enough], axis=0)
    well = enough & np.all(variances < FEW_STD_RATIO**2 * typical, axis=1)
    few = ~well & ~held
    information[held] += np.diag(np.repeat(1 / typical, 3))  # the bundle knew more than the tracks
    variances[held] = np.minimum(variances[held], typical)
    prior = _Prior.learn(start, times, variances=variances, known=well | held)
    if not few.any() or prior is None:
        return _compare(start, start, few=few)
    linked = _linked(np.array([len(m.points_px) >= MIN_SEEN for m in matches]) | held, times)
    information[~linked] = 0
    poses = _solve(start, matches, information, free=few & linked, prior=prior,
                   anchor=np.diag(np.repeat(ANCHOR / typical, 3)), noise_px=noise_px,
                   intrinsics=intrinsics)  # fmt: skip
    return _compare(start, poses, few=few)


def _compare(start: Array, poses: Array, *, few: np.ndarray) -> RefinedPath:
    change = _difference(start, poses)
    return RefinedPath(
        Ts_map_camera=poses, few=few, moved=np.linalg.norm(change[:, :3], axis=1),
        turned=np.linalg.norm(change[:, 3:], axis=1),
    )  # fmt: skip


def _solve(
    start: Array,
    matches: Sequence[FrameMatches],
    information: Array,
    *,
    free: np.ndarray,
    prior: _Prior,
    anchor: Array,
    noise_px: float,
    intrinsics: Intrinsics,
) -> Array:
    """Poses (T, 4, 4), those of the free frames solved for and all others as at the start.

    The others take part as measured poses with their points' information (T, 6, 6): velocities
    come from many of them and not from the last two.
    """
    poses, information = start, information.copy()
    used = free | information.any(axis=(1, 2))
    information[~used] = np.eye(6)
    for _ in range(ITERATIONS):
        to_start = _difference(poses, start)
        gradient = np.einsum("tij,tj->ti", information, to_start)
        for i in np.flatnonzero(free).tolist():
            residual, jacobian = _reprojection(poses[i], matches[i], intrinsics)
            # Points that disagree with the map are trusted as little as they agree.
            noise = max(noise_px, _spread(residual))
            seen, pull = _normal_equations(residual, jacobian, noise)
            information[i], gradient[i] = seen + anchor, pull + anchor @ to_start[i]
        bands, pull = prior.equations(poses, used=used)
        for k in range(6):
            bands[: 6 - k, :, k] += information[:, k:, k].T
        step = solveh_banded(
            bands.reshape(len(bands), -1), (gradient + pull).ravel(), lower=True,
            overwrite_ab=True, overwrite_b=True,
        ).reshape(-1, 6)  # fmt: skip
        poses = _moved(poses, step)
    return np.where(free[:, None, None], poses, start)


@dataclass(frozen=True, kw_only=True)
class _Prior:
    """A velocity that walks at random.

    Args:
        times: (T,). rate: (2,) variance of each axis's change of velocity per second, of the
            centre (map units) and of the rotation (radians).
    """

    times: Array
    rate: Array

    @classmethod
    def learn(
        cls, poses: Array, times: Array, *, variances: Array, known: np.ndarray
    ) -> _Prior | None:
        """From three known frames in a row each, their poses' variances (T, 2) taken off."""
        triples = known[:-2] & known[1:-1] & known[2:]
        if triples.sum() < MIN_WELL_TRACKED:
            return None
        weights, seconds = _stencil(times)
        change = _velocity_changes(poses, times)[triples]
        noise = sum(weights[:, k, None] ** 2 * variances[k : len(times) - 2 + k] for k in range(3))
        noise = np.median((noise / seconds[:, None])[triples], axis=0)
        squares = (change.reshape(-1, 2, 3) ** 2).sum(axis=2) / seconds[triples, None]
        # Motion comes in jerks: as wide a Gaussian as has their tenth above the same value.
        observed = np.quantile(squares, 0.9, axis=0) / CHI2_3_TENTH
        rate = np.maximum(observed - noise, MIN_MOTION_SHARE * observed)
        return cls(times=times, rate=np.maximum(rate, 1e-12))

    def equations(self, poses: Array, *, used: np.ndarray) -> tuple[Array, Array]:
        """Lower bands (13, T, 6) of the normal matrix, and the pull (T, 6), for a `_moved` step.

        Increments are small: the derivative of their logarithm is taken for the identity.
        """
        num_frames = len(poses)
        weights, seconds = _stencil(self.times)
        trust = np.repeat(1 / self.rate, 3) / seconds[:, None]
        trust *= (used[:-2] & used[1:-1] & used[2:])[:, None]
        weighted = trust * _velocity_changes(poses, self.times)
        bands, pull = np.zeros((13, num_frames, 6)), np.zeros((num_frames, 6))
        for a in range(3):
            rows = slice(a, num_frames - 2 + a)
            pull[rows] -= weights[:, a, None] * weighted
            for b in range(a, 3):
                bands[6 * (b - a), rows] += (weights[:, a] * weights[:, b])[:, None] * trust
        return bands, pull


def _stencil(times: Array) -> tuple[Array, Array]:
    """Weights (T - 2, 3) of three poses in the change of velocity, and seconds it took."""
    gaps = np.diff(times)
    before, after = 1 / gaps[:-1], 1 / gaps[1:]
    return np.stack([before, -before - after, after], axis=1), (gaps[:-1] + gaps[1:]) / 2


def _velocity_changes(poses: Array, times: Array) -> Array:
    """Changes (T - 2, 6) of the centre's velocity and of the turning rate, in the map's axes."""
    return np.diff(_difference(poses[:-1], poses[1:]) / np.diff(times)[:, None], axis=0)


def _difference(start: Array, end: Array) -> Array:
    """Steps (..., 6) with `_moved(start, step) == end`: centre, then rotation vector."""
    turn = matrix_to_rotvec(end[..., :3, :3] @ np.swapaxes(start[..., :3, :3], -1, -2))
    return np.concatenate([end[..., :3, 3] - start[..., :3, 3], turn], axis=-1)


def _moved(poses: Array, steps: Array) -> Array:
    return make_transform(
        rotvec_to_matrix(steps[..., 3:]) @ poses[..., :3, :3], poses[..., :3, 3] + steps[..., :3]
    )


def _reprojection(
    T_map_camera: Array, match: FrameMatches, camera: Intrinsics
) -> tuple[Array, Array]:
    """Residuals (N, 2) px, seen less predicted, of points in front; how predictions follow a
    `_moved` step, (N, 2, 6)."""
    rotation, centre = T_map_camera[:3, :3], T_map_camera[:3, 3]
    offset = match.points_map - centre
    p = offset @ rotation
    front = p[:, 2] > 1e-3
    offset, p = offset[front], p[front]
    by_point = np.zeros((len(p), 2, 3))
    by_point[:, 0, 0], by_point[:, 1, 1] = camera.fx / p[:, 2], camera.fy / p[:, 2]
    by_point[:, :, 2] = -p[:, :2] * [camera.fx, camera.fy] / p[:, 2:] ** 2
    by_map = by_point @ rotation.T
    jacobian = np.concatenate([-by_map, np.cross(by_map, offset[:, None])], axis=2)
    return match.points_px[front] - camera.project(p), jacobian


def _normal_equations(residual: Array, jacobian: Array, noise_px: float) -> tuple[Array, Array]:
    """Information (6, 6) and gradient (6,) with Cauchy weights."""
    scaled = (residual**2).sum(axis=1) / (KERNEL_STDS * noise_px) ** 2
    weight = np.repeat(1 / (noise_px**2 * (1 + scaled)), 2)[:, None]
    flat = jacobian.reshape(-1, 6)
    return flat.T @ (weight * flat), (weight * flat).T @ residual.ravel()


def _spread(residual: Array) -> float:
    """Standard deviation per axis, px, of residuals (N, 2), from the median distance."""
    if len(residual) == 0:
        return 0.0
    return float(np.median(np.linalg.norm(residual, axis=1)) / np.sqrt(2 * np.log(2)))


def _variances(information: Array) -> Array:
    """Mean variance (T, 2) of a centre's and a rotation's axis, from (T, 6, 6)."""
    # Points on one line do not fix a pose: very uncertain, not an error.
    fixed = information * (1 + 1e-9 * np.eye(6))
    diagonal = np.diagonal(np.linalg.inv(fixed), axis1=1, axis2=2)
    return diagonal.reshape(-1, 2, 3).mean(axis=2)


def _linked(seen: np.ndarray, times: Array) -> np.ndarray:
    """Frames (T,) that the prior joins to others: not in long runs that see nothing, and not
    alone between two of them."""
    usable = seen.copy()
    edges = np.flatnonzero(np.diff(np.concatenate([[0], (~seen).astype(int), [0]])))
    for start, end in edges.reshape(-1, 2).tolist():
        seconds = times[min(end, len(times) - 1)] - times[max(start - 1, 0)]
        usable[start:end] = seconds <= MAX_BRIDGE_SECONDS
    triples = usable[:-2] & usable[1:-1] & usable[2:]
    out = np.zeros(len(seen), bool)
    for k in range(3):
        out[k : len(seen) - 2 + k] |= triples
    return out
