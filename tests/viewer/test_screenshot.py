"""Pictures of the world without a display show the people where they are."""

from dataclasses import replace

import cv2
import numpy as np
import pytest

from recon.core.errors import InputError, StaleSceneError
from recon.core.geometry import invert_transform, transform_points
from recon.core.palette import BACKGROUND
from tests.synthetic import make_scene
from viewer.screenshot import FOV_DEG, render, screenshot
from viewer.world import World, look_at


@pytest.fixture(scope="module")
def scene(tmp_path_factory):
    return make_scene(
        tmp_path_factory.mktemp("view") / "scene", num_people=2, num_frames=24, camera="moving"
    )


def blue(image):
    """Where the first person's colour is."""
    r, _, b = (image[..., c].astype(int) for c in range(3))
    return b - r > 60


def test_the_picture_shows_people_floor_and_camera(scene, tmp_path):
    screenshot(scene, tmp_path / "shot.png", 12, width=320, height=200)
    image = cv2.imread(str(tmp_path / "shot.png"), cv2.IMREAD_COLOR_RGB)
    assert image is not None
    assert image.shape == (200, 320, 3)
    assert blue(image).sum() > 200
    r, g, b = (image[..., c].astype(int) for c in range(3))
    assert (r - b > 60).sum() > 200  # the second person is orange
    assert 0.3 < (np.abs(image.astype(int) - BACKGROUND).sum(axis=2) < 6).mean() < 0.95
    assert (np.maximum(np.maximum(r, g), b) < 110).sum() > 20  # the camera's lines


def test_the_body_is_where_its_vertices_project(scene):
    world = replace(
        World.from_scene(scene), points=np.zeros((0, 3)), point_colors=np.zeros((0, 3), np.uint8)
    )
    eye = look_at(np.array([0.5, -4.0, 1.2]), np.array([0.5, 0.0, 0.9]))
    image = render(world, 3, width=200, height=200, T_world_eye=eye)
    person = world.people[0]
    points = transform_points(invert_transform(eye), person.vertices(3))
    focal = 100 / np.tan(np.deg2rad(FOV_DEG) / 2)
    px = points[:, :2] / points[:, 2:] * focal + 100
    ys, xs = np.nonzero(blue(image))
    body = ys < px[:, 1].max() - 12  # above the trail on the floor
    assert ys.min() == pytest.approx(px[:, 1].min(), abs=2)
    upper = px[px[:, 1] < px[:, 1].max() - 12]
    assert [xs[body].min(), xs[body].max()] == pytest.approx(
        [upper[:, 0].min(), upper[:, 0].max()], abs=3
    )


def test_points_are_placed_by_the_similarity(scene):
    world = World.from_scene(scene)
    placement, camera = scene.placement, scene.camera
    expected = (
        placement.scale * camera.points_slam @ placement.R_world_slam.T + placement.t_world_slam
    )
    assert world.points == pytest.approx(expected)


def test_the_frustum_starts_at_the_camera_and_opens_forward(scene):
    world = World.from_scene(scene)
    T = world.Ts_world_camera[5]
    starts, ends = world.frustum(5)
    assert starts[:4] == pytest.approx(np.tile(T[:3, 3], (4, 1)))
    assert (ends[:4] - T[:3, 3]) @ T[:3, 2] == pytest.approx(np.full(4, 0.5))


def test_the_overview_sees_people_and_camera(scene):
    world = World.from_scene(scene)
    T = look_at(*world.overview(12))
    points = [p.motion.joints_world[p.row(12)] for p in world.people]
    points.append(world.Ts_world_camera[12:13, :3, 3])
    seen = transform_points(invert_transform(T), np.concatenate(points))
    assert (seen[:, 2] > 0.5).all()
    wide = np.tan(np.deg2rad(FOV_DEG) / 2)
    assert (np.abs(seen[:, 0] / seen[:, 2]) < wide * 1.6).all()
    assert (np.abs(seen[:, 1] / seen[:, 2]) < wide).all()


@pytest.mark.parametrize("span", [3.0, 300.0, 30_000.0])
def test_the_floor_grid_stays_small_in_large_worlds(scene, span):
    world = World.from_scene(scene)
    world.__dict__["bounds"] = (np.zeros(3), np.array([span, span / 2, 2.0]))
    starts, ends = world.floor_grid()
    assert 6 < len(starts) < 300
    assert (starts[:, 2] == 0).all() and (ends[:, 2] == 0).all()
    assert ends.max(axis=0)[0] >= span and starts.min(axis=0)[0] <= 0


def test_a_view_straight_down_is_defined():
    T = look_at(np.array([0.0, 0, 5]), np.zeros(3))
    assert np.isfinite(T).all() and np.linalg.det(T[:3, :3]) == pytest.approx(1)
    assert T[:3, 2] == pytest.approx([0, 0, -1])


@pytest.mark.parametrize("frame", [-1, 24])
def test_a_frame_outside_the_clip_is_refused(scene, tmp_path, frame):
    with pytest.raises(InputError, match="expected 0 to 23"):
        screenshot(scene, tmp_path / "a.png", frame)


def test_another_file_type_is_refused(scene, tmp_path):
    with pytest.raises(InputError, match=r"\.png"):
        screenshot(scene, tmp_path / "a.gif", 0)


def test_without_people_there_is_still_a_picture(tmp_path):
    scene = make_scene(tmp_path / "s", num_people=0, num_frames=3)
    screenshot(scene, tmp_path / "a.png", 1, width=160, height=120)
    image = cv2.imread(str(tmp_path / "a.png"))
    assert image is not None and image.std() > 1


def test_a_scene_without_its_world_says_which_stage_is_missing(tmp_path):
    scene = make_scene(tmp_path / "s", num_frames=3)
    scene.forget("world")
    with pytest.raises(StaleSceneError, match="'world'"):
        screenshot(scene, tmp_path / "a.png", 0)
