"""Smooth 2D marks on RGB pictures; pixel coordinates have the first centre at (0.5, 0.5)."""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np

Color = Sequence[int]

_SHIFT = 4
_FAR = 30_000
"""OpenCV draws in 16-bit pixels; what lies beyond is clipped to here, far outside any picture."""


def _fixed(points_px: np.ndarray) -> np.ndarray:
    """OpenCV's fixed-point coordinates, whose first pixel centre is (0, 0)."""
    points = np.clip(np.asarray(points_px, float), -_FAR, _FAR)
    return np.round((points - 0.5) * (1 << _SHIFT)).astype(np.int32)


def small_jpeg(image: np.ndarray, scale: float, *, quality: int) -> bytes:
    """A picture (H, W, 3) uint8 RGB as JPEG, made smaller but never larger by `scale`."""
    size = [max(1, round(min(1.0, scale) * side)) for side in image.shape[1::-1]]
    small = cv2.resize(image, size, interpolation=cv2.INTER_AREA)
    return cv2.imencode(".jpg", small[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, quality])[1].tobytes()


def polyline(
    image: np.ndarray,
    points_px: np.ndarray,
    color: Color,
    *,
    width: int = 2,
    closed: bool = False,
) -> None:
    """Draws a line through points (N, 2)."""
    if len(points_px) > 1:
        cv2.polylines(
            image, [_fixed(points_px)], closed, tuple(color), width, cv2.LINE_AA, shift=_SHIFT
        )


def dot(image: np.ndarray, point_px: np.ndarray, color: Color, *, radius: float = 3.0) -> None:
    """Draws a filled disc around a point (2,)."""
    x, y = _fixed(point_px).tolist()
    size = round(radius * (1 << _SHIFT))
    cv2.circle(image, (x, y), size, tuple(color), cv2.FILLED, cv2.LINE_AA, shift=_SHIFT)


def polygon(
    image: np.ndarray, points_px: np.ndarray, color: Color, *, opacity: float = 1.0
) -> None:
    """Fills a convex polygon (N, 2)."""
    target = image if opacity >= 1 else image.copy()
    cv2.fillConvexPoly(target, _fixed(points_px), tuple(color), cv2.LINE_AA, shift=_SHIFT)
    if opacity < 1:
        cv2.addWeighted(target, opacity, image, 1 - opacity, 0, dst=image)


def label(
    image: np.ndarray,
    text: str,
    point_px: np.ndarray,
    color: Color = (255, 255, 255),
    *,
    scale: float = 0.5,
    plate: Color | None = (24, 26, 30),
) -> None:
    """Writes text whose lower left corner is at a point (2,), on a dark plate unless it is None."""
    x, y = (round(float(v)) for v in np.clip(point_px, -_FAR, _FAR))
    font, thick = cv2.FONT_HERSHEY_SIMPLEX, max(1, round(2 * scale))
    (width, height), below = cv2.getTextSize(text, font, scale, thick)
    if plate is not None:
        pad = max(2, round(8 * scale))
        low, high = (x - pad, y - height - pad), (x + width + pad, y + below)
        cv2.rectangle(image, low, high, tuple(plate), cv2.FILLED)
    cv2.putText(image, text, (x, y), font, scale, tuple(color), thick, cv2.LINE_AA)
