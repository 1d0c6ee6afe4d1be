"""`recon compose`: people stand in their place, the nearer hides, and time may stand still."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import av
import cv2
import numpy as np
import pytest
import torch

from recon.core.geometry import make_transform
from recon.core.scene import Scene
from recon.performers import scene_performers
from recon.runner import Silent
from recon.scene_splats import find_scene_splats
from splatting.files import read_gaussians, write_gaussians
from splatting.gaussians import Cameras, Gaussians
from splatting.rasterize import rasterize
from tests.recon.avatars import add_avatars, wall
from tests.recon.test_splat import call
from tests.synthetic import make_scene
from viewer.screenshot import screenshot

SIZE = (96, 72)
Spoil = Callable[[Scene], object]


@pytest.fixture
def scene(tmp_path: Path) -> Scene:
    """Two people before a green wall, the second there in the middle only."""
    scene = make_scene(tmp_path / "scene", num_people=2, num_frames=18, size=SIZE)
    add_avatars(scene)
    add_place(scene, wall(scene.placement.Ts_world_camera[0], 12.0))
    return scene


def add_place(scene: Scene, place: Gaussians) -> None:
    """What `recon splat` leaves."""
    Ts, K = scene.placement.Ts_world_camera, scene.camera.intrinsics.matrix
    record = {"width": SIZE[0], "height": SIZE[1], "cameras": {
        "names": [f"frame{k:06d}" for k in range(0, len(Ts), 4)],
        "Ts_world_camera": Ts[::4].tolist(), "K": K.tolist(),
    }}  # fmt: skip
    folder = scene.path / "splats"
    folder.mkdir(exist_ok=True)
    write_gaussians(folder / "splats.ply", place)
    (folder / "splats.json").write_text(json.dumps(record))


class Notes(Silent):
    """A watcher that keeps what it is told."""

    def __init__(self) -> None:
        self.texts: list[str] = []

    def note(self, text: str) -> None:
        self.texts.append(text)


def pictures(folder: Path) -> list[np.ndarray]:
    """The frames of a folder as (H, W, 3) RGB int."""
    files = sorted(folder.glob("frame*.png"))
    return [np.asarray(cv2.imread(str(f)))[..., ::-1].astype(int) for f in files]


def red(picture: np.ndarray) -> np.ndarray:
    """Where the first person is."""
    return picture[..., 0] - np.maximum(picture[..., 1], picture[..., 2]) > 60


def blue(picture: np.ndarray) -> np.ndarray:
    """Where the second person is."""
    return picture[..., 2] - np.maximum(picture[..., 0], picture[..., 1]) > 40


def test_without_a_background_it_is_the_avatar_in_its_own_motion(
    scene: Scene, tmp_path: Path
) -> None:
    out, plys = tmp_path / "out", tmp_path / "plys"
    assert call(["compose", scene.path, "-o", out, "--no-background", "--person", "1"]) == 0
    assert call(["animate", scene.path, scene.path, "--person", "1", "-o", plys]) == 0
    shown = pictures(out)
    assert len(shown) == 18
    k = scene.camera.intrinsics
    for frame in (0, 9):
        posed = read_gaussians(plys / f"frame{frame:06d}.ply")
        cameras = Cameras.of(
            scene.placement.Ts_world_camera[[frame]], k.matrix, width=k.width, height=k.height
        )
        expected = 255 * rasterize(posed, cameras).colour[0].clamp(0, 1).numpy()
        assert red(expected).sum() > 100
        np.testing.assert_allclose(shown[frame], expected, atol=1)


@pytest.mark.parametrize(("depth", "hidden"), [(12.0, False), (1.0, True)])
def test_what_is_nearer_hides_what_is_behind(
    scene: Scene, tmp_path: Path, depth: float, hidden: bool
) -> None:
    add_place(scene, wall(scene.placement.Ts_world_camera[0], depth))
    assert call(["compose", scene.path, "-o", tmp_path / "out", "--end", "0.1"]) == 0
    for picture in pictures(tmp_path / "out"):
        assert red(picture).any() != hidden
        green = picture[..., 1] - np.maximum(picture[..., 0], picture[..., 2]) > 60
        assert green.mean() > 0.7


def test_of_two_people_the_nearer_hides_the_other(scene: Scene) -> None:
    first, second = (one.gaussians(9) for one in scene_performers(scene))
    assert first is not None and second is not None
    stage = find_scene_splats(scene, Notes())
    assert stage is not None
    middle = torch.stack([first.means.mean(dim=0), second.means.mean(dim=0)]).numpy().astype(float)
    along = (middle[1] - middle[0]) / np.linalg.norm(middle[1] - middle[0])
    K = np.array([[60.0, 0, 32], [0, 60.0, 32], [0, 0, 1]])
    for sign, near, far in ((1, red, blue), (-1, blue, red)):
        z = sign * along
        R = np.stack([np.cross([0, 0, -1.0], z), [0, 0, -1.0], z - z[2] * np.eye(3)[2]], axis=1)
        R /= np.linalg.norm(R, axis=0)
        T = make_transform(R, middle.mean(axis=0) - 3 * R[:, 2])
        picture = stage.picture(9, T, K, (64, 64)).color.astype(int)
        assert near(picture).sum() > 3 * far(picture).sum() and near(picture).sum() > 100


def test_who_is_not_there_is_not_shown(scene: Scene, tmp_path: Path) -> None:
    out = tmp_path / "out"
    assert call(["compose", scene.path, "-o", out, "--no-background"]) == 0
    there = [bool(blue(picture).any()) for picture in pictures(out)]
    assert there == [k in scene.world_motions[1].frame_idx for k in range(18)]
    alone = tmp_path / "alone"
    assert call(["compose", scene.path, "-o", alone, "--no-background", "--person", "2"]) == 0
    assert [bool(picture.any()) for picture in pictures(alone)] == there


def test_what_follows_a_cut_lies_in_another_world_and_is_left_out(
    scene: Scene, tmp_path: Path
) -> None:
    tracked = np.arange(18) < 11
    scene.save("camera.npz", [replace(scene.camera, tracked=tracked)])
    assert call(["compose", scene.path, "-o", tmp_path / "out", "--no-background"]) == 0
    assert len(pictures(tmp_path / "out")) == 11


@pytest.mark.parametrize(
    ("args", "frames"),
    [
        (["--path", "smoothed"], 18), (["--path", "orbit"], 18), (["--path", "spline"], 18),
        (["--path", "turntable", "--fps", "10"], 6), (["--start", "0.2", "--end", "0.3"], 4),
        (["--path", "bullet-time", "--freeze", "0.5", "--arc", "360"], 33),
        (["--path", "bullet-time", "--freeze", "0.2", "--slow", "0.5", "--at", "0.2"], 21),
    ],
)  # fmt: skip
def test_a_path_is_rendered_to_a_video(
    scene: Scene, tmp_path: Path, args: list[str], frames: int
) -> None:
    out = tmp_path / "view.mp4"
    assert call(["compose", scene.path, "-o", out, "--size", "49", "36", *args]) == 0
    with av.open(str(out)) as video:
        shown = [f.to_ndarray(format="rgb24").astype(int) for f in video.decode(video=0)]
        rate = video.streams.video[0].average_rate
    assert len(shown) == frames and shown[0].shape == (36, 48, 3)
    assert float(rate or 0) == pytest.approx(10 if "10" in args else 30, rel=0.01)
    assert any(red(picture).any() for picture in shown)


def test_people_stand_still_while_the_camera_swings(scene: Scene, tmp_path: Path) -> None:
    out = tmp_path / "out"
    args = ["--path", "bullet-time", "--freeze", "0.2", "--arc", "40", "--at", "0.3"]
    assert call(["compose", scene.path, "-o", out, "--no-background", *args]) == 0
    shown = pictures(out)
    cameras = np.array(json.loads((out / "cameras.json").read_text())["Ts_world_camera"])[0]
    still, swung = shown[9], shown[15]  # the moment it stops, and the end of the swing
    assert np.abs(still - swung).max() <= 1
    assert np.abs(cameras[9] - cameras[15]).max() < 1e-6
    assert np.abs(shown[9] - shown[11]).max() > 50, "seen from elsewhere"


def drop_avatars(scene: Scene) -> None:
    for file in (scene.path / "avatars").iterdir():
        file.unlink()


def move_cameras(scene: Scene) -> None:
    path = scene.path / "splats" / "splats.json"
    record = json.loads(path.read_text())
    for T in record["cameras"]["Ts_world_camera"]:
        T[0][3] += 1.0
    path.write_text(json.dumps(record))


def swap_bodies(scene: Scene) -> None:
    path = scene.path / "avatars" / "person_1.npz"
    with np.load(path) as data:
        arrays = {key: data[key] for key in data.files}
    np.savez_compressed(path, **(arrays | {"rest_joints": 0.9 * arrays["rest_joints"]}))


@pytest.mark.parametrize(
    ("spoil", "words"),
    [
        (drop_avatars, "recon avatar"),
        (lambda s: (s.path / "splats" / "splats.ply").unlink(), "recon splat"),
        (move_cameras, "another run"),
        (swap_bodies, "recon avatar"),
    ],
)
def test_what_is_missing_or_of_another_run_is_one_line(
    scene: Scene, tmp_path: Path, capsys: pytest.CaptureFixture[str], spoil: Spoil, words: str
) -> None:
    spoil(scene)
    refused(scene, tmp_path / "out.mp4", [])
    text = capsys.readouterr().err
    assert words in text and text.count("\n") == 1, text


@pytest.mark.parametrize(
    ("args", "words"),
    [
        (["--person", "5"], "those of 1, 2"),
        (["--start", "3"], "--start 3"),
        (["--path", "bullet-time", "--at", "7"], "--at"),
        (["--at", "0.2"], "only with --path bullet-time"),
        (["--arc", "700", "--path", "bullet-time"], "--arc"),
    ],
)
def test_options_that_cannot_be_are_one_line(
    scene: Scene, tmp_path: Path, capsys: pytest.CaptureFixture[str], args: list[str], words: str
) -> None:
    refused(scene, tmp_path / "out.mp4", args)
    text = capsys.readouterr().err
    assert words in text and text.count("\n") == 1, text


def refused(scene: Scene, out: Path, args: list[str]) -> None:
    assert call(["compose", scene.path, "-o", out, *args]) == 2
    assert not out.exists()


def test_viewers_get_what_fits_and_are_told_of_the_rest(scene: Scene, tmp_path: Path) -> None:
    notes = Notes()
    stage = find_scene_splats(scene, notes)
    assert stage is not None and stage.people == {1, 2} and not notes.texts
    place, alone, both = stage.place(), stage.cast(0), stage.cast(9)
    assert place is not None and alone is not None and both is not None
    assert len(both.means) == 2 * len(alone.means)
    one = stage.cast(9, {2})
    assert one is not None and len(one.means) == len(alone.means)
    assert stage.cast(9, {1, 2}) is None
    screenshot(scene, tmp_path / "with.png", 9, width=160, height=100, splats=stage)
    with_splats = np.asarray(cv2.imread(str(tmp_path / "with.png")))[..., ::-1].astype(int)
    assert red(with_splats).any() and blue(with_splats).any()
    green = with_splats[..., 1] - np.maximum(with_splats[..., 0], with_splats[..., 2]) > 60
    assert green.any(), "the place"
    move_cameras(scene)
    swap_bodies(scene)
    assert find_scene_splats(scene, notes) is None
    assert [t.split(" are left out")[0] for t in notes.texts] == ["splats", "avatars"]
