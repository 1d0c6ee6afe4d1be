"""Depth of a clip's frames from what its scene knows."""

from __future__ import annotations

import numpy as np

from recon.core.camera import Intrinsics
from recon.core.depth import KeyframeDepth
from recon.core.placed import PlacedCamera
from recon.video_depth import UNMEASURED, floor_depth, seen_from

SMALL = Intrinsics.from_fov(24, 16, fov_deg=60, source="user")


def test_a_keyframes_depth_is_seen_from_a_frame_further_on() -> None:
    wall = KeyframeDepth(
        frame_idx=np.array([0]), inverse_depth=np.full((1, 16, 24), 0.5, np.float16),
        weights=np.ones((1, 16, 24), np.float16),
    )  # fmt: skip
    Ts = np.tile(np.eye(4), (3, 1, 1))
    Ts[2, 2, 3] = 1.5  # metres ahead
    placed = PlacedCamera(
        frame="world", scale=3.0, Ts_frame_camera=Ts, tracked=np.ones(3, bool),
        points=np.zeros((0, 3)), colors=np.zeros((0, 3), np.uint8),
    )  # fmt: skip
    for frame, expected in ((0, 6.0), (2, 4.5)):
        depth, weight = seen_from(wall, placed, frame, SMALL, (96, 64))
        assert depth.shape == weight.shape == (64, 96)
        assert np.allclose(depth, expected, rtol=1e-3)
        assert weight.max() == 1
    # What comes into view is filled in and hardly believed; nothing does when one walks ahead.
    Ts[1, 0, 3] = 2.0
    depth, weight = seen_from(wall, placed, 1, SMALL, (96, 64))
    assert np.allclose(depth, 6.0, rtol=1e-3)
    assert np.allclose(weight[:, -8:], UNMEASURED, atol=1e-6) and weight[:, 30].min() > 0.9


def test_the_floor_is_as_far_as_its_rays_reach_and_a_wall_stands_behind() -> None:
    T = np.eye(4)
    T[:3, :3] = [[1, 0, 0], [0, 0, 1], [0, -1, 0]]  # looks along +y, z up
    T[2, 3] = 1.6
    depth = floor_depth(T, SMALL, 8.0)
    assert np.allclose(depth[:8], 8.0), "nothing above the horizon is floor"
    row = 15.5
    assert np.isclose(depth[15, 3], 1.6 * SMALL.fy / (row - SMALL.cy), rtol=1e-6)
    assert (np.diff(depth[:, 0]) <= 0).all() and depth.max() <= 8
