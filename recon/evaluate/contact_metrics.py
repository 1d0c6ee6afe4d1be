"""Contacts with the ground: how many were found, and how far feet are from it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from recon.core.checks import check_array
from recon.core.geometry import Array


@dataclass(frozen=True, kw_only=True)
class ContactScore:
    """Counts of contact labels; the scores are NaN where nothing can be divided by."""

    true_positives: int
    false_positives: int
    false_negatives: int

    @property
    def precision(self) -> float:
        """Share of the predicted contacts that are true."""
        return _share(self.true_positives, self.true_positives + self.false_positives)

    @property
    def recall(self) -> float:
        """Share of the true contacts that were predicted."""
        return _share(self.true_positives, self.true_positives + self.false_negatives)

    @property
    def f1(self) -> float:
        """Harmonic mean of precision and recall."""
        wrong = self.false_positives + self.false_negatives
        return _share(2 * self.true_positives, 2 * self.true_positives + wrong)

    def __add__(self, other: ContactScore) -> ContactScore:
        return ContactScore(
            true_positives=self.true_positives + other.true_positives,
            false_positives=self.false_positives + other.false_positives,
            false_negatives=self.false_negatives + other.false_negatives,
        )


def contact_score(predicted: Array, truth: Array, *, threshold: float = 0.5) -> ContactScore:
    """Counts over contact probabilities of any one shape, as RICH's BSTRO counts vertices."""
    found, there = predicted > threshold, truth > threshold
    return ContactScore(
        true_positives=int(np.sum(found & there)),
        false_positives=int(np.sum(found & ~there)),
        false_negatives=int(np.sum(~found & there)),
    )


def contacts_by_step(points: Array, *, threshold: float) -> Array:
    """Contacts (T, P), 0 or 1, of points (T, P, 3) that move less than `threshold` metres a frame.

    The rule of foot sliding (WHAM `compute_foot_sliding`), for truths without contacts of their
    own; a frame's step is the one that leads to the next frame, the last frame's the one before.
    """
    steps = np.linalg.norm(np.diff(points, axis=0), axis=-1)
    steps = np.concatenate([steps, steps[-1:]]) if len(steps) else np.zeros(points.shape[:2])
    return (steps < threshold).astype(float)


@dataclass(frozen=True, kw_only=True)
class Ground:
    """What one can stand on: the floor z = 0, and upright boxes on it.

    Args:
        centers: (B, 2) metres, x and y of the boxes. half_sizes: (B, 2) metres, half their extent
            along their own x and y. yaws: (B,) radians about z. tops: (B,) metres, height.
    """

    centers: Array
    half_sizes: Array
    yaws: Array
    tops: Array

    def __post_init__(self) -> None:
        count = len(self.tops)
        check_array("centers", self.centers, (count, 2))
        check_array("half_sizes", self.half_sizes, (count, 2))
        check_array("yaws", self.yaws, (count,))
        check_array("tops", self.tops, (count,))

    def height(self, points: Array, *, reach: float = 0.15) -> Array:
        """Height (...) of what lies below points (..., 3): the floor or a box's top.

        A box counts where a point is above it, or inside it at most `reach` metres below its top:
        a foot deeper inside came from its side.
        """
        out = np.zeros(points.shape[:-1])
        for center, half, yaw, top in zip(
            self.centers, self.half_sizes, self.yaws, self.tops, strict=True
        ):
            offset = points[..., :2] - center
            cos, sin = np.cos(yaw), np.sin(yaw)
            own = offset @ np.array([[cos, -sin], [sin, cos]])
            over = np.all(np.abs(own) <= half, axis=-1) & (points[..., 2] >= top - reach)
            out = np.where(over & (top > out), top, out)
        return out


FLOOR = Ground(
    centers=np.zeros((0, 2)), half_sizes=np.zeros((0, 2)), yaws=np.zeros(0), tops=np.zeros(0)
)
"""The bare floor."""


def penetration(points: Array, ground: Ground = FLOOR) -> Array:
    """Metres (T,) that the deepest of the points (T, P, 3) is inside the ground; 0 outside it.

    Source: "Penetrate" of PhysDiff (Yuan et al. 2023, section 4), which takes the lowest vertex
    of the mesh and the floor.
    """
    return np.maximum(-_clearance(points, ground), 0).max(axis=1)


def floating(points: Array, ground: Ground = FLOOR) -> Array:
    """Metres (T,) between the ground and the lowest of the points (T, P, 3); 0 where it is inside.

    Source: "Float" of PhysDiff (Yuan et al. 2023, section 4).
    """
    return np.maximum(_clearance(points, ground).min(axis=1), 0)


def _clearance(points: Array, ground: Ground) -> Array:
    return points[..., 2] - ground.height(points)


def _share(part: int, whole: int) -> float:
    return part / whole if whole else float("nan")
