"""Two views of points with and without depth, under any noise of the tracker."""

from __future__ import annotations

import numpy as np
import pytest

from recon.core.camera import Intrinsics
from recon.core.geometry import Array, rotvec_to_matrix
from slam.two_views import NOISE_RATIO, TwoViews, two_views

LENS = Intrinsics.from_fov(640, 360, fov_deg=60, source="user")
PAN = np.array([0.02, 0.15, 0.01])


def seen(
    *, noise: float, move: Array, zoom: float = 1.0, depths: tuple[float, float] = (2.0, 9.0),
    count: int = 300, turn: Array = PAN,
) -> TwoViews:  # fmt: skip
    rng = np.random.default_rng(count)
    a = rng.uniform([20, 20], [620, 340], (count, 2))
    points = LENS.unproject(a, rng.uniform(*depths, count))
    b = LENS.project((points - move) @ rotvec_to_matrix(turn).T)
    b = zoom * (b - [LENS.cx, LENS.cy]) + [LENS.cx, LENS.cy]
    return two_views(a + rng.normal(0, noise, a.shape), b + rng.normal(0, noise, b.shape))


@pytest.mark.parametrize("noise", [0.05, 0.3, 1.0])
@pytest.mark.parametrize("count", [40, 300])
@pytest.mark.parametrize("zoom", [1.0, 1.2], ids=["pan", "zoom"])
def test_noise_is_measured_and_never_read_as_depth(noise: float, count: int, zoom: float) -> None:
    views = seen(noise=noise, move=np.zeros(3), zoom=zoom, count=count)
    # The half-normal's median is 0.67 sigma.
    assert 0.4 * noise < views.noise_px < 1.1 * noise
    assert views.depth_ratio < NOISE_RATIO


@pytest.mark.parametrize("noise", [0.05, 0.3])
@pytest.mark.parametrize(
    "move", np.array([[0.3, 0, 0], [0, 0, 0.5], [-0.2, 0.1, 0.3]]), ids=["aside", "ahead", "both"]
)
def test_a_step_among_things_at_many_depths_shows(noise: float, move: Array) -> None:
    views = seen(noise=noise, move=move)
    assert views.depth_ratio > 1.5 * NOISE_RATIO
    assert views.noise_px < 1.1 * noise  # the camera's motion is not taken for noise


def test_a_flat_wall_that_comes_nearer_has_no_depth_to_show() -> None:
    views = seen(
        noise=0.3, move=np.array([0, 0, 0.7]), depths=(5, 5.001), turn=np.zeros(3)
    )  # fmt: skip
    assert views.depth_ratio < NOISE_RATIO
    assert views.homography > 0.95


def test_points_on_one_line_are_no_failure() -> None:
    a = np.stack([np.linspace(20, 600, 40), np.full(40, 100.0)], axis=1)
    views = two_views(a, a + np.array([3.0, 0.0]))
    assert views.depth_ratio < NOISE_RATIO
    assert 0 < views.noise_px < 0.1
