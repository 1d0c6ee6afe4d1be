"""Depth against noise in two views: does anything in view move as only depth explains?"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

HOMOGRAPHY_PX, MIN_NOISE_PX = 2.0, 0.01

# Where nothing in view has depth, a median distance in the plane is a fixed multiple of the median
# distance to the epipolar lines, whatever the noise: 2.5 for Gaussian noise (Rayleigh's median
# times the root of 2, over the half-normal's). Rendered clips: 2.5-4.0 without depth, 5-11 with.
NOISE_RATIO = 4.5


@dataclass(frozen=True, kw_only=True)
class TwoViews:
    """How a homography and an epipolar geometry explain two views; as in WindowEvidence."""

    homography: float
    noise_px: float
    depth_ratio: float


def two_views(a: np.ndarray, b: np.ndarray) -> TwoViews:
    """A homography against a fundamental matrix, both by least median of squares.

    Args:
        a, b: (N, 2) matching px, N >= 8.
    Source: Sampson's distance as in Hartley and Zisserman 2004, section 11.4.3; the comparison of
        the two models after Torr et al. 1999, The problem of degeneracy in structure and motion.
    """
    matrix, _ = cv2.findHomography(a, b, cv2.LMEDS)
    fundamental, _ = cv2.findFundamentalMat(a, b, cv2.FM_LMEDS)
    if matrix is None or fundamental is None:  # points on one line show no depth
        return TwoViews(homography=1.0, noise_px=MIN_NOISE_PX, depth_ratio=1.0)
    plane, epipolar = _transfer(matrix, a, b), _sampson(fundamental[:3], a, b)
    # Few points: the best of many matrices fits their noise as well (Rousseeuw and Leroy 1987).
    noise = max(float(np.median(epipolar)) * (1 + 5 / (len(a) - 7)), MIN_NOISE_PX)
    explained = max(int((epipolar < HOMOGRAPHY_PX).sum()), 1)
    return TwoViews(
        homography=min(1.0, float((plane < HOMOGRAPHY_PX).sum()) / explained),
        noise_px=noise,
        depth_ratio=float(np.median(plane)) / noise,
    )


def _transfer(homography: np.ndarray, a: np.ndarray, b: np.ndarray) -> np.ndarray:
    moved = cv2.perspectiveTransform(a[:, None].astype(float), homography)[:, 0]
    return np.linalg.norm(moved - b, axis=1)


def _sampson(fundamental: np.ndarray, a: np.ndarray, b: np.ndarray) -> np.ndarray:
    a1, b1 = cv2.convertPointsToHomogeneous(a)[:, 0], cv2.convertPointsToHomogeneous(b)[:, 0]
    lines_b, lines_a = a1 @ fundamental.T, b1 @ fundamental
    slope = np.hypot(np.linalg.norm(lines_b[:, :2], axis=1), np.linalg.norm(lines_a[:, :2], axis=1))
    return np.abs((b1 * lines_b).sum(axis=1)) / np.maximum(slope, 1e-12)
