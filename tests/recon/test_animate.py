"""`recon animate`: what an avatar does is the motion, and every file holds it."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import av
import numpy as np
import pygltflib
import pytest
import torch

from recon.core.geometry import R_YUP_ZUP
from recon.core.scene import Scene
from recon.motion.sources import find_motion
from recon.performers import rig_of, scene_performers
from splatting.avatars.files import load_avatar
from splatting.files import read_gaussians
from tests.recon.avatars import add_avatars, avatar_of
from tests.recon.test_splat import call
from tests.splatting.avatars.people import some_poses
from tests.synthetic import make_scene, toy_rig


@pytest.fixture(scope="module")
def scene(tmp_path_factory: pytest.TempPathFactory) -> Scene:
    scene = make_scene(tmp_path_factory.mktemp("animate") / "scene", num_frames=20, size=(64, 48))
    add_avatars(scene)
    return scene


def test_the_skeleton_of_an_avatar_carries_it_and_stands_as_the_body_did() -> None:
    rig, poses = toy_rig(), some_poses(3)
    avatar = avatar_of(rig)
    own = rig_of(avatar)
    for frame in range(3):
        posed = avatar.posed(poses, frame).means.numpy()
        np.testing.assert_allclose(own.vertices(poses)[frame], posed, atol=1e-5)
    low = own.rest_joints[own.sole_joints] + own.sole_points
    feet = np.isin(rig.indices[np.arange(len(rig.weights)), rig.weights.argmax(axis=1)], (7, 8))
    lowest = avatar.gaussians.means.numpy()[feet, 1].min()
    assert np.allclose(low[:, 1], lowest, atol=0.01)
    assert (low[[1, 3], 2] > low[[0, 2], 2] + 0.05).all(), "toes are ahead of heels"


def test_its_own_motion_is_what_the_scene_shows(scene: Scene, tmp_path: Path) -> None:
    assert call(["animate", scene.path, scene.path, "-o", tmp_path / "plys"]) == 0
    files = sorted((tmp_path / "plys").iterdir())
    (performer,) = scene_performers(scene)
    assert len(files) == len(scene.video.times) == 20
    for k in (0, 7, 19):
        expected = performer.gaussians(k)
        assert expected is not None
        found = read_gaussians(files[k])
        torch.testing.assert_close(found.means, expected.means, atol=1e-5, rtol=0)
        torch.testing.assert_close(found.sh, expected.sh, atol=1e-5, rtol=0)


def test_by_default_everybody_does_what_they_did_themselves(tmp_path: Path) -> None:
    scene = make_scene(tmp_path / "two", num_people=2, num_frames=12, size=(64, 48))
    add_avatars(scene)
    for k, source in ((1, scene.path), (0, scene.path / "avatars" / "person_1.npz")):
        chosen = ["--person", "2"] if k else []
        out = tmp_path / f"{k}.npz"
        assert call(["animate", source, scene.path, "-o", out, *chosen]) == 0
        with np.load(out) as data:
            found = data["root_world"]
        np.testing.assert_array_equal(found, scene.world_motions[k].poses_world.root)
    out = tmp_path / "other.npz"
    assert call(["animate", scene.path, scene.path, "-o", out, "--motion-person", "2"]) == 0
    with np.load(out) as data:
        assert len(data["times"]) == len(scene.world_motions[1].frame_idx)


def test_one_rigged_file_is_the_avatar_and_its_motion(scene: Scene, tmp_path: Path) -> None:
    out = tmp_path / "rigged.npz"
    assert call(["animate", scene.path, scene.path, "-o", out]) == 0
    avatar, original = load_avatar(out), load_avatar(scene.path / "avatars" / "person_1.npz")
    torch.testing.assert_close(avatar.gaussians.means, original.gaussians.means)
    motion = scene.world_motions[0]
    clip = find_motion(str(out), rig_of(avatar))
    np.testing.assert_allclose(clip.times, scene.video.times)
    np.testing.assert_array_equal(clip.poses.root, motion.poses_world.root)
    np.testing.assert_allclose(clip.poses.rotations, motion.poses_world.rotations, atol=1e-12)
    again = tmp_path / "again"
    assert call(["animate", out, out, "-o", again, "--end", "0.1"]) == 0
    expected = avatar.posed(motion.poses_world, 2).means
    torch.testing.assert_close(
        read_gaussians(again / "frame000002.ply").means, expected, atol=1e-5, rtol=0
    )
    one = (again / "frame000000.ply").stat().st_size
    assert out.stat().st_size < 4 * one, "one rigged file instead of a file per frame"


def test_a_glb_holds_one_moment_as_the_khronos_extension_has_it(
    scene: Scene, tmp_path: Path
) -> None:
    out = tmp_path / "moment.glb"
    assert call(["animate", scene.path, scene.path, "-o", out, "--frame", "5"]) == 0
    gltf: Any = pygltflib.GLTF2().load(str(out))
    expected = scene_performers(scene)[0].gaussians(5)
    assert expected is not None
    assert gltf.extensionsUsed == ["KHR_gaussian_splatting"]
    primitive = gltf.meshes[0].primitives[0]
    extension = primitive.extensions["KHR_gaussian_splatting"]
    assert primitive.mode == 0 and extension["kernel"] == "ellipse"
    assert extension["colorSpace"] == "srgb_rec709_display"

    def values(name: str, width: int) -> np.ndarray:
        accessor = gltf.accessors[getattr(primitive.attributes, name)]
        start = gltf.bufferViews[accessor.bufferView].byteOffset
        blob = gltf.binary_blob()
        return np.frombuffer(blob, "<f4", accessor.count * width, start).reshape(-1, width)

    prefix = "KHR_gaussian_splatting:"
    positions = expected.means.numpy() @ R_YUP_ZUP.T
    np.testing.assert_allclose(values("POSITION", 3), positions, atol=1e-6)
    np.testing.assert_allclose(values(f"{prefix}SCALE", 3), expected.scales, rtol=1e-6)
    np.testing.assert_allclose(values(f"{prefix}OPACITY", 1)[:, 0], expected.opacities)
    np.testing.assert_allclose(values(f"{prefix}SH_DEGREE_0_COEF_0", 3), expected.sh[:, 0])
    turns = values(f"{prefix}ROTATION", 4)
    np.testing.assert_allclose(np.linalg.norm(turns, axis=1), 1, rtol=1e-6)
    assert "do not move" in gltf.asset.extras["holds"]


@pytest.mark.parametrize("path", ["follow", "turntable"])
def test_a_video_shows_the_person_on_a_floor(scene: Scene, tmp_path: Path, path: str) -> None:
    out = tmp_path / "walk.mp4"
    assert call(["animate", scene.path / "avatars" / "person_1.npz", "walk", "-o", out, "--path",
                 path, "--fps", "5", "--seconds", "1", "--size", "64", "80"]) == 0  # fmt: skip
    with av.open(str(out)) as video:
        frames = [f.to_ndarray(format="rgb24").astype(int) for f in video.decode(video=0)]
    assert len(frames) == 5
    for frame in frames:
        red = frame[..., 0] - frame[..., 2] > 80
        rows = np.flatnonzero(red.any(axis=1))
        assert 0.03 < red.mean() < 0.4
        assert rows[0] > 0 and rows[-1] < 79 and np.ptp(rows) > 40, "all of the person, and large"


def test_an_amass_file_moves_it(scene: Scene, tmp_path: Path) -> None:
    assert call(["export", scene.path, "--format", "npz", "bvh", "--out", tmp_path]) == 0
    rig = rig_of(load_avatar(scene.path / "avatars" / "person_1.npz"))
    motion = scene.world_motions[0].poses_world
    for name, close in (("person1_motion.npz", 1e-9), ("person1_smplx.npz", 0.06),
                        ("person1.bvh", 0.06)):  # fmt: skip
        clip = find_motion(str(tmp_path / name), rig)
        assert clip.rig is rig or np.allclose(clip.rig.rest_joints, rig.rest_joints), name
        assert np.abs(clip.poses.root - motion.root)[:, :2].max() < close, name
        assert len(clip.times) == 20


def test_a_motion_of_another_body_is_retargeted(scene: Scene) -> None:
    own = toy_rig()
    small = replace(own, rest_joints=0.8 * own.rest_joints, sole_points=0.8 * own.sole_points)
    clip = find_motion(str(scene.path), small)
    motion = scene.world_motions[0].poses_world
    way = np.ptp(clip.poses.root[:, 0]) / np.ptp(motion.root[:, 0])
    assert way == pytest.approx(0.8, abs=0.02), "short legs make short ways"


def test_what_cannot_be_animated_is_one_line(
    scene: Scene, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    bare = make_scene(tmp_path / "bare", num_frames=6, size=(64, 48))
    nonsense, damaged = tmp_path / "a.npz", tmp_path / "b.bvh"
    nonsense.write_bytes(b"nonsense")
    damaged.write_text("HIERARCHY")
    avatar, out = scene.path / "avatars" / "person_1.npz", tmp_path / "out.mp4"
    cases: list[tuple[list[str | Path], str]] = [
        ([bare.path, "walk", "-o", out], "recon avatar"),
        ([tmp_path / "no.npz", "walk", "-o", out], "no.npz"),
        ([tmp_path, "walk", "-o", out], "recon avatar SCENE"),
        ([nonsense, "walk", "-o", out], "a.npz"),
        ([scene.path, "walk", "-o", out, "--person", "7"], "those of 1"),
        ([avatar, "fly", "-o", out], "stand, walk"),
        ([avatar, scene.path, "-o", out, "--motion-person", "9"], "got 9"),
        ([avatar, nonsense, "-o", out], "a.npz"),
        ([avatar, damaged, "-o", out], "b.bvh"),
        ([avatar, "walk", "-o", tmp_path / "out.avi"], ".mp4, .npz, .glb"),
        ([avatar, "walk", "-o", out, "--start", "9"], "--start 9"),
        ([avatar, "walk", "-o", tmp_path / "o.glb", "--frame", "999"], "--frame"),
        ([avatar, "walk", "-o", out, "--fps", "0"], "--fps"),
        ([avatar, "walk", "-o", out, "--size", "4", "4"], "--size"),
    ]
    for args, words in cases:
        assert call(["animate", *args]) == 2, args
        captured = capsys.readouterr()
        lines = [line for line in captured.err.splitlines() if not line.startswith("animate:")]
        assert words in captured.err and len(lines) == 1, captured.err
        assert not list(tmp_path.glob("o*"))
