"""The root's path in the world: near its measurement, smooth, and with standing feet at rest."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import scipy.sparse
from scipy.sparse.linalg import spsolve

from recon.core.contacts import (
    REFERENCE_STEP,
    contact_probabilities,
    frame_steps,
    interval_labels,
)
from recon.core.geometry import Array

_FLOOR_STD = 0.02  # metres, a stance's height against the floor if it is on the floor
_FLOOR_KERNEL = 0.06  # beyond this a stance is on something else
_CONTACT_KERNEL = 0.06
_MAX_SLIDE = 0.25  # a contact whose foot wanders this far (standard deviation, m) is none
_UP = np.array([0.0, 0.0, 1.0])


@dataclass(frozen=True, kw_only=True)
class PathConfig:
    """How far a body may leave its measured place so that standing feet stand still.

    Args:
        lateral_std, depth_std: metres, error of a body across and along the viewing ray.
        contact_std: metres, error of a standing foot's place by its pose alone.
        lateral_acceleration, depth_acceleration: m/s^2 that a pelvis plausibly has across and
            along the viewing ray; less is smoother.
    """

    lateral_std: float = 0.015
    depth_std: float = 0.10
    contact_std: float = 0.015
    lateral_acceleration: float = 12.0
    depth_acceleration: float = 4.0


@dataclass(frozen=True, kw_only=True)
class Stances:
    """A root path and the stances found along it.

    Args:
        root: (N, 3) metres. contacts: (N, 4) probabilities.
        labels: (N, 4) index into `anchors`, -1 out of contact. anchors: (L, 3) metres.
    """

    root: Array
    contacts: Array
    labels: np.ndarray
    anchors: Array


def steady_root(
    root: Array,
    soles: Array,
    *,
    times: Array,
    centres: Array,
    trust: Array,
    config: PathConfig,
) -> Stances:
    """The most probable root path given its measurement, standing feet and smooth acceleration.

    Contacts and path are found in turn. Each path is one sparse linear least-squares problem over
    all frames and one anchor per stance, banded in time, with every term an integral over time,
    so that the result does not depend on the frame rate.

    Args:
        root: (N, 3) measured, soles: (N, 4, 3), world metres. times: (N,) seconds.
        centres: (N, 3) camera centres, world. trust: (N,) 0-1 weight of each measurement.
    """
    rays = root - centres
    rays = rays / np.maximum(np.linalg.norm(rays, axis=1, keepdims=True), 1e-9)
    offset = np.zeros_like(root)
    # At first the noise in depth hides standing feet, so motion in depth is judged leniently.
    for lenient in (True, False, False):
        contacts = contact_probabilities(
            soles + offset[:, None], times, up=_UP, rays=rays if lenient else None
        )
        contacts, labels = _without_sliding(contacts, soles + offset[:, None])
        problem = _RootProblem(
            root=root, soles=soles, times=times, rays=rays, trust=trust, contacts=contacts,
            labels=labels, config=config,
        )  # fmt: skip
        offset, anchors = problem.solve(offset)
    return Stances(
        root=root + offset, contacts=contacts, labels=labels, anchors=_above_floor(anchors)
    )


def stances_of(root: Array, soles: Array, times: Array) -> Stances:
    """The stances of a motion that is steady already: mean positions of points in contact.

    Args:
        root: (N, 3), soles: (N, 4, 3), world metres. times: (N,) seconds.
    """
    contacts, labels = _without_sliding(contact_probabilities(soles, times, up=_UP), soles)
    n, k = np.nonzero(labels >= 0)
    label, weight = labels[n, k], contacts[n, k]
    count = int(label.max()) + 1 if len(label) else 0
    share = np.bincount(label, weight, minlength=count)
    sums = [np.bincount(label, weight * soles[n, k, j], minlength=count) for j in range(3)]
    anchors = np.stack(sums, axis=1) / share[:, None]
    return Stances(root=root, contacts=contacts, labels=labels, anchors=_above_floor(anchors))


def _above_floor(anchors: Array) -> Array:
    """Anchors (L, 3) raised to z = 0, but for those so deep that the ground is not flat."""
    out = anchors.copy()
    near = anchors[:, 2] > -2 * _FLOOR_KERNEL
    out[near, 2] = np.maximum(anchors[near, 2], 0.0)
    return out


def _without_sliding(contacts: Array, soles: Array) -> tuple[Array, np.ndarray]:
    """Contacts and labels less those runs in which the foot wanders: a belt, a skate, an error."""
    labels = interval_labels(contacts)
    n, k = np.nonzero(labels >= 0)
    if len(n) == 0:
        return contacts, labels
    label, points = labels[n, k], soles[n, k]
    count = np.bincount(label)
    mean = np.stack([np.bincount(label, points[:, j]) for j in range(3)], axis=1) / count[:, None]
    spread = np.sqrt(np.bincount(label, np.sum((points - mean[label]) ** 2, axis=1)) / count)
    bad = np.zeros(labels.shape, bool)
    bad[n, k] = (spread > _MAX_SLIDE)[label]
    contacts = np.where(bad, np.minimum(contacts, 0.5), contacts)
    return contacts, interval_labels(contacts)


@dataclass(frozen=True, kw_only=True)
class _RootProblem:
    """Unknowns: an offset (N, 3) of the root, and an anchor (L, 3) per stance."""

    root: Array
    soles: Array
    times: Array
    rays: Array
    trust: Array
    contacts: Array
    labels: np.ndarray
    config: PathConfig

    def solve(self, offset: Array) -> tuple[Array, Array]:
        """Offset and anchors, reweighted (Geman-McClure) from a first guess of the offset."""
        n, k = np.nonzero(self.labels >= 0)
        label = self.labels[n, k]
        num_frames, num_anchors = len(self.root), int(label.max()) + 1 if len(label) else 0
        fixed = [self._data_rows(), self._smoothness_rows()]
        points = self.soles[n, k]
        anchors = _interval_medians(points + offset[n], label, num_anchors)
        shares = np.minimum(frame_steps(self.times)[n] / REFERENCE_STEP, 3) * self.contacts[n, k]
        for _ in range(4):
            slide = np.linalg.norm(points + offset[n] - anchors[label], axis=1)
            root_weight = np.sqrt(shares) / self.config.contact_std
            root_weight /= 1 + (slide / _CONTACT_KERNEL) ** 2
            floor = 1 / (1 + (anchors[:, 2] / _FLOOR_KERNEL) ** 2) / _FLOOR_STD
            rows = [
                *fixed,
                _contact_rows(n, label, root_weight, points, num_frames=num_frames),
                _floor_rows(floor, num_frames=num_frames),
            ]
            solution = _least_squares(rows, 3 * (num_frames + num_anchors))
            offset, anchors = solution[:num_frames], solution[num_frames:]
        return offset, anchors

    def _data_rows(self) -> _Rows:
        """Offset over its expected error: tight across the ray, loose along it."""
        c = self.config
        weight = np.sqrt(self.trust * frame_steps(self.times) / REFERENCE_STEP)
        blocks = weight[:, None, None] * _by_ray(self.rays, 1 / c.lateral_std, 1 / c.depth_std)
        frames = np.arange(len(self.root))
        return _block_rows([(frames, blocks)], np.zeros((len(frames), 3)))

    def _smoothness_rows(self) -> _Rows:
        """Acceleration of the corrected root over what is plausible."""
        c = self.config
        if len(self.root) < 3:
            return _block_rows([], np.zeros((0, 3)))
        h1, h2 = np.diff(self.times)[:-1], np.diff(self.times)[1:]
        weight = np.sqrt(0.5 * (h1 + h2) / REFERENCE_STEP)
        turn = _by_ray(self.rays[1:-1], 1 / c.lateral_acceleration, 1 / c.depth_acceleration)
        scales = (2 / (h1 * (h1 + h2)), -2 / (h1 * h2), 2 / (h2 * (h1 + h2)))
        middle = np.arange(1, len(self.root) - 1)
        blocks = [
            (middle + k - 1, (weight * scale)[:, None, None] * turn)
            for k, scale in enumerate(scales)
        ]
        measured = sum(np.einsum("nij,nj->ni", b, self.root[i]) for i, b in blocks)
        return _block_rows(blocks, -np.asarray(measured))


_Rows = tuple[np.ndarray, np.ndarray, Array, Array]
"""Sparse rows of a least-squares problem: row, column and value of entries; right-hand side."""


def _by_ray(rays: Array, across: float, along: float) -> Array:
    """Symmetric matrices (N, 3, 3) with eigenvalue `along` on the ray and `across` beside it."""
    outer = rays[:, :, None] * rays[:, None, :]
    return across * (np.eye(3) - outer) + along * outer


def _block_rows(blocks: Sequence[tuple[np.ndarray, Array]], target: Array) -> _Rows:
    """Rows sum_b block_b x[index_b] = target from (index (M,), block (M, 3, 3)) pairs."""
    m = len(target)
    row = np.broadcast_to(3 * np.arange(m)[:, None, None] + np.arange(3)[:, None], (m, 3, 3))
    rows = [row.ravel() for _ in blocks]
    columns = [
        np.broadcast_to(3 * index[:, None, None] + np.arange(3), (m, 3, 3)).ravel()
        for index, _ in blocks
    ]
    values = [block.ravel() for _, block in blocks]
    empty = np.zeros(0, dtype=int)
    return (
        np.concatenate([empty, *rows]),
        np.concatenate([empty, *columns]),
        np.concatenate([np.zeros(0), *values]),
        target.ravel(),
    )


def _contact_rows(
    frames: np.ndarray, labels: np.ndarray, weight: Array, points: Array, *, num_frames: int
) -> _Rows:
    """Rows weight (offset[frame] + point - anchor[label]) = 0."""
    blocks = weight[:, None, None] * np.eye(3)
    return _block_rows(
        [(frames, blocks), (num_frames + labels, -blocks)], -weight[:, None] * points
    )


def _floor_rows(weight: Array, *, num_frames: int) -> _Rows:
    """Rows weight anchor.z = 0."""
    count = np.arange(len(weight))
    return count, 3 * (num_frames + count) + 2, weight, np.zeros(len(weight))


def _least_squares(parts: list[_Rows], size: int) -> Array:
    """The solution (size / 3, 3) of stacked sparse rows by the normal equations."""
    starts = np.concatenate([[0], np.cumsum([len(p[3]) for p in parts])])
    row = np.concatenate([p[0] + start for p, start in zip(parts, starts[:-1], strict=True)])
    column, value, target = (np.concatenate([p[i] for p in parts]) for i in (1, 2, 3))
    J = scipy.sparse.csr_matrix((value, (row, column)), shape=(len(target), size))
    H = (J.T @ J + 1e-9 * scipy.sparse.identity(size)).tocsc()
    solution: Any = spsolve(H, J.T @ target, permc_spec="MMD_AT_PLUS_A")
    return solution.reshape(-1, 3)


def _interval_medians(points: Array, label: np.ndarray, count: int) -> Array:
    """Median position (L, 3) of the points (M, 3) of every label."""
    groups = [points[label == k] for k in range(count)]
    return np.array([np.median(g, axis=0) for g in groups]).reshape(-1, 3)
