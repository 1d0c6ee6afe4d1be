"""scene.usdc and scene.usdz held against pxr: its validators, its skinning, its camera."""

# pyright: reportAttributeAccessIssue=false
# (pxr's modules come without type stubs.)

import dataclasses

import numpy as np
import pytest

from recon.core.geometry import R_YUP_ZUP
from recon.core.skeletons import CANONICAL_JOINTS
from recon.export.options import ExportOptions

pytest.importorskip("pxr", reason="USD files need the package usd-core")
from pxr import Gf, Usd, UsdGeom, UsdValidation

from recon.export.usd import add_camera, export, export_usdz
from tests.recon.export.readers import SkelReader, usd_issues


@pytest.fixture(scope="module")
def usdc(scene, tmp_path_factory):
    (path,) = export(scene, tmp_path_factory.mktemp("usd"))
    return path


def test_pxrs_validators_are_there_and_see_what_is_wrong(usdc, tmp_path):
    known = [m.name for m in UsdValidation.ValidationRegistry().GetAllValidatorMetadata()]
    assert "usdSkelValidators:SkelBindingApiValidator" in known
    stage = Usd.Stage.Open(str(usdc))
    stage.GetRootLayer().ClearDefaultPrim()
    stage.GetRootLayer().Export(str(tmp_path / "broken.usda"))
    assert any("defaultPrim" in text for text in usd_issues(tmp_path / "broken.usda"))


@pytest.mark.parametrize("which", ["scene", "vfr_scene", "empty_scene"])
def test_pxrs_validators_find_nothing(which, request, tmp_path):
    made = request.getfixturevalue(which)
    for path in (*export(made, tmp_path), *export_usdz(made, tmp_path)):
        assert usd_issues(path) == [], path


def test_pxr_skins_vertices_and_joints_as_the_rig_does(scene, usdc):
    stage = Usd.Stage.Open(str(usdc))
    for motion, rig in zip(scene.world_motions, scene.rigs, strict=True):
        person = SkelReader(stage, f"person{motion.track_id}")
        vertices = rig.vertices(motion.poses_world) @ R_YUP_ZUP.T
        times = scene.video.times[motion.frame_idx] - scene.video.times[0]
        for row in (0, 13, 27, len(times) - 1):
            np.testing.assert_allclose(person.vertices(times[row]), vertices[row], atol=1e-5)
            joints = motion.joints_world[row] @ R_YUP_ZUP.T
            np.testing.assert_allclose(person.joints(times[row]), joints, atol=1e-5)
        names = [path.rpartition("/")[2] for path in person.query.GetJointOrder()]
        assert tuple(names) == CANONICAL_JOINTS


def test_the_usdz_holds_the_same_people(scene, usdc, tmp_path):
    stages = [Usd.Stage.Open(str(path)) for path in (usdc, *export_usdz(scene, tmp_path))]
    a, b = (SkelReader(stage, "person1").vertices(0.5) for stage in stages)
    np.testing.assert_array_equal(a, b)


def test_variable_frame_rate_keeps_the_videos_own_times(vfr_scene, tmp_path):
    stage = Usd.Stage.Open(str(export(vfr_scene, tmp_path)[0]))
    person, motion = SkelReader(stage, "person1"), vfr_scene.world_motions[0]
    times = vfr_scene.video.times - vfr_scene.video.times[0]
    for row in (0, 20, 59):
        joints = motion.joints_world[row] @ R_YUP_ZUP.T
        np.testing.assert_allclose(person.joints(times[row]), joints, atol=1e-5)
    assert stage.GetEndTimeCode() / stage.GetTimeCodesPerSecond() == pytest.approx(times[-1])


def test_axes_and_units_are_chosen_and_stated(scene, tmp_path):
    (path,) = export(scene, tmp_path, ExportOptions(up="z", unit="cm"))
    stage, motion = Usd.Stage.Open(str(path)), scene.world_motions[0]
    assert UsdGeom.GetStageUpAxis(stage) == "Z" and UsdGeom.GetStageMetersPerUnit(stage) == 0.01
    got = SkelReader(stage, "person1").vertices(0.0)
    truth = scene.rigs[0].vertices(motion.poses_world)[0] * 100
    np.testing.assert_allclose(got, truth, atol=1e-3)
    assert usd_issues(path) == []


def test_person_is_invisible_where_absent(scene, usdc):
    stage, idx = Usd.Stage.Open(str(usdc)), scene.world_motions[1].frame_idx
    times = scene.video.times - scene.video.times[0]
    seen = [SkelReader(stage, "person2").visible(t) for t in times]
    np.testing.assert_array_equal(seen, np.isin(np.arange(len(times)), idx))
    assert all(SkelReader(stage, "person1").visible(t) for t in times)


def test_camera_sees_what_the_video_saw(scene, tmp_path):
    """Also with a lens off the centre and pixels that are not square."""
    own = scene.camera.intrinsics
    for k in (own, dataclasses.replace(own, fy=own.fy * 1.2, cx=own.cx + 17, cy=own.cy - 9)):
        stage, Ts = Usd.Stage.CreateInMemory(), scene.placement.Ts_world_camera
        add_camera(stage, k, Ts, np.arange(len(Ts)) / 2, up="y", unit="cm")
        camera = UsdGeom.Camera.Get(stage, "/Scene/camera")
        for row in (0, 30, 59):
            frustum = camera.GetCamera(Usd.TimeCode(row / 2)).frustum
            seen = frustum.ComputeViewMatrix() * frustum.ComputeProjectionMatrix()
            joints, T = scene.world_motions[0].joints_world[row], np.linalg.inv(Ts[row])
            expected = k.project(joints @ T[:3, :3].T + T[:3, 3])
            points = (joints @ R_YUP_ZUP.T * 100).tolist()
            ndc = np.array([seen.Transform(Gf.Vec3d(*point)) for point in points])
            px = (ndc[:, :2] * [1, -1] + 1) / 2 * [k.width, k.height]
            np.testing.assert_allclose(px, expected, atol=0.01)
