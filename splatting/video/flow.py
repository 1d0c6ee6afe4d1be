"""Optical flow between the pictures of a clip, what of it can be trusted, and chains of it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np

from recon.core.geometry import Array

GAPS = (1, 4)
ROUND_TRIP_PX, ROUND_TRIP_SHARE = 0.7, 0.03
"""The flow there and back must end this near to where it began: px, and share of its length."""

BRIGHTNESS_STEP, BREAK_SHARE = 30.0, 0.5
"""Levels of 255 by which what moves may change; share of the usual that is still no cut."""


@dataclass(frozen=True, kw_only=True)
class Flow:
    """Where the pixels of one picture are in another.

    Args:
        moved: (H, W, 2) float16 px. sure: (H, W) bool, there and back agree and end in view.
    """

    moved: np.ndarray
    sure: np.ndarray


def clip_flow(images: np.ndarray, gaps: Sequence[int] = GAPS) -> dict[tuple[int, int], Flow]:
    """Flow (from, to) between pictures so many apart, both ways.

    Dense inverse search (Kroeger et al. 2016), OpenCV's medium preset down to single pixels.

    Args:
        images: (T, H, W, 3) uint8 RGB.
    """
    greys = [np.asarray(cv2.cvtColor(image, cv2.COLOR_RGB2GRAY)) for image in images]
    dis = cv2.DISOpticalFlow.create(cv2.DISOPTICAL_FLOW_PRESET_MEDIUM)
    dis.setFinestScale(0)
    out = {}
    for gap in gaps:
        for a in range(len(greys) - gap):
            b = a + gap
            there = np.asarray(dis.calc(greys[a], greys[b], None))  # type: ignore[call-overload]
            back = np.asarray(dis.calc(greys[b], greys[a], None))  # type: ignore[call-overload]
            for key, one, other in (((a, b), there, back), ((b, a), back, there)):
                sure = consistent(one, other) & alike(greys[key[0]], greys[key[1]], one)
                out[key] = Flow(moved=one.astype(np.float16), sure=sure)
    return out


def breaks(flows: dict[tuple[int, int], Flow]) -> list[int]:
    """Pictures of which far less than of others is found again in the next: cuts, most of all."""
    shares = {a: float(flow.sure.mean()) for (a, b), flow in flows.items() if b == a + 1}
    usual = float(np.median(list(shares.values())))
    return [a for a, share in shares.items() if share < BREAK_SHARE * usual]


def alike(here: np.ndarray, there: np.ndarray, moved: np.ndarray) -> np.ndarray:
    """(H, W) bool: a grey picture's pixels are about as bright where they went."""
    height, width = here.shape
    y, x = np.mgrid[:height, :width] + 0.5
    ends = (np.stack((x, y), axis=-1) + moved).reshape(-1, 2)
    return np.abs(sample(there, ends).reshape(here.shape) - here) < BRIGHTNESS_STEP


def consistent(there: np.ndarray, back: np.ndarray) -> np.ndarray:
    """(H, W) bool: the way back from where a pixel went ends where it began, within the picture.

    Args:
        there, back: (H, W, 2) px. As in Sundaram et al. 2010.
    """
    height, width = there.shape[:2]
    y, x = np.mgrid[:height, :width] + 0.5
    ends = np.stack((x, y), axis=-1) + there
    returned = sample(back, ends.reshape(-1, 2)).reshape(there.shape)
    error = np.linalg.norm(there + returned, axis=-1)
    allowed = ROUND_TRIP_PX + ROUND_TRIP_SHARE * np.linalg.norm(there, axis=-1)
    return (error < allowed) & inside(ends, width=width, height=height)


def inside(points_px: Array, *, width: int, height: int) -> np.ndarray:
    """(...) bool: the points (..., 2) lie in the picture."""
    return np.all((points_px > 0) & (points_px < (width, height)), axis=-1)


def sample(field: np.ndarray, points_px: np.ndarray, *, nearest: bool = False) -> np.ndarray:
    """A picture (H, W) or (H, W, C), float32, at points (N, 2) whose first pixel is at 0.5, 0.5."""
    at = (np.asarray(points_px) - 0.5).astype(np.float32)
    kind = cv2.INTER_NEAREST if nearest else cv2.INTER_LINEAR
    field = np.asarray(field, np.float32)
    if len(at) == 0:
        return np.zeros((0, *field.shape[2:]), np.float32)
    # Pictures of less than 2^15 rows; and OpenCV 5.0 misreads x and y in one array.
    blocks = [
        cv2.remap(field, block[:, :1], block[:, 1:], kind, borderMode=cv2.BORDER_REPLICATE)
        for block in np.array_split(at, len(at) // 30_000 + 1)
    ]
    return np.concatenate(blocks).reshape(len(at), *field.shape[2:])


def follow(
    flows: dict[tuple[int, int], Flow], start: int, points_px: Array, *, num_frames: int
) -> tuple[Array, np.ndarray]:
    """Points through the clip by chained flow, both ways from one picture.

    Args:
        start: the picture that they are seen in. points_px: (N, 2) px.

    Returns:
        places (N, T, 2) px, at rest where lost; seen (N, T) bool, an unbroken span around `start`.
    """
    places = np.repeat(points_px[:, None].astype(np.float64), num_frames, axis=1)
    seen = np.zeros(places.shape[:2], bool)
    seen[:, start] = True
    for step, last in ((1, num_frames - 1), (-1, 0)):
        for a in range(start, last, step):
            flow, b = flows[a, a + step], a + step
            alive = np.flatnonzero(seen[:, a])
            at = places[alive, a]
            kept = sample(flow.sure, at, nearest=True) > 0.5
            places[:, b] = places[:, a]
            places[alive, b] += sample(flow.moved, at)
            seen[alive[kept], b] = True
    return places, seen
