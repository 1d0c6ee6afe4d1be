"""AMASS files read back with numpy and SciPy, as a program that knows SMPL-X would."""

import dataclasses

import numpy as np
import pytest
import torch

from body.models.anny import AnnyModel
from body.models.anny_native import native_model
from recon.core.people import BodyShape
from recon.export.motion import export_people
from recon.export.motion_npz import MEAN_PELVIS, amass_arrays, export
from tests.recon.export.readers import smplx_joints
from tests.synthetic import make_scene


def test_amass_file_has_amass_keys_and_puts_the_joints_where_they_are(scene, tmp_path):
    files = {path.name: path for path in export(scene, tmp_path)}
    kinds = ("smplx", "smplh", "motion")
    assert set(files) == {f"person{k}_{kind}.npz" for k in (1, 2) for kind in kinds}
    for k, motion in enumerate(scene.world_motions, start=1):
        n = len(motion.frame_idx)
        with np.load(files[f"person{k}_smplx.npz"], allow_pickle=False) as data:
            shapes = {"poses": 165, "root_orient": 3, "pose_body": 63, "pose_hand": 90,
                      "pose_jaw": 3, "pose_eye": 6, "trans": 3}  # fmt: skip
            assert {key: data[key].shape for key in shapes} == {
                key: (n, width) for key, width in shapes.items()
            }
            order = ["root_orient", "pose_body", "pose_jaw", "pose_eye", "pose_hand"]
            parts = np.concatenate([data[key] for key in order], axis=1)
            np.testing.assert_array_equal(data["poses"], parts)
            assert data["betas"].shape == (16,)
            assert (data["gender"], data["surface_model_type"]) == ("neutral", "smplx")
            assert data["mocap_frame_rate"] == pytest.approx(30)
            joints = smplx_joints(data, scene.rigs[k - 1].rest_joints)
        np.testing.assert_allclose(joints, motion.joints_world, atol=1e-6)


def test_smplh_file_has_the_keys_of_amass_and_the_same_motion(scene, tmp_path):
    export(scene, tmp_path)
    smplx = np.load(tmp_path / "person1_smplx.npz", allow_pickle=False)
    smplh = np.load(tmp_path / "person1_smplh.npz", allow_pickle=False)
    n = len(smplx["poses"])
    assert {k: smplh[k].shape for k in ("poses", "trans", "betas", "dmpls")} == {
        "poses": (n, 156), "trans": (n, 3), "betas": (16,), "dmpls": (n, 8),
    }  # fmt: skip
    assert smplh["mocap_framerate"] == smplx["mocap_frame_rate"] and smplh["gender"] == "neutral"
    keys = ["root_orient", "pose_body", "pose_hand"]
    np.testing.assert_array_equal(smplh["poses"], np.concatenate([smplx[k] for k in keys], 1))
    pelvises = [file["trans"] + file["pelvis_rest"] for file in (smplx, smplh)]
    np.testing.assert_allclose(*pelvises, atol=1e-12)


def test_what_nobody_estimated_is_named_and_zero(scene, tmp_path):
    export(scene, tmp_path)
    for kind, names in (("smplx", {"pose_jaw", "pose_eye"}), ("smplh", {"dmpls"})):
        with np.load(tmp_path / f"person1_{kind}.npz", allow_pickle=False) as data:
            assert set(data["not_estimated"].tolist()) == names
            assert not any(data[name].any() for name in names)


def test_an_opened_jaw_turns_about_the_heads_x_axis(vfr_scene, vfr_times):
    (person,) = export_people(vfr_scene)
    opening = 0.2 + 0.1 * np.sin(vfr_times)
    data = amass_arrays(dataclasses.replace(person, jaw_open=opening), "x.npz")
    expected = np.interp(data["times"], vfr_times, opening)
    np.testing.assert_allclose(data["pose_jaw"][:, 0], expected)
    assert not data["pose_jaw"][:, 1:].any() and data["not_estimated"] == ("pose_eye",)
    np.testing.assert_array_equal(data["poses"][:, 66:69], data["pose_jaw"])
    assert "pose_jaw" in amass_arrays(person, "x.npz")["not_estimated"]


def test_shape_of_another_model_gives_zero_betas_and_says_so(scene, tmp_path):
    export(scene, tmp_path)
    with np.load(tmp_path / "person1_smplx.npz", allow_pickle=False) as data:
        assert not data["betas"].any() and "'toy'" in str(data["betas_source"])
        assert data["shape_model"] == "toy" and data["shape_names"].tolist() == ["stature"]
        np.testing.assert_array_equal(data["pelvis_rest"], MEAN_PELVIS["smplx"])
        assert data["licence"] == "CC0-1.0"


