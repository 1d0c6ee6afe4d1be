"""Who is who from frame to frame: each person's memory, and how well a sighting continues it."""

from __future__ import annotations

from functools import cached_property

import numpy as np
from scipy.optimize import linear_sum_assignment

from body.appearance import Look, describe, difference
from body.detect import pairwise_overlap
from body.landmarks import Landmarks, Roi
from body.motion import Motion, locate, project
from recon.core.geometry import Array

STRANGERS = 0.003
"""How many others may turn up per m^3 around the place where somebody is expected."""
FARTHEST = 5.0
"""Sigmas beyond which a place tells nothing more against somebody."""
SAME_BODY, SAME_MASK = 0.55, 0.75
"""Keypoint similarity, or share of both masks, above which two sightings are one body."""
_FORESIGHT = 0.7
"""Seconds for which the region of a lost person is moved on."""
_ALIKE, _LOOK_GAIN, _LOOK_RANGE = 0.3, 14.0, (-4.0, 2.5)
"""Difference of looks that speaks neither for nor against one person, log-odds per difference,
and their bounds: others may wear the same, and the light changes. Measured between sightings of
the same and of different people in seven clips."""
_POSE_STD, _POSE_GROWTH, _POSE_SPREAD, _POSE_RANGE = 0.08, 0.5, 0.3, (-1.5, 2.0)
"""Metres (and metres per second) that landmarks of one body stray, and those of two bodies; the
log-odds' bounds, as networks err on bodies that turn over."""


class Sighting:
    """One body in one picture, with what tells it from others, found out once."""

    def __init__(self, found: Landmarks, image: np.ndarray) -> None:
        self.found = found
        self._image = image

    @cached_property
    def location(self) -> Array:
        """The mid-hip (3,) in the camera's frame, metres."""
        found = self.found
        return locate(found.keypoints_px, found.keypoint_conf, found.landmarks, self.size)

    @cached_property
    def look(self) -> Look | None:
        """What the body looks like."""
        return describe(self._image, self.found)

    @property
    def size(self) -> tuple[int, int]:
        """Width and height of the picture."""
        return self._image.shape[1], self._image.shape[0]


class Person:
    """What is remembered of one person while the video runs.

    Args:
        key: unique number, rising with first sight. sighting: the first, at `time` seconds.
    """

    def __init__(self, key: int, sighting: Sighting, time: float) -> None:
        self.key = key
        self.sighting = sighting
        self.seen = time
        self.look = sighting.look
        """Slowly updated."""
        self.motion = Motion.begin(sighting.location, time)
        self.missing = False
        """Not seen in the latest frame."""
        self.unsupported = 0
        """Detector passes in a row that found nobody there."""

    def predicted_roi(self, time: float) -> Roi:
        """Where to look for the person at `time`."""
        roi = self.sighting.found.next_roi
        return Roi(centre=roi.centre + self._shift(time), side=roi.side, angle=roi.angle)

    def predicted_box(self, time: float) -> Array:
        """The last box, moved on."""
        return self.sighting.found.box + np.tile(self._shift(time), 2)

    def _shift(self, time: float) -> Array:
        """How far (2,) px the body has gone on in the picture."""
        size = self.sighting.size
        ahead = self.motion.at(self.seen + min(time - self.seen, _FORESIGHT))
        return project(ahead.mean[:3], size) - project(self.motion.mean[:3], size)

    def update(self, sighting: Sighting, time: float, *, crowded: bool) -> None:
        """Takes in a sighting at `time`; a crowded one overlaps with somebody else."""
        self.motion = self.motion.seen(sighting.location, time, crowded=crowded)
        self.sighting, self.seen = sighting, time

    def learn_look(self, look: Look | None) -> None:
        """Takes in how the person looks now, slowly."""
        if look is not None:
            self.look = look if self.look is None else self.look.mixed(look, 0.2)


def affinity(person: Person, sighting: Sighting, time: float) -> float:
    """Log-odds that a sighting at `time` shows this person and not somebody else.

    The sum of what location, pose and look say (PHALP, Rajasegaran et al. 2022, section 3.3).
    """
    return (
        location_odds(person.motion, sighting.location, time)
        + _pose_odds(person.sighting.found.landmarks, sighting.found.landmarks, time - person.seen)
        + look_odds(person.look, sighting.look)
    )


