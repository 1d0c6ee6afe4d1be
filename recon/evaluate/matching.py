"""Which frames and which people of two recordings belong together."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from recon.core.errors import InputError
from recon.core.geometry import Array
from recon.evaluate.recording import RecordedPerson, Recording

NEAR = 0.3
"""Two people are in the same place where their joints are on average nearer than this share of
the true person's height in the picture."""


@dataclass(frozen=True, kw_only=True)
class FrameMatch:
    """Frames of the same moment: indices into the times of both recordings, each (M,)."""

    predicted: np.ndarray
    truth: np.ndarray


@dataclass(frozen=True, kw_only=True)
class PersonMatch:
    """One true person and whom it was found as.

    Args:
        predicted_rows, truth_rows: (K,) rows of both people in the frames that they share and
            that the truth vouches for. frames: (K,) indices into the truth's times. place: (K,) of
            these frames among all that both recordings share, so that gaps can be told.
        num_near: frames in which the two were in the same place.
        coverage: those as a share of the true person's valid frames.
    """

    predicted: RecordedPerson
    truth: RecordedPerson
    predicted_rows: np.ndarray
    truth_rows: np.ndarray
    frames: np.ndarray
    place: np.ndarray
    num_near: int
    coverage: float


def match_frames(predicted: Array, truth: Array, *, tolerance: float | None = None) -> FrameMatch:
    """Pairs of frames that are each other's nearest in time.

    Args:
        predicted, truth: increasing seconds. tolerance: seconds; by default half a frame of the
            truth.
    Raises:
        InputError: no frame has a partner.
    """
    step = float(np.median(np.diff(truth))) if len(truth) > 1 else 1 / 30
    tolerance = 0.5 * step if tolerance is None else tolerance
    forth, back = _nearest(truth, predicted), _nearest(predicted, truth)
    rows = np.arange(len(truth))
    keep = (back[forth] == rows) & (np.abs(predicted[forth] - truth) <= tolerance + 1e-9)
    if not keep.any():
        raise InputError(
            f"expected frames of the same moments, got {predicted[0]:.3f}-{predicted[-1]:.3f} s "
            f"and {truth[0]:.3f}-{truth[-1]:.3f} s with none within {tolerance:.3f} s; "
            "give results of the same clip, or a larger --tolerance"
        )
    return FrameMatch(predicted=forth[keep], truth=rows[keep])


def _nearest(times: Array, others: Array) -> np.ndarray:
    """For each of `times` the index of the nearest of `others`."""
    right = np.clip(np.searchsorted(others, times), 1, max(1, len(others) - 1))
    left = right - 1
    right = np.minimum(right, len(others) - 1)
    return np.where(np.abs(others[right] - times) < np.abs(others[left] - times), right, left)


def match_people(
    predicted: Recording, truth: Recording, frames: FrameMatch
) -> tuple[list[PersonMatch], str | None]:
    """One found person for every true one that was found, and how it was told, if not by place.

    People are paired so that they are as long and as closely as possible in the same place of the
    picture (Hungarian algorithm, as IDF1 does). Where both recordings hold one person, the two
    are taken as the same even if their places never agree, or nobody knows them.

    Raises:
        InputError: there are several people and no cameras.
    """
    shared = [[_shared(p, t, frames) for p in predicted.people] for t in truth.people]
    single = len(predicted.people) == len(truth.people) == 1
    if predicted.camera is None or truth.camera is None:
        if not single:
            raise InputError(
                "expected a camera in both to tell several people apart, got none; "
                "give one person each (recon tracks --keep)"
            )
        near = [[np.ones(len(shared[0][0][0]))]]
        note = "both have one person: taken as the same"
    else:
        near = [
            [_nearness(predicted, truth, p, t, both) for p, both in zip(
                predicted.people, row, strict=True)]
            for t, row in zip(truth.people, shared, strict=True)
        ]  # fmt: skip
        note = None
    pairs = _assign(np.array([[n.sum() for n in row] for row in near], ndmin=2))
    if single and not pairs and len(shared[0][0][0]):
        pairs = [(0, 0)]
        note = "both have one person: taken as the same, though never in one place of the picture"
    matches = []
    for k, j in pairs:
        found, true = predicted.people[j], truth.people[k]
        rows, true_rows = shared[k][j]
        total = np.count_nonzero(true.valid & np.isin(true.frame_idx, frames.truth))
        together = int(np.count_nonzero(near[k][j]))
        matches.append(
            PersonMatch(
                predicted=found, truth=true, predicted_rows=rows, truth_rows=true_rows,
                frames=true.frame_idx[true_rows],
                place=np.searchsorted(frames.truth, true.frame_idx[true_rows]),
                num_near=together, coverage=together / total,
            )
        )  # fmt: skip
    return matches, note


def _assign(scores: np.ndarray) -> list[tuple[int, int]]:
    """Pairs (row, column) with the greatest sum, those without any score left out."""
    from scipy.optimize import linear_sum_assignment

    if scores.size == 0:
        return []
    rows, columns = linear_sum_assignment(-scores)
    return [(int(k), int(j)) for k, j in zip(rows, columns, strict=True) if scores[k, j] > 0]


def _shared(
    predicted: RecordedPerson, truth: RecordedPerson, frames: FrameMatch
) -> tuple[np.ndarray, np.ndarray]:
    """Rows of both people in the frames that match and that the truth vouches for."""
    true_row = {int(f): k for k, f in enumerate(truth.frame_idx) if truth.valid[k]}
    row = {int(f): k for k, f in enumerate(predicted.frame_idx)}
    both = [
        (row[int(p)], true_row[int(t)])
        for p, t in zip(frames.predicted, frames.truth, strict=True)
        if int(p) in row and int(t) in true_row
    ]
    array = np.array(both, int).reshape(-1, 2)
    return array[:, 0], array[:, 1]


def _nearness(
    predicted: Recording, truth: Recording, person: RecordedPerson, true: RecordedPerson,
    rows: tuple[np.ndarray, np.ndarray],
) -> Array:  # fmt: skip
    """How well each shared frame has the two in one place of the picture: 1 exactly, 0 apart."""
    found, there = pixels(predicted, person)[rows[0]], pixels(truth, true)[rows[1]]
    assert predicted.camera is not None and truth.camera is not None
    found = found * truth.camera.intrinsics.width / predicted.camera.intrinsics.width
    height = np.ptp(there[..., 1], axis=1)
    distance = np.linalg.norm(found - there, axis=-1).mean(axis=1)
    return np.maximum(1 - distance / (NEAR * np.maximum(height, 1.0)), 0)


def pixels(recording: Recording, person: RecordedPerson) -> Array:
    """The body joints (N, 22, 2) in the recording's own pixels."""
    assert recording.camera is not None and person.joints_camera is not None
    joints = person.joints_camera.copy()
    joints[..., 2] = np.maximum(joints[..., 2], 1e-2)  # behind the camera: far outside the picture
    return recording.camera.intrinsics.project(joints)
