"""camera.html shows the numbers behind the camera, and never another run's."""

import re
from dataclasses import asdict, dataclass, replace

import numpy as np
import pytest

from recon.core.depth import KeyframeDepth
from recon.core.placed import placed_camera
from recon.core.stage import Check, Decision, StageReport
from recon.core.video import Frame, VideoInfo
from tests.synthetic import make_scene
from tests.viewer.test_report import HOSTILE, Config, read
from viewer.camera_page import small_frames, write_camera_page
from viewer.cloud import LevelCamera, cloud_along_axis, cloud_in_perspective


@dataclass
class Pictures:
    """Grey frames of a scene's video that count how many were read."""

    info: VideoInfo
    read: int = 0

    def __iter__(self):
        for index, time in enumerate(self.info.times):
            self.read += 1
            image = np.full((240, 320, 3), index, np.uint8)
            yield Frame(index=index, time=float(time), image=image)


def record_camera(scene, *, why="the evidence"):
    check = Check(key="flow_px", what="flow", value=3.0, limit=1.5, passes="below", says="static",
                  unit="px")  # fmt: skip
    series = "flow_px residual_px parallax_px zoom_residual_px zoom homography".split()
    windows = {"frame": [0, 10], "end": [9, 19], **{key: [0.5, 5.0] for key in series}}
    numbers = {
        "windows_long": windows, "windows_short": windows, "class_checks": [asdict(check)],
        "path_checks": [asdict(replace(check, key="survival", what="followed", says="trusted"))],
        "followed": {"frame": [0, 19], "share": [1.0, 0.4]}, "focal_relative_std": 0.26,
        "blurred_frames": [[3, 5]], "lost_frames": [[12, 12]],
        "shots": [{"start": 0, "end": 20, "kind": "moving", "backend": "tracks", "why": why,
                   "class_checks": [asdict(check)]}],
    }  # fmt: skip
    report = StageReport(
        backend="tracks", numbers=numbers, warnings=(f"beware {why}",),
        decisions=(Decision(name="camera path", value="dense_ba took over", why=why),),
    )  # fmt: skip
    scene.record("camera", Config(), report, seconds=1.0, code_version="0")


@pytest.fixture
def scene(tmp_path):
    """A moving camera with evidence and depth; its world was placed from it."""
    scene = make_scene(tmp_path / "scene", num_frames=20, camera="moving")
    inverse = np.full((2, 6, 8), 0.25, np.float16)
    weights = np.ones((2, 6, 8), np.float16)
    weights[:, :3] = 0
    scene.save("depth.npz", [KeyframeDepth(frame_idx=np.array([2, 15]), inverse_depth=inverse,
                                           weights=weights)])  # fmt: skip
    record_camera(scene)
    for stage in ("body", "world"):
        scene.record(stage, Config(), scene.report(stage), seconds=1.0, code_version="0")
    return scene


def page(scene):
    path = scene.path / "camera.html"
    write_camera_page(scene, Pictures(scene.video), path)
    return path, *read(path)


def test_it_tells_class_margin_thresholds_and_who_took_over(scene):
    path, _, text = page(scene)
    assert "flow 3 px at most 1.5 px static no 2 × above" in text
    assert "dense_ba took over" in text and "the evidence" in text and "good to 26 %" in text
    assert "blurred frames 3-5" in text and "lost frames 12" in text
    assert "trusted 1.5" in text, "the threshold is named in the plot"
    assert path.read_text().count('class="span"') == 2 * 7, "a mark in each of seven plots"


def test_it_is_one_safe_file(scene):
    record_camera(scene, why=HOSTILE)
    path, parser, text = page(scene)
    raw = path.read_text(encoding="utf-8")
    assert "<script" not in raw and HOSTILE in text and "url(" not in raw
    links = [v for _, attrs in parser.seen for k, v in attrs.items() if k in ("src", "href")]
    assert links and all(link.startswith("data:") for link in links)


def test_lengths_are_metres_in_the_world_and_slam_units_without_it(scene):
    _, _, text = page(scene)
    assert "metres, z up" in text and "ahead (m)" in text and "m/s" in text
    scale = scene.placement.scale
    assert f"depth {4 * scale:.3g} to {4 * scale:.3g} m, 50% measured" in text
    scene.forget("body")
    _, _, text = page(scene)
    assert "ahead (slam units)" in text and "no metric world" in text and "(m)" not in text
    assert "depth 4 to 4 slam units" in text


