"""Optical flow of a clip: right where it says so, not sure at what appears, and followed."""

from __future__ import annotations

import numpy as np

from splatting.video.flow import breaks, clip_flow, consistent, follow, sample
from tests.splatting.video.moving_square import PAN, SPEED, corner, moving_square


def test_samples_are_the_pixels_for_any_number_of_channels() -> None:
    generator = np.random.default_rng(0)
    columns, rows = generator.integers(0, 50, 40_000), generator.integers(0, 30, 40_000)
    for shape in ((30, 50), (30, 50, 2), (30, 50, 3)):
        field = generator.uniform(size=shape).astype(np.float32)
        at = np.stack((columns, rows), axis=1) + 0.5
        assert np.array_equal(sample(field, at, nearest=True), field[rows, columns])
        assert np.allclose(sample(field, at), field[rows, columns], atol=1e-6)
    assert sample(np.zeros((30, 50, 2)), np.zeros((0, 2))).shape == (0, 2)


def test_flow_is_the_motion_where_it_is_sure() -> None:
    clip = moving_square(4)
    flow = clip_flow(clip.images, (1,))[1, 2]
    assert clip.foreground is not None
    for mask, speed in ((clip.foreground[1], SPEED), (~clip.foreground[1], -PAN)):
        sure = flow.sure & mask
        assert sure.mean() > 0.5 * mask.mean()
        error = np.linalg.norm(flow.moved[sure].astype(float) - (speed, 0), axis=-1)
        assert np.median(error) < 0.2, speed


def test_a_way_back_that_differs_or_leaves_the_picture_is_not_trusted() -> None:
    there, back = np.zeros((8, 8, 2)), np.zeros((8, 8, 2))
    there[..., 0], back[..., 0] = 2.0, -2.0
    back[4:] = 0
    sure = consistent(there, back)
    assert sure[:3, :5].all()
    assert not sure[5:].any()
    assert not sure[:, 6:].any()


def test_a_cut_is_a_break_and_motion_is_none() -> None:
    images = moving_square(6).images.copy()
    assert breaks(clip_flow(images, (1, 4))) == []
    images[3:] = 255 - images[3:]
    assert breaks(clip_flow(images, (1, 4))) == [2]


def test_points_are_followed_both_ways() -> None:
    clip = moving_square()
    x, y = corner(8)
    points, seen = follow(
        clip_flow(clip.images, (1,)), 8, np.array([[x + 10, y + 10]]), num_frames=len(clip)
    )
    truth = np.array([np.add(corner(i), 10) for i in range(len(clip))])
    assert seen.all()
    assert np.abs(points[0] - truth).max() < 1.0
