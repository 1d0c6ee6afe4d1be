"""Contacts with the ground: how many were found, and how far feet are from it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from recon.core.geometry import Array
from recon.motion.clip import Box

SINK = 0.15
"""Metres below its top to which a box still bears a foot that has sunk into it."""


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


def ground_height(points: Array, boxes: Sequence[Box] = ()) -> Array:
    """Height (...) in metres of what lies below points (..., 3): the floor z = 0 or a box's top.

    A box counts where a point is above it, or at most SINK below its top: one that is deeper
    inside came from its side.
    """
    out = np.zeros(points.shape[:-1])
    for box in boxes:
        offset = box.local(points)
        half = box.size / 2
        over = np.all(np.abs(offset[..., :2]) <= half[:2], axis=-1) & (
            offset[..., 2] >= half[2] - SINK
        )
        top = float(box.center[2] + half[2])
        out = np.where(over, np.maximum(out, top), out)
    return out


def penetration(points: Array, ground: Array | float = 0.0) -> Array:
    """Metres (T,) that the deepest of the points (T, P, 3) is inside the ground; 0 outside it.

    Source: "Penetrate" of PhysDiff (Yuan et al. 2023, section 4), which takes the lowest vertex
    of the mesh and the floor.

    Args:
        ground: (T, P) metres, the height of what is below each point.
    """
    return np.maximum(ground - points[..., 2], 0).max(axis=1)


def floating(points: Array, ground: Array | float = 0.0) -> Array:
    """Metres (T,) between the ground and the lowest of the points (T, P, 3); 0 where it is inside.

    Source: "Float" of PhysDiff (Yuan et al. 2023, section 4).

    Args:
        ground: (T, P) metres, the height of what is below each point.
    """
    return np.maximum((points[..., 2] - ground).min(axis=1), 0)


def _share(part: int, whole: int) -> float:
    return part / whole if whole else float("nan")
