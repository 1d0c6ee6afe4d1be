"""personN.smpl read back with Meshcapade's own codec."""

import numpy as np
import pytest

from recon.core.geometry import R_YUP_ZUP
from recon.export.options import ExportOptions
from recon.export.smpl import export
from tests.recon.export.readers import smplx_joints

smplcodec = pytest.importorskip("smplcodec", reason="the reader of .smpl files is smplcodec")


@pytest.mark.parametrize(("up", "axes"), [(None, R_YUP_ZUP), ("z", np.eye(3))])
def test_meshcapades_codec_reads_the_motion_that_we_have(scene, tmp_path, up, axes):
    paths = export(scene, tmp_path, ExportOptions(up=up))
    assert [path.name for path in paths] == ["person1.smpl", "person2.smpl"]
    for path, motion, rig in zip(paths, scene.world_motions, scene.rigs, strict=True):
        read = smplcodec.SMPLCodec.from_file(str(path))
        assert read.smpl_version == smplcodec.SMPLVersion.SMPLX
        assert read.gender == smplcodec.SMPLGender.NEUTRAL
        assert read.frame_count == len(motion.frame_idx)
        assert read.frame_rate == pytest.approx(30)
        assert read.shape_parameters.shape == (16,)
        # SMPL-X's own pelvis of betas 0, as in its files.
        data = {"poses": read.full_pose, "trans": read.body_translation}
        data["pelvis_rest"] = np.array([0.0031, -0.3514, 0.0120])
        joints = smplx_joints(data, rig.rest_joints)
        np.testing.assert_allclose(joints, motion.joints_world @ axes.T, atol=1e-5)


def test_written_files_are_what_the_codec_itself_would_write(scene, tmp_path):
    path = export(scene, tmp_path)[0]
    again = tmp_path / "again.smpl"
    smplcodec.SMPLCodec.from_file(str(path)).write(str(again))
    with np.load(path, allow_pickle=False) as ours, np.load(again, allow_pickle=False) as theirs:
        assert set(ours.files) == set(theirs.files)
        for key in ours.files:
            assert ours[key].dtype == theirs[key].dtype, key
            np.testing.assert_array_equal(ours[key], theirs[key])
