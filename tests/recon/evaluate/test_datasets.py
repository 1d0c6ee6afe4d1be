"""Truths of the data sets, from miniature files in their official formats."""

from __future__ import annotations

import pickle
from pathlib import Path

import numpy as np
import pytest

from recon.core.errors import InputError
from recon.core.geometry import Array, invert_transform, transform_points
from recon.evaluate.datasets import read_dataset, read_truth, recognised
from recon.evaluate.datasets.truth import Gender, gendered_model
from recon.evaluate.recording import Recording
from recon.evaluate.scenes import evaluate_scenes
from recon.evaluate.sources import open_recording
from tests.body.models.bodies import smpl_arrays, write_smplx
from tests.recon.evaluate.dataset_files import (
    BETAS,
    INTRINSICS,
    NUM_FRAMES,
    Motion,
    motion,
    write_3dpw,
    write_amass,
    write_emdb,
    write_rich,
)

vertex_ids = pytest.importorskip("smplx.vertex_ids", reason="needs smplx").vertex_ids


@pytest.fixture(scope="module")
def models(tmp_path_factory) -> Path:
    """Stand-ins for SMPL and SMPL-X, a woman's and a man's, who is a tenth taller."""
    folder = tmp_path_factory.mktemp("models")
    (folder / "smpl").mkdir()
    (folder / "smplx").mkdir()
    woman = smpl_arrays(vertex_ids["smplh"])
    man = woman | {"v_template": 1.1 * woman["v_template"]}
    (folder / "smpl" / "SMPL_FEMALE.pkl").write_bytes(pickle.dumps(woman))
    man_file = folder / "smpl" / "basicmodel_m_lbs_10_207_0_v1.1.0.pkl"
    man_file.write_bytes(pickle.dumps(man))
    write_smplx(folder / "smplx" / "SMPLX_FEMALE.npz", vertex_ids["smplx"])
    return folder


def pelvis(models: Path, model: str, gender: Gender = "female") -> Array:
    return gendered_model(model, gender, models).pelvis_offset(BETAS)


def assert_is_the_motion(
    recording: Recording, moves: Motion, models: Path, model: str, *, atol: float = 1e-9
) -> None:
    """Bodies, sole points and camera of the first person are those of our world."""
    body = gendered_model(model, "female", models)
    rig = body.skinning_spec(BETAS)
    person = recording.people[0]
    rows = person.frame_idx
    joints = rig.joints(moves.poses)[1][rows, :22]
    # Worlds of files may have an origin and a heading of their own; heights are told below.
    R = person.R_world_root[0] @ moves.poses.rotations[rows[0], 0].T
    assert np.allclose(R[2], [0, 0, 1], atol=max(atol, 1e-6))
    t = person.joints_world[0, 0] - R @ joints[0, 0]
    assert np.allclose(person.joints_world, joints @ R.T + t, atol=atol)
    assert np.allclose(person.R_world_root, R @ moves.poses.rotations[rows, 0], atol=atol)
    assert np.allclose(person.feet_world, rig.soles(moves.poses)[rows] @ R.T + t, atol=atol)
    if recording.camera is not None:
        assert person.joints_camera is not None
        Ts = invert_transform(recording.camera.Ts_world_camera[rows])
        assert np.allclose(person.joints_camera, transform_points(Ts, person.joints_world))
        assert recording.camera.intrinsics.fx == INTRINSICS.fx
        assert person.skin(np.arange(2)).shape == (2, body.num_vertices, 3)


