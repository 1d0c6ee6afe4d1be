"""Metres per slam unit, from feet that stand still while the camera moves."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.stats import norm
from scipy.stats import t as student

from recon.core.camera import CameraTrajectory
from recon.core.contacts import (
    DEPTH_NOISE_RATIO,
    REFERENCE_STEP,
    contact_probabilities,
    frame_steps,
    interval_labels,
    trimmed,
)
from recon.core.geometry import Array
from recon.core.people import PersonEvidence

LATERAL_STD = 0.015
"""Metres, noise of a sole point across the viewing ray; DEPTH_NOISE_RATIO times that along it."""

KERNEL = 3.0
"""Geman-McClure scale in standard deviations."""

MAX_LOG_STD = 0.25
"""A stance scale less certain than this counts as not observed."""

_LAG_SECONDS = 0.15  # the grid compares foot positions this far apart: within one stance
_CLUSTER_SECONDS = 0.5  # errors of one step are one piece of evidence, however many its frames
_MIN_CLUSTERS = 3
_SPEED_WINDOW = 0.08  # seconds; feet not yet steadied are noisy
_CHI2_MEDIAN = 2.37  # of three degrees of freedom
_TWO_SIGMA = 0.977
_MAX_FEEDBACK = 0.75
_ROLLING_SECONDS = 0.03  # at both ends of a contact the foot comes down or leaves


@dataclass(frozen=True, kw_only=True)
class ScaleEstimate:
    """Metres per slam unit, its standard deviation in log scale, and how it was found."""

    source: str
    scale: float
    log_std: float


@dataclass(frozen=True, kw_only=True)
class SlamFeet:
    """One person's sole points seen from the moving camera, in the axes of the slam frame.

    Args:
        offsets: (N, 4, 3) metres, camera centre to sole points. centres: (N, 3) slam units.
        rays: (N, 3) unit viewing rays. times: (N,) seconds. weights: (N,) 0-1.
    """

    offsets: Array
    centres: Array
    rays: Array
    times: Array
    weights: Array

    @property
    def precisions(self) -> Array:
        """Inverse covariances (N, 3, 3) of a sole point, 1/m^2: depth is the noisy direction."""
        along = self.rays[:, :, None] * self.rays[:, None, :]
        return (np.eye(3) - (1 - DEPTH_NOISE_RATIO**-2) * along) / LATERAL_STD**2

    def positions(self, scale: float) -> Array:
        """Metric sole positions (N, 4, 3) in slam axes, for `scale` metres per slam unit."""
        return self.offsets + scale * self.centres[:, None]

    def contacts(self, scale: float, up: Array) -> Array:
        """Contact probabilities (N, 4) at this scale, zero where the body is not trusted."""
        found = contact_probabilities(
            self.positions(scale), self.times, up=up, rays=self.rays, window=_SPEED_WINDOW
        )
        return found * (self.weights > 0)[:, None]


def slam_feet(camera: CameraTrajectory, person: PersonEvidence, times: Array) -> SlamFeet:
    """The sole points of one person turned into slam axes; `times` (T,) of all video frames."""
    Ts = camera.Ts_slam_camera[person.frame_idx]
    R = Ts[:, :3, :3]
    offsets = np.einsum("nij,nkj->nki", R, person.soles_camera)
    rays = np.einsum("nij,nj->ni", R, person.soles_camera.mean(axis=1))
    return SlamFeet(
        offsets=offsets,
        centres=Ts[:, :3, 3],
        rays=rays / np.linalg.norm(rays, axis=-1, keepdims=True),
        times=np.asarray(times, dtype=float)[person.frame_idx],
        weights=person.weights,
    )


def stance_scale(feet: list[SlamFeet], up: Array) -> ScaleEstimate | None:
    """The scale at which standing feet stand still, or None where the motion cannot tell.

    A foot at offset y_t from a camera at c_t is at x_t = y_t + s c_t, constant in each stance:
    linear least squares for s over all stances of all people, reweighted (Geman-McClure). A
    coarse grid over log s comes first, because which foot stands depends on s in turn.

    Args:
        feet: one per person. up: (3,) unit, slam axes.
    """
    scale = _grid_scale(feet, up)
    if scale is None:
        return None
    log_std = np.inf
    for _ in range(6):
        solved = _solve_at(feet, scale, up)
        if solved is None:
            return None
        previous, (scale, std) = scale, solved
        log_std = std / scale
        if abs(np.log(scale / previous)) < 1e-9:
            break
    log_std *= _selection_factor(feet, scale, up=up, width=log_std)
    if log_std > MAX_LOG_STD:
        return None
    return ScaleEstimate(source="standing feet", scale=float(scale), log_std=float(log_std))


def _solve_at(feet: list[SlamFeet], scale: float, up: Array) -> tuple[float, float] | None:
    """Scale and its standard deviation from the feet that stand still if `scale` is true."""
    samples = _stance_samples(feet, [f.contacts(scale, up) for f in feet])
    solved = None if samples is None else samples.solve(scale)
    return None if solved is None or solved[0] <= 0 else solved


def _selection_factor(feet: list[SlamFeet], scale: float, *, up: Array, width: float) -> float:
    """By how much the choice of contacts widens the spread of the scale, at least 1.

    The answer is a fixed point s = F(s): the contacts at s give F(s) back. An error e of F at
    fixed contacts becomes e / (1 - F'(s)), because the contacts follow the error. F' is taken
    from the answers at the scale a standard deviation above and below.
    """
    step = float(np.clip(width, 0.02, 0.2))
    ends = [_solve_at(feet, scale * np.exp(d), up) for d in (-step, step)]
    if ends[0] is None or ends[1] is None:
        return 1 / (1 - _MAX_FEEDBACK)
    feedback = np.log(ends[1][0] / ends[0][0]) / (2 * step)
    return float(1 / (1 - np.clip(feedback, 0.0, _MAX_FEEDBACK)))


def _grid_scale(feet: list[SlamFeet], up: Array) -> float | None:
    """The scale on a log grid that leaves the lowest feet most still over a short lag."""
    steps, moves, precisions, weights = [], [], [], []
    for f in feet:
        j = np.searchsorted(f.times, f.times + _LAG_SECONDS)
        i = np.flatnonzero(j < len(f.times))
        j = j[i]
        height = f.offsets @ up
        low = np.exp(-(height - height.min(axis=1, keepdims=True)) / 0.05)
        steps.append((f.offsets[j] - f.offsets[i]).reshape(-1, 3))
        moves.append(np.repeat(f.centres[j] - f.centres[i], 4, axis=0))
        precisions.append(np.repeat(f.precisions[i] / 2, 4, axis=0))
        trust = (f.weights[i] * f.weights[j] * frame_steps(f.times)[i])[:, None]
        weights.append((low[i] * low[j] * trust).ravel())
    dy, dc = np.concatenate(steps), np.concatenate(moves)
    precision, weight = np.concatenate(precisions), np.concatenate(weights)
    size_y, size_c = np.median(np.linalg.norm(dy, axis=1)), np.mean(np.linalg.norm(dc, axis=1))
    if len(dy) == 0 or not weight.sum() > 0 or not size_c > 1e-12 or not size_y > 0:
        return None
    grid = size_y / size_c * np.geomspace(1 / 50, 50, 160)
    yy, yc, cc = (
        np.einsum("mi,mij,mj->m", a, precision, b) for a, b in ((dy, dy), (dy, dc), (dc, dc))
    )
    costs = []
    for s in grid:
        r2 = yy + 2 * s * yc + s**2 * cc
        costs.append(np.sum(weight * r2 / (r2 + KERNEL**2)))
    return float(grid[int(np.argmin(costs))])


@dataclass(frozen=True, kw_only=True)
class _Stances:
    """All sole points in contact: M samples in `labels.max() + 1` stance intervals."""

    offsets: Array
    centres: Array
    precisions: Array
    weights: Array
    labels: np.ndarray
    clusters: np.ndarray

    def solve(self, scale: float) -> tuple[float, float] | None:
        """Scale and its standard deviation, starting the reweighting at `scale`.

        The deviation is the larger of the model's (inverse curvature) and the cluster-robust
        one, which does not believe that the frames of one step err independently.
        """
        weights, clusters = self.weights, int(self.clusters.max()) + 1
        if clusters < _MIN_CLUSTERS:
            return None
        r, c, r2, curvature, kernel2 = self.offsets, self.centres, weights, 0.0, KERNEL**2
        for _ in range(30):
            y, c = self._centred(self.offsets, weights), self._centred(self.centres, weights)
            curvature = float(weights @ self._dot(c, c))
            if not curvature > 0:
                return None
            previous, scale = scale, -float(weights @ self._dot(c, y)) / curvature
            r = y + scale * c
            r2 = self._dot(r, r)
            # The kernel follows the noise there is: too narrow, it picks what fits by chance.
            kernel2 = KERNEL**2 * max(0.03, float(np.median(r2)) / _CHI2_MEDIAN)
            weights = self.weights / (1 + r2 / kernel2) ** 2
            if abs(scale - previous) < 1e-9 * abs(scale):
                break
        pull = self._dot(c, r)
        # The kernel bends the cost: its second derivative is below the weighted sum of squares.
        bent = float(weights @ (self._dot(c, c) - 4 * pull**2 / (kernel2 + r2)))
        if not bent > 0.1 * curvature:
            return None
        scores, share = (
            np.bincount(self.clusters, weights * x, minlength=clusters).astype(float)
            for x in (pull, self._dot(c, c))
        )
        return scale, float(max(_jackknife(scores, share / curvature) / bent, bent**-0.5))

    def _dot(self, a: Array, b: Array) -> Array:
        """Products (M,) of vectors (M, 3) in units of their errors."""
        return np.einsum("mi,mij,mj->m", a, self.precisions, b)

    def _centred(self, points: Array, weights: Array) -> Array:
        """Points (M, 3) minus the precision-weighted mean of their interval."""
        count = int(self.labels.max()) + 1
        W = weights[:, None, None] * self.precisions
        A, b = np.zeros((count, 3, 3)), np.zeros((count, 3))
        np.add.at(A, self.labels, W)
        np.add.at(b, self.labels, np.einsum("mij,mj->mi", W, points))
        trace = np.trace(A, axis1=1, axis2=2)[:, None, None]
        A += (1e-9 * trace + 1e-12) * np.eye(3)
        return points - np.linalg.solve(A, b[..., None])[self.labels, :, 0]


def _jackknife(scores: Array, share: Array) -> float:
    """Standard deviation of the sum of clusters' scores (C,), honest for a dozen clusters.

    Leaving clusters out in turn (CR3) makes up for what each took from its own residual; Student's
    t, with the degrees of freedom of the clusters that carry the answer, for how few they are.

    Args:
        share: (C,) of the curvature, sums to one.
    """
    spread = np.sqrt(np.sum((scores / np.maximum(1 - share, 0.5)) ** 2))
    freedom = max(1 / float(np.sum(share**2)) - 1, 1.0)
    return float(spread * student.ppf(_TWO_SIGMA, freedom) / norm.ppf(_TWO_SIGMA))


def _stance_samples(feet: list[SlamFeet], contacts: list[Array]) -> _Stances | None:
    """The samples in contact of all people; None if nobody's foot stands long enough."""
    parts, base, cluster_base = [], 0, 0
    for f, contact in zip(feet, contacts, strict=True):
        labels = trimmed(interval_labels(contact), f.times, seconds=_ROLLING_SECONDS)
        n, k = np.nonzero(labels >= 0)
        if len(n) == 0:
            continue
        label = labels[n, k]
        start = np.full(label.max() + 1, np.inf)
        np.minimum.at(start, label, f.times[n])
        # Heel and toe of one step, and both feet at once, share their errors.
        cluster = ((start[label] - f.times[0]) / _CLUSTER_SECONDS).astype(int)
        steps = np.minimum(frame_steps(f.times) / REFERENCE_STEP, 3)
        weight = contact[n, k] * (f.weights * steps)[n]
        parts.append((f.offsets[n, k], f.centres[n], f.precisions[n], weight, label + base,
                      cluster + cluster_base))  # fmt: skip
        base += int(label.max()) + 1
        cluster_base += int(cluster.max()) + 1
    if not parts:
        return None
    names = ("offsets", "centres", "precisions", "weights", "labels", "clusters")
    joined = dict(zip(names, (np.concatenate(p) for p in zip(*parts, strict=True)), strict=True))
    joined["clusters"] = np.unique(joined["clusters"], return_inverse=True)[1]
    return _Stances(**joined)
