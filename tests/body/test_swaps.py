"""Swapped limbs are found and renamed; clean tracks are left alone."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from body.models import load_body_model
from body.models.base import BodyModel
from body.swaps import PARTS, repair_swaps
from tests.performers import ACTIONS, Action, SensorNoise, perform


@pytest.fixture(scope="module")
def model() -> BodyModel:
    return load_body_model("anny")


@pytest.mark.parametrize("action", ACTIONS)
def test_a_clean_track_comes_back_as_it_is(model: BodyModel, action: Action) -> None:
    clip = perform(model, action, seed=50)
    track, swapped = repair_swaps(clip.track, clip.times)
    assert track is clip.track and not swapped.any()


@pytest.mark.parametrize("action", ACTIONS)
@pytest.mark.parametrize("parts", [(0,), (1,), (0, 1)])
def test_swapped_stretches_are_found_and_undone(
    model: BodyModel, action: Action, parts: tuple[int, ...]
) -> None:
    clip = perform(model, action, seed=51)
    names = ("keypoints_px", "keypoint_conf", "landmarks")
    arrays = {name: getattr(clip.track, name).copy() for name in names}
    rows = np.r_[20:26, 60:61]
    for part in parts:
        left, right = np.array(list(PARTS.values())[part]).T
        for array in arrays.values():
            both = array[rows].copy()
            array[np.ix_(rows, left)], array[np.ix_(rows, right)] = both[:, right], both[:, left]
    hands = np.zeros((90, 2, 21, 2))
    hands[:, 1] = 1.0
    seen = replace(clip.track, **arrays, hands_px=hands)
    track, swapped = repair_swaps(seen, clip.times)
    truth = np.zeros((90, 2), bool)
    truth[np.ix_(rows, parts)] = True
    right = (swapped == truth).all(axis=1)  # limbs that cross at an end of it leave a frame open
    assert right.mean() > 0.97 and swapped[22:24][:, parts].all()
    assert np.array_equal(track.keypoints_px[right], clip.track.keypoints_px[right])
    assert np.array_equal(track.keypoint_conf[right], clip.track.keypoint_conf[right])
    assert np.allclose(track.landmarks[right], clip.track.landmarks[right])
    assert track.hands_px is not None
    assert np.array_equal(track.hands_px[:, 0, 0, 0] == 1.0, swapped[:, 0])


def test_a_gap_alone_is_no_swap(model: BodyModel) -> None:
    clip = perform(model, "turning", seed=52, noise=SensorNoise(dropouts=0.35))
    assert not repair_swaps(clip.track, clip.times)[1].any()


def test_a_frame_with_both_sides_on_one_another_hides_no_swap(model: BodyModel) -> None:
    """The network goes over to the other side in a frame that shows neither."""
    clip = perform(model, "walking", seed=53)
    names = ("keypoints_px", "landmarks")
    arrays = {name: getattr(clip.track, name).copy() for name in names}
    rows = np.arange(30, 50)
    for pairs in PARTS.values():
        left, right = np.array(pairs).T
        for array in arrays.values():
            both = array[rows].copy()
            array[np.ix_(rows, left)], array[np.ix_(rows, right)] = both[:, right], both[:, left]
            for n in (29, 50):
                array[n, left] = array[n, right] = 0.5 * (array[n, left] + array[n, right])
    swapped = repair_swaps(replace(clip.track, **arrays), clip.times)[1]
    assert swapped[rows].all() and not swapped[:29].any() and not swapped[51:].any()