def location_odds(motion: Motion, location: Array, time: float) -> float:
    """Log-odds by the place (3,) metres: its density for this movement over that of strangers."""
    density, squared = motion.log_likelihood(location, time)
    beyond = max(0.0, squared - FARTHEST**2) / 2
    return density + beyond - float(np.log(STRANGERS))


def look_odds(a: Look | None, b: Look | None) -> float:
    """Log-odds by the look that two sightings are one person; 0 where one is unknown."""
    unlike = difference(a, b)
    if unlike is None:
        return 0.0
    return float(np.clip(_LOOK_GAIN * (_ALIKE - unlike), *_LOOK_RANGE))


def _pose_odds(a: Array, b: Array, elapsed: float) -> float:
    """Log-odds by two poses (33, 3) metres; what they say fades within half a second.

    Distances of one body and of two are taken as normal in two dimensions.
    """
    std = min(_POSE_STD + _POSE_GROWTH * elapsed, _POSE_SPREAD)
    squared = float(((a - b) ** 2).sum(axis=1).mean())
    odds = 2 * np.log(_POSE_SPREAD / std) - squared / 2 * (std**-2 - _POSE_SPREAD**-2)
    return float(np.clip(odds, *_POSE_RANGE))


def keypoint_similarity(a: Landmarks, b: Landmarks) -> float:
    """How far two sightings show the same body, 0-1 (COCO's OKS with one tolerance for all).

    The tolerance is a tenth of the larger box's side.
    """
    size = max(_side(a.box), _side(b.box))
    weights = np.sqrt(a.keypoint_conf * b.keypoint_conf) + 1e-3
    squared = np.sum((a.keypoints_px - b.keypoints_px) ** 2, axis=1)
    return float(np.sum(weights * np.exp(-squared / (2 * (0.1 * size) ** 2))) / weights.sum())


def same_body(a: Landmarks, b: Landmarks) -> bool:
    """Whether two sightings in one picture are of one body, perhaps taken for upside down."""
    if keypoint_similarity(a, b) > SAME_BODY:
        return True
    return min(_shared(a, b), _shared(b, a)) > SAME_MASK


def _shared(a: Landmarks, b: Landmarks) -> float:
    """Share of a's mask that lies in b's, 0-1; 0 without masks."""
    if a.mask is None or b.mask is None:
        return 0.0
    step = max(1, len(a.mask) // 32)
    pixels = np.argwhere(a.mask[::step, ::step])[:, ::-1] * step + 0.5
    if not len(pixels):
        return 0.0
    T_image_a, T_image_b = a.roi.to_image(len(a.mask)), b.roi.to_image(len(b.mask))
    points = pixels @ T_image_a[:, :2].T + T_image_a[:, 2]
    x, y = np.floor((points - T_image_b[:, 2]) @ np.linalg.inv(T_image_b[:, :2]).T).astype(int).T
    inside = (x >= 0) & (y >= 0) & (x < len(b.mask)) & (y < len(b.mask))
    return float(b.mask[y[inside], x[inside]].sum() / len(pixels))


def match(cost: Array, limit: float) -> list[tuple[int, int]]:
    """Pairs (row, column) that minimise the summed cost; costs of `limit` or more never pair."""
    if cost.size == 0:
        return []
    # Beyond the limit every cost is the same, so that such pairs do not push others apart.
    rows, columns = linear_sum_assignment(np.minimum(cost, limit))
    pairs = zip(rows.tolist(), columns.tolist(), strict=True)
    return [(r, c) for r, c in pairs if cost[r, c] < limit]


def support(people_boxes: list[Array], detected_boxes: Array) -> list[tuple[int, int]]:
    """Pairs (person, detection) of boxes (4,) and (M, 4) that confirm each other."""
    if not people_boxes or not len(detected_boxes):
        return []
    iou, _ = pairwise_overlap(np.stack(people_boxes), detected_boxes)
    return match(1 - iou, 0.7)


def recognise(
    people: list[Person], sightings: list[Sighting], time: float
) -> list[tuple[int, int]]:
    """Pairs (person, sighting) that are more likely one than not, by the sum of their log-odds."""
    odds = [[affinity(p, s, time) for s in sightings] for p in people]
    return match(-np.array(odds).reshape(len(people), len(sightings)), 0.0)


def _side(box: Array) -> float:
    return float(max(box[2] - box[0], box[3] - box[1]))
