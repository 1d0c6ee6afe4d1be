"""Other programs' results become scenes with the same motion, in our axes."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from recon.cli import main
from recon.core.errors import InputError
from recon.core.geometry import rotvec_to_matrix, transform_points
from recon.core.scene import Scene
from recon.export import export_scene
from recon.export.motion_npz import MEAN_PELVIS
from recon.imports import import_scene
from recon.pipeline import run
from tests.body.models.bodies import smplh_arrays, write_smplx
from tests.recon.clips import write_clip
from tests.recon.imports.files import (
    BETAS,
    Truth,
    make_truth,
    write_amass,
    write_gvhmr,
    write_prompthmr,
    write_tram,
    write_wham,
)
from tests.synthetic import make_scene

SMPLX, SMPL = make_truth(MEAN_PELVIS["smplx"]), make_truth(MEAN_PELVIS["smpl"])


def scene_of(program: str, tmp_path: Path) -> tuple[Scene, Truth]:
    """The imported scene of a miniature file, and what it was made of."""
    file, truth = tmp_path / program, SMPL if program in ("wham", "tram") else SMPLX
    if program == "amass":
        file = file.with_suffix(".npz")
        write_amass(truth, file)
    elif program == "gvhmr":
        write_gvhmr(truth, file)
    elif program == "wham":
        write_wham(truth, file, frames=np.arange(12))
    elif program == "prompthmr":
        write_prompthmr(truth, file)
    else:
        write_tram(truth, file)
    return import_scene(file, program, tmp_path / "scene"), truth


@pytest.mark.parametrize("program", ["amass", "gvhmr", "wham", "tram", "prompthmr"])
def test_the_motion_is_the_files(program: str, tmp_path: Path) -> None:
    scene, truth = scene_of(program, tmp_path)
    (motion,) = Scene.open(scene.path).world_motions
    poses = motion.poses_world
    np.testing.assert_allclose(poses.rotations[:, 1:22], rotvec_to_matrix(truth.body), atol=1e-5)
    np.testing.assert_allclose(motion.shape.values[:10], BETAS, atol=1e-6)
    assert motion.shape.model == ("smpl" if program in ("wham", "tram") else "smplx")
    assert motion.observed.all()
    # Up to a turn about the vertical and a shift, which the files do not fix.
    steps, true_steps = np.diff(poses.root, axis=0), np.diff(truth.root, axis=0)
    np.testing.assert_allclose(
        np.linalg.norm(steps, axis=1), np.linalg.norm(true_steps, axis=1), atol=1e-5
    )
    if program == "tram":  # the vertical is a guess from the trunks
        assert np.degrees(np.arccos(poses.rotations[:, 0, 2, 1])).max() < 10
    else:
        np.testing.assert_allclose(poses.rotations[:, 0], truth.orient, atol=1e-5)
        np.testing.assert_allclose(steps, true_steps, atol=1e-5)
    if program in ("amass", "prompthmr"):  # the floor is theirs
        np.testing.assert_allclose(poses.root, truth.root, atol=1e-9)


@pytest.mark.parametrize("program", ["gvhmr", "wham", "tram", "prompthmr"])
def test_the_camera_is_the_files(program: str, tmp_path: Path) -> None:
    scene, truth = scene_of(program, tmp_path)
    (world,), (camera,) = scene.world_motions, scene.camera_motions
    Ts = scene.placement.Ts_world_camera
    np.testing.assert_allclose(
        transform_points(Ts, camera.joints_camera), world.joints_world, atol=1e-4
    )
    centres, true_centres = Ts[:, :3, 3], truth.Ts_world_camera[:, :3, 3]
    np.testing.assert_allclose(
        np.linalg.norm(np.diff(centres, axis=0), axis=1),
        np.linalg.norm(np.diff(true_centres, axis=0), axis=1),
        atol=1e-4,
    )
    orient, transl = truth.in_camera()
    np.testing.assert_allclose(camera.poses_camera.root, transl + truth.pelvis, atol=1e-5)
    np.testing.assert_allclose(
        camera.poses_camera.rotations[:, 0], rotvec_to_matrix(orient), atol=1e-5
    )
    assert scene.camera.tracked.all() and scene.camera.kind == "moving"


def test_bodies_stand_on_the_floor(tmp_path: Path) -> None:
    scene, _ = scene_of("gvhmr", tmp_path)
    lowest = scene.world_motions[0].feet_world[..., 2].min(axis=1)
    assert np.quantile(lowest, 0.05) == pytest.approx(0, abs=1e-9)


def test_smplh_is_read_and_its_hands(tmp_path: Path) -> None:
    write_amass(SMPLX, tmp_path / "a.npz", width=156)
    (motion,) = import_scene(tmp_path / "a.npz", "amass", tmp_path / "s").world_motions
    assert motion.shape.model == "smplh" and len(motion.shape.values) == 16
    np.testing.assert_allclose(
        motion.poses_world.rotations[:, 22:],
        np.broadcast_to(rotvec_to_matrix(np.full(3, 0.1)), (12, 30, 3, 3)),
    )


def test_smplh_of_one_sex_is_shown_by_its_own_file(tmp_path: Path) -> None:
    pytest.importorskip("smplx")
    from smplx.vertex_ids import vertex_ids

    write_amass(SMPLX, tmp_path / "a.npz", width=156)
    with np.load(tmp_path / "a.npz") as file:
        np.savez(tmp_path / "a.npz", **{**file, "gender": np.array(b"male")})
    np.savez(tmp_path / "SMPLH_MALE.npz", **smplh_arrays(vertex_ids["smplh"]))
    scene = import_scene(
        tmp_path / "a.npz", "amass", tmp_path / "s", body_model_path=tmp_path / "SMPLH_MALE.npz"
    )
    assert scene.rigs[0].model == "smplh"
    assert any("male body" in text for text in scene.report("body").warnings)


def test_gaps_are_filled_and_marked(tmp_path: Path) -> None:
    frames = np.r_[3:9, 11:17]
    write_wham(SMPL, tmp_path / "w.pkl", frames=frames)
    scene = import_scene(tmp_path / "w.pkl", "wham", tmp_path / "s", fps=10)
    (motion,) = scene.world_motions
    np.testing.assert_array_equal(motion.frame_idx, np.arange(3, 17))
    np.testing.assert_array_equal(motion.frame_idx[~motion.observed], [9, 10])
    before, gap, after = motion.poses_world.root[[5, 6, 8]]
    np.testing.assert_allclose(gap, before + (after - before) / 3, atol=1e-9)
    assert scene.video.times[-1] == pytest.approx(1.6)
    assert not scene.camera.tracked[:3].any() and scene.camera.tracked[3]


def test_what_is_assumed_is_said(tmp_path: Path) -> None:
    def said(program: str) -> str:
        (tmp_path / program).mkdir()
        return " ".join(scene_of(program, tmp_path / program)[0].report("body").warnings)

    for program in ("amass", "gvhmr", "wham", "tram", "prompthmr"):
        text = said(program)
        assert "mean anny body" in text
        assert ("no frame rate" in text) == (program in ("wham", "tram", "prompthmr"))
        assert ("what is up" in text) == (program == "tram")
        assert ("floor" in text) == (program not in ("amass", "prompthmr"))
        assert ("onlooker" in text) == (program == "amass")
        assert ("invented" in text) == (program in ("amass", "wham"))


@pytest.mark.parametrize("rate", [0.0, -30.0, 1e9])
def test_a_frame_rate_that_cannot_be_is_no_30_fps(rate: float, tmp_path: Path) -> None:
    path = tmp_path / "a.npz"
    write_amass(SMPLX, path)
    with np.load(path) as file:
        np.savez(path, **{**file, "mocap_frame_rate": np.array(rate)})
    with pytest.raises(InputError, match="--fps"):
        import_scene(path, "amass", tmp_path / "s")
    assert import_scene(path, "amass", tmp_path / "s", fps=50).video.fps == pytest.approx(50)


def test_matrices_that_are_no_rotations(tmp_path: Path) -> None:
    write_tram(SMPL, tmp_path)
    path = tmp_path / "hps" / "hps_track_0.npy"
    content = np.load(path, allow_pickle=True).item()
    content["pred_rotmat"] *= 0
    np.save(path, content, allow_pickle=True)
    with pytest.raises(InputError, match="expected rotations"):
        import_scene(path, "tram", tmp_path / "s")


def test_a_gap_of_years_takes_no_memory(tmp_path: Path) -> None:
    write_wham(SMPL, tmp_path / "a.pkl", frames=np.array([*range(11), 10**10]))
    with pytest.raises(InputError, match="all but 100000 frames"):
        import_scene(tmp_path / "a.pkl", "wham", tmp_path / "s")


def test_an_imported_scene_exports_and_comes_back(tmp_path: Path) -> None:
    scene, truth = scene_of("gvhmr", tmp_path)
    written = export_scene(scene, ["npz", "bvh", "glb", "tum"], tmp_path / "out")
    assert all(paths for paths in written.values())
    again = import_scene(tmp_path / "out/person1_smplx.npz", "amass", tmp_path / "again")
    first, second = scene.world_motions[0], again.world_motions[0]
    np.testing.assert_allclose(second.poses_world.root, first.poses_world.root, atol=1e-9)
    np.testing.assert_allclose(second.joints_world, first.joints_world, atol=1e-6)
    np.testing.assert_allclose(second.shape.values[:10], first.shape.values[:10])
    assert np.allclose(np.diff(truth.transl, axis=0)[:, 0],
                       np.diff(first.poses_world.root, axis=0)[:, 0], atol=1e-5)  # fmt: skip


def test_our_own_export_comes_back(tmp_path: Path) -> None:
    scene = make_scene(tmp_path / "s", num_people=1, num_frames=12)
    export_scene(scene, ["npz"], tmp_path / "out")
    again = import_scene(tmp_path / "out/person1_smplx.npz", "amass", tmp_path / "again")
    want, got = scene.world_motions[0].poses_world, again.world_motions[0].poses_world
    np.testing.assert_allclose(got.root, want.root, atol=1e-9)
    np.testing.assert_allclose(got.rotations, want.rotations, atol=1e-9)


def test_an_imported_scene_can_be_drawn(tmp_path: Path) -> None:
    from viewer.world import World

    scene, _ = scene_of("amass", tmp_path)
    world = World.from_scene(scene)
    (person,) = world.people
    k = world.intrinsics
    T = np.linalg.inv(world.Ts_world_camera[0])
    px = k.project(transform_points(T, person.motion.joints_world[0][:22]))
    assert ((px > 0) & (px < [k.width, k.height])).all()
    assert np.ptp(person.vertices(0)[:, 2]) > 1


@pytest.mark.parametrize("program", ["amass", "gvhmr", "wham", "tram", "prompthmr"])
def test_another_file_is_one_line(program: str, tmp_path: Path) -> None:
    np.savez(tmp_path / "a.npz", other=np.ones(3))
    with pytest.raises(InputError) as caught:
        import_scene(tmp_path / "a.npz", program, tmp_path / "s")
    assert "\n" not in str(caught.value) and not (tmp_path / "s").exists()


def test_a_videos_scene_is_not_overwritten(tmp_path: Path) -> None:
    write_amass(SMPLX, tmp_path / "a.npz")
    scene = make_scene(tmp_path / "s", num_people=1, num_frames=4)
    with pytest.raises(InputError, match="a video's scene"):
        import_scene(tmp_path / "a.npz", "amass", scene.path)
    first = import_scene(tmp_path / "a.npz", "amass", tmp_path / "t")
    assert import_scene(tmp_path / "a.npz", "amass", first.path).path == first.path


def test_what_needs_a_video_says_so_before_anything_is_written(tmp_path: Path) -> None:
    scene, _ = scene_of("gvhmr", tmp_path)
    for name in ("overlay", "topview"):
        with pytest.raises(InputError, match="imported from gvhmr"):
            export_scene(scene, ["npz", name], tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_an_import_is_not_overwritten_by_a_run(tmp_path: Path) -> None:
    scene, _ = scene_of("amass", tmp_path)
    video = write_clip(tmp_path / "a.mp4", 4)
    with pytest.raises(InputError, match="imported from amass"):
        run(video, scene.path)
    assert len(Scene.open(scene.path).world_motions) == 1


def test_with_the_licensed_file_the_body_is_the_files_own(tmp_path: Path) -> None:
    """The joints agree with those of the package `smplx`, run on the numbers in the file."""
    smplx = pytest.importorskip("smplx")
    torch = pytest.importorskip("torch")
    from smplx.vertex_ids import vertex_ids

    write_smplx(tmp_path / "SMPLX_NEUTRAL.npz", vertex_ids["smplx"])
    write_amass(SMPLX, tmp_path / "a.npz")
    scene = import_scene(tmp_path / "a.npz", "amass", tmp_path / "s", body_model_path=tmp_path)
    data = np.load(tmp_path / "a.npz", allow_pickle=False)
    n = len(data["poses"])
    model = smplx.SMPLX(
        str(tmp_path / "SMPLX_NEUTRAL.npz"), use_pca=False, flat_hand_mean=True, num_betas=10,
        batch_size=n, use_face_contour=False,
    )  # fmt: skip
    poses = torch.tensor(data["poses"]).float()
    with torch.no_grad():
        joints = model(
            betas=torch.tensor(data["betas"][:10]).float().expand(n, -1),
            global_orient=poses[:, :3], body_pose=poses[:, 3:66],
            left_hand_pose=poses[:, 75:120], right_hand_pose=poses[:, 120:],
            transl=torch.tensor(data["trans"]).float(),
        ).joints.numpy()  # fmt: skip
    (motion,) = scene.world_motions
    np.testing.assert_allclose(motion.joints_world[:, :22], joints[:, :22], atol=1e-4)
    assert scene.rigs[0].model == "smplx"
    assert "mean anny body" not in " ".join(scene.report("body").warnings)
    export_scene(scene, ["npz"], tmp_path / "out")
    again = np.load(tmp_path / "out/person1_smplx.npz", allow_pickle=False)
    np.testing.assert_allclose(again["trans"], data["trans"], atol=1e-6)


def test_the_command(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_wham(SMPL, tmp_path / "w.pkl", frames=np.arange(12))
    main(["import", str(tmp_path / "w.pkl"), "--from", "wham", "--scene", str(tmp_path / "s")])
    out = capsys.readouterr()
    assert out.out.strip() == str(tmp_path / "s") and "no frame rate" in out.err
