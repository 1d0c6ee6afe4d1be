"""Layers of a sphere: its colours, its depth, and who stands before whom."""

import numpy as np
import pytest
import trimesh

from recon.core.camera import Intrinsics
from recon.export.controls.arrays import ArrayStream
from recon.export.controls.background import SceneDepth
from recon.export.controls.maps import (
    depth_picture,
    draw_bodies,
    mask_colors,
    mask_picture,
    normal_picture,
)

K = Intrinsics(fx=100, fy=100, cx=50, cy=50, width=100, height=100)


def ball(z, x=0.0, radius=1.0):
    mesh = trimesh.creation.icosphere(subdivisions=3, radius=radius)
    return mesh.vertices + np.array([x, 0, z]), mesh.faces


def test_left_is_red_up_is_green_and_towards_the_camera_is_blue():
    picture = normal_picture(draw_bodies([ball(4)], K).normals).astype(int)
    assert picture[50, 50] == pytest.approx([128, 128, 255], abs=6)
    left, right, top, bottom = picture[50, 26], picture[50, 74], picture[26, 50], picture[74, 50]
    assert left[0] > 220 and right[0] < 50
    assert top[1] > 220 and bottom[1] < 50
    assert picture[0, 0].tolist() == [128, 128, 255]


def test_the_nearer_one_is_seen_and_the_scene_lies_behind_both():
    behind = np.full((100, 100), 1 / 3.5, np.float32)
    layers = draw_bodies([ball(5), ball(4, x=0.5)], K, behind=behind)
    assert layers.owner[50, 60] == 1 and layers.owner[50, 33] == 0 and layers.owner[5, 5] == -1
    assert layers.depth[50, 62] == pytest.approx(3.0, abs=0.02)
    # A body's pixel shows the body, even where the scene's depth claims to be nearer.
    assert layers.depth[50, 33] > 4 and layers.depth[5, 5] == pytest.approx(3.5)


def test_depth_is_zero_where_nothing_is_known():
    layers = draw_bodies([], K)
    assert not layers.depth.any() and not layers.normals.any()
    picture = depth_picture(np.array([[0.0, 0.5, 0.75, 2.0]]), 0.5, 1.0)
    assert picture[0, :, 0].tolist() == [0, 0, 128, 255]


def test_masks_have_one_colour_a_person():
    colors = mask_colors(range(1, 41))
    assert len(np.unique(colors, axis=0)) == 40 and (colors.sum(axis=1) > 60).all()
    picture = mask_picture(np.array([[0, -1, 1]]), colors)
    assert picture[0].tolist() == [colors[0].tolist(), [0, 0, 0], colors[1].tolist()]


def scene_depth(inverse, frames, count=9, starts=(0,), **how):
    Ts = np.tile(np.eye(4), (count, 1, 1))
    return SceneDepth(
        K, Ts, frame_idx=np.array(frames), inverse_depth=np.asarray(inverse, float),
        starts=np.array(starts), **how,
    )  # fmt: skip


def test_a_wall_stays_where_it_is_when_the_camera_comes_nearer():
    wall = scene_depth(np.full((1, 5, 6), 1 / 4), [2])
    assert wall.inverse_depth(5, np.eye(4), K) == pytest.approx(np.full((100, 100), 0.25))
    nearer = np.eye(4)
    nearer[2, 3] = 1.5
    assert wall.inverse_depth(5, nearer, K) == pytest.approx(np.full((100, 100), 1 / 2.5))


def test_other_cameras_see_a_wall_from_its_front_only_and_nothing_where_depth_leaps():
    inverse = np.full((1, 5, 6), 1 / 4)
    inverse[0, :, 3:] = 1 / 8
    wall = scene_depth(inverse, [2], as_filmed=False)
    front = wall.inverse_depth(2, np.eye(4), K)
    assert front is not None and (front[:, :30] > 0.24).all()
    assert (front[:, 45:55] == 0).any() and (front[:, 75:] < 0.13).all()
    behind = np.diag([-1.0, 1.0, -1.0, 1.0])
    behind[2, 3] = 20
    seen = wall.inverse_depth(2, behind, K)
    assert seen is not None and not seen.any()


def test_keyframes_are_mixed_by_time_and_never_across_a_cut():
    maps = scene_depth(np.stack([np.full((4, 4), d) for d in (0.2, 0.4, 1.0)]), [0, 4, 6],
                       starts=(0, 5))  # fmt: skip
    for frame, expected in ((0, 0.2), (1, 0.25), (4, 0.4), (5, 1.0), (8, 1.0)):
        found = maps.inverse_depth(frame, np.eye(4), K)
        assert found is not None and np.median(found) == pytest.approx(expected)
    assert scene_depth(np.ones((1, 4, 4)), [6], starts=(0, 5)).inverse_depth(
        2, np.eye(4), K
    ) is None  # fmt: skip


def test_a_streamed_array_is_the_array(tmp_path):
    rows = np.random.default_rng(1).normal(size=(4, 3, 2)).astype(np.float32)
    with ArrayStream(tmp_path / "a.npz", "rows", rows.shape, np.float32, ids=np.arange(2)) as out:
        for row in rows:
            out.write(row)
    with np.load(tmp_path / "a.npz", allow_pickle=False) as data:
        assert np.array_equal(data["rows"], rows) and data["ids"].tolist() == [0, 1]


def test_an_unfinished_array_leaves_nothing(tmp_path):
    with (
        pytest.raises(ZeroDivisionError),
        ArrayStream(tmp_path / "a.npz", "rows", (2, 1), np.float32) as out,
    ):
        out.write(np.zeros(1))
        raise ZeroDivisionError
    assert not list(tmp_path.iterdir())
