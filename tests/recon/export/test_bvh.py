"""BVH files read back with bvhio."""

import bvhio
import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from recon.core.geometry import R_YUP_ZUP, rotvec_to_matrix
from recon.core.skeletons import CANONICAL_JOINTS, CANONICAL_PARENTS
from recon.export.bvh import EULER_ORDER, continuous_euler, end_sites, export
from tests.recon.export.readers import read_joints
from tests.synthetic import toy_rig


def test_joints_are_where_our_kinematics_puts_them_on_every_frame(scene, tmp_path):
    paths = export(scene, tmp_path)
    assert [path.name for path in paths] == ["person1.bvh", "person2.bvh"]
    for path, motion in zip(paths, scene.world_motions, strict=True):
        read = read_joints(path)
        assert set(read) == set(CANONICAL_JOINTS)
        got = np.stack([read[name] for name in CANONICAL_JOINTS], axis=1)
        error = np.linalg.norm(got - motion.joints_world @ R_YUP_ZUP.T, axis=-1)
        assert error.shape == (len(motion.frame_idx), 52)
        assert error.max() < 1e-4


def test_header_states_channels_end_sites_and_frame_time(scene, tmp_path):
    path = export(scene, tmp_path)[1]
    bvh = bvhio.readAsBvh(str(path))
    assert bvh.FrameCount == len(scene.world_motions[1].frame_idx)
    assert bvh.FrameTime == pytest.approx(1 / 30, abs=1e-6)
    joints = [joint for joint, _, _ in bvh.Root.layout()]
    turns = [f"{axis}rotation" for axis in EULER_ORDER]
    assert joints[0].Channels == ["Xposition", "Yposition", "Zposition", *turns]
    assert all(joint.Channels == turns for joint in joints[1:])
    text = path.read_text()
    leaves = set(range(52)) - set(CANONICAL_PARENTS)
    assert text.count("End Site") == len(leaves) == 13


def test_variable_frame_rate_becomes_the_median_rate(vfr_scene, vfr_times, tmp_path, caplog):
    bvh = bvhio.readAsBvh(str(export(vfr_scene, tmp_path)[0]))
    step = np.median(np.diff(vfr_times))
    assert bvh.FrameTime == pytest.approx(step, abs=1e-6)
    assert bvh.FrameCount == int((vfr_times[-1] - vfr_times[0]) / step + 1e-6) + 1
    assert "person1.bvh" in caplog.text


def test_euler_angles_are_the_rotations_and_never_jump():
    """Three full turns about each axis, one of them through gimbal lock, at once."""
    angle = np.linspace(0, 6 * np.pi, 400)
    turns = np.stack([rotvec_to_matrix(angle[:, None] * axis) for axis in np.eye(3)], axis=1)
    tilt = rotvec_to_matrix(np.array([0.02, 0.03, 0.01]))
    angles = continuous_euler(turns @ tilt)
    back = Rotation.from_euler(EULER_ORDER, angles.reshape(-1, 3), degrees=True).as_matrix()
    np.testing.assert_allclose(back.reshape(turns.shape), turns @ tilt, atol=1e-9)
    assert np.abs(np.diff(angles[:, 1:], axis=0)).max() < 10, "z and y turn as they turn"
    assert np.abs(np.diff(angles, axis=0)).max() < 150, "no wrap around by 180 or 360"
    assert np.ptp(angles[:, 2, 0]) == pytest.approx(1080, abs=10)


def test_end_sites_reach_the_tips_of_the_mesh():
    tips = end_sites(toy_rig())
    head, toe = (tips[CANONICAL_JOINTS.index(name)] for name in ("head", "left_foot"))
    assert 0.1 < head[1] < 0.25 and 0.02 < toe[2] < 0.12
    assert all(0.005 < np.linalg.norm(tip) < 0.3 for tip in tips.values())
