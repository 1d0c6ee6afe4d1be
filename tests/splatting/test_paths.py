"""Camera paths: laws of what they look at and where they pass."""

from __future__ import annotations

import numpy as np
import pytest

from recon.core.errors import InputError
from recon.core.geometry import rotvec_to_matrix
from splatting.paths import (
    circles,
    focus_of,
    look_at,
    orbit,
    orbits,
    smoothed,
    spiral,
    spline,
    stereo,
)

UP = np.array([0.0, 0, 1])
TARGET = np.array([1.0, -2, 0.5])


def arc(degrees: float, count: int = 40) -> np.ndarray:
    """Cameras on an arc of radius 3, half a metre above a target that they look at."""
    turn = np.radians(np.linspace(-degrees / 2, degrees / 2, count, endpoint=degrees < 360))
    places = TARGET + np.stack([3 * np.cos(turn), 3 * np.sin(turn), np.full(count, 0.5)], 1)
    return look_at(places, TARGET, UP)


def test_cameras_look_at_the_target_upright() -> None:
    Ts = arc(360)
    ahead = TARGET - Ts[:, :3, 3]
    ahead /= np.linalg.norm(ahead, axis=1, keepdims=True)
    assert np.allclose(Ts[:, :3, 2], ahead)
    assert np.allclose(np.linalg.det(Ts[:, :3, :3]), 1)
    assert (Ts[:, 2, 1] < 0).all(), "y points down"
    assert np.allclose(Ts[:, 2, 0], 0), "the horizon is level"


def test_the_focus_is_what_all_look_at() -> None:
    assert np.allclose(focus_of(arc(90)), TARGET, atol=1e-6)


@pytest.mark.parametrize(("degrees", "covered"), [(360, 360), (90, 86)])
def test_an_orbit_goes_as_far_around_as_the_cameras_did(degrees: float, covered: float) -> None:
    Ts = orbit(arc(degrees), 200)
    offsets = Ts[:, :3, 3] - TARGET
    assert np.allclose(np.linalg.norm(offsets[:, :2], axis=1), 3, atol=0.05)
    assert np.allclose(offsets[:, 2], 0.5, atol=0.1)
    angles = np.degrees(np.unwrap(np.arctan2(offsets[:, 1], offsets[:, 0])))
    assert np.ptp(angles) == pytest.approx(covered, abs=5)
    gap = np.linalg.norm(Ts[0, :3, 3] - Ts[-1, :3, 3])
    assert gap < 0.2, "it ends where it begins"


@pytest.mark.parametrize("path", [orbits, circles, spiral], ids=lambda path: path.__name__)
def test_a_path_of_several_rounds_is_smooth_closed_and_looks_at_the_focus(path) -> None:
    Ts = path(arc(90), 240)
    ahead = TARGET - Ts[:, :3, 3]
    distances = np.linalg.norm(ahead, axis=1)
    assert np.allclose(Ts[:, :3, 2], ahead / distances[:, None], atol=1e-6)
    assert np.allclose(np.linalg.det(Ts[:, :3, :3]), 1)
    assert (Ts[:, 2, 1] < 0).all(), "upright"
    steps = np.linalg.norm(Ts[:, :3, 3] - np.roll(Ts[:, :3, 3], 1, axis=0), axis=1)
    assert steps.max() < 0.25, "without jumps, and it ends where it begins"
    assert distances.min() > 1.5, "it stays out of what it looks at"


def test_orbits_vary_in_radius_and_only_rise() -> None:
    offsets = orbits(arc(360), 240)[:, :3, 3] - TARGET
    radii = np.linalg.norm(offsets[:, :2], axis=1)
    assert np.allclose([radii.min(), radii.max()], [2.25, 3.75], atol=0.05)
    assert np.allclose([offsets[:, 2].min(), offsets[:, 2].max()], [0.5, 1.7], atol=0.05)


def test_a_spiral_goes_in_and_circles_keep_their_distance() -> None:
    near, flat = (
        np.linalg.norm(path(arc(90), 240)[:, :3, 3] - TARGET, axis=1) for path in (spiral, circles)
    )
    assert near.min() < 0.72 * near.max() and near.argmin() == pytest.approx(120, abs=40)
    assert np.ptp(flat) < 0.1


def test_circles_of_a_camera_that_walked_ahead_stay_near_its_path() -> None:
    """What is far above and beside the path was seen from too far away, or never."""
    Ts = np.tile(arc(90, 3)[1], (30, 1, 1))
    ahead = Ts[0, :3, 2].copy()
    Ts[:, :3, 3] += np.linspace(-10, 0, 30)[:, None] * ahead
    offsets = circles(Ts, 60)[:, :3, 3] - Ts[0, :3, 3]
    away = np.linalg.norm(offsets - (offsets @ ahead)[:, None] * ahead, axis=1)
    assert 0.1 < away.max() < 1.5


def test_paths_that_face_forward_need_no_parallax() -> None:
    Ts = arc(90, 5)
    Ts[:, :3, 3] = Ts[0, :3, 3]  # turned on the spot
    assert np.isfinite(circles(Ts, 10)).all() and np.isfinite(spiral(Ts, 10)).all()


def test_a_spline_passes_through_its_keyframes() -> None:
    Ts = arc(120, 15)
    path = spline(Ts, 29, keyframes=8)  # every second camera; every fourth place on the path
    assert np.allclose(path[::4], Ts[::2], atol=1e-9)
    assert np.allclose(path[:, :3, :3] @ np.swapaxes(path[:, :3, :3], 1, 2), np.eye(3))


def test_a_shaky_path_becomes_calm_and_stays_near() -> None:
    generator = np.random.default_rng(0)
    Ts = arc(60, 100)
    shaky = Ts.copy()
    shaky[:, :3, 3] += generator.normal(size=(100, 3)) * 0.02
    shaky[:, :3, :3] = rotvec_to_matrix(generator.normal(size=(100, 3)) * 0.02) @ Ts[:, :3, :3]
    calm = smoothed(shaky, 100)
    shake = [np.abs(np.diff(path[:, :3, 3], n=2, axis=0)).mean() for path in (shaky, calm)]
    assert shake[1] < 0.2 * shake[0]
    assert np.abs(calm[:, :3, 3] - Ts[:, :3, 3]).mean() < 0.02
    assert np.allclose(np.linalg.det(calm[:, :3, :3]), 1)


def test_eyes_stand_side_by_side() -> None:
    Ts = arc(90, 5)
    left, right = stereo(Ts, 0.065)
    inverse = np.linalg.inv(left)
    assert np.allclose((inverse @ right)[:, :3, 3], [0.065, 0, 0])
    assert np.allclose(left[:, :3, :3], Ts[:, :3, :3])


def test_one_camera_is_no_path() -> None:
    with pytest.raises(InputError, match="2 finite camera poses"):
        spline(arc(90)[:1], 5)
