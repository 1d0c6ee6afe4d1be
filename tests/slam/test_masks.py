"""Masks of tracked people at the camera tracker's size."""

from __future__ import annotations

import numpy as np

from recon.core.people import PersonTrack, RoiMasks
from recon.core.video import VideoInfo
from slam.masks import people_masks

VIDEO = VideoInfo(
    path="x", width=800, height=600, times=np.arange(30) / 30, focal_px=None, sha256="x"
)


def person(frames: list[int], boxes: list[list[float]], *, filled: bool = True) -> PersonTrack:
    """A track whose mask is the middle half of its box, or empty."""
    n, size = len(frames), 16
    crop = np.zeros((size, size), bool)
    crop[4:12, 4:12] = filled
    box = np.array(boxes, float)
    side = box[:, 2:] - box[:, :2]
    affine = np.zeros((n, 2, 3))
    affine[:, 0, 0], affine[:, 1, 1] = side[:, 0] / size, side[:, 1] / size
    affine[:, :, 2] = box[:, :2]
    return PersonTrack(
        track_id=1, frame_idx=np.array(frames), boxes=box, scores=np.ones(n),
        keypoints_px=np.zeros((n, 33, 2)), keypoint_conf=np.ones((n, 33)),
        landmarks=np.zeros((n, 33, 3)),
        masks=RoiMasks(
            bits=np.repeat(np.packbits(crop)[None], n, axis=0), Ts_image_roi=affine, size=size
        ),
    )  # fmt: skip


def test_the_mask_covers_the_person_with_a_margin_at_any_size() -> None:
    masks = people_masks([person([4], [[200, 100, 400, 500]])], VIDEO)
    for height, width in ((600, 800), (300, 400)):
        mask = masks(4, height, width)
        assert mask is not None
        scale = width / 800
        y, x = np.nonzero(mask)
        assert x.min() < 250 * scale - 3
        assert y.min() < 200 * scale - 3
        assert mask[int(495 * scale), int(300 * scale)], "the feet are covered whole"
        assert not mask[int(120 * scale), int(220 * scale)], "the box's empty corner is free"


def test_nobody_is_masked_before_and_after_a_track() -> None:
    masks = people_masks([person([4, 9], [[0, 0, 80, 200]] * 2)], VIDEO)
    assert masks(3, 300, 400) is None
    assert masks(10, 300, 400) is None


def test_a_gap_masks_the_box_on_its_way() -> None:
    masks = people_masks([person([0, 10], [[0, 0, 100, 300], [200, 0, 300, 300]])], VIDEO)
    mask = masks(5, 600, 800)
    assert mask is not None
    assert mask[10:290, 105:195].all()
    assert not mask[:, 210:].any()


def test_a_failed_segmentation_falls_back_to_the_box() -> None:
    masks = people_masks([person([0], [[100, 100, 300, 500]], filled=False)], VIDEO)
    mask = masks(0, 600, 800)
    assert mask is not None
    assert mask[100:500, 100:300].all()
