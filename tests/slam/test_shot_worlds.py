"""Every shot of a clip with cuts stands on its own floor."""

from dataclasses import replace

import numpy as np
import pytest

from body.world import person_evidence
from recon.core.geometry import (
    invert_transform,
    make_transform,
    rotvec_to_matrix,
    transform_points,
)
from recon.core.people import PersonEvidence
from slam.ground import place_world
from slam.shot_worlds import place_shots
from tests.synthetic import make_scene

PITCH = rotvec_to_matrix(np.array([np.radians(12.0), 0, 0]))
HIGHER_TILTED = make_transform(PITCH, np.array([0, 0.6, 0]))
"""From the second scene's camera to one above it that looks further up."""


@pytest.fixture(scope="module")
def two(tmp_path_factory):
    """A moving shot and a static one with a tilted camera, joined as the camera stage does."""
    folder = tmp_path_factory.mktemp("shots")
    a = make_scene(folder / "a", num_frames=60, camera="moving")
    b = make_scene(folder / "b", num_frames=40)
    first = a.camera
    Ts = np.concatenate([first.Ts_slam_camera, np.tile(first.Ts_slam_camera[0], (40, 1, 1))])
    camera = replace(
        first, Ts_slam_camera=Ts, tracked=np.arange(100) < 60, shot_starts=np.array([0, 60])
    )
    first_person, second = (person_evidence(s.camera_motions[0], s.rigs[0]) for s in (a, b))
    second = replace(
        second, frame_idx=second.frame_idx + 60,
        joints_camera=transform_points(HIGHER_TILTED, second.joints_camera),
        soles_camera=transform_points(HIGHER_TILTED, second.soles_camera),
    )  # fmt: skip
    people = [first_person, second]
    times = np.concatenate([a.video.times, 2.0 + b.video.times])
    return a, b, camera, people, times


def soles_in(placement, person: PersonEvidence):
    return transform_points(placement.Ts_world_camera[person.frame_idx], person.soles_camera)


def test_a_clip_without_cuts_is_placed_as_ever(two):
    a, _, _, people, _ = two
    one, report = place_shots(a.camera, people[:1], a.video.times)
    other, expected = place_world(a.camera, people[:1], a.video.times)
    np.testing.assert_array_equal(one.Ts_world_camera, other.Ts_world_camera)
    assert report == expected


def test_each_shots_people_stand_on_its_own_floor(two):
    a, b, camera, people, times = two
    placement, report = place_shots(camera, people, times)
    alone, _ = place_world(a.camera, people[:1], a.video.times)
    np.testing.assert_allclose(placement.Ts_world_camera[:60], alone.Ts_world_camera, atol=1e-9)
    assert placement.scale == alone.scale
    lowest = soles_in(placement, people[1])[..., 2].min(axis=1)
    assert abs(np.median(lowest)) < 0.03
    up_truth = PITCH @ b.placement.Ts_world_camera[0, 2, :3]
    up = placement.Ts_world_camera[60, 2, :3]
    assert np.degrees(np.arccos(up @ up_truth)) < 5
    together, _ = place_world(camera, people, times)
    assert abs(np.median(soles_in(together, people[1])[..., 2].min(axis=1))) > 0.05, "a bad control"
    assert {d.name for d in report.decisions} >= {"floor, frames 0-59", "floor, frames 60-99"}


def test_a_person_of_both_shots_is_evidence_in_each(two):
    _, _, camera, people, times = two
    both = PersonEvidence(
        frame_idx=np.arange(100),
        **{
            name: np.concatenate([getattr(p, name) for p in people])
            for name in ("joints_camera", "soles_camera", "weights")
        },
    )
    apart, _ = place_shots(camera, people, times)
    joined, _ = place_shots(camera, [both], times)
    np.testing.assert_allclose(joined.Ts_world_camera, apart.Ts_world_camera, atol=1e-9)


def test_the_main_shot_may_come_second(two):
    _, _, camera, people, times = two
    order = np.r_[60:100, 0:60]
    swapped = replace(
        camera, Ts_slam_camera=camera.Ts_slam_camera[order], tracked=camera.tracked[order],
        shot_starts=np.array([0, 40]),
    )  # fmt: skip
    moved = [replace(people[0], frame_idx=people[0].frame_idx + 40),
             replace(people[1], frame_idx=people[1].frame_idx - 60)]  # fmt: skip
    steps = np.concatenate([times[60:] - times[60], 2.0 + times[:60]])
    placement, _ = place_shots(swapped, moved, steps)
    S = make_transform(placement.scale * placement.R_world_slam, placement.t_world_slam)
    centres = transform_points(S, swapped.Ts_slam_camera[40:, :3, 3])
    np.testing.assert_allclose(placement.Ts_world_camera[40:, :3, 3], centres, atol=1e-9)
    assert np.isfinite(invert_transform(placement.Ts_world_camera)).all()
