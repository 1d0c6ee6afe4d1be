from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from recon.core.camera import CameraTrajectory, Intrinsics
from recon.core.errors import InputError

RNG = np.random.default_rng(1)
LENS = Intrinsics(fx=900.0, fy=880.0, cx=650.0, cy=350.0, width=1280, height=720)


def points_camera() -> np.ndarray:
    return RNG.uniform([-2, -1, 1], [2, 1, 9], size=(3, 20, 3))


def test_unproject_inverts_project() -> None:
    p = points_camera()
    np.testing.assert_allclose(LENS.unproject(LENS.project(p), p[..., 2]), p, atol=1e-12)


def test_project_is_the_calibration_matrix() -> None:
    p = points_camera()
    homogeneous = p @ LENS.matrix.T
    np.testing.assert_allclose(LENS.project(p), homogeneous[..., :2] / homogeneous[..., 2:])


def test_the_axis_meets_the_principal_point_and_y_points_down() -> None:
    np.testing.assert_allclose(LENS.project(np.array([0.0, 0, 5])), [650, 350])
    assert LENS.project(np.array([0.0, 1, 5]))[1] > 350


@pytest.mark.parametrize(("width", "height"), [(640, 360), (1920, 1080), (333, 720)])
def test_a_resize_is_a_pure_scale_of_pixels(width: int, height: int) -> None:
    """With pixel centres at (0.5, 0.5) no half-pixel shift appears."""
    p = points_camera()
    np.testing.assert_allclose(
        LENS.resized(width, height).project(p), LENS.project(p) * [width / 1280, height / 720]
    )
    back = LENS.resized(width, height).resized(1280, 720)
    np.testing.assert_allclose(back.matrix, LENS.matrix)


@pytest.mark.parametrize(("width", "height"), [(1280, 720), (720, 1280)])
def test_field_of_view_spans_the_longer_side(width: int, height: int) -> None:
    lens = Intrinsics.from_fov(width, height, fov_deg=60.0, source="prior")
    assert lens.fov_deg == pytest.approx(60)
    rays = lens.unproject(np.array([[0.0, 0.0], [width, height]]), np.ones(2))
    span = np.degrees(2 * np.arctan(np.abs(rays[:, :2]).max()))
    assert span == pytest.approx(60)


@pytest.mark.parametrize("change", [{"fx": 0.0}, {"fy": -5.0}, {"width": 0}, {"height": -1}])
def test_impossible_intrinsics_are_rejected(change: dict[str, float]) -> None:
    with pytest.raises(InputError, match="--focal"):
        replace(LENS, **change)


def trajectory(**change: object) -> CameraTrajectory:
    values: dict[str, object] = {
        "kind": "moving",
        "backend": "test",
        "intrinsics": LENS,
        "Ts_slam_camera": np.tile(np.eye(4), (5, 1, 1)),
        "tracked": np.ones(5, bool),
        "points_slam": np.zeros((0, 3)),
        "point_colors": np.zeros((0, 3), np.uint8),
    }
    return CameraTrajectory(**(values | change))  # type: ignore[arg-type]


def test_a_trajectory_may_have_no_points() -> None:
    assert len(trajectory().points_slam) == 0


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"tracked": np.ones(4, bool)}, "tracked"),
        ({"tracked": np.ones(5)}, "tracked"),
        ({"Ts_slam_camera": np.zeros((5, 3, 4))}, "Ts_slam_camera"),
        ({"Ts_slam_camera": np.full((5, 4, 4), np.nan)}, "Ts_slam_camera"),
        ({"points_slam": np.zeros((2, 3))}, "point_colors"),
        ({"point_colors": np.zeros((0, 3))}, "point_colors"),
    ],
)
def test_wrong_arrays_name_their_field(change: dict[str, object], field: str) -> None:
    with pytest.raises(InputError, match=field):
        trajectory(**change)