def test_emdb(models: Path, tmp_path: Path) -> None:
    moves = motion()
    path = write_emdb(tmp_path, moves, pelvis(models, "smpl"))
    recording = read_dataset("emdb", str(path.parent), body_model_path=models)
    assert_is_the_motion(recording, moves, models, "smpl")
    assert recording.name == "P1_14_outdoor_climb" and recording.ground is None
    assert np.allclose(recording.times, np.arange(NUM_FRAMES) / 30)
    assert np.array_equal(recording.people[0].valid, moves.valid)
    assert recording.camera is not None
    assert recording.camera.intrinsics.width == 960
    joints = recording.people[0].joints_camera
    want = transform_points(
        invert_transform(moves.Ts_world_camera),
        gendered_model("smpl", "female", models).skinning_spec(BETAS).joints(moves.poses)[1],
    )
    assert joints is not None and np.allclose(joints, want[:, :22])
    assert recording.notes == ("part of EMDB 1",)
    assert read_truth("emdb", str(path)).genders == ("female",)


def test_emdb_evaluates_like_its_scripts(models: Path, tmp_path: Path) -> None:
    """Frames that are not good do not count; vertices are SMPL's own."""
    moves = motion()
    path = write_emdb(tmp_path, moves, pelvis(models, "smpl"))
    truth = read_dataset("emdb", str(path), body_model_path=models)
    result = evaluate_scenes(truth, truth)
    assert len(result.people[0].frames) == NUM_FRAMES - 2
    for name in ("mpjpe_mm", "pve_mm", "w_mpjpe_mm", "ate_s_m"):
        assert result.summary[name] == pytest.approx(0, abs=1e-6)
    assert np.isnan(result.summary["float_mm"])  # EMDB does not tell where its floor is


def test_3dpw_as_python_2_wrote_it(models: Path, tmp_path: Path) -> None:
    first, second = motion(), motion(start=(0.5, 1.5))
    path = write_3dpw(
        tmp_path / "sequenceFiles" / "test" / "downtown_walking_00.pkl",
        [(first, "f", pelvis(models, "smpl")), (second, "m", pelvis(models, "smpl", "male"))],
    )
    recording = read_dataset("3dpw", str(path), body_model_path=models)
    assert_is_the_motion(recording, first, models, "smpl")
    assert recording.name == "downtown_walking_00" and len(recording.people) == 2
    assert np.array_equal(recording.people[0].valid, first.valid)
    man = recording.people[1].joints_world
    legs = [np.linalg.norm(p.joints_world[0, 4] - p.joints_world[0, 1]) for p in recording.people]
    assert legs[1] / legs[0] == pytest.approx(1.1, abs=0.02)
    assert np.allclose(man[:, 0] - recording.people[0].joints_world[:, 0],
                       man[0, 0] - recording.people[0].joints_world[0, 0])  # fmt: skip
    result = evaluate_scenes(recording, recording)
    assert result.summary["coverage_percent"] == 100 and result.summary["mota_percent"] == 100


def test_rich(models: Path, tmp_path: Path) -> None:
    moves = motion()
    folder = write_rich(tmp_path / "data", moves, pelvis(models, "smplx"))
    recording = read_dataset("rich", f"{folder}#3", body_model_path=models)
    assert_is_the_motion(recording, moves, models, "smplx", atol=1e-5)  # its numbers are float32
    person = recording.people[0]
    assert np.array_equal(person.frame_idx, np.delete(np.arange(NUM_FRAMES), 5))
    # This world's floor is known: heights are ours, not only differences of them.
    assert recording.ground == ()
    assert np.allclose(person.joints_world[:, 0, 2], moves.poses.root[person.frame_idx, 2],
                       atol=1e-5)  # fmt: skip
    assert recording.camera is not None
    assert np.allclose(recording.camera.Ts_world_camera[0], moves.Ts_world_camera[0], atol=1e-6)


def test_rich_says_which_cameras_there_are(models: Path, tmp_path: Path) -> None:
    folder = write_rich(tmp_path / "data", motion(), pelvis(models, "smplx"))
    with pytest.raises(InputError, match=r"one of RICH's cameras 0, 3 .* say which"):
        read_truth("rich", str(folder))
    with pytest.raises(InputError, match="cameras 0, 3"):
        read_truth("rich", f"{folder}#7")
    (tmp_path / "data" / "gender.json").unlink()
    with pytest.raises(InputError, match=r"gender\.json"):
        read_truth("rich", f"{folder}#0")
    (tmp_path / "data" / "multicam2world" / "Pavallion_multicam2world.json").unlink()
    with pytest.raises(InputError, match="it tells what is up"):
        read_truth("rich", f"{folder}#0")


