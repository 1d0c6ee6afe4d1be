"""Tall crops and the outputs of top-down networks: known peaks come back where they were put."""

from __future__ import annotations

import numpy as np
import pytest

from body.coco import check_count, from_coco
from body.landmarks import Roi
from body.lift import lifted_landmarks, pixels_per_metre
from body.limb_mask import MASK_SIZE, limb_mask
from body.topdown import TallCrop, heatmap_peaks, simcc_peaks
from recon.core.errors import InputError
from recon.core.geometry import Array
from recon.core.skeletons import BLAZEPOSE_KEYPOINTS
from tests.body.test_landmarks import blob, random_rois, spot

CROP = TallCrop(width=192, height=256)
K = {name: i for i, name in enumerate(BLAZEPOSE_KEYPOINTS)}
RNG = np.random.default_rng(5)


def bells(centres: Array, length: int, sigma: float, top: float = 1.0) -> np.ndarray:
    """Gaussians (K, length) around fractional indices (K,)."""
    return top * np.exp(-((np.arange(length) - centres[:, None]) ** 2) / (2 * sigma**2))


@pytest.mark.parametrize("split", [2.0, 3.0])
def test_simcc_peaks_are_found_between_the_bins(split: float):
    points = RNG.uniform(5, 180, (17, 2))
    scores = RNG.uniform(0.3, 1.0, 17)
    bins = (points - 0.5) * split  # the first bin stands on the first pixel's centre
    x = bells(bins[:, 0], round(192 * split), 5.0) * scores[:, None]
    y = bells(bins[:, 1], round(256 * split), 5.7)
    found, score = simcc_peaks(x, y, split=split)
    np.testing.assert_allclose(found, points, atol=0.01)
    np.testing.assert_allclose(score, scores, atol=0.01)  # the less sure axis counts


def test_heatmap_peaks_are_found_between_the_cells():
    cells = np.stack([RNG.uniform(1, 46, 17), RNG.uniform(1, 62, 17)], axis=1)
    tops = RNG.uniform(0.2, 1.0, 17)
    maps = bells(cells[:, 1], 64, 2.0)[:, :, None] * bells(cells[:, 0], 48, 2.0, 1.0)[:, None]
    found, score = heatmap_peaks(maps * tops[:, None, None], CROP)
    np.testing.assert_allclose(found, cells * [191 / 47, 255 / 63] + 0.5, atol=1e-6)
    assert (score <= tops + 1e-9).all() and (score > 0.9 * tops).all()


@pytest.mark.parametrize("corner", [(0, 0), (63, 47)])
def test_peaks_in_the_corner_stay_there(corner: tuple[int, int]):
    maps = np.zeros((1, 64, 48))
    maps[0, corner[0], corner[1]] = 1.0
    found, _ = heatmap_peaks(maps, CROP)
    expected = [0.5, 0.5] if corner == (0, 0) else [191.5, 255.5]
    np.testing.assert_allclose(found, [expected])


@pytest.mark.parametrize("roi", random_rois(6))
def test_a_spot_in_the_tall_crop_maps_back_to_where_it_is(roi: Roi):
    place = roi.centre + roi.axes @ np.array([0.1, -0.2]) * roi.side
    pixels = CROP.pixels(blob(place, roi.side / 40), roi)
    assert pixels.shape == (1, 3, 256, 192) and pixels.dtype == np.float32
    light = pixels[0, 0] - pixels[0, 0].min()
    found = spot(np.repeat(light[..., None], 3, axis=2))
    seen = CROP.landmarks(np.tile(found, (17, 1)), np.ones(17), roi)
    np.testing.assert_allclose(seen.keypoints_px[K["nose"]], place, atol=0.003 * roi.side)


def test_pixels_are_imagenet_colours_in_rgb():
    image = np.zeros((300, 300, 3), np.uint8)
    image[...] = [255, 116, 0]
    roi = Roi(centre=np.array([150.0, 150.0]), side=200.0, angle=0.0)
    expected = (np.array([255, 116, 0]) - [123.675, 116.28, 103.53]) / [58.395, 57.12, 57.375]
    np.testing.assert_allclose(CROP.pixels(image, roi)[0, :, 128, 96], expected, rtol=1e-5)


@pytest.mark.parametrize("size", [(60, 200), (200, 60), (150, 200)])
def test_region_shows_all_of_a_box_and_a_margin(size: tuple[float, float]):
    box = np.array([100, 50, 100 + size[0], 50 + size[1]], dtype=float)
    T_image_crop = CROP.region(box).to_image(CROP.height, width=CROP.width)
    ends = np.array([[0, 0], [CROP.width, CROP.height]]) @ T_image_crop[:, :2].T
    low, high = ends + T_image_crop[:, 2]
    assert (low <= box[:2]).all() and (high >= box[2:]).all()
    tightest = np.max((box[2:] - box[:2]) / (high - low))
    assert tightest == pytest.approx(0.8)  # a quarter more than the box, neither more nor less


