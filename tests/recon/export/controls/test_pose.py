"""Skeleton pictures have OpenPose's colours where the points are, and nothing for what is not."""

import numpy as np
import pytest

from recon.export.controls.pose import (
    COLORS,
    IBUG_OF_MESH,
    LIMB_SHARE,
    LIMBS,
    draw_pose,
)


def blank(side=512):
    return np.zeros((side, side, 3), np.uint8)


def points(**where):
    out = np.full((60, 2), np.nan)
    for k, at in where.items():
        out[int(k[1:])] = at
    return out


@pytest.mark.parametrize("limb", range(len(LIMBS)))
def test_every_limb_has_its_colour_between_its_ends(limb):
    a, b = LIMBS[limb]
    picture = blank()
    draw_pose(picture, points(**{f"p{a}": (100.5, 100.5), f"p{b}": (200.5, 180.5)}))
    assert picture[140, 150].tolist() == [int(LIMB_SHARE * c) for c in COLORS[limb]]
    assert picture[100, 100].tolist() == list(COLORS[a])
    assert picture[180, 200].tolist() == list(COLORS[b])


def test_sizes_follow_the_pictures():
    widths = []
    for side in (256, 1024):
        picture = blank(side)
        draw_pose(picture, points(p1=(side * 0.2, side / 2), p2=(side * 0.8, side / 2)))
        widths.append(picture[:, side // 2].any(axis=1).sum())
    assert widths[1] == pytest.approx(4 * widths[0], rel=0.25)


def test_hands_have_twenty_hues_and_blue_points_and_faces_are_white():
    picture, spots = blank(), points()
    spots[18:39] = [[50 + 20 * (k % 5), 60 + 20 * (k // 5)] for k in range(21)]
    face = np.full((68, 2), np.nan)
    face[5] = (400, 300)
    draw_pose(picture, spots, face)
    x, y = spots[18 + 20].astype(int)
    assert picture[y, x].tolist() == [0, 0, 255]
    assert picture[300, 400].tolist() == [255, 255, 255]
    assert len(np.unique(picture[:200, :200].reshape(-1, 3), axis=0)) > 12
    assert not picture[320:].any()


def test_nothing_is_drawn_for_nobody():
    picture = blank(64)
    draw_pose(picture, points(), np.full((68, 2), np.nan))
    assert not picture.any()


def test_the_mesh_has_a_point_for_each_of_ibugs():
    assert len(IBUG_OF_MESH) == 68 and len(set(IBUG_OF_MESH)) >= 67 and max(IBUG_OF_MESH) < 468
