"""Distortion taken out of frames as they are read."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest

from recon.core.errors import InputError
from recon.lens import Straightener
from recon.options import RunOptions
from recon.video import VideoConfig, VideoReader

WIDTH, HEIGHT, FOCAL = 320, 240, 250.0


def dots(k1: float) -> tuple[np.ndarray, np.ndarray]:
    """A picture of bright dots through a lens with k1, and where they are without it (N, 2), px."""
    grid = np.stack(np.meshgrid(np.arange(40, WIDTH, 48), np.arange(36, HEIGHT, 42)), -1)
    straight = grid.reshape(-1, 2) + 0.5
    rays = (straight - (WIDTH / 2, HEIGHT / 2)) / FOCAL
    seen = rays * (1 + k1 * (rays**2).sum(1, keepdims=True)) * FOCAL + (WIDTH / 2, HEIGHT / 2)
    y, x = np.mgrid[:HEIGHT, :WIDTH] + 0.5
    distances = (x[..., None] - seen[:, 0]) ** 2 + (y[..., None] - seen[:, 1]) ** 2
    picture = 255 * np.exp(-distances / 8).max(-1)
    return np.repeat(picture[..., None], 3, -1).astype(np.uint8), straight


@pytest.mark.parametrize("k1", [-0.2, 0.1])
def test_bent_points_return_to_where_a_pinhole_sees_them(k1: float) -> None:
    picture, straight = dots(k1)
    out = Straightener(k1, focal_px=FOCAL, width=WIDTH, height=HEIGHT)(picture)[..., 0]
    for u, v in straight:
        x, y = int(u), int(v)
        patch = out[max(0, y - 6) : y + 7, max(0, x - 6) : x + 7].astype(float)
        if patch.shape != (13, 13) or patch.max() < 100:
            continue  # at the rim
        rows, columns = np.mgrid[-6:7, -6:7]
        centre = np.array([(patch * columns).sum(), (patch * rows).sum()]) / patch.sum()
        corner = np.array([x + 0.5 - u, y + 0.5 - v])
        assert np.abs(centre + corner).max() < 0.3


def test_a_reader_straightens_and_a_pinhole_is_left_alone(tmp_path: Path) -> None:
    picture, _ = dots(-0.2)
    for i in range(3):
        cv2.imwrite(str(tmp_path / f"{i}.png"), picture)
    plain = VideoReader.open(tmp_path, VideoConfig(fps=10))
    bent = VideoReader.open(tmp_path, VideoConfig(fps=10, k1=-0.2, focal_px=FOCAL))
    wide = VideoReader.open(
        tmp_path,
        VideoConfig(fps=10, k1=-0.2, fov_deg=float(np.degrees(2 * np.arctan(WIDTH / 2 / FOCAL)))),
    )
    expected = Straightener(-0.2, focal_px=FOCAL, width=WIDTH, height=HEIGHT)(picture)
    assert (next(iter(plain)).image == picture).all()
    assert (next(iter(bent)).image == expected).all()
    assert (next(iter(wide)).image == expected).all()


def test_distortion_needs_a_focal_length() -> None:
    with pytest.raises(InputError, match="--focal or --fov beside --k1"):
        VideoConfig(k1=-0.1)
    with pytest.raises(InputError, match="--k1"):
        RunOptions(k1=-3)
