"""What somebody looks like: colours of head, torso and legs, and how alike two looks are."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from scipy.ndimage import convolve1d

from body.landmarks import Landmarks
from recon.core.geometry import Array

BANDS = ("head", "torso", "legs")
_PATCH = 64
"""Side of the picture of a person that is looked at, pixels."""
_BINS = (8, 9, 9)
_LOW, _HIGH = np.array([0.0, 88.0, 88.0]), np.array([256.0, 168.0, 168.0])
"""Range of OpenCV's 8-bit Lab that the bins divide; stronger colours fall into the last bins."""
_SOFT = np.array([1, 4, 6, 4, 1]) / 16
"""What a bin shares with its neighbours: a little more light is not another shirt."""
_FEW = 12
"""A band with fewer pixels was not seen."""
_SKELETON: tuple[tuple[tuple[int, int], ...], ...] = (
    ((0, 7), (0, 8), (7, 8)),
    ((11, 12), (23, 24), (11, 23), (12, 24), (11, 24), (12, 23)),
    ((23, 25), (25, 27), (24, 26), (26, 28)),
    ((13, 15), (14, 16), (15, 19), (16, 20)),
)
"""Bones (BlazePose keypoints) of the bands, then of what belongs to none: forearms and hands."""


@dataclass(frozen=True, kw_only=True)
class Look:
    """Colours of one person.

    Args:
        colours: (3, 648) per band, each summing to 1, or to 0 where it was not seen.
        seen: (3,) share of the person's pixels in each band, 0-1.
    """

    colours: Array
    seen: Array

    def mixed(self, other: Look, share: float) -> Look:
        """This look with a `share` (0-1) of another; a band that one lacks is the other's."""
        ours, theirs = self.seen > 0, other.seen > 0
        w = np.where(ours & theirs, share, np.where(theirs, 1.0, 0.0))[:, None]
        return Look(
            colours=(1 - w) * self.colours + w * other.colours,
            seen=(1 - w[:, 0]) * self.seen + w[:, 0] * other.seen,
        )


def describe(image: np.ndarray, found: Landmarks) -> Look | None:
    """The look of a sighting; None where too little of the person is in the picture.

    Pixels of the person's mask count for the bone they are nearest to, so that the bands stay
    with the body in any attitude.

    Args:
        image: (H, W, 3) uint8 RGB.
    """
    T_image_crop = found.roi.to_image(_PATCH)
    linear, offset = T_image_crop[:, :2], T_image_crop[:, 2]
    pixels = _person_pixels(found.mask)
    height, width = image.shape[:2]
    at = (pixels + 0.5) @ linear.T + offset
    pixels = pixels[((at >= 0) & (at < [width, height])).all(axis=1)]
    if len(pixels) < 3 * _FEW:
        return None
    keypoints = (found.keypoints_px - offset) @ np.linalg.inv(linear).T
    band = _nearest_band(pixels + 0.5, keypoints)
    patch = cv2.cvtColor(found.roi.crop(image, _PATCH), cv2.COLOR_RGB2LAB)
    values = patch[pixels[:, 1], pixels[:, 0]]
    counts = np.array([(band == k).sum() for k in range(len(BANDS))])
    colours = np.stack([
        _histogram(values[band == k]) if counts[k] >= _FEW else np.zeros(int(np.prod(_BINS)))
        for k in range(len(BANDS))
    ])  # fmt: skip
    if not colours.any():
        return None
    return Look(colours=colours, seen=np.where(counts >= _FEW, counts, 0) / len(pixels))


def difference(a: Look | None, b: Look | None) -> float | None:
    """How unlike two looks are, 0-1; None where they have no band in common.

    The Hellinger distance of the colours in the bands that both show, each by the pixels it had.
    """
    if a is None or b is None:
        return None
    weights = np.minimum(a.seen, b.seen)
    if weights.sum() == 0:
        return None
    alike = np.sqrt(a.colours * b.colours).sum(axis=1)
    return float(np.sqrt(max(0.0, (1 - alike) @ weights / weights.sum())))


def _person_pixels(mask: np.ndarray) -> np.ndarray:
    """Pixels (N, 2) int x, y of the patch that lie well within the mask."""
    eroded = cv2.erode(mask.astype(np.uint8), np.ones((3, 3), np.uint8))
    small = cv2.resize(eroded, (_PATCH, _PATCH), interpolation=cv2.INTER_NEAREST)
    return np.argwhere(small)[:, ::-1]


def _nearest_band(points: Array, keypoints: Array) -> np.ndarray:
    """Index (N,) of the band whose bones each point (N, 2) is nearest to; 3 is none of them."""
    along = np.linspace(0, 1, 5)[:, None]
    samples, owner = [], []
    for band, bones in enumerate(_SKELETON):
        for a, b in bones:
            samples.append(keypoints[a] + along * (keypoints[b] - keypoints[a]))
            owner += [band] * len(along)
    flat = np.concatenate(samples)
    squared = (points**2).sum(axis=1)[:, None] - 2 * points @ flat.T + (flat**2).sum(axis=1)
    return np.array(owner)[squared.argmin(axis=1)]


def _histogram(values: np.ndarray) -> Array:
    """Colours (N, 3) uint8 Lab counted in bins that share with their neighbours, summing to 1."""
    scaled = (values - _LOW) / (_HIGH - _LOW) * _BINS
    index = np.clip(scaled.astype(int), 0, np.array(_BINS) - 1)
    flat = np.ravel_multi_index(tuple(index.T), _BINS)
    counts = np.bincount(flat, minlength=int(np.prod(_BINS))).reshape(_BINS).astype(float)
    for axis in range(3):
        counts = convolve1d(counts, _SOFT, axis=axis, mode="nearest")
    return counts.ravel() / counts.sum()
