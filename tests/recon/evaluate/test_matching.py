"""Frames are matched by time, people by their place in the picture."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from recon.core.errors import InputError
from recon.evaluate.matching import match_frames, match_people
from recon.evaluate.recording import RecordedPerson, Recording, read_recording
from tests.recon.evaluate.recordings import changed, walk, with_people
from tests.synthetic import make_scene


@pytest.fixture(scope="module")
def truth(tmp_path_factory) -> Recording:
    path = tmp_path_factory.mktemp("matching") / "truth"
    return read_recording(make_scene(path, num_people=3, num_frames=36, camera="moving"))


def same_frames(truth: Recording):
    return match_frames(truth.times, truth.times)


def shifted(person: RecordedPerson, metres: float) -> RecordedPerson:
    """The person to the right in the picture."""
    assert person.joints_camera is not None
    return changed(person, joints_camera=person.joints_camera + np.array([metres, 0, 0]))


def test_equal_times_match_one_to_one() -> None:
    times = np.arange(10) / 30
    match = match_frames(times, times)
    assert np.array_equal(match.predicted, np.arange(10))
    assert np.array_equal(match.truth, np.arange(10))


def test_every_second_frame_and_a_small_offset() -> None:
    truth = np.arange(20) / 30
    match = match_frames(truth[::2] + 0.004, truth)
    assert np.array_equal(match.truth, np.arange(0, 20, 2))
    assert np.array_equal(match.predicted, np.arange(10))


def test_a_frame_has_one_partner() -> None:
    truth = np.arange(10) / 60
    match = match_frames(np.arange(3) / 20, truth, tolerance=1.0)
    assert len(set(match.truth)) == len(match.truth) == 3


def test_other_moments_are_an_error() -> None:
    times = np.arange(10) / 30
    with pytest.raises(InputError, match=r"0\.000-0\.300 s with none within 0\.017 s; give"):
        match_frames(times + 5, times)
    with pytest.raises(InputError, match="same moments"):
        match_frames(np.array([1.0]), np.array([3.0]))


def test_people_are_matched_by_place_not_by_number(truth: Recording) -> None:
    a, b, c = truth.people
    found = with_people(
        truth, changed(c, person_id=1), changed(a, person_id=2), changed(b, person_id=3)
    )
    matches, note = match_people(found, truth, same_frames(truth))
    assert {m.truth.person_id: m.predicted.person_id for m in matches} == {1: 2, 2: 3, 3: 1}
    assert note is None and all(m.coverage == 1 for m in matches)


def test_an_exchange_halfway_goes_to_the_longer_part(truth: Recording) -> None:
    """Two people exchange their numbers after 24 of 36 frames."""
    a, b, _ = truth.people
    b = shifted(a, 1.5)
    assert a.joints_camera is not None and b.joints_camera is not None
    late = np.arange(36)[:, None, None] >= 24
    found = with_people(
        truth,
        changed(a, person_id=8, joints_camera=np.where(late, b.joints_camera, a.joints_camera)),
        changed(b, person_id=9, joints_camera=np.where(late, a.joints_camera, b.joints_camera)),
    )
    there = with_people(truth, a, changed(b, person_id=2), name="truth")
    matches, _ = match_people(found, there, same_frames(truth))
    assert {m.truth.person_id: m.predicted.person_id for m in matches} == {1: 8, 2: 9}
    assert [m.coverage for m in matches] == pytest.approx([24 / 36, 24 / 36])


def test_somebody_elsewhere_is_nobodys_match(truth: Recording) -> None:
    a, b, _ = truth.people
    found = with_people(truth, shifted(a, 3.0), b)
    matches, _ = match_people(found, truth, same_frames(truth))
    assert [m.truth.person_id for m in matches] == [2]


def test_two_single_people_are_the_same_wherever_they_are() -> None:
    truth = walk(seconds=1.0)
    found = with_people(truth, shifted(truth.people[0], 4.0))
    matches, note = match_people(found, truth, same_frames(truth))
    assert len(matches) == 1 and note is not None and "never in one place" in note
    assert matches[0].coverage == 0 and len(matches[0].frames) == 30
    matches, note = match_people(truth, truth, same_frames(truth))
    assert note is None and matches[0].coverage == 1


def test_only_frames_that_the_truth_vouches_for_are_shared(truth: Recording) -> None:
    a = truth.people[0]
    valid = np.arange(36) % 2 == 0
    there = with_people(truth, changed(a, valid=valid), name="truth")
    matches, _ = match_people(with_people(truth, a), there, same_frames(truth))
    assert np.array_equal(matches[0].frames, np.arange(0, 36, 2))


def test_several_people_without_a_camera_cannot_be_told_apart(truth: Recording) -> None:
    with pytest.raises(InputError, match="expected a camera in both"):
        match_people(truth, dataclasses.replace(truth, camera=None), same_frames(truth))
