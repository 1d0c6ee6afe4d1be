"""`recon avatar`: from a scene to an avatar's files, and what it refuses."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest

from recon.avatar import training_config
from recon.avatar_motion import motion_file
from recon.avatar_photos import load_person
from recon.core.scene import Scene
from recon.options_avatars import AvatarOptions
from recon.performers import scene_performers
from recon.runner import Silent
from splatting.avatars.files import load_avatar
from splatting.avatars.network_training import NetworkConfig
from tests.recon.test_splat import call
from tests.synthetic import make_scene

SHORT = ["--iterations", "40", "--resolution", "48", "--size", "96", "--frames", "16"]


@pytest.fixture(scope="module")
def scene(tmp_path_factory: pytest.TempPathFactory) -> Scene:
    folder = tmp_path_factory.mktemp("avatar")
    return make_scene(
        folder / "scene", num_people=2, num_frames=24, size=(240, 180),
        video_path=folder / "clip.mp4",
    )  # fmt: skip


def test_crops_show_the_person_where_the_scene_places_them(scene: Scene) -> None:
    person = load_person(scene, AvatarOptions(size=96, frames=10), Silent())
    photos = person.photos
    assert len(photos) == 10 and photos.size[0] <= 96
    for i in range(len(photos)):
        T = np.linalg.inv(photos.Ts_world_camera[i])
        local = T[:3, :3] @ photos.poses.root[i] + T[:3, 3]
        u, v = (photos.Ks[i] @ local)[:2] / local[2]
        assert photos.masks[i, int(v), int(u)] > 127
    share = (photos.masks > 127).mean(axis=(1, 2))
    assert (share > 0.03).all() and (share < 0.7).all()


def test_other_people_and_what_lies_outside_the_picture_are_ignored(scene: Scene) -> None:
    photos = load_person(scene, AvatarOptions(person=2, size=96, frames=12), Silent()).photos
    assert photos.ignored is not None
    first = {m.track_id: m for m in scene.world_motions}[1]
    hidden = 0
    for i, frame in enumerate(photos.frame_idx):
        row = int(np.flatnonzero(first.frame_idx == frame)[0])
        T = np.linalg.inv(photos.Ts_world_camera[i])
        joints = first.joints_world[row] @ T[:3, :3].T + T[:3, 3]
        px = (joints / joints[:, 2:]) @ photos.Ks[i].T
        x, y = px[0, :2].astype(int)
        if 0 <= x < photos.size[0] and 0 <= y < photos.size[1]:
            hidden += 1
            assert photos.ignored[i, y, x] and not photos.masks[i, y, x]
    assert hidden > 0
    blank = (photos.images == 0).all(axis=-1)
    assert photos.ignored[blank].all()


def test_a_scene_becomes_an_avatar_with_its_figures(scene: Scene) -> None:
    assert call(["avatar", scene.path, "--json", *SHORT]) == 0
    folder = scene.path / "avatars"
    names = {f"person_1{end}" for end in (".npz", ".json", ".jpg", "_motion.npz")}
    assert {f.name for f in folder.iterdir()} == names
    avatar = load_avatar(folder / "person_1.npz")
    figures = json.loads((folder / "person_1.json").read_text())
    assert avatar.track_id == 1 and figures["gaussians"] == len(avatar)
    assert figures["unseen"] == pytest.approx(1 - avatar.seen.mean(), abs=1e-3)
    assert figures["held_out"] == 2 and figures["psnr"] > 15 and 0 < figures["ssim"] < 1
    sheet = cv2.imread(str(folder / "person_1.jpg"))
    assert sheet is not None and sheet.shape[0] > 2 * figures["size"]
    (shown,) = scene_performers(scene)
    away = shown.clip.poses.root - scene.world_motions[0].poses_world.root
    assert 1e-4 < np.abs(away).max() < 0.1, "in the motion that was refined with it"


def test_pictures_far_apart_leave_the_motion_as_it_is(
    scene: Scene,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("recon.avatar_motion.DENSE", 0.03)
    file = motion_file(tmp_path, 1)
    file.write_text("of an earlier training")
    short = ["--iterations", "4", *SHORT[2:]]
    assert call(["avatar", scene.path, "--out", tmp_path, *short]) == 0
    assert "stays the scene's; use more --frames" in capsys.readouterr().err
    assert not file.exists() and (tmp_path / "person_1.npz").exists()


def test_the_networks_mode_leaves_looks_that_depend_on_the_pose(
    scene: Scene, tmp_path: Path
) -> None:
    short = [*SHORT[2:], "--iterations", "8"]
    assert call(["avatar", scene.path, "--mode", "network", "--out", tmp_path, *short]) == 0
    avatar = load_avatar(tmp_path / "person_1.npz")
    assert avatar.neural is not None
    assert json.loads((tmp_path / "person_1.json").read_text())["mode"] == "network"


def test_sizes_follow_the_mode_and_the_device_unless_they_are_chosen() -> None:
    fast, network = AvatarOptions(), AvatarOptions(mode="network")
    assert training_config(fast, "cuda") == training_config(fast, "cpu")
    small, large = (training_config(network, device) for device in ("cpu", "cuda"))
    assert isinstance(small, NetworkConfig) and isinstance(large, NetworkConfig)
    assert (small.resolution, small.feature_resolution, small.channels) == (192, 64, 32)
    assert (large.resolution, large.feature_resolution, large.channels) == (512, 128, 64)
    assert (small.steps, large.steps) == (30_000, 20_000)
    for device in ("cpu", "cuda"):
        chosen = training_config(replace(network, resolution=96, iterations=7), device)
        assert (chosen.resolution, chosen.steps) == (96, 7)


@pytest.mark.parametrize(
    ("args", "told"),
    [
        (["--person", "7"], "expected one of 1, 2"),
        (["--resolution", "8"], "--resolution: expected 32 to 1024"),
        (["--held-out", "1"], "nothing would be left"),
    ],
)
def test_what_cannot_be_used_is_told_in_one_line(
    scene: Scene, args: list[str], told: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert call(["avatar", scene.path, *args]) == 2
    err = capsys.readouterr().err
    assert told in err and "Traceback" not in err


def test_a_scene_that_was_not_placed_and_too_few_frames_are_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    short = make_scene(tmp_path / "short", num_frames=5, size=(64, 48))
    assert call(["avatar", short.path]) == 2
    assert "expected 8 frames" in capsys.readouterr().err
    short.forget("world")
    assert call(["avatar", short.path]) == 2
    assert "placed in the world" in capsys.readouterr().err
    assert not (short.path / "avatars").exists()
