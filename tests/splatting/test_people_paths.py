"""Cameras about people: everybody is in the picture, and time may stand while they swing."""

from __future__ import annotations

import numpy as np
import pytest

from recon.core.errors import InputError
from recon.core.geometry import Array, invert_transform, rotvec_to_matrix
from splatting.paths import look_at
from splatting.people_paths import Subject, beside, bullet_time, facing, swung, turntable

SIZE = (300, 200)
K = np.array([[320.0, 0, 150], [0, 320.0, 100], [0, 0, 1.0]])


def walker(speed: float = 1.3, count: int = 60) -> Subject:
    """A cloud of the size of a body that walks along x and waves a point about."""
    rng = np.random.default_rng(0)
    body = rng.uniform([-0.3, -0.3, 0], [0.3, 0.3, 1.8], (30, 3))
    times = np.arange(count) / 30
    points = body + np.stack([speed * times, 0 * times, 0.1 * np.sin(9 * times)], 1)[:, None]
    return Subject(times=times, points=points, forward=np.array([1.0, 0, 0]))


def projected(Ts: Array, points: Array) -> tuple[Array, Array]:
    """Pixels (T, P, 2) and depths (T, P)."""
    camera = np.einsum("tij,tpj->tpi", invert_transform(Ts)[:, :3, :3], points - Ts[:, None, :3, 3])
    return camera[..., :2] / camera[..., 2:] * 320 + K[:2, 2], camera[..., 2]


@pytest.mark.parametrize("path", ["follow", "fixed", "turntable"])
def test_everybody_is_in_the_picture_and_fills_it(path: str) -> None:
    subject = walker()
    Ts = (
        turntable(subject, K, SIZE)
        if path == "turntable"
        else beside(subject, K, SIZE, follow=path == "follow")
    )
    pixels, depths = projected(Ts, subject.points)
    assert (depths > 0).all()
    assert (pixels > 0).all() and (pixels < SIZE).all()
    away = np.abs(pixels - np.array(SIZE) / 2) / (np.array(SIZE) / 2)
    assert away.max() > 0.8, "as near as that allows"
    assert np.allclose(Ts[:, 2, 0], 0), "the horizon is level"
    if path == "fixed":
        assert np.allclose(Ts, Ts[0])
    if path == "turntable":
        offset = Ts[:, :2, 3] - subject.centres[:, :2]
        angles = np.unwrap(np.arctan2(offset[:, 1], offset[:, 0]))
        assert np.allclose(np.diff(angles), 2 * np.pi / len(Ts))


def test_who_goes_along_keeps_the_walker_in_the_middle_to_the_end() -> None:
    subject = walker()
    middle = 0.5 * (subject.points.min(axis=1) + subject.points.max(axis=1))
    assert np.abs(subject.centres - middle)[:, :2].max() < 0.02


def test_swung_cameras_see_the_centre_at_the_same_pixel() -> None:
    rng = np.random.default_rng(1)
    T = look_at(np.array([[3.0, -4.0, 1.6]]), np.array([0.5, 0, 1.0]), np.array([0, 0, 1.0]))
    angles, centre = rng.uniform(-3, 3, 20), np.array([[0.3, 0.2, 0.9]])
    Ts = swung(np.repeat(T, 20, 0), np.repeat(centre, 20, 0), angles)
    pixels, _ = projected(Ts, np.repeat(centre[None], 20, 0))
    assert np.allclose(pixels, pixels[0])
    back = swung(Ts, np.repeat(centre, 20, 0), -angles)
    assert np.allclose(back, T)


@pytest.mark.parametrize("slow", [0.0, 0.25])
@pytest.mark.parametrize("arc", [np.pi / 2, 2 * np.pi])
def test_time_stands_or_slows_while_the_camera_swings(slow: float, arc: float) -> None:
    times = np.arange(90) / 30
    schedule = bullet_time(times, at=1.0, seconds=2.0, arc=arc, slow=slow)
    before, during = np.arange(31), np.arange(31, 91)
    assert schedule.times[0] == times[0] and schedule.times[-1] == times[-1]
    np.testing.assert_allclose(schedule.times[before], times[:31])
    np.testing.assert_allclose(np.diff(schedule.times[30:91]), slow / 30, atol=1e-12)
    np.testing.assert_allclose(np.diff(schedule.times[91:]), 1 / 30)
    assert (np.diff(schedule.times) >= 0).all()
    assert not schedule.angles[before].any()
    assert np.ptp(schedule.angles[during]) == pytest.approx(arc, rel=0.01)
    np.testing.assert_allclose(np.sin(schedule.angles[90:]), 0, atol=1e-6)  # where it began
    assert np.abs(np.diff(schedule.angles)).max() < 4 * np.pi * arc / 2 / 60, "it never leaps"


def test_facing_is_where_the_pelvis_looks_on_the_whole() -> None:
    upright = rotvec_to_matrix(np.array([np.pi / 2, 0, 0]))
    sway = rotvec_to_matrix(np.array([[0, 0, 1.0 + 0.4 * s] for s in (-1, 0, 1)]))
    found = facing(sway @ upright)
    assert np.allclose(found, [np.sin(1.0), -np.cos(1.0), 0])
    around = rotvec_to_matrix(np.array([[0, 0, a] for a in np.arange(8) * np.pi / 4]))
    assert np.allclose(facing(around @ upright), [0, -1, 0]), "all around: as at the beginning"


def test_nobody_to_look_at_is_refused() -> None:
    with pytest.raises(InputError, match="somebody to look at"):
        Subject(times=np.zeros(0), points=np.zeros((0, 4, 3)), forward=np.array([1.0, 0, 0]))