def test_keyframes_stand_beside_their_depth(scene):
    pictures = Pictures(scene.video)
    write_camera_page(scene, pictures, scene.path / "camera.html")
    captions = re.findall(
        r"<figcaption>(frame \d+|depth)", (scene.path / "camera.html").read_text()
    )
    assert captions == ["frame 2", "depth", "frame 15", "depth"]
    assert pictures.read == 16, "nothing is decoded behind the last picture"


def test_a_tripod_has_a_page_without_path_and_points(tmp_path):
    scene = make_scene(tmp_path / "s", num_people=0, num_frames=8)
    camera = replace(scene.camera, points_slam=np.zeros((0, 3)),
                     point_colors=np.zeros((0, 3), np.uint8))  # fmt: skip
    scene.save("camera.npz", [camera])
    _, _, text = page(scene)
    assert "taken not to change" in text and "frame 7" in text and "from above" not in text


def test_a_path_that_is_not_known_is_not_drawn(scene):
    camera = replace(scene.camera, tracked=np.zeros(20, bool))
    scene.save("camera.npz", [camera])
    _, _, text = page(scene)
    assert "its path is not known" in text and "Speed" not in text


def test_small_frames_keep_their_shape(scene):
    images = small_frames(Pictures(scene.video), [4, 0])
    assert sorted(images) == [0, 4] and images[4].shape == (240, 320, 3)
    assert images[4].mean() == 4


def test_the_level_frame_has_the_first_camera_at_its_origin_looking_ahead(scene):
    scene.forget("world")
    placed = placed_camera(scene)
    turn = np.linalg.qr(np.random.default_rng(0).normal(size=(3, 3)))[0]
    turn *= np.sign(np.linalg.det(turn))
    T = np.eye(4)
    T[:3, :3], T[:3, 3] = turn, [3, -2, 7]
    moved = replace(placed, Ts_frame_camera=T @ placed.Ts_frame_camera,
                    points=placed.points @ turn.T + T[:3, 3])  # fmt: skip
    here, there = LevelCamera.of(placed), LevelCamera.of(moved)
    np.testing.assert_allclose(here.path[0], 0, atol=1e-9)
    first = here.Ts_level_camera[0, :3, :3]
    assert abs(first[0, 2]) < 1e-9 and first[1, 2] > 0 and -here.Ts_level_camera[:, 2, 1].mean() > 0
    np.testing.assert_allclose(there.Ts_level_camera, here.Ts_level_camera, atol=1e-9)
    np.testing.assert_allclose(there.points, here.points, atol=1e-9)


@pytest.mark.parametrize("view", ["above", "side"])
def test_pictures_have_their_axes_where_the_captions_say(scene, view):
    """Red: left, ahead and up; blue: right, behind and down. Both views show red top left."""
    intrinsics = scene.camera.intrinsics
    red, blue = np.array([-4.0, 4.0, 4.0]), np.array([4.0, -4.0, -4.0])
    jitter = 0.2 * np.random.default_rng(1).normal(size=(300, 3))
    camera = LevelCamera(
        Ts_level_camera=np.eye(4)[None], frames=np.zeros(1, int),
        points=np.concatenate([red + jitter, blue + jitter]),
        colors=np.repeat(np.array([[255, 0, 0], [0, 0, 255]], np.uint8), 300, axis=0),
    )  # fmt: skip
    image = cloud_along_axis(camera, intrinsics, view, size=(200, 160))
    is_red = (image[..., 0] > 200) & (image[..., 2] < 80)
    y, x = np.argwhere(is_red).mean(axis=0)
    assert y < 60 and x < 80


@pytest.mark.parametrize("scale", [1e-3, 1.0, 1e3])
def test_pictures_do_not_depend_on_the_unit(scene, scale):
    level = LevelCamera.of(placed_camera(scene))
    Ts = level.Ts_level_camera.copy()
    Ts[:, :3, 3] *= scale
    scaled = replace(level, Ts_level_camera=Ts, points=scale * level.points)
    k = scene.camera.intrinsics
    views = [cloud_in_perspective(camera, k, size=(120, 90)) for camera in (level, scaled)]
    assert np.mean(np.abs(views[0].astype(int) - views[1]) > 20) < 0.01
    assert np.ptp(views[0].reshape(-1, 3), axis=0).max() > 100
