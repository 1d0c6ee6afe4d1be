"""The motion basis: what it represents exactly, its derivatives, and curves through tracks."""

from __future__ import annotations

import numpy as np
import pytest

from recon.core.errors import InputError
from splatting.video.motion import MotionBasis, fit_motion

BASIS = MotionBasis(start=2.0, end=4.0, polynomials=3, harmonics=2)
TIMES = np.linspace(2, 4, 41)


@pytest.mark.parametrize(
    "curve",
    [
        lambda t: 1 - 2 * t + 0.5 * t**2 + 3 * t**3,
        lambda t: 4 * np.cos(2 * np.pi * t / 2) - np.sin(2 * np.pi * t),
    ],
    ids=["cubic", "waves"],
)
def test_curves_of_its_span_are_represented_exactly(curve) -> None:
    columns = np.concatenate((np.ones((41, 1)), BASIS.values(TIMES)), axis=1)
    weights, *_ = np.linalg.lstsq(columns, curve(TIMES), rcond=None)
    between = np.array([2.0, 2.013, 3.377, 4.0])
    found = weights[0] + BASIS.values(between) @ weights[1:]
    assert np.allclose(found, curve(between), atol=1e-9)


@pytest.mark.parametrize("order", [1, 2])
def test_derivatives_are_those_of_the_values(order: int) -> None:
    step = 1e-5  # the clip lasts two seconds: u runs as fast as time
    below, above = (BASIS.values(TIMES + sign * step, derivative=order - 1) for sign in (-1, 1))
    slope = (above - below) / (2 * step)
    assert np.allclose(BASIS.values(TIMES, derivative=order), slope, rtol=1e-6, atol=1e-5)


def test_a_curve_goes_through_its_track_and_straight_on_where_nobody_saw_it() -> None:
    places = np.stack([30 + 12 * TIMES, 5 - 3 * TIMES], axis=-1)[None]
    seen = (TIMES < 3.2)[None]
    spoiled = np.where(seen[..., None], places, 1e3)
    centre, weights = fit_motion(BASIS, TIMES, spoiled, seen.astype(float))
    curve = centre[:, None] + np.swapaxes(weights @ BASIS.values(TIMES).T, 1, 2)
    assert np.abs(curve - places)[seen].max() < 0.05
    assert np.abs(curve - places).max() < 1.5


def test_fast_motion_is_kept_in_a_long_clip() -> None:
    times = np.arange(300) / 30
    swing = 20 * np.sin(2 * np.pi * 3 * times)[None, :, None]
    basis = MotionBasis.of(times)
    centre, weights = fit_motion(basis, times, swing, np.ones((1, 300)))
    curve = centre[:, None] + np.swapaxes(weights @ basis.values(times).T, 1, 2)
    assert np.abs(curve - swing).max() < 1.5


def test_a_track_of_one_frame_stands_still() -> None:
    places = np.full((1, 41, 1), 7.0)
    weights = np.zeros((1, 41))
    weights[0, 20] = 1
    centre, motion = fit_motion(BASIS, TIMES, places, weights)
    curve = centre[:, None] + np.swapaxes(motion @ BASIS.values(TIMES).T, 1, 2)
    assert np.abs(curve - 7).max() < 0.05


@pytest.mark.parametrize("count", [4, 9, 60])
def test_a_clip_of_any_length_gets_fewer_terms_than_frames(count: int) -> None:
    basis = MotionBasis.of(np.arange(count) / 30)
    assert 1 <= basis.terms < count
    assert basis.values(np.arange(count) / 30).shape == (count, basis.terms)


def test_times_that_stand_still_are_refused() -> None:
    with pytest.raises(InputError, match="times that increase"):
        MotionBasis(start=1.0, end=1.0)
