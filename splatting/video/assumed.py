"""What stands for measured depth and masks where a clip has none: assumptions, named as such."""

from __future__ import annotations

import cv2
import numpy as np
from scipy import ndimage

from splatting.video.flow import clip_flow, inside
from splatting.video.start import background_turn, turned_points

NEAREST, FARTHEST = 2.5, 10.0
"""Assumed metres at the lower and at the upper edge of the picture."""
FEW_PX, SHARE = 1.0, 0.25
"""Motion against the background that marks a mover: px, and share of the background's own."""
LEAST_AREA = 0.001
"""Of the picture; smaller movers are taken for noise."""
ASSUMED = (
    "no depth is known: what is lower in the picture is assumed to be nearer (2.5 m to 10 m), and "
    "what moves by itself to stand upright there; stereo and sway show that, not the true depth"
)


def moving_foreground(images: np.ndarray) -> np.ndarray:
    """What moves against most of the picture (T, H, W) bool, by optical flow to the next frame.

    A camera that walks makes near things move against far ones too; then they are in it as well.

    Args:
        images: (T, H, W, 3) uint8 RGB.
    """
    count, height, width = images.shape[:3]
    flows = clip_flow(images, (1,))
    y, x = np.mgrid[:height, :width] + 0.5
    points = np.stack((x, y), axis=-1)
    found = np.zeros((count, height, width), bool)
    for i in range(count):
        flow = flows[(i, i + 1) if i + 1 < count else (i, i - 1)]
        turn = turned_points(background_turn(flow, None), points) - points
        apart = np.linalg.norm(flow.moved - turn, axis=-1)
        limit = FEW_PX + SHARE * np.linalg.norm(turn, axis=-1)
        found[i] = _tidied((apart > limit) & inside(points + turn, width=width, height=height))
    return found


def _tidied(mask: np.ndarray) -> np.ndarray:
    """Without specks and holes."""
    kernel = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (5, 5))
    closed = cv2.morphologyEx(mask.astype(np.uint8), cv2.MORPH_CLOSE, kernel)
    opened = cv2.morphologyEx(closed, cv2.MORPH_OPEN, kernel)
    _, labels, stats, _ = cv2.connectedComponentsWithStats(opened)
    large = np.flatnonzero(stats[1:, cv2.CC_STAT_AREA] >= LEAST_AREA * mask.size) + 1
    return np.asarray(ndimage.binary_fill_holes(np.isin(labels, large)), bool)


def assumed_depth(height: int, width: int) -> np.ndarray:
    """Depth (H, W) of ground that reaches from the lower to the upper edge of the picture."""
    rows = (np.arange(height) + 0.5) / height
    inverse = (1 - rows) / FARTHEST + rows / NEAREST
    return np.repeat((1 / inverse).astype(np.float32)[:, None], width, axis=1)


def standing(depth: np.ndarray, foreground: np.ndarray) -> np.ndarray:
    """The depth (H, W) with each piece of foreground as far away as its lowest pixels are.

    Args:
        depth: (H, W) of the background. foreground: (H, W) bool.
    """
    count, labels = cv2.connectedComponents(foreground.astype(np.uint8))
    out = depth.copy()
    for label in range(1, count):
        rows, columns = np.nonzero(labels == label)
        lowest = rows >= rows.max() - 1
        out[rows, columns] = np.median(depth[rows[lowest], columns[lowest]])
    return out
