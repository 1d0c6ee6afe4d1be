"""Where Gaussians start: in view, and everywhere in view."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from splatting.starts import fill_bare, points_in_view
from tests.splatting.scenes import cloud
from tests.splatting.test_training import HEIGHT, WIDTH, photos_of


def test_points_without_sfm_lie_in_view() -> None:
    photos = replace(photos_of(cloud(20)), points=None, colours=None)
    points = points_in_view(photos, 500, np.random.default_rng(0))
    inside = np.zeros(500, bool)
    for T, K in zip(photos.Ts_world_camera, photos.Ks, strict=True):
        camera = (points - T[:3, 3]) @ T[:3, :3]
        pixel = camera[:, :2] / camera[:, 2:] * K[0, 0] + K[:2, 2]
        in_picture = (pixel >= 0).all(1) & (pixel <= (WIDTH, HEIGHT)).all(1)
        inside |= (camera[:, 2] > 0) & in_picture
    assert inside.all()


def test_bare_cells_get_points_as_far_as_their_neighbours() -> None:
    photos = photos_of(cloud(20), count=3)
    photos.images[:, : HEIGHT // 2] = (0, 0, 255)
    generator = np.random.default_rng(0)
    T, K = photos.Ts_world_camera[0], photos.Ks[0]
    pixels = generator.uniform((0, HEIGHT / 2), (WIDTH, HEIGHT), (4000, 2))
    rays = np.concatenate(((pixels - K[:2, 2]) / K[0, 0], np.ones((4000, 1))), axis=1)
    low = T[:3, 3] + 7 * rays @ T[:3, :3].T  # the first picture's lower half, 7 m away
    more, colours = fill_bare(photos.take(np.array([0])), low)
    assert len(more) > 50
    camera = (more - T[:3, 3]) @ T[:3, :3]
    assert np.allclose(camera[:, 2], 7)
    rows = camera[:, 1] / camera[:, 2] * K[1, 1] + K[1, 2]
    assert (rows < HEIGHT / 2).all()
    assert np.allclose(colours, (0, 0, 1))


def test_what_is_ignored_is_not_filled() -> None:
    photos = photos_of(cloud(20), count=3)
    ignored = np.ones(photos.images.shape[:3], bool)
    more, colours = fill_bare(replace(photos, ignored=ignored), cloud(3).means.numpy())
    assert len(more) == len(colours) == 0
