"""Painted people, as a landmark network would see them, for the tests of tracking."""

from __future__ import annotations

import cv2
import numpy as np

from body.landmarks import Landmarks, Roi

STANDING = np.zeros((33, 2))
"""Keypoints in metres from mid-hip, x right and y down."""
STANDING[:11] = [[0, -0.75]] * 11
STANDING[[7, 8]] = [[0.08, -0.72], [-0.08, -0.72]]
STANDING[11:17] = [[0.2, -0.5], [-0.2, -0.5], [0.3, -0.25], [-0.3, -0.25], [0.3, 0], [-0.3, 0]]
STANDING[17:23] = [[0.3, 0.1], [-0.3, 0.1]] * 3
STANDING[23:29] = [[0.1, 0], [-0.1, 0], [0.1, 0.45], [-0.1, 0.45], [0.1, 0.9], [-0.1, 0.9]]
STANDING[29:] = [[0.1, 0.95], [-0.1, 0.95]] * 2


def see(
    centre: tuple[float, float],
    *,
    px_per_m: float = 100.0,
    turn: float = 0.0,
    mask: np.ndarray | None = None,
) -> Landmarks:
    """A standing person, turned clockwise by `turn` radians, with the hips at `centre` px."""
    c, s = np.cos(turn), np.sin(turn)
    points = STANDING @ np.array([[c, s], [-s, c]])
    roi = Roi(centre=np.array(centre), side=2.4 * px_per_m, angle=turn)
    return Landmarks(
        presence=1.0,
        keypoints_px=points * px_per_m + centre,
        keypoint_conf=np.full(33, 0.9),
        landmarks=np.column_stack([points, np.zeros(33)]),
        mask=np.ones((64, 64), bool) if mask is None else mask,
        roi=roi,
        next_roi=roi,
    )


def paint(
    image: np.ndarray, found: Landmarks, shirt: tuple[int, int, int], legs: tuple[int, int, int]
) -> Landmarks:
    """Paints a person in place and gives the same sighting with the mask of what was painted."""
    p = np.round(found.keypoints_px).astype(np.int32)
    scale = found.roi.side / 2.4
    before = image.copy()
    for a, b in ((23, 25), (25, 27), (24, 26), (26, 28)):
        cv2.line(image, p[a].tolist(), p[b].tolist(), legs, round(0.18 * scale))
    cv2.fillConvexPoly(image, p[[11, 12, 24, 23]], shirt)
    cv2.circle(image, p[0].tolist(), round(0.13 * scale), (220, 180, 150), -1)
    painted = (image != before).any(axis=-1).astype(np.uint8)
    mask = found.roi.crop(np.repeat(painted[..., None], 3, axis=-1) * 255, 64)[..., 0] > 127
    return see(
        tuple(found.roi.centre), px_per_m=scale, turn=found.roi.angle, mask=mask
    )  # fmt: skip
