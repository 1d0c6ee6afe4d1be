"""TRC files read back with trc-data-reader, C3D files with the package c3d (ezc3d writes them)."""

import numpy as np
import pytest

from recon.core.geometry import R_YUP_ZUP
from recon.core.skeletons import CANONICAL_JOINTS
from recon.export.markers import MARKERS, export_c3d, export_trc, marker_positions
from recon.export.options import ExportOptions
from tests.recon.export.readers import read_c3d, read_trc

JOINT_OF = {"Neck": "neck", "LKnee": "left_knee", "RWrist": "right_wrist", "RIndex": "right_index1"}


@pytest.mark.parametrize(("up", "axes"), [(None, R_YUP_ZUP), ("z", np.eye(3))])
def test_trc_markers_are_where_the_body_has_them(scene, tmp_path, up, axes):
    paths = export_trc(scene, tmp_path, ExportOptions(up=up))
    assert [path.name for path in paths] == ["person1.trc", "person2.trc"]
    for path, motion, rig in zip(paths, scene.world_motions, scene.rigs, strict=True):
        labels, times, points, data = read_trc(path)
        assert labels == list(MARKERS)
        assert (data["Units"], data["NumMarkers"]) == ("mm", len(MARKERS))
        assert data["DataRate"] == pytest.approx(30)
        own = scene.video.times[motion.frame_idx] - scene.video.times[0]
        np.testing.assert_allclose(times, own, atol=2e-3)
        truth = marker_positions(rig, motion.poses_world) @ axes.T * 1000
        np.testing.assert_allclose(points, truth, atol=1e-5)


@pytest.mark.parametrize(("up", "axes"), [(None, np.eye(3)), ("y", R_YUP_ZUP)])
def test_c3d_markers_are_where_the_body_has_them(scene, tmp_path, up, axes):
    paths = export_c3d(scene, tmp_path, ExportOptions(up=up))
    for path, motion, rig in zip(paths, scene.world_motions, scene.rigs, strict=True):
        labels, points, residuals, reader = read_c3d(path)
        assert labels == list(MARKERS)
        assert reader.point_rate == pytest.approx(30)
        assert reader.get("POINT:UNITS").string_value.strip() == "mm"
        assert reader.get("POINT:Y_SCREEN").string_value.strip() == f"+{(up or 'z').upper()}"
        assert (residuals >= 0).all(), "no marker is marked as not seen"
        truth = marker_positions(rig, motion.poses_world) @ axes.T * 1000
        np.testing.assert_allclose(points, truth, atol=1e-3)


def test_markers_named_after_joints_are_these_joints(scene):
    motion, rig = scene.world_motions[0], scene.rigs[0]
    positions = marker_positions(rig, motion.poses_world)
    for name, joint in JOINT_OF.items():
        expected = motion.joints_world[:, CANONICAL_JOINTS.index(joint)]
        np.testing.assert_allclose(positions[:, list(MARKERS).index(name)], expected)
    heel = positions[:, list(MARKERS).index("LHeel")]
    np.testing.assert_allclose(heel, motion.feet_world[:, 0], atol=1e-9)
    head = positions[:, list(MARKERS).index("Head")]
    above = head - motion.joints_world[:, CANONICAL_JOINTS.index("head")]
    assert (above[:, 2] > 0.1).all() and (np.linalg.norm(above, axis=1) < 0.3).all()


def test_a_chosen_frame_rate_is_stated_and_kept(scene, tmp_path):
    options = ExportOptions(fps=24)
    _, times, points, data = read_trc(export_trc(scene, tmp_path, options)[0])
    assert data["DataRate"] == pytest.approx(24)
    np.testing.assert_allclose(np.diff(times), 1 / 24, atol=1e-5)
    _, c3d_points, _, reader = read_c3d(export_c3d(scene, tmp_path, options)[0])
    assert reader.point_rate == pytest.approx(24) and len(c3d_points) == len(points)
