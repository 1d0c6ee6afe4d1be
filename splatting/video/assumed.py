"""What stands for measured depth and masks where a clip has none: assumptions, named as such."""

from __future__ import annotations

import cv2
import numpy as np
from scipy import ndimage

from splatting.video.flow import clip_flow
from splatting.video.start import background_turn, turned_points

NEAREST, FARTHEST = 2.5, 10.0
"""Assumed metres at the lower and at the upper edge of the picture."""
MOST_APART, ROWS_PER_FRAME = 4, 60
"""Frames to look ahead and back: fewer in small pictures, where motion soon is too far for flow."""
FEW_PX, SHARE = 0.6, 0.25
"""Motion against the background that marks a mover: px a frame, and share of the background's."""
LEAST_TEXTURE = 4.0
"""Smaller eigenvalue of the mean squared gradient, (levels of 255 per px)², in 9x9 px."""
LEAST_AREA = 0.001
"""Of the picture; smaller movers are taken for noise."""
ASSUMED = (
    "no depth is known: what is lower in the picture is assumed to be nearer (2.5 m to 10 m), and "
    "what moves by itself to stand upright there; stereo and sway show that, not the true depth"
)


def moving_foreground(images: np.ndarray) -> np.ndarray:
    """What moves against most of the picture (T, H, W) bool, by optical flow over some frames.

    A camera that walks makes near things move against far ones too; then they are in it as well.
    What stands still for the moment is not, nor what has no texture, inside of outlines apart.

    Args:
        images: (T, H, W, 3) uint8 RGB.
    """
    count, height, width = images.shape[:3]
    gap = min(MOST_APART, max(1, height // ROWS_PER_FRAME), count - 1)
    flows = clip_flow(images, (gap,))
    y, x = np.mgrid[:height, :width] + 0.5
    points = np.stack((x, y), axis=-1)
    found = np.zeros((count, height, width), bool)
    for i in range(count):
        moving = np.zeros((height, width), bool)
        for j in (i - gap, i + gap):
            if (i, j) not in flows:
                continue
            flow = flows[i, j]
            turn = turned_points(background_turn(flow, None), points) - points
            apart = np.linalg.norm(flow.moved - turn, axis=-1)
            limit = FEW_PX * gap + SHARE * np.linalg.norm(turn, axis=-1)
            moving |= (apart > limit) & flow.sure
        found[i] = _tidied(moving & _textured(images[i]))
    return found


def _textured(image: np.ndarray) -> np.ndarray:
    """(H, W) bool: the grey levels change in all directions, so that flow is more than a guess."""
    grey = cv2.cvtColor(image, cv2.COLOR_RGB2GRAY)
    gx, gy = (cv2.Sobel(grey, cv2.CV_32F, *order, scale=1 / 8) for order in ((1, 0), (0, 1)))
    xx, xy, yy = (cv2.blur(product, (9, 9)) for product in (gx * gx, gx * gy, gy * gy))
    return 0.5 * (xx + yy - np.sqrt((xx - yy) ** 2 + 4 * xy**2)) > LEAST_TEXTURE


def _tidied(mask: np.ndarray) -> np.ndarray:
    """Without specks and holes."""
    kernel = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (7, 7))
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
