from __future__ import annotations

import numpy as np
import pytest

from body.backends.ssd import decode_boxes, ssd_anchors
from body.detect import (
    DETECTORS,
    Detections,
    TiledDetector,
    load_backend,
    pairwise_overlap,
    suppress,
    tile_detections,
    tile_grid,
)
from recon.core.errors import InputError


class BrightBoxes:
    """Finds the bright rectangle of a picture if it is at least `smallest` of its height."""

    def __init__(self, smallest: float = 0.0) -> None:
        self.smallest = smallest
        self.runs = 0

    def detect(self, image: np.ndarray) -> Detections:
        self.runs += 1
        ys, xs = np.nonzero(image[..., 0] > 100)
        if not len(ys) or np.ptp(ys) + 1 < self.smallest * len(image):
            return Detections(boxes=np.zeros((0, 4)), scores=np.zeros(0))
        box = np.array([[xs.min(), ys.min(), xs.max() + 1, ys.max() + 1]], dtype=float)
        return Detections(boxes=box, scores=np.array([0.8]))


def picture(box: tuple[int, int, int, int]) -> np.ndarray:
    image = np.zeros((600, 800, 3), np.uint8)
    x0, y0, x1, y1 = box
    image[y0:y1, x0:x1] = 200
    return image


def test_anchors_fill_the_network_and_the_picture():
    anchors = ssd_anchors()
    assert anchors.shape == (1917, 4)
    assert (anchors > 0).all() and (anchors[:, :2] < 1).all()
    assert len(np.unique(anchors.round(6), axis=0)) == 1917


def test_zero_encodings_decode_to_the_anchors():
    anchors = ssd_anchors()
    boxes = decode_boxes(np.zeros_like(anchors), anchors)
    np.testing.assert_allclose((boxes[:, :2] + boxes[:, 2:]) / 2, anchors[:, :2])
    np.testing.assert_allclose(boxes[:, 2:] - boxes[:, :2], anchors[:, 2:])


def test_encodings_are_y_x_h_w():
    anchor = np.array([[0.5, 0.5, 0.2, 0.4]])
    moved = decode_boxes(np.array([[1.0, 2.0, 5 * np.log(1.5), 5 * np.log(0.5)]]), anchor)[0]
    np.testing.assert_allclose((moved[:2] + moved[2:]) / 2, [0.5 + 0.2 * 0.2, 0.5 + 0.1 * 0.4])
    np.testing.assert_allclose(moved[2:] - moved[:2], [0.1, 0.6])


@pytest.mark.parametrize("grid", [2, 3])
@pytest.mark.parametrize("size", [(1920, 1080), (301, 777)])
def test_tiles_cover_the_picture_and_overlap(grid: int, size: tuple[int, int]):
    tiles = tile_grid(*size, grid)
    covered = np.zeros(size[::-1], int)
    for x0, y0, x1, y1 in tiles:
        assert 0 <= x0 < x1 <= size[0] and 0 <= y0 < y1 <= size[1]
        covered[y0:y1, x0:x1] += 1
    assert len(tiles) == grid**2 and covered.min() == 1 and covered.max() >= 4


@pytest.mark.parametrize("box", [(20, 30, 60, 130), (700, 480, 760, 590), (380, 260, 420, 340)])
def test_tile_boxes_come_back_in_the_whole_pictures_pixels(box: tuple[int, int, int, int]):
    found = tile_detections(BrightBoxes(), picture(box), 2)
    assert len(found) >= 1
    for got in found.boxes:
        np.testing.assert_array_equal(got, box)


def test_box_cut_by_a_tile_border_is_left_to_others():
    cut_everywhere = (300, 100, 520, 560)
    assert len(tile_detections(BrightBoxes(), picture(cut_everywhere), 2)) == 0


def test_tiles_run_only_where_they_pay():
    for box, grids, runs in (
        ((300, 100, 500, 500), (), 1),
        ((40, 40, 70, 150), (2,), 1 + 4),
        ((40, 40, 60, 115), (3,), 1 + 9),
    ):
        network = BrightBoxes(smallest=0.27)
        tiled = TiledDetector(network, probe_every=2.0)
        image = picture(box)
        assert len(tiled.detect(image, 0.0)) == 1
        assert tiled.grids == grids and network.runs == 1 + 4 + 9
        assert len(tiled.detect(image, 1.0)) == 1
        assert network.runs == 1 + 4 + 9 + runs
        tiled.detect(image, 2.0)
        assert network.runs == 2 * (1 + 4 + 9) + runs


def test_suppression_keeps_the_best_of_each_heap():
    boxes = np.array([[0, 0, 10, 10], [1, 0, 11, 10], [50, 0, 60, 10], [2, 2, 5, 5.0]])
    found = Detections(boxes=boxes, scores=np.array([0.6, 0.9, 0.5, 0.4]))
    np.testing.assert_array_equal(suppress(found).scores, [0.9, 0.5, 0.4])
    np.testing.assert_array_equal(suppress(found, inside=0.8).scores, [0.9, 0.5])
    again = suppress(suppress(found))
    np.testing.assert_array_equal(again.boxes, suppress(found).boxes)


def test_overlap_of_known_boxes():
    a = np.array([[0, 0, 10, 10.0]])
    b = np.array([[0, 0, 10, 10], [5, 0, 15, 10], [2, 2, 4, 4], [20, 20, 30, 30.0]])
    iou, inside = pairwise_overlap(a, b)
    np.testing.assert_allclose(iou[0], [1, 1 / 3, 0.04, 0])
    np.testing.assert_allclose(inside[0], [1, 0.5, 1, 0])


def test_unknown_backend_lists_the_known_ones():
    with pytest.raises(InputError, match=r"--detector.*ssd"):
        load_backend(DETECTORS, "yolo", "--detector")
