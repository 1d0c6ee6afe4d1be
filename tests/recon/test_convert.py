"""`recon convert` on a scene of Anny bodies; the new model is a stand-in for SMPL-X."""

import dataclasses
import hashlib
import json
from pathlib import Path

import numpy as np
import pytest

from body.models.anny import AnnyModel
from recon.cli import main
from recon.convert import convert_scene
from recon.core.errors import InputError
from recon.core.people import BodyShape
from recon.core.scene import Scene
from recon.export import export_scene
from tests.body.models.bodies import write_smplx
from tests.synthetic import make_scene

smplx = pytest.importorskip("smplx")
torch = pytest.importorskip("torch")


@pytest.fixture(scope="module")
def scene(tmp_path_factory: pytest.TempPathFactory) -> Scene:
    """Two people as Anny, twelve frames."""
    scene = make_scene(tmp_path_factory.mktemp("scene") / "walk", num_people=2, num_frames=12)
    anny = AnnyModel()
    values = anny.param_spec.mean
    shape = BodyShape(model="anny", names=anny.param_spec.names, values=values)
    rig = anny.skinning_spec(values)
    worlds, cameras = scene.world_motions, scene.camera_motions
    scene.save("world.npz", [dataclasses.replace(m, shape=shape) for m in worlds])
    scene.save("body.npz", [dataclasses.replace(m, shape=shape) for m in cameras])
    scene.save("rigs.npz", [rig] * len(worlds))
    return scene


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    from smplx.vertex_ids import vertex_ids

    folder = tmp_path_factory.mktemp("models")
    write_smplx(folder / "SMPLX_NEUTRAL.npz", vertex_ids["smplx"])
    return folder


@pytest.fixture(scope="module")
def converted(scene: Scene, models: Path) -> Scene:
    before = files_of(scene.path)
    done = convert_scene(scene.path, "smplx", body_model_path=models)
    assert files_of(scene.path) == before, "the scene that was converted has changed"
    return done


def files_of(folder: Path) -> dict[str, str]:
    return {
        str(p.relative_to(folder)): hashlib.sha256(p.read_bytes()).hexdigest()
        for p in folder.rglob("*")
        if p.is_file()
    }


def test_the_new_scene_is_the_old_one_with_other_bodies(scene: Scene, converted: Scene) -> None:
    assert converted.path == scene.path.parent / "walk_smplx"
    again = Scene.open(converted.path)
    np.testing.assert_array_equal(again.video.times, scene.video.times)
    np.testing.assert_array_equal(again.placement.Ts_world_camera, scene.placement.Ts_world_camera)
    assert len(again.tracks) == len(scene.tracks)
    for old, new, rig in zip(scene.world_motions, again.world_motions, again.rigs, strict=True):
        assert new.shape.model == rig.model == "smplx" and len(new.shape.values) == 10
        assert (new.track_id, len(new.frame_idx)) == (old.track_id, len(old.frame_idx))
        np.testing.assert_array_equal(new.contacts, old.contacts)
    assert again.report("body").numbers.keys() == {"person1", "person2"}
    assert again.report("body").numbers["person1"]["vertices_mean_mm"] < 5


def test_its_npz_gives_the_package_the_same_body(
    converted: Scene, models: Path, tmp_path: Path
) -> None:
    export_scene(converted, ["npz"], tmp_path)
    data = np.load(tmp_path / "person1_smplx.npz", allow_pickle=False)
    n = len(data["poses"])
    assert data["betas_source"] == "fitted" and data["pelvis_rest_source"] == "of these betas"
    module = smplx.SMPLX(
        str(models / "SMPLX_NEUTRAL.npz"), use_pca=False, flat_hand_mean=True, num_betas=10,
        batch_size=n, use_face_contour=False,
    )  # fmt: skip
    rows = {
        "global_orient": data["root_orient"], "body_pose": data["pose_body"],
        "left_hand_pose": data["pose_hand"][:, :45], "right_hand_pose": data["pose_hand"][:, 45:],
        "jaw_pose": data["pose_jaw"], "transl": data["trans"],
        "betas": np.tile(data["betas"][:10], (n, 1)),
    }  # fmt: skip
    with torch.no_grad():
        out = module(**{k: torch.as_tensor(v, dtype=torch.float32) for k, v in rows.items()})
    (motion, *_), (rig, *_) = converted.world_motions, converted.rigs
    np.testing.assert_allclose(out.joints.numpy()[:, :22], motion.joints_world[:, :22], atol=1e-4)
    gap = np.linalg.norm(out.vertices.numpy() - rig.vertices(motion.poses_world), axis=-1)
    assert gap.mean() < 0.01  # the stand-in's pose blend shapes move vertices by millimetres


def test_a_scene_is_never_written_over(scene: Scene, models: Path, tmp_path: Path) -> None:
    other = make_scene(tmp_path / "other", num_frames=3)
    (tmp_path / "notes").mkdir()
    (tmp_path / "notes" / "mine.txt").touch()
    for out in (scene.path, other.path, tmp_path / "notes"):
        before = files_of(out)
        with pytest.raises(InputError, match="new folder"):
            convert_scene(scene.path, "smplx", out, body_model_path=models)
        assert files_of(out) == before


def test_an_empty_scene_and_a_missing_file_are_refused(
    scene: Scene, models: Path, tmp_path: Path
) -> None:
    empty = make_scene(tmp_path / "empty", num_people=0, num_frames=3)
    with pytest.raises(InputError, match="at least one person"):
        convert_scene(empty.path, "smplx", tmp_path / "x", body_model_path=models)
    with pytest.raises(InputError, match=r"SMPLH_NEUTRAL\.npz"):
        convert_scene(scene.path, "smplh", tmp_path / "x")
    assert not (tmp_path / "x").exists()


def test_the_command_tells_the_residuals(
    scene: Scene, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "same"
    main(["convert", str(scene.path), "--to", "anny", "-o", str(out), "--json"])
    said = json.loads(capsys.readouterr().out)
    assert said["scene"] == str(out)
    # Twice into the same folder is no mistake: it holds nothing but a conversion.
    main(["convert", str(scene.path), "--to", "anny", "-o", str(out)])
    text = capsys.readouterr().out
    for k in ("person1", "person2"):
        assert said["people"][k]["same_mesh"] and said["people"][k]["vertices_max_mm"] < 0.01
        assert k in text and "vertices to same vertex 0.0 mm mean" in text