def test_smplx_shape_keeps_its_betas_and_its_own_pelvis(scene):
    person, pelvis = export_people(scene)[0], np.array([0.01, -0.37, 0.02])
    binds = np.tile(np.eye(4), (52, 1, 1))
    binds[:, :3, 3] = -(person.rig.rest_joints + pelvis)
    shape = BodyShape(
        model="smplx", names=tuple(f"b{k}" for k in range(10)), values=np.arange(10.0)
    )
    person = dataclasses.replace(
        person,
        rig=dataclasses.replace(person.rig, model="smplx", Ts_joint_bind=binds),
        motion=dataclasses.replace(person.motion, shape=shape),
    )
    data = amass_arrays(person, "x.npz")
    assert data["pelvis_rest_source"] == "of these betas"
    assert data["betas"].tolist() == [*range(10), *[0] * 6] and data["betas_source"] == "fitted"
    np.testing.assert_allclose(data["trans"], person.motion.poses_world.root - pelvis)


def test_smplx_rig_bound_at_its_pelvis_says_that_the_offset_is_the_mean_bodys(scene, caplog):
    person = export_people(scene)[0]
    binds = np.tile(np.eye(4), (52, 1, 1))
    binds[:, :3, 3] = -person.rig.rest_joints
    shape = BodyShape(model="smplx", names=("beta0",), values=np.ones(1))
    data = amass_arrays(
        dataclasses.replace(
            person,
            rig=dataclasses.replace(person.rig, Ts_joint_bind=binds),
            motion=dataclasses.replace(person.motion, shape=shape),
        ),
        "x.npz",
    )
    np.testing.assert_array_equal(data["pelvis_rest"], MEAN_PELVIS["smplx"])
    assert "mean body" in data["pelvis_rest_source"] and "mean body" in caplog.text


def test_native_file_holds_the_whole_motion_frame_by_frame(scene, tmp_path):
    export(scene, tmp_path)
    motion = scene.world_motions[1]
    with np.load(tmp_path / "person2_motion.npz", allow_pickle=False) as data:
        np.testing.assert_array_equal(data["frame_idx"], motion.frame_idx)
        np.testing.assert_array_equal(data["times"], scene.video.times[motion.frame_idx])
        for key in ("observed", "joints_world", "feet_world", "contacts"):
            np.testing.assert_array_equal(data[key], getattr(motion, key))
        np.testing.assert_array_equal(data["rotations"], motion.poses_world.rotations)
        np.testing.assert_array_equal(data["root_world"], motion.poses_world.root)
        assert data["joint_names"][0] == "pelvis" and data["joint_parents"][1] == 0


def test_variable_frame_rate_is_resampled_and_said(vfr_scene, vfr_times, tmp_path, caplog):
    export(vfr_scene, tmp_path)
    assert "resampled" in caplog.text and "person1_smplx.npz" in caplog.text
    with np.load(tmp_path / "person1_smplx.npz", allow_pickle=False) as data:
        assert data["resampled"]
        rate = 1 / np.median(np.diff(vfr_times))
        assert data["mocap_frame_rate"] == pytest.approx(rate)
        np.testing.assert_allclose(np.diff(data["times"]), 1 / rate)
    with np.load(tmp_path / "person1_motion.npz", allow_pickle=False) as data:
        np.testing.assert_array_equal(data["times"], vfr_times)


def test_anny_motion_files_pose_annys_own_model(tmp_path):
    """The file's parameters, fed to the package's forward, give the skeleton of the motion."""
    scene = make_scene(tmp_path / "scene", num_frames=20, camera="moving")
    spec = AnnyModel().param_spec
    shape = BodyShape(model="anny", names=spec.names, values=spec.mean)
    rig = AnnyModel().skinning_spec(spec.mean)
    motions = [dataclasses.replace(motion, shape=shape) for motion in scene.world_motions]
    scene.save("world.npz", motions)
    scene.save("rigs.npz", [rig] * len(motions))
    export(scene, tmp_path)
    with np.load(tmp_path / "person1_motion.npz", allow_pickle=False) as data:
        posed = native_model()(
            pose_parameters=torch.as_tensor(data["anny_pose"].astype(float)),
            phenotype_kwargs=torch.as_tensor(data["shape_values"][None]),
            pose_parameterization=str(data["anny_pose_parameterization"]),
        )
    vertices = posed["vertices"].numpy()
    expected = rig.vertices(motions[0].poses_world)
    # The toes turn about one joint with us and about five with Anny.
    assert np.quantile(np.linalg.norm(vertices - expected, axis=-1), 0.9) < 1e-4
