"""Points of photographs with known cameras: a textured wall is found where it stands."""

from __future__ import annotations

import cv2
import numpy as np

from splatting.photos import Photos
from splatting.triangulation import camera_pairs, with_points

WIDTH, HEIGHT, DISTANCE = 160, 120, 3.0


def wall_photos(count: int = 4) -> Photos:
    """Pictures of a wall at z = 3 from cameras that stand side by side."""
    generator = np.random.default_rng(0)
    noise = generator.integers(0, 255, (60, 100, 3), np.uint8)
    texture = cv2.resize(noise, (600, 360), interpolation=cv2.INTER_CUBIC)
    K = np.array([[120.0, 0, 80], [0, 120.0, 60], [0, 0, 1]])
    Ts = np.tile(np.eye(4), (count, 1, 1))
    Ts[:, 0, 3] = np.linspace(-0.4, 0.4, count)
    images = []
    for T in Ts:
        # The texture's pixel (u, v) is the wall's point ((u - 300) / 100, (v - 180) / 100, 3).
        wall = np.array([[0.01, 0, -3.0 - T[0, 3]], [0, 0.01, -1.8], [0, 0, DISTANCE]])
        half = np.array([[1, 0, -0.5], [0, 1, -0.5], [0, 0, 1]])  # OpenCV's pixel centres
        H = half @ K @ wall @ np.linalg.inv(half)
        images.append(cv2.warpPerspective(texture, H, (WIDTH, HEIGHT)))
    return Photos(
        images=np.stack(images), Ts_world_camera=Ts, Ks=np.repeat(K[None], count, 0),
        names=tuple(str(i) for i in range(count)),
    )  # fmt: skip


def test_a_wall_is_found_where_it_stands() -> None:
    found = with_points(wall_photos())
    assert found.points is not None and found.colours is not None
    assert len(found.points) > 50
    assert np.median(np.abs(found.points[:, 2] - DISTANCE)) < 0.02
    assert found.colours.shape == found.points.shape
    assert found.colours.min() >= 0 and found.colours.max() <= 1


def test_pictures_without_texture_give_no_points() -> None:
    photos = wall_photos()
    blank = Photos(
        images=np.full_like(photos.images, 90), Ts_world_camera=photos.Ts_world_camera,
        Ks=photos.Ks, names=photos.names,
    )  # fmt: skip
    found = with_points(blank)
    assert found.points is not None and found.points.shape == (0, 3)


def test_cameras_that_look_away_are_no_pair() -> None:
    photos = wall_photos()
    turned = photos.Ts_world_camera.copy()
    turned[3, :3, :3] = np.diag([-1.0, 1, -1])
    away = Photos(images=photos.images, Ts_world_camera=turned, Ks=photos.Ks, names=photos.names)
    assert camera_pairs(away) == [(0, 1), (0, 2), (1, 2)]
