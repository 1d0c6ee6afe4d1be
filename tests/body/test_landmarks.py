from __future__ import annotations

import numpy as np
import pytest

from body.backends.blazepose import CROP_SIZE, HEATMAP_SIZE, refine_by_heatmap
from body.landmarks import MARGIN, Roi


def random_rois(count: int) -> list[Roi]:
    rng = np.random.default_rng(7)
    return [
        Roi(
            centre=rng.uniform([150, 120], [490, 360]),
            side=float(rng.uniform(80, 500)),
            angle=float(rng.uniform(-np.pi, np.pi)),
        )
        for _ in range(count)
    ]


def blob(centre: np.ndarray, sigma: float) -> np.ndarray:
    """A picture (480, 640, 3) of one bright spot, pixel centres at (0.5, 0.5)."""
    y, x = np.mgrid[0:480, 0:640] + 0.5
    value = 255 * np.exp(-((x - centre[0]) ** 2 + (y - centre[1]) ** 2) / (2 * sigma**2))
    return np.repeat(value[..., None], 3, axis=2).round().astype(np.uint8)


def spot(image: np.ndarray) -> np.ndarray:
    """The centre of mass (2,) of a picture, pixel centres at (0.5, 0.5)."""
    weight = image[..., 0].astype(float)
    y, x = np.mgrid[0 : weight.shape[0], 0 : weight.shape[1]] + 0.5
    return np.array([(weight * x).sum(), (weight * y).sum()]) / weight.sum()


@pytest.mark.parametrize("roi", random_rois(8))
def test_a_spot_in_the_crop_maps_back_to_where_it_is(roi: Roi):
    size = 256
    place = roi.centre + roi.axes @ np.array([0.15, -0.1]) * roi.side
    found = spot(roi.crop(blob(place, roi.side / 40), size))
    T_image_roi = roi.to_image(size)
    np.testing.assert_allclose(
        T_image_roi[:, :2] @ found + T_image_roi[:, 2], place, atol=0.003 * roi.side
    )


@pytest.mark.parametrize("roi", random_rois(5))
def test_crop_size_only_scales_the_map(roi: Roi):
    points = np.random.default_rng(0).uniform(0, 1, (20, 2))
    mapped = [points * s @ roi.to_image(s)[:, :2].T + roi.to_image(s)[:, 2] for s in (128, 256)]
    np.testing.assert_allclose(mapped[0], mapped[1])
    corners = np.array([[0, 0], [1, 1]]) * 128 @ roi.to_image(128)[:, :2].T
    assert np.hypot(*(corners[1] - corners[0])) == pytest.approx(roi.side * np.sqrt(2))


def test_circle_stands_upright_in_its_region():
    rng = np.random.default_rng(3)
    for hips, up in zip(rng.uniform(0, 500, (20, 2)), rng.normal(0, 80, (20, 2)), strict=True):
        roi = Roi.from_circle(hips, hips + up)
        in_roi = roi.axes.T @ up
        np.testing.assert_allclose(in_roi, [0, -np.hypot(*up)], atol=1e-9)
        assert roi.side == pytest.approx(2 * MARGIN * np.hypot(*up))


def test_upright_person_needs_no_turn():
    roi = Roi.from_circle(np.array([100.0, 100.0]), np.array([100.0, 40.0]))
    assert roi.angle == 0
    np.testing.assert_array_equal(roi.axes, np.eye(2))


def test_region_of_a_box_holds_it():
    roi = Roi.from_box(np.array([10, 20, 40, 120.0]))
    np.testing.assert_array_equal(roi.centre, [25, 70])
    assert roi.side > 100 and roi.angle == 0


def heatmaps(peaks: np.ndarray, height: float) -> np.ndarray:
    """Logits (64, 64, N) with a round peak of probability `height` at crop px `peaks` (N, 2)."""
    rows, columns = np.mgrid[0:HEATMAP_SIZE, 0:HEATMAP_SIZE] * (CROP_SIZE / HEATMAP_SIZE)
    maps = []
    for x, y in peaks:
        p = height * np.exp(-((columns - x) ** 2 + (rows - y) ** 2) / (2 * 4.0**2))
        maps.append(np.log((p + 1e-9) / (1 - p + 1e-9)))
    return np.stack(maps, axis=-1).astype(np.float32)


def test_points_move_to_a_sure_peak_nearby():
    peaks = np.random.default_rng(1).uniform(40, 216, (33, 2))
    start = peaks + np.random.default_rng(2).uniform(-5, 5, (33, 2))
    refined = refine_by_heatmap(start, heatmaps(peaks, 0.95))
    assert np.abs(refined - peaks).max() < 1.5
    assert np.abs(refined - peaks).mean() < 0.25 * np.abs(start - peaks).mean()


def test_points_stay_where_the_peak_is_weak_or_far_or_outside():
    points = np.array([[100.0, 100.0], [100.0, 100.0], [-500.0, 9000.0]])
    weak = heatmaps(np.array([[104.0, 104.0]]), 0.3)
    far = heatmaps(np.array([[200.0, 30.0]]), 0.95)
    maps = np.concatenate([weak, far, far], axis=-1)
    np.testing.assert_array_equal(refine_by_heatmap(points, maps), points)
