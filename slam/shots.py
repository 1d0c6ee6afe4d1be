"""Cuts between shots, and how sharp each picture is."""

from __future__ import annotations

import cv2
import numpy as np

from recon.core.geometry import Array

CUT_SURVIVAL = 0.25
"""Below this share of followed points the view has jumped: a cut, a flash, or heavy blur."""

# From the study in benchmarks.camera: distances across cuts 0.3-1, within shots under 0.15 but for
# flashes. A cut between two views of one room changes the colours least; there the points decide.
_CUT_DISTANCE, _CUT_DISTANCE_LONE = 0.5, 0.12
_CALM_SURVIVAL = 0.5
_MIN_SHOT_SECONDS, _MIN_SHOT_FRAMES = 0.3, 5
_BLURRED = 0.35
_THUMB = (80, 60)


class FrameLook:
    """Colours and sharpness of each picture's background, compared with the one before."""

    def __init__(self) -> None:
        self.histogram: np.ndarray | None = None

    def step(
        self, image: np.ndarray, gray: np.ndarray, mask: np.ndarray | None
    ) -> tuple[float, float]:
        """Colour distance to the last picture, 0-1 (Hellinger), and sharpness.

        Sharpness is the Laplacian's variance over the picture's (Pech-Pacheco et al. 2000), so
        that exposure cancels; it compares pictures of one shot only.

        Args:
            image: (H, W, 3) uint8 RGB. gray: (H, W). mask: people, (H, W) bool, or None.
        """
        free = np.full(gray.shape, 255, np.uint8) if mask is None else 255 * (~mask).astype("u1")
        thumb = cv2.resize(image, _THUMB, interpolation=cv2.INTER_AREA)
        # Relative to the mean: a change of exposure is no change of scene.
        level = max(float(thumb.mean()), 1.0)
        thumb = cv2.convertScaleAbs(thumb, alpha=100 / level)
        small_free = cv2.resize(free, _THUMB, interpolation=cv2.INTER_NEAREST)
        bins, ranges = [6, 6, 6], [0, 256] * 3
        histogram = cv2.calcHist([thumb], [0, 1, 2], small_free, bins, ranges)
        # Neighbouring bins share, so that a change of exposure does not empty one into the next.
        histogram = _blur3(histogram / max(float(histogram.sum()), 1.0))
        previous, self.histogram = self.histogram, histogram
        distance = 0.0
        if previous is not None:
            common = float(np.sqrt(np.maximum(previous * histogram, 0)).sum())
            distance = float(np.sqrt(max(0.0, 1 - common)))
        if not free.any():
            return distance, 0.0
        edges, contrast = (
            float(cv2.meanStdDev(values, mask=free)[1][0, 0]) ** 2
            for values in (cv2.Laplacian(gray, cv2.CV_16S), gray)
        )
        return distance, edges / max(contrast, 1.0)


def find_shots(looks: Array, times: Array) -> list[tuple[int, int]]:
    """Shots of the clip, (first frame, one past the last), in order; a clip without cuts is one.

    A cut loses nearly all points at once and changes the colours; a fast pan loses points for
    many frames. A flash parts the clip, since no point is followed through it, but is no shot of
    its own. Dissolves are not seen.

    Args:
        looks: (T, 3): survival of points, colour distance, sharpness. times: (T,) seconds.
    """
    survival, distance = looks[:, 0], looks[:, 1]
    starts = [0]
    for i in np.flatnonzero(survival < CUT_SURVIVAL).tolist():
        around = np.concatenate([survival[max(i - 2, 1) : i], survival[i + 1 : i + 3]])
        alone = len(around) > 0 and around.min() > _CALM_SURVIVAL
        if distance[i] > _CUT_DISTANCE or (alone and distance[i] > _CUT_DISTANCE_LONE):
            starts.append(i)
    ends = [*starts[1:], len(times)]
    return _long_enough(list(zip(starts, ends, strict=True)), times)


def blurred_frames(looks: Array) -> np.ndarray:
    """(T,) bool: frames far less sharp than the median of the second around them."""
    sharpness = looks[:, 2]
    reach = 15
    around = [
        np.median(sharpness[max(0, i - reach) : i + reach + 1]) for i in range(len(sharpness))
    ]
    return sharpness < _BLURRED * np.array(around)


def followed_points(looks: Array) -> dict[str, list[int] | list[float]]:
    """Share of the points followed forward and back into each frame, for the report.

    At most 400 frames: of longer clips each stretch's worst.
    """
    survival = looks[:, 0]
    stretches = np.array_split(np.arange(len(survival)), min(400, len(survival)))
    worst = [int(frames[np.argmin(survival[frames])]) for frames in stretches]
    return {"frame": worst, "share": [round(float(survival[i]), 3) for i in worst]}


def _blur3(histogram: np.ndarray) -> np.ndarray:
    for axis in range(3):
        padded = np.pad(histogram, [(1, 1) if a == axis else (0, 0) for a in range(3)])
        n = histogram.shape[axis]
        take = [np.take(padded, range(k, k + n), axis=axis) for k in range(3)]
        histogram = 0.25 * take[0] + 0.5 * take[1] + 0.25 * take[2]
    return histogram / max(float(histogram.sum()), 1e-12)


def _long_enough(shots: list[tuple[int, int]], times: Array) -> list[tuple[int, int]]:
    """Shots with the flashes among them joined to the shot before (the first to the next)."""
    out: list[tuple[int, int]] = []
    for start, end in shots:
        if out and (_is_short((start, end), times) or _is_short(out[-1], times)):
            out[-1] = (out[-1][0], end)
        else:
            out.append((start, end))
    return out


def _is_short(shot: tuple[int, int], times: Array) -> bool:
    start, end = shot
    last = times[min(end, len(times) - 1)]
    return end - start < _MIN_SHOT_FRAMES or bool(last - times[start] < _MIN_SHOT_SECONDS)