def test_amass_has_no_camera(models: Path, tmp_path: Path) -> None:
    moves = motion()
    path = write_amass(tmp_path / "walk_stageii.npz", moves, pelvis(models, "smplx"))
    recording = read_dataset("amass", str(path), body_model_path=models)
    assert recording.camera is None and recording.people[0].joints_camera is None
    assert_is_the_motion(recording, moves, models, "smplx")
    assert recording.times[1] == pytest.approx(1 / 60)
    result = evaluate_scenes(recording, recording)
    assert result.camera is None and not result.tracking
    assert result.summary["pa_mpjpe_mm"] == pytest.approx(0, abs=1e-6)
    assert np.isnan(result.summary["mpjpe_mm"])
    assert any("MPJPE, PVE and Accel are left out" in note for note in result.notes)


def test_sequences_are_known_by_their_names(models: Path, tmp_path: Path) -> None:
    moves, zero = motion(), np.zeros(3)
    emdb = write_emdb(tmp_path / "EMDB", moves, zero)
    threedpw = tmp_path / "sequenceFiles" / "test" / "walk.pkl"
    rich = write_rich(tmp_path / "RICH", moves, zero)
    amass = write_amass(tmp_path / "walk.npz", moves, zero)
    known = {emdb: "emdb", emdb.parent: "emdb", threedpw: "3dpw", amass: "amass", tmp_path: None}
    assert {path: recognised(str(path)) for path in known} == known
    assert recognised(f"{rich}#3") == "rich"
    recording = open_recording(str(emdb.parent), body_model_path=models)
    assert recording.name == "P1_14_outdoor_climb"


def test_missing_models_are_named_with_their_home(tmp_path: Path) -> None:
    path = write_emdb(tmp_path, motion(), np.zeros(3))
    with pytest.raises(InputError, match=r"--body-model-path .*SMPL_FEMALE\.npz.*//smpl\.is\.tue"):
        read_dataset("emdb", str(path), body_model_path=None)
    with pytest.raises(InputError, match=r"expected SMPL_FEMALE\.npz in"):
        read_dataset("emdb", str(path), body_model_path=tmp_path)


@pytest.mark.parametrize(
    ("kind", "message"),
    [
        ("emdb", "expected EMDB's data with 'smpl'"),
        ("3dpw", "got none named poses, trans"),
        ("amass", "AMASS"),
    ],
)
def test_other_files_are_refused(kind: str, message: str, tmp_path: Path) -> None:
    path = tmp_path / "other_data.pkl"
    path.write_bytes(pickle.dumps({"something": 1}))
    with pytest.raises(InputError, match=message):
        read_truth(kind, str(path))


@pytest.mark.parametrize("kind", ["emdb", "3dpw", "rich", "amass"])
def test_nothing_there_is_said(kind: str, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="expected"):
        read_truth(kind, str(tmp_path / "nothing"))


def test_a_pickle_that_would_run_code_is_refused(tmp_path: Path) -> None:
    class Bomb:
        def __reduce__(self):
            return print, ("boom",)

    path = tmp_path / "P1_data.pkl"
    path.write_bytes(pickle.dumps({"smpl": Bomb()}))
    with pytest.raises(InputError, match=r"builtins\.print; nothing of it was run"):
        read_truth("emdb", str(tmp_path))


def test_a_damaged_field_is_named(tmp_path: Path) -> None:
    path = write_emdb(tmp_path, motion(), np.zeros(3), good_frames_mask=np.ones(3, bool))
    with pytest.raises(InputError, match=r"good_frames_mask: expected shape \(12,\), got \(3,\)"):
        read_truth("emdb", str(path))
