"""Motion at one frame rate: untouched where frames are even, interpolated where they are not."""

import numpy as np
import pytest

from recon.export.motion import at_fixed_rate, poses_yup, vertex_frames
from tests.synthetic import toy_rig, walking_poses


@pytest.mark.parametrize("fps", [10.0, 24000 / 1001, 30000 / 1001, 60.0])
def test_even_frames_with_times_rounded_to_milliseconds_are_kept(fps):
    times = np.round(7.0 + np.arange(200) / fps, 3)
    poses = walking_poses(200, fps)
    fixed = at_fixed_rate(times, poses)
    assert not fixed.resampled and fixed.poses is poses
    assert fixed.fps == pytest.approx(fps, rel=1e-3)


def test_uneven_frames_become_the_walk_at_the_grid_times(vfr_times):
    t = vfr_times
    fixed = at_fixed_rate(t, walking_poses(len(t), 30, times=t))
    assert fixed.resampled and fixed.fps == pytest.approx(1 / np.median(np.diff(t)))
    np.testing.assert_allclose(np.diff(fixed.times), 1 / fixed.fps)
    assert fixed.times[0] == t[0] and t[-1] - 1 / fixed.fps < fixed.times[-1] <= t[-1] + 1e-9
    truth = walking_poses(len(fixed.times), 30, times=fixed.times)
    rig = toy_rig()
    error = np.linalg.norm(rig.joints(fixed.poses)[1] - rig.joints(truth)[1], axis=-1)
    assert error.max() < 0.02 and np.median(error) < 0.001


def test_one_frame_has_a_rate_too():
    fixed = at_fixed_rate(np.array([0.4]), walking_poses(1, 30))
    assert fixed.fps > 0 and len(fixed.times) == 1 and not fixed.resampled


def test_yup_poses_are_the_same_body_with_z_up_turned_to_y_up():
    rig, poses = toy_rig(), walking_poses(5, 3.0, heading=0.7)
    x, y, z = np.moveaxis(rig.joints(poses)[1], -1, 0)
    yup = rig.joints(poses_yup(poses))[1]
    np.testing.assert_allclose(yup, np.stack([x, z, -y], axis=-1), atol=1e-12)


def test_vertex_frames_equal_the_whole_sequence():
    rig, poses = toy_rig(), walking_poses(7, 30)
    chunked = np.stack(list(vertex_frames(rig, poses, chunk=3)))
    np.testing.assert_array_equal(chunked, rig.vertices(poses))
