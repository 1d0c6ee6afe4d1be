from __future__ import annotations

import numpy as np
import pytest

from body.detect import Detections
from body.landmarks import Roi
from body.search import find_turned


class UprightArrow:
    """Finds a red bar with a green top end where the bar stands upright."""

    def detect(self, image: np.ndarray) -> Detections:
        body = np.argwhere((image[..., 0] > 150) | (image[..., 1] > 150))
        head = np.argwhere(image[..., 1] > 150)
        if not len(head) or head[:, 0].mean() > body[:, 0].mean() - 10:
            return Detections(boxes=np.zeros((0, 4)), scores=np.zeros(0))
        (y0, x0), (y1, x1) = body.min(axis=0), body.max(axis=0) + 1
        return Detections(boxes=np.array([[x0, y0, x1, y1]], float), scores=np.array([0.8]))


@pytest.mark.parametrize(
    ("red", "green", "angle"),
    [
        ((slice(100, 160), slice(145, 155)), (slice(88, 100), slice(145, 155)), 0.0),
        ((slice(100, 160), slice(145, 155)), (slice(160, 172), slice(145, 155)), np.pi),
        ((slice(145, 155), slice(100, 160)), (slice(145, 155), slice(160, 172)), np.pi / 2),
        ((slice(145, 155), slice(100, 160)), (slice(145, 155), slice(88, 100)), -np.pi / 2),
    ],
)
def test_a_body_is_found_in_every_attitude(
    red: tuple[slice, slice], green: tuple[slice, slice], angle: float
):
    image = np.zeros((300, 400, 3), np.uint8)
    image[red], image[green] = (200, 0, 0), (0, 200, 0)
    part = Roi(centre=np.array([160.0, 140.0]), side=180.0, angle=0.0)
    (found,) = find_turned(UprightArrow(), image, part)
    lit = np.argwhere(image.any(axis=-1)) + 0.5
    np.testing.assert_allclose(found.centre, lit.mean(axis=0)[::-1], atol=1)
    assert np.cos(found.angle - angle) == pytest.approx(1)
    assert found.side == pytest.approx(1.25 * 72, rel=0.03)


def test_an_empty_part_holds_nobody():
    part = Roi(centre=np.array([50.0, 50.0]), side=60.0, angle=0.0)
    assert find_turned(UprightArrow(), np.zeros((100, 100, 3), np.uint8), part) == []
