"""Views beside the clip's own camera: what they leave in place and what they shift."""

from __future__ import annotations

import numpy as np
import torch

from recon.video_results import Eye, draw, eyes
from splatting.video.model import VideoGaussians
from splatting.video.motion import MotionBasis
from tests.splatting.video.moving_square import moving_square

BASIS = MotionBasis(start=0.0, end=1.0, polynomials=1, harmonics=0)
FOCAL = 80.0


def dot(z: float, x: float = 40.0) -> VideoGaussians:
    """One white dot at (x, 30) px, so many metres away."""
    return VideoGaussians(
        places=torch.tensor([[x, 30.0, float(np.log(z))]]), motions=torch.zeros(1, 3, 1),
        quats=torch.tensor([[1.0, 0, 0, 0]]), turns=torch.zeros(1, 4, 1),
        scales=torch.full((1, 3), 1.5 * z / FOCAL), opacities=torch.tensor([0.95]),
        colours=torch.ones(1, 3), foreground=torch.zeros(1), basis=BASIS,
        K=np.array([[FOCAL, 0, 36], [0, FOCAL, 28], [0, 0, 1]]), width=72, height=56,
        times=np.array([0.0, 1.0]), unit="metres",
    )  # fmt: skip


def seen_at(image: np.ndarray) -> np.ndarray:
    """Where the light of a picture lies, px."""
    light = image.sum(-1).astype(float)
    y, x = np.mgrid[: light.shape[0], : light.shape[1]] + 0.5
    return np.array([(x * light).sum(), (y * light).sum()]) / light.sum()


def test_the_window_stays_and_what_is_before_and_behind_it_shifts() -> None:
    eye = Eye(right=0.2, still=4.0)
    for z in (2.0, 4.0, 8.0):
        here, there = seen_at(draw(dot(z), 0.5)), seen_at(draw(dot(z), 0.5, eye))
        expected = FOCAL * 0.2 * (1 / 4 - 1 / z)
        assert np.allclose(there - here, (expected, 0), atol=0.1), z


def test_an_enlarged_view_keeps_its_middle() -> None:
    drawn = seen_at(draw(dot(4.0), 0.5, Eye(still=4.0, enlarged=1.5)))
    assert np.allclose(drawn, (36 + 1.5 * 4, 28 + 1.5 * 2), atol=0.1)


def test_eyes_of_a_pair_mirror_each_other_and_look_at_the_foreground() -> None:
    left, right = eyes(dot(4.0), moving_square(), np.array([[-0.03, 0], [0.03, 0]]))
    assert left.right == -right.right and left.still == right.still == 2.0
    assert left.enlarged == right.enlarged > 1
