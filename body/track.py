"""Who is who from frame to frame: each person's memory, and matching new sightings to it."""

from __future__ import annotations

from dataclasses import dataclass, field

import cv2
import numpy as np
from scipy.ndimage import convolve1d
from scipy.optimize import linear_sum_assignment

from body.detect import pairwise_overlap
from body.landmarks import Landmarks, Roi
from recon.core.geometry import Array

_HUE_BINS, _SATURATION_BINS, _VALUE_BINS = 18, 6, 8
_VELOCITY_MEMORY = 0.25
"""Seconds over which a person's image velocity is averaged."""
_FORESIGHT = 0.7
"""Seconds that a lost person is taken to go on at the last velocity."""


def torso_histogram(image: np.ndarray, keypoints_px: Array) -> np.ndarray | None:
    """Colours of the clothes on the chest, (864,) summing to 1; None outside the picture.

    Args:
        image: (H, W, 3) uint8 RGB. keypoints_px: (33, 2).
    """
    shoulders, hips = keypoints_px[[11, 12]], keypoints_px[[23, 24]]
    down = hips.mean(axis=0) - shoulders.mean(axis=0)
    length = float(np.hypot(*down))
    centre = (hips.mean(axis=0) + shoulders.mean(axis=0)) / 2
    if length < 4 or (centre < 0).any() or (centre >= image.shape[1::-1]).any():
        return None
    # A person seen from the side has a thin torso: give it some width.
    width = max(0.35 * length, 0.7 * float(np.hypot(*(shoulders[0] - shoulders[1]))))
    across = np.array([down[1], -down[0]]) * (width / length)
    columns, rows = 24, 32
    linear = np.column_stack([across / columns, 0.9 * down / rows])
    offset = centre - linear @ [columns / 2 - 0.5, rows / 2 - 0.5] - 0.5
    flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
    patch = cv2.warpAffine(
        image, np.column_stack([linear, offset]), (columns, rows), flags=flags,
        borderMode=cv2.BORDER_REPLICATE,
    )  # fmt: skip
    hue, saturation, value = np.moveaxis(cv2.cvtColor(patch, cv2.COLOR_RGB2HSV).astype(int), -1, 0)
    # The hue of grey is noise: unsaturated pixels count by their brightness alone.
    h = np.where(saturation < 40, 0, hue * _HUE_BINS // 180)
    s = saturation * _SATURATION_BINS // 256
    v = value * _VALUE_BINS // 256
    shape = (_HUE_BINS, _SATURATION_BINS, _VALUE_BINS)
    index = np.ravel_multi_index((h, s, v), shape)
    counts = np.bincount(index.ravel(), minlength=int(np.prod(shape))).reshape(shape).astype(float)
    # Neighbouring bins share, so that a little more light is not another shirt.
    for axis, mode in enumerate(("wrap", "nearest", "nearest")):
        counts = convolve1d(counts, [0.25, 0.5, 0.25], axis=axis, mode=mode)
    return counts.ravel() / counts.sum()


def histogram_distance(a: np.ndarray | None, b: np.ndarray | None) -> float:
    """Hellinger distance, 0 for equal and 1 for disjoint colours; 0.5 where one is unknown."""
    if a is None or b is None:
        return 0.5
    return float(np.sqrt(max(0.0, 1 - np.sqrt(a * b).sum())))


def keypoint_similarity(a: Landmarks, b: Landmarks) -> float:
    """How far two sightings show the same body, 0-1 (COCO's OKS with one tolerance for all).

    The tolerance is a tenth of the larger box's side.
    """
    size = max(_side(a.box), _side(b.box))
    weights = np.sqrt(a.keypoint_conf * b.keypoint_conf) + 1e-3
    squared = np.sum((a.keypoints_px - b.keypoints_px) ** 2, axis=1)
    return float(np.sum(weights * np.exp(-squared / (2 * (0.1 * size) ** 2))) / weights.sum())


def match(cost: Array, limit: float) -> list[tuple[int, int]]:
    """Pairs (row, column) that minimise the summed cost; costs of `limit` or more never pair."""
    if cost.size == 0:
        return []
    # Beyond the limit every cost is the same, so that such pairs do not push others apart.
    rows, columns = linear_sum_assignment(np.minimum(cost, limit))
    pairs = zip(rows.tolist(), columns.tolist(), strict=True)
    return [(r, c) for r, c in pairs if cost[r, c] < limit]


@dataclass
class Person:
    """What is remembered of one person while the video runs.

    Args:
        key: unique number, rising with first sight. landmarks: the latest sighting.
        seen: its time, seconds. colours: torso histogram, slowly updated.
        velocity: (2,) px per second of the region's centre.
        missing: not seen in the latest frame. unsupported: detector passes in a row that
            found nobody there.
    """

    key: int
    landmarks: Landmarks
    seen: float
    colours: np.ndarray | None = None
    velocity: Array = field(default_factory=lambda: np.zeros(2))
    missing: bool = False
    unsupported: int = 0

    def predicted_centre(self, time: float) -> Array:
        """Where the region's centre (2,) px should be at `time`."""
        return self.landmarks.next_roi.centre + self.velocity * min(time - self.seen, _FORESIGHT)

    def predicted_roi(self, time: float) -> Roi:
        """Where to look for the person at `time`."""
        roi = self.landmarks.next_roi
        return Roi(centre=self.predicted_centre(time), side=roi.side, angle=roi.angle)

    def predicted_box(self, time: float) -> Array:
        """The last box, moved on at the last velocity."""
        shift = self.velocity * min(time - self.seen, _FORESIGHT)
        return self.landmarks.box + np.tile(shift, 2)

    def update(self, found: Landmarks, time: float) -> None:
        """Takes in a sighting at `time`."""
        dt = time - self.seen
        if dt > 0:
            measured = (found.next_roi.centre - self.landmarks.next_roi.centre) / dt
            self.velocity = self.velocity + min(1.0, dt / _VELOCITY_MEMORY) * (
                measured - self.velocity
            )
        self.landmarks, self.seen = found, time

    def learn_colours(self, colours: np.ndarray | None) -> None:
        """Takes in the torso's colours, slowly."""
        if colours is not None:
            self.colours = colours if self.colours is None else 0.8 * self.colours + 0.2 * colours


def support(people_boxes: list[Array], detected_boxes: Array) -> list[tuple[int, int]]:
    """Pairs (person, detection) of boxes (4,) and (M, 4) that confirm each other."""
    if not people_boxes or not len(detected_boxes):
        return []
    iou, _ = pairwise_overlap(np.stack(people_boxes), detected_boxes)
    return match(1 - iou, 0.7)


def reidentify(
    lost: list[Person], found: list[Landmarks], colours: list[np.ndarray | None], time: float
) -> list[tuple[int, int]]:
    """Pairs (lost person, sighting): near enough to be reached, of like size and colours."""
    cost = np.full((len(lost), len(found)), np.inf)
    for i, person in enumerate(lost):
        for j, sighting in enumerate(found):
            cost[i, j] = _reunion_cost(person, sighting, colours[j], time)
    return match(cost, 2.0)


def _reunion_cost(
    person: Person, sighting: Landmarks, colours: np.ndarray | None, time: float
) -> float:
    size = max(person.landmarks.roi.side, sighting.roi.side) / 1.4  # about the body's height
    reach = size * min(0.5 + 1.2 * (time - person.seen), 2.5)
    centre = sighting.next_roi.centre
    strayed = float(np.hypot(*(centre - person.predicted_centre(time)))) / reach
    # The last velocity may be that of a body half hidden: the last place limits it.
    moved = float(np.hypot(*(centre - person.landmarks.next_roi.centre))) / reach
    growth = abs(np.log(sighting.next_roi.side / person.landmarks.next_roi.side))
    unlike = histogram_distance(person.colours, colours)
    if max(strayed, moved) > 1 or growth > np.log(1.8) or unlike > 0.6:
        return np.inf
    return min(strayed, moved) + 0.5 * growth + 2 * unlike


def _side(box: Array) -> float:
    return float(max(box[2] - box[0], box[3] - box[1]))
