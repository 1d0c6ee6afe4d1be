"""Motion at one frame rate: untouched where frames are even, interpolated where they are not."""

import dataclasses

import numpy as np
import pytest

from recon.core.people import BodyShape, WorldMotion
from recon.export.motion import (
    ExportPerson,
    export_people,
    jaw_at,
    person_at_fixed_rate,
    poses_yup,
    vertex_frames,
)
from tests.synthetic import toy_rig, walking_poses


def person(times, poses, *, fps=50.0, **more):
    rig, n = toy_rig(), len(times)
    motion = WorldMotion(
        track_id=1, frame_idx=np.arange(n), observed=np.ones(n, bool),
        shape=BodyShape(model="toy", names=(), values=np.zeros(0)), poses_world=poses,
        joints_world=rig.joints(poses)[1], feet_world=rig.soles(poses), contacts=np.zeros((n, 4)),
    )  # fmt: skip
    return ExportPerson(name="person1", motion=motion, rig=rig, times=times, fps=fps, **more)


@pytest.mark.parametrize("fps", [10.0, 24000 / 1001, 30000 / 1001, 60.0])
def test_even_frames_with_times_rounded_to_milliseconds_are_kept(fps):
    times = np.round(7.0 + np.arange(200) / fps, 3)
    poses = walking_poses(200, fps)
    fixed = person_at_fixed_rate(person(times, poses), "file")
    assert not fixed.resampled and fixed.poses is poses
    assert fixed.fps == pytest.approx(fps, rel=1e-3)


def test_uneven_frames_become_the_walk_at_the_grid_times(vfr_times):
    t = vfr_times
    fixed = person_at_fixed_rate(person(t, walking_poses(len(t), 30, times=t)), "file")
    assert fixed.resampled and fixed.fps == pytest.approx(1 / np.median(np.diff(t)))
    np.testing.assert_allclose(np.diff(fixed.times), 1 / fixed.fps)
    assert fixed.times[0] == t[0] and t[-1] - 1 / fixed.fps < fixed.times[-1] <= t[-1] + 1e-9
    truth = walking_poses(len(fixed.times), 30, times=fixed.times)
    rig = toy_rig()
    error = np.linalg.norm(rig.joints(fixed.poses)[1] - rig.joints(truth)[1], axis=-1)
    assert error.max() < 0.02 and np.median(error) < 0.001


def test_uneven_frames_are_not_blended_across_a_cut(vfr_times):
    """The second shot lies a hundred metres away, its jaw open: nothing is in between."""
    t, cut = vfr_times, 20
    poses = walking_poses(len(t), 30, times=t)
    later = np.arange(len(t)) >= cut
    poses = dataclasses.replace(poses, root=poses.root + 100.0 * later[:, None] * [1, 0, 0])
    one = person(t, poses, cuts=t[[cut]], jaw_open=later.astype(float))
    fixed = person_at_fixed_rate(one, "file")
    first = fixed.times < t[cut] - 1e-6
    assert fixed.resampled and first.any() and not first.all()
    assert (fixed.poses.root[first, 0] < 20).all() and (fixed.poses.root[~first, 0] > 80).all()
    np.testing.assert_array_equal(jaw_at(one, fixed.times), ~first)


def test_one_frame_has_the_videos_or_the_chosen_rate(scene):
    two = export_people(scene, 0.5)[1]
    assert len(two.times) == 1 and person_at_fixed_rate(two, "file").fps == 0.5
    fixed = person_at_fixed_rate(person(np.array([0.4]), walking_poses(1, 30), fps=25.0), "file")
    assert fixed.fps == 25 and len(fixed.times) == 1 and not fixed.resampled


def test_yup_poses_are_the_same_body_with_z_up_turned_to_y_up():
    rig, poses = toy_rig(), walking_poses(5, 3.0, heading=0.7)
    x, y, z = np.moveaxis(rig.joints(poses)[1], -1, 0)
    yup = rig.joints(poses_yup(poses))[1]
    np.testing.assert_allclose(yup, np.stack([x, z, -y], axis=-1), atol=1e-12)


def test_vertex_frames_equal_the_whole_sequence():
    rig, poses = toy_rig(), walking_poses(7, 30)
    chunked = np.stack(list(vertex_frames(rig, poses, chunk=3)))
    np.testing.assert_array_equal(chunked, rig.vertices(poses))
