"""A closer look at one part of a picture, for people in any attitude."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from body.detect import Detector
from body.landmarks import Roi

_SIZE = 300
"""Side in pixels of the part as the detector sees it."""
_TURNS = 4


def find_turned(detector: Detector, image: np.ndarray, part: Roi) -> list[Roi]:
    """Regions of people in a part of a picture, the likeliest first, one per attitude.

    Detectors know upright people, and lose who turns over: this looks four times, each time with
    the part turned a quarter further.

    Args:
        image: (H, W, 3) uint8 RGB. part: its own angle is the first attitude.
    """
    found: list[tuple[float, Roi]] = []
    for turn in range(_TURNS):
        view = replace(part, angle=part.angle + turn * 2 * np.pi / _TURNS)
        detections = detector.detect(view.crop(image, _SIZE))
        if not len(detections):
            continue
        best = int(detections.scores.argmax())
        upright = Roi.from_box(detections.boxes[best])
        T_image_view = view.to_image(_SIZE)
        centre = T_image_view[:, :2] @ upright.centre + T_image_view[:, 2]
        side = upright.side * view.side / _SIZE
        found.append((detections.scores[best], Roi(centre=centre, side=side, angle=view.angle)))
    found.sort(key=lambda pair: -pair[0])
    return [region for _, region in found]