def test_whole_body_points_get_our_names():
    points = RNG.uniform(0, 500, (133, 2))
    scores = RNG.uniform(0.1, 1, 133)
    person = from_coco(points, scores)
    where = {
        "nose": 0, "left_ear": 3, "right_wrist": 10, "left_ankle": 15, "left_foot_index": 17,
        "left_heel": 19, "right_foot_index": 20, "right_heel": 22, "right_eye_outer": 59,
        "left_eye_inner": 65, "mouth_left": 77, "left_index": 96, "right_pinky": 129,
    }  # fmt: skip
    for name, k in where.items():
        np.testing.assert_array_equal(person.keypoints_px[K[name]], points[k], err_msg=name)
        assert person.conf[K[name]] == scores[k]
    assert person.hands_px is not None and person.face_px is not None
    np.testing.assert_array_equal(person.hands_px[0], points[91:112])
    np.testing.assert_array_equal(person.hands_px[1], points[112:133])
    assert person.face_px.shape == (68, 2)


@pytest.mark.parametrize(("count", "with_feet"), [(17, False), (26, True)])
def test_points_that_a_set_lacks_have_no_weight(count: int, with_feet: bool):
    points = RNG.uniform(0, 500, (count, 2))
    person = from_coco(points, np.ones(count))
    assert person.conf[K["left_knee"]] == 1 and person.conf[K["mouth_left"]] == 0
    assert bool(person.conf[K["right_heel"]] == 1) is with_feet
    if with_feet:
        np.testing.assert_array_equal(person.keypoints_px[K["right_heel"]], points[25])
    else:  # near enough not to blow up the person's box
        np.testing.assert_array_equal(
            person.keypoints_px[K["right_heel"]], person.keypoints_px[K["right_ankle"]]
        )
    assert person.hands_px is None and person.face_px is None


def test_other_counts_are_refused_with_the_known_ones():
    with pytest.raises(InputError, match=r"133 .*got 21"):
        check_count(21, "hand.onnx")


def standing(yaw: float) -> Array:
    """Landmarks (33, 3) of somebody stepping forward, turned by `yaw`; 0 faces the camera."""
    points = np.zeros((33, 3))
    for side, x in (("left", 1.0), ("right", -1.0)):
        step = 0.17 if side == "left" else 0.0
        body = {
            "shoulder": (0.17 * x, -0.5, 0), "hip": (0.1 * x, 0, 0),
            "elbow": (0.2 * x, -0.23, 0), "wrist": (0.2 * x, -0.04, -0.16),
            "knee": (0.1 * x, 0.36, -step), "ankle": (0.1 * x, 0.77, -step + 0.01),
            "ear": (0.08 * x, -0.72, 0), "eye": (0.03 * x, -0.75, -0.09),
            "heel": (0.1 * x, 0.8, 0.03 - step), "foot_index": (0.1 * x, 0.8, -0.17 - step),
        }  # fmt: skip
        for name, at in body.items():
            points[K[f"{side}_{name}"]] = at
        for name in ("thumb", "index", "pinky"):
            points[K[f"{side}_{name}"]] = body["wrist"]
    points[K["nose"]] = 0, -0.7, -0.1
    c, s = np.cos(yaw), np.sin(yaw)
    return points @ np.array([[c, 0, s], [0, 1, 0], [-s, 0, c]])


@pytest.mark.parametrize("yaw_deg", [0, 40, 90, 140, 180, 220, 270, 320])
def test_depth_is_guessed_right_way_round(yaw_deg: int):
    truth = standing(np.radians(yaw_deg))
    px = 400 + 150 * truth[None, :, :2]
    guess = lifted_landmarks(px, np.ones((1, 33)))[0]
    np.testing.assert_allclose(pixels_per_metre(px, np.ones((1, 33))), 150, rtol=0.1)
    limbs = [
        K[f"{s}_{j}"] for s in ("left", "right") for j in ("shoulder", "hip", "ankle", "wrist")
    ]
    flat = truth * [1, 1, 0]
    error = np.linalg.norm(guess - truth, axis=-1)[limbs].mean()
    assert error < 0.12
    # Where depth matters most, a flat guess would be worse.
    if yaw_deg in (90, 270):
        assert error < np.linalg.norm(flat - truth, axis=-1)[limbs].mean()


def test_drawn_mask_covers_the_body_and_little_else():
    px = 200 + 100 * standing(0.4)[:, :2]
    roi = CROP.region(np.array([150, 100, 250, 300.0]))
    mask = limb_mask(px, roi)
    assert mask.shape == (MASK_SIZE, MASK_SIZE)
    T_image_roi = roi.to_image(MASK_SIZE)
    at = ((px - T_image_roi[:, 2]) @ np.linalg.inv(T_image_roi[:, :2]).T).astype(int)
    body = [K[f"{s}_{j}"] for s in ("left", "right") for j in ("shoulder", "hip", "knee", "wrist")]
    assert mask[at[body, 1], at[body, 0]].all()
    ys, xs = np.nonzero(mask)
    box = (np.ptp(ys) + 1) * (np.ptp(xs) + 1)
    assert 0.2 < mask.sum() / box < 0.8
