"""What one camera saw becomes a floor and a backdrop, and looks the same from that camera."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from recon.core.geometry import Array
from splatting.gaussians import Cameras, Gaussians, joined
from splatting.paths import look_at
from splatting.photos import Photos
from splatting.rasterize import rasterize
from splatting.stage_set import StageSet

WIDTH, HEIGHT = 64, 48
K = np.array([[40.0, 0, WIDTH / 2], [0, 40.0, HEIGHT / 2], [0, 0, 1]])
EYE = np.array([0.0, -4.0, 1.5])
T = look_at(EYE[None], np.array([0.0, 0.0, 0.8]), np.array([0, 0, 1.0]))
FAR = 6.0
STAGE = StageSet(centre=EYE, far=FAR, axis=np.array([0.0, 1.0, 0.0]))


def is_on(stage: StageSet, points: Array) -> np.ndarray:
    """Whether points are on the stage's floor or backdrop."""
    offset, slack = points - stage.centre, 1e-6
    flat = np.linalg.norm(offset[:, :2], axis=1) if stage.axis is None else offset @ stage.axis
    floor, back = np.abs(points[:, 2]) < slack, np.abs(flat - stage.far) < slack
    assert floor.sum() > 50 and back.sum() > 50
    assert (points[:, 2] > -slack).all() and (flat < stage.far + slack).all()
    return floor | back


@pytest.mark.parametrize("stage", [STAGE, replace(STAGE, axis=None)])
def test_points_lie_on_floor_and_backdrop_in_the_pictures_colours(stage: StageSet) -> None:
    images = np.zeros((2, HEIGHT, WIDTH, 3), np.uint8)
    images[:, :, : WIDTH // 2] = 255
    ignored = np.zeros(images.shape[:3], bool)
    ignored[:, 20:30] = True
    photos = Photos(
        images=images, Ts_world_camera=np.repeat(T, 2, 0), Ks=np.repeat(K[None], 2, 0),
        names=("a", "b"), ignored=ignored,
    )  # fmt: skip
    points, colours = stage.points(photos, 600)
    assert is_on(stage, points).all()
    camera = (points - EYE) @ T[0, :3, :3]
    pixel = camera[:, :2] / camera[:, 2:] * 40 + K[:2, 2]
    assert ((pixel[:, 0] < WIDTH / 2) == (colours[:, 0] == 1)).all()
    assert not ((pixel[:, 1] > 20) & (pixel[:, 1] < 30)).any(), "people are no part of the place"


def test_settled_gaussians_look_the_same_and_let_feet_stand_before_them() -> None:
    rng = np.random.default_rng(0)
    count = 3000
    pixels = rng.uniform((0, 0), (WIDTH, HEIGHT), (count, 2))
    rays = np.concatenate([(pixels - K[:2, 2]) / 40, np.ones((count, 1))], axis=1) @ T[0, :3, :3].T
    rays /= np.linalg.norm(rays, axis=1, keepdims=True)
    means = EYE + STAGE.distances(rays)[:, None] * rays
    place = Gaussians(
        means=torch.tensor(means).float(), quats=torch.randn(count, 4),
        scales=torch.full((count, 3), 0.15), opacities=torch.full((count,), 0.5),
        sh=torch.full((count, 1, 3), 1.0),
    )  # fmt: skip
    settled = STAGE.settled(place)
    cameras = Cameras.of(T, K, width=WIDTH, height=HEIGHT)
    before, after = (rasterize(g, cameras) for g in (place, settled))
    torch.testing.assert_close(after.alpha, before.alpha, atol=5e-3, rtol=0)
    on_floor = means[:, 2] < 1e-6
    assert torch.equal(settled.means[~on_floor], place.means[~on_floor]), "the backdrop stays"
    assert (settled.means[on_floor, 2] < -0.1).all()
    foot = Gaussians(
        means=torch.tensor([[0.0, 0.0, 0.05]]), quats=torch.tensor([[1.0, 0, 0, 0]]),
        scales=torch.full((1, 3), 0.05), opacities=torch.tensor([0.99]),
        sh=torch.tensor([[[1.7, -1.7, -1.7]]]),
    )  # fmt: skip
    sunk, stands = (
        rasterize(joined([g, foot]), cameras).colour[0] - rasterize(g, cameras).colour[0]
        for g in (place, settled)
    )
    assert stands.abs().max() > 0.3 > 2 * sunk.abs().max()
