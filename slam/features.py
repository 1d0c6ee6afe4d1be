"""What two keyframes have in common: KLT points they share, and SIFT matches."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np

from slam.tracks import BackgroundTracks, Keyframe

# SIFT first doubles the picture. KLT already follows its finest detail from frame to frame, and
# what distant views share is coarser, so a smaller picture finds as good loops at half the cost.
SIFT_SIDE, MAX_SIFT = 400, 800
SIFT_RATIO = 0.8
LOOP_DISTANCE, LOOP_CANDIDATES, LOOPS_PER_KEYFRAME = 8, 60, 2
LOOP_DESCRIPTORS, LOOP_MATCHES = 150, 12


@dataclass(frozen=True, kw_only=True)
class KeyframeFeatures:
    """Points of one keyframe: first the tracked ones, then SIFT.

    Args:
        track_ids: (N,) int32 of the first N points. points: (N + M, 2) px, first pixel centre
            at (0.5, 0.5). descriptors: (M, 128) unit RootSIFT, strongest first.
        colors: (N + M, 3) uint8 RGB.
    """

    track_ids: np.ndarray
    points: np.ndarray
    descriptors: np.ndarray
    colors: np.ndarray


def describe(tracks: BackgroundTracks, keyframe: Keyframe) -> KeyframeFeatures:
    """The features of a keyframe's background.

    Source: Lowe 2004 (SIFT); Arandjelović and Zisserman 2012 (RootSIFT).
    """
    image = keyframe.image()
    sift_points, descriptors = _sift(image, keyframe.background(*image.shape[:2]))
    points = np.concatenate([tracks.points[keyframe.index], sift_points])
    x, y = np.clip(points.astype(int), 0, [tracks.width - 1, tracks.height - 1]).T
    return KeyframeFeatures(
        track_ids=tracks.ids[keyframe.index],
        points=points,
        descriptors=descriptors,
        colors=image[y, x],
    )


def _sift(image: np.ndarray, background: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Pixels (M, 2) of `image` and RootSIFT (M, 128), strongest first."""
    height, width = background.shape
    scale = min(1.0, SIFT_SIDE / max(width, height))
    size = round(width * scale), round(height * scale)
    gray = cv2.resize(cv2.cvtColor(image, cv2.COLOR_RGB2GRAY), size, interpolation=cv2.INTER_AREA)
    free = cv2.resize(background.astype(np.uint8), size, interpolation=cv2.INTER_NEAREST)
    found, raw = cv2.SIFT.create(MAX_SIFT, contrastThreshold=0.02).detectAndCompute(gray, free)
    if raw is None:
        raw = np.zeros((0, 128), np.float32)
    strongest = sorted(range(len(found)), key=lambda k: -found[k].response)
    found, raw = [found[k] for k in strongest], raw[strongest]
    points = np.array([p.pt for p in found], np.float32).reshape(-1, 2) + np.float32(0.5)
    enlarge = np.array([width / size[0], height / size[1]], np.float32)
    return points * enlarge, np.sqrt(raw / np.maximum(raw.sum(axis=1, keepdims=True), 1e-9))


def loop_pairs(features: Sequence[KeyframeFeatures]) -> list[tuple[int, int]]:
    """Pairs of distant keyframes that probably show the same place, each with the earlier first.

    Their strongest descriptors are compared; of long clips a spread of the earlier keyframes, so
    that the cost grows with the clip's length and not with its square.
    """
    pairs = []
    for b in range(LOOP_DISTANCE, len(features)):
        candidates = np.unique(np.linspace(0, b - LOOP_DISTANCE, LOOP_CANDIDATES).astype(int))
        strong = features[b].descriptors[:LOOP_DESCRIPTORS]
        scores = np.array(
            [
                len(_match_descriptors(features[a].descriptors[:LOOP_DESCRIPTORS], strong))
                for a in candidates
            ]
        )
        best = np.argsort(-scores, kind="stable")[:LOOPS_PER_KEYFRAME]
        pairs += [(int(candidates[k]), b) for k in best if scores[k] >= LOOP_MATCHES]
    return pairs


def match(a: KeyframeFeatures, b: KeyframeFeatures) -> np.ndarray:
    """Matching indices (K, 2) into the points of a and b, unverified."""
    _, in_a, in_b = np.intersect1d(
        a.track_ids, b.track_ids, assume_unique=True, return_indices=True
    )
    tracked = np.stack([in_a, in_b], axis=1)
    sift = _match_descriptors(a.descriptors, b.descriptors)
    return np.concatenate([tracked, sift + np.array([len(a.track_ids), len(b.track_ids)])])


def _match_descriptors(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Mutual nearest neighbours (K, 2) that are clearly nearer than the second (ratio test)."""
    if min(len(a), len(b)) < 2:
        return np.zeros((0, 2), int)
    similarity = a @ b.T
    rows = np.arange(len(a))
    best = similarity.argmax(axis=1)
    first = similarity[rows, best]
    mutual = similarity.argmax(axis=0)[best] == rows
    similarity[rows, best] = -1
    second = similarity.max(axis=1)
    clear = 1 - first < SIFT_RATIO**2 * (1 - second)  # |x - y|^2 = 2 - 2 x·y for unit vectors
    keep = mutual & clear
    return np.stack([rows[keep], best[keep]], axis=1)
